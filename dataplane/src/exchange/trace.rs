//! Which part of a trace an exchange is: begun with its head, told to upstreams, and told to a collector when it has ended, if
//! it is sampled. Where the file has no `tracing`, there is none, and what clients say of traces passes like any other field.

use std::{
    mem::swap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use apigw_config::{
    model::PathMatch,
    names::{SampleRatio, Scheme},
};
use apigw_engine::{
    fields::Fields,
    head::RequestHead,
    snapshot::{Route, Upstream},
    trace_context::{Parent, SpanId, TRACEPARENT, TRACESTATE, TraceId, is_state},
};
use http::{
    HeaderValue, Method, StatusCode, Uri, Version,
    header::{HOST, USER_AGENT},
};
use tokio::time::Instant;

use super::{attempts::WhyFailed, hedging::Racer};
use crate::{
    pieces,
    traces::finished::{
        FinishedAttempt, FinishedExchange, MAX_PATH_BYTES, MAX_STATE_BYTES, MAX_TEXT_BYTES, RequestFacts,
        RouteFacts, Verdict, kept,
    },
};

/// An exchange's part of a trace.
pub(crate) struct ExchangeTrace {
    trace: TraceId,
    /// Of the exchange.
    span: SpanId,
    /// None: the trace begins here.
    parent: Option<SpanId>,
    /// Of the present attempt, or of the one to come: whose upstream is told that it is its parent.
    attempt: SpanId,
    state: State,
    /// None: nobody is told of it.
    collected: Option<Collected>,
}

/// What the client says in `tracestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing that may be passed on.
    Void,
    Valid,
}

/// What a collector is to be told, so far.
struct Collected {
    scheme: Scheme,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    /// Empty: nothing.
    state: Box<str>,
    /// None: no upstream was asked.
    upstream_target: Option<Uri>,
    /// At most as many as a route may make. The last is the present one, or at once with the one before.
    attempts: Vec<Attempt>,
}

struct Attempt {
    span: SpanId,
    upstream: Arc<Upstream>,
    began: Instant,
    /// None: it is the present one.
    ended: Option<Instant>,
    status: Option<StatusCode>,
    error: Option<&'static str>,
}

impl ExchangeTrace {
    /// Begins with a request: goes on with the trace that it is a part of, or begins another one.
    pub(super) fn new(
        head: &RequestHead,
        scheme: Scheme,
        ratio: SampleRatio,
        random: &mut fastrand::Rng,
    ) -> Self {
        let parent = Parent::told_by(&head.headers);
        let trace = parent.map_or_else(|| new_trace(random), |parent| parent.trace);
        // What is said of a trace that is not known is not looked at.
        let is_valid = parent.is_some() && is_state(head.headers.get_all(TRACESTATE));
        let state = if is_valid { State::Valid } else { State::Void };
        let is_sampled = parent.map_or_else(|| trace.is_sampled_at(ratio), |parent| parent.is_sampled);
        let collected = is_sampled.then(|| Collected {
            scheme,
            version: head.version,
            host: head.headers.get(HOST).cloned(),
            user_agent: head.headers.get(USER_AGENT).cloned(),
            state: if is_valid { joined(&head.headers) } else { "".into() },
            upstream_target: None,
            attempts: Vec::new(),
        });
        Self {
            trace,
            span: new_span(random),
            parent: parent.map(|parent| parent.span),
            attempt: new_span(random),
            state,
            collected,
        }
    }

    /// The trace.
    pub(super) fn id(&self) -> TraceId {
        self.trace
    }

    /// Tells an upstream, in the fields of the request that goes there.
    pub(super) fn tell(&mut self, target: &Uri, fields: &mut Fields) {
        if let Some(collected) = &mut self.collected {
            collected.upstream_target = Some(target.clone());
        }
        fields.insert(TRACEPARENT, self.told(self.attempt));
        if self.state == State::Void {
            fields.remove(TRACESTATE);
        }
    }

    /// Tells a service that is asked about the request, of whose fields these are received: what it does is part of the exchange,
    /// and of no attempt.
    pub(super) fn tell_service(&self, received: &Fields, fields: &mut Fields) {
        fields.insert(TRACEPARENT, self.told(self.span));
        fields.remove(TRACESTATE);
        if self.state == State::Valid {
            fields.extend(received.get_all(TRACESTATE).map(|value| (TRACESTATE, value.clone())));
        }
    }

    /// Tells the next upstream, where the former one was told: what the route made of the field stays.
    pub(super) fn tell_again(&self, fields: &mut Fields) {
        let Some(Collected { attempts, .. }) = &self.collected else { return };
        let [.., former, _] = attempts.as_slice() else { return };
        if fields.get(TRACEPARENT) == Some(&self.told(former.span)) {
            fields.insert(TRACEPARENT, self.told(self.attempt));
        }
    }

    fn told(&self, span: SpanId) -> HeaderValue {
        let parent = Parent { trace: self.trace, span, is_sampled: self.collected.is_some() };
        HeaderValue::from_maybe_shared(pieces::copy(&parent.write())).expect("digits are visible ASCII")
    }

