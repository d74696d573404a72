//! What is remembered of an exchange, and written when it ends, however it ends.

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use apigw_engine::{
    path::NormalPath,
    rejection::{Answer, Rejection},
    snapshot::{Route, Upstream},
};
use http::{HeaderValue, Method, StatusCode, Uri};
use tokio::time::Instant;

use super::request_body::BodyFault;
use crate::{
    access_log::Line,
    connection::{
        Client,
        deadlines::{Deadlines, Expired},
    },
    metrics::RouteCounters,
    worker::{View, Worker},
};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client was given all of the answer.
    Complete,
    /// The upstream broke off in the middle of its answer.
    UpstreamTruncated,
    /// The client went away, or accepted nothing for too long.
    ClientDisconnected,
}

/// The status logged for a client that went before there was an answer; nginx's number for it.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => unreachable!(),
};

/// An exchange's log line and counters in the making. Dropped before its end, it ends with the client's disappearance.
pub(crate) struct Record {
    worker: Rc<Worker>,
    view: Rc<View>,
    deadlines: Rc<Deadlines>,
    client: IpAddr,
    began: Instant,
    request_id: HeaderValue,
    /// None: the head could not be read.
    target: Option<Target>,
    /// Place of the route in the snapshot.
    route: Option<usize>,
    /// Of the route, once it is known.
    counters: Arc<RouteCounters>,
    upstream: Option<Arc<Upstream>>,
    upstream_duration: Option<Duration>,
    /// None: the request has no body.
    fault: Option<Rc<BodyFault>>,
    /// None: there is no answer yet.
    status: Option<StatusCode>,
    why: &'static str,
    /// Why a policy that is only judged would have refused the request.
    shadow: Option<&'static str>,
    bytes: u64,
    has_ended: bool,
}

/// What a request asks for.
struct Target {
    method: Method,
    uri: Uri,
    /// Where it differs from the URI's.
    normal_path: Option<String>,
}

impl Record {
    /// Of an exchange that begins now.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        view: &Rc<View>,
        client: &Client,
        request_id: HeaderValue,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            view: Rc::clone(view),
            deadlines: Rc::clone(&client.deadlines),
            client: client.peer.address(),
            began: Instant::now(),
            request_id,
            target: None,
            route: None,
            counters: worker.counters_without_route(),
            upstream: None,
            upstream_duration: None,
            fault: None,
            status: None,
            why: "ok",
            shadow: None,
            bytes: 0,
            has_ended: false,
        }
    }

    /// The client's address, as far as it is known.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Notes what a policy that is only judged would have refused; the first one stays.
    pub(crate) fn set_shadow(&mut self, reason: &'static str) {
        self.shadow.get_or_insert(reason);
    }

    pub(crate) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Notes who sends the request and what it asks for.
    pub(crate) fn set_target(&mut self, method: &Method, uri: &Uri, client: IpAddr) {
        self.target = Some(Target { method: method.clone(), uri: uri.clone(), normal_path: None });
        self.client = client;
    }

    /// Notes the form in which the path is judged.
    pub(crate) fn set_path(&mut self, path: &NormalPath<'_>) {
        if let Some(target) = &mut self.target
            && !path.is_as_received()
        {
            target.normal_path = Some(path.to_string());
        }
    }

    pub(crate) fn set_route(&mut self, route: &Route<'_>) {
        self.route = Some(route.index);
        self.counters = self.worker.counters_of(route);
    }

    /// Notes that an upstream is asked.
    pub(crate) fn set_upstream(&mut self, upstream: &Arc<Upstream>) {
        self.upstream = Some(Arc::clone(upstream));
    }

    /// Notes an answer that is no rejection.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Notes that the upstream's answer begins.
    pub(crate) fn set_forwarded(&mut self, status: StatusCode) {
        self.set_status(status);
        self.upstream_duration = Some(self.began.elapsed());
    }

    /// Notes that the gateway itself answers.
    pub(crate) fn set_answer(&mut self, answer: &Answer) {
        self.status = Some(answer.status);
        self.why = answer.reason;
    }

    /// Counts bytes of the answer's body.
    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Notes where a fault of the request's body will be found.
    pub(crate) fn set_body_fault(&mut self, fault: &Rc<BodyFault>) {
        self.fault = Some(Rc::clone(fault));
    }

    /// Why the request's body failed, and with it the upstream's connection.
    fn body_fault(&self) -> Option<&'static str> {
        let fault = self.fault.as_ref()?.found()?;
        Some(Rejection::from(fault).answer().reason)
    }

    /// Writes the exchange's line and counts it. Only the first call does.
    pub(crate) fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.deadlines.response_complete();
        let why = match ending {
            Ending::Complete => self.why,
            Ending::UpstreamTruncated => self.body_fault().unwrap_or("upstream_truncated"),
            Ending::ClientDisconnected if self.deadlines.expired() == Some(Expired::Write) => "write_timeout",
            Ending::ClientDisconnected => "client_disconnected",
        };
        let duration = self.began.elapsed();
        let config = self.route.map(|index| &self.view.snapshot().config().routes()[index]);
        let route = config.map_or("", |route| route.name.as_str());
        let status = self.status.unwrap_or(CLIENT_CLOSED_REQUEST);
        let method = self.target.as_ref().map(|target| &target.method);
        self.counters.count(method, status, duration);
        self.worker.log.write(&Line {
            request_id: self.request_id.to_str().unwrap_or(""),
            route,
            method: method.map_or("", Method::as_str),
            path: self.target.as_ref().map_or("", Target::path),
            client: self.client,
            status: status.as_u16(),
            why,
            shadow: self.shadow,
            bytes: self.bytes,
            duration,
            upstream: self.upstream.as_ref().map_or("", |upstream| upstream.authority.to_str().unwrap_or("")),
            upstream_duration: self.upstream_duration,
            revision: self.view.revision(),
        });
    }
}

impl Target {
    fn path(&self) -> &str {
        self.normal_path.as_deref().unwrap_or_else(|| self.uri.path())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Ending::ClientDisconnected);
    }
}
