//! How an exchange ends: who is to blame, what is counted, and what logs and traces say. All of it once.

use apigw_engine::{
    grpc::status::GrpcStatus,
    rejection::{Awaited, Rejection},
};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{Record, Target};
use crate::{
    access_log::Line,
    connection::deadlines::{Expired, Limit, Phase},
    exchange::{sending::overdue, trace::Ended},
    traces::finished::Verdict,
};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client was given all of the answer.
    Complete,
    /// The upstream broke off in the middle of its answer.
    UpstreamTruncated,
    /// Nothing came of the upstream's answer for too long.
    UpstreamIdle,
    /// The gateway could not go on with it.
    Internal,
    /// The time that it might take ended before the answer did.
    Overdue(Limit),
    /// The client went away, or accepted nothing for too long.
    ClientDisconnected,
}

/// The status logged for a client that went before there was an answer; nginx's number for it.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => unreachable!(),
};

impl Record {
    /// Writes the exchange's line and counts it. Only the first call does.
    pub(crate) fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.deadlines.response_complete();
        // When all is cut off, nobody has been woken for it.
        let now = if self.worker.is_cut() { Instant::now() } else { self.now() };
        self.permit = None;
        self.blame(ending, now);
        self.endpoint_use = None;
        let why = self.reason(ending);
        let duration = now.saturating_duration_since(self.began);
        let status = self.status.unwrap_or(CLIENT_CLOSED_REQUEST);
        let method = self.target.as_ref().map(Target::method);
        self.counters().count(method, status, duration);
        let upstream = self.upstream.as_ref().map_or([][..].into(), |upstream| upstream.name_bytes());
        let line = Line {
            request_id: self.request_id.as_bytes(),
            trace: self.trace.as_ref().map(|trace| trace.id()),
            route: self.route_name(),
            method: method.map_or("", Method::as_str),
            path: self.target.as_ref().map_or("", Target::path),
            client: self.client,
            client_certificate: self.certificate.as_ref().map_or("", |certificate| certificate.subject()),
            user: self.caller.as_ref().and_then(|caller| caller.name()).unwrap_or_default(),
            status: status.as_u16(),
            why,
            call_status: self.call_status.map(GrpcStatus::code),
            shadow: self.shadow,
            bytes: self.bytes,
            duration,
            backend: self.backend_name(),
            upstream: &upstream,
            upstream_duration: self.upstream_duration,
            attempts: self.attempts,
            failed_attempts: &self.failed_attempts,
            revision: self.view.revision(),
        };
        self.worker.log.write(&line, now);
        if self.trace.is_some() {
            self.tell_collector(ending, now, status, why);
        }
    }

    /// Tells the breaker and the endpoint how the upstream fared.
    fn blame(&mut self, ending: Ending, now: Instant) {
        match ending {
            Ending::Complete if self.has_call_failed() => self.upstream_failed(now),
            Ending::Complete => self.upstream_succeeded(now),
            Ending::UpstreamTruncated | Ending::UpstreamIdle
                if self.body_fault().is_none() && !self.deadlines.was_held_up() =>
            {
                self.upstream_failed(now);
            }
            // Nor is it the upstream's failure when a client took its answer so slowly that it gave up, or an answer that
            // goes on is longer than its time.
            Ending::UpstreamTruncated
            | Ending::UpstreamIdle
            | Ending::Internal
            | Ending::Overdue(_)
            | Ending::ClientDisconnected => {
                self.upstream_is_not_to_blame();
            }
        }
    }

    fn reason(&self, ending: Ending) -> &'static str {
        match ending {
            Ending::Complete => self.why,
            Ending::UpstreamTruncated => self.body_fault().unwrap_or("upstream_truncated"),
            Ending::UpstreamIdle => "upstream_idle",
            Ending::Internal => Rejection::Internal.answer().reason,
            Ending::Overdue(limit) => overdue(limit, Awaited::Client).answer().reason,
            Ending::ClientDisconnected => match self.deadlines.expired() {
                Some(Expired::Write) => "write_timeout",
                Some(Expired::Phase(Phase::Tunnel)) => "websocket_idle",
                _ if self.worker.is_cut() => "drain_timeout",
                _ => "client_disconnected",
            },
        }
    }

    /// Hands what is sampled to whoever tells a collector.
    fn tell_collector(&mut self, ending: Ending, now: Instant, status: StatusCode, why: &'static str) {
        let (Some(mut trace), Some(target)) = (self.trace.take(), &self.target) else { return };
        let verdict = match ending {
            Ending::Complete if status.is_server_error() || self.has_call_failed() => Verdict::Failed,
            // A client's hang-up is nobody's failure.
            Ending::Complete | Ending::ClientDisconnected => Verdict::Sound,
            Ending::UpstreamTruncated | Ending::UpstreamIdle | Ending::Internal => {
                trace.set_error(why);
                Verdict::Failed
            }
            Ending::Overdue(_) => Verdict::Failed,
        };
        let finished = trace.finish(&Ended {
            began: self.began,
            now,
            method: target.method(),
            path: target.path(),
            client: self.client,
            request_id: str::from_utf8(self.request_id.as_bytes()).unwrap_or(""),
            route: self.route.map(|slot| self.view.snapshot().route_at(slot)),
            status,
            why,
            verdict,
            call_status: self.call_status.map(GrpcStatus::code),
            revision: self.view.revision(),
        });
        finished.into_iter().for_each(|exchange| self.worker.traces.add(exchange));
    }
}