    /// Notes that an upstream is asked.
    pub(super) fn begin_attempt(
        &mut self,
        upstream: &Arc<Upstream>,
        now: Instant,
        random: &mut fastrand::Rng,
    ) {
        let Some(Collected { attempts, .. }) = &mut self.collected else { return };
        if !attempts.is_empty() {
            self.attempt = new_span(random);
        }
        let upstream = Arc::clone(upstream);
        attempts.push(Attempt {
            span: self.attempt,
            upstream,
            began: now,
            ended: None,
            status: None,
            error: None,
        });
    }

    /// Notes what the present attempt is answered.
    pub(super) fn set_answered(&mut self, status: StatusCode) {
        if let Some(attempt) = self.present() {
            attempt.status = Some(status);
        }
    }

    /// Notes why it failed.
    pub(super) fn set_error(&mut self, reason: &'static str) {
        if let Some(attempt) = self.present() {
            attempt.error = Some(reason);
        }
    }

    /// Notes that another attempt follows.
    pub(super) fn end_attempt(&mut self, now: Instant, why: WhyFailed) {
        if let Some(attempt) = self.present() {
            attempt.end(now, why);
        }
    }

    /// Notes why one of two attempts at once is not passed on; the other is the present one from now on.
    pub(super) fn end_hedge(&mut self, racer: Racer, now: Instant, why: WhyFailed) {
        let Some(Collected { attempts, .. }) = &mut self.collected else { return };
        let [.., first, second] = attempts.as_mut_slice() else { return };
        if racer == Racer::Second {
            swap(first, second);
        }
        first.end(now, why);
    }

    /// Forgets what stands in `Host`: it was refused, so it may be anything, secrets included.
    pub(super) fn forget_host(&mut self) {
        if let Some(collected) = &mut self.collected {
            collected.host = None;
        }
    }

    /// What a collector is to be told; none: nothing.
    pub(super) fn finish(self, ended: &Ended<'_>) -> Option<FinishedExchange> {
        let Collected { scheme, version, host, user_agent, state, upstream_target, attempts } =
            self.collected?;
        let text = |value: Option<HeaderValue>| {
            let text = value.as_ref().and_then(|value| value.to_str().ok());
            kept(text.unwrap_or_default(), MAX_TEXT_BYTES)
        };
        let upstream_path = upstream_target.as_ref().map_or("", Uri::path);
        let route = ended.route.map(|route| RouteFacts {
            name: route.config.name.as_str().into(),
            path: kept(path_of(&route), MAX_TEXT_BYTES),
            upstream_path: kept(upstream_path, MAX_PATH_BYTES),
        });
        let since = |now: Instant| now.saturating_duration_since(ended.began);
        let duration = since(ended.now);
        Some(FinishedExchange {
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            state,
            // The only look at this clock. A time before all times is none.
            began: SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
            duration,
            request: RequestFacts {
                method: ended.method.into(),
                scheme,
                version,
                path: kept(ended.path, MAX_PATH_BYTES),
                host: text(host),
                user_agent: text(user_agent),
                client: ended.client,
                request_id: ended.request_id.into(),
            },
            route,
            status: ended.status,
            why: ended.why,
            verdict: ended.verdict,
            call_status: ended.call_status,
            revision: ended.revision.into(),
            attempts: attempts.into_iter().map(|attempt| attempt.finished(since, ended.now)).collect(),
        })
    }

    fn present(&mut self) -> Option<&mut Attempt> {
        self.collected.as_mut()?.attempts.last_mut()
    }
}

impl Attempt {
    fn end(&mut self, now: Instant, why: WhyFailed) {
        (self.ended, self.status, self.error) = (Some(now), why.status(), why.error());
    }

    fn finished(self, since: impl Fn(Instant) -> Duration, now: Instant) -> FinishedAttempt {
        let Self { span, upstream, began, ended, status, error } = self;
        let ended = ended.unwrap_or(now);
        let duration = ended.saturating_duration_since(began);
        FinishedAttempt { span, upstream, began: since(began), duration, status, error }
    }
}

/// What a record knows of an exchange that has ended.
pub(super) struct Ended<'a> {
    pub(super) began: Instant,
    pub(super) now: Instant,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) client: IpAddr,
    pub(super) request_id: &'a str,
    pub(super) route: Option<Route<'a>>,
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
    pub(super) verdict: Verdict,
    pub(super) call_status: Option<u8>,
    pub(super) revision: &'a str,
}

/// By what path a route is chosen, as the file has it.
fn path_of<'a>(route: &Route<'a>) -> &'a str {
    match &route.config.matches.path {
        PathMatch::Exactly(path) => path.as_str(),
        PathMatch::Prefix(prefix) => prefix.as_str(),
        PathMatch::Regex(pattern) => pattern.as_str(),
    }
}

/// All of `tracestate` as one text; empty where it is too long to be kept.
fn joined(fields: &Fields) -> Box<str> {
    let values: Vec<_> = fields.get_all(TRACESTATE).filter_map(|value| value.to_str().ok()).collect();
    let joined = values.join(",");
    if joined.len() > MAX_STATE_BYTES { "".into() } else { joined.into() }
}

fn new_trace(random: &mut fastrand::Rng) -> TraceId {
    TraceId::of(random.u128(1..)).expect("it is above zero")
}

fn new_span(random: &mut fastrand::Rng) -> SpanId {
    SpanId::of(random.u64(1..)).expect("it is above zero")
}

#[cfg(test)]
mod tests;
