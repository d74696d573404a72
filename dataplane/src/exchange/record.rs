//! What is remembered of an exchange, and written when it ends, however it ends.

/// What it asks for.
mod target;
/// Whom it asks.
mod asked;
/// How it ended, and what is written then.
mod ending;

use std::{borrow::Cow, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use apigw_config::{model::HeaderChanges, names::BackendName};
use apigw_engine::{
    callers::{Caller, Vouched},
    concurrency::{Permit, adaptive::Lesson},
    endpoint::EndpointUse,
    fields::Fields,
    grpc::{Dialect, WebForm, status::GrpcStatus},
    head::RequestHead,
    mode::Passage,
    path::NormalPath,
    policies::{AdmittedCall, Place},
    rejection::{Answer, Awaited, Rejection, UpstreamFailure},
    snapshot::{Route, Slot, Upstream},
};
use http::{HeaderValue, Method, StatusCode, Uri};
use tokio::time::Instant;

pub(crate) use self::ending::Ending;
use self::{asked::Asked, target::Target};
use super::{
    answer_fields::AnswerFields, attempts::FailedAttempt, request_body::BodyFault, sending::overdue,
    trace::ExchangeTrace,
};
use crate::{
    connection::{Client, deadlines::Deadlines},
    metrics::RouteCounters,
    tls::client_certificate::ClientCertificate,
    upstream::answer::UpstreamBroken,
    worker::{View, Worker},
};

/// An exchange's log line and counters in the making. Dropped before its end, it ends with the client's disappearance.
pub(crate) struct Record {
    worker: Rc<Worker>,
    view: Rc<View>,
    deadlines: Rc<Deadlines>,
    client: IpAddr,
    /// None: the client has shown none.
    certificate: Option<Rc<ClientCertificate>>,
    began: Instant,
    request_id: HeaderValue,
    /// None: nobody collects traces, or the head could not be read.
    trace: Option<Box<ExchangeTrace>>,
    /// None: the head could not be read.
    target: Option<Target>,
    /// Where the route lies in the snapshot.
    route: Option<Slot>,
    /// Somebody whom a file of credentials or a service names; none: nobody is known, or by a token, whose subject is not ours to
    /// write.
    caller: Option<Arc<Vouched>>,
    /// Of the route; none: it is not known yet.
    counters: Option<Arc<RouteCounters>>,
    /// What its judgements leave for the answer.
    answer_fields: AnswerFields,
    /// Its place among those of its route that are under way.
    permit: Option<Permit>,
    /// What its answer is to tell the limit of them.
    lesson: Option<Lesson>,
    /// What the upstream's breaker waits to hear of.
    call: Option<AdmittedCall>,
    upstream: Option<Arc<Upstream>>,
    /// That the upstream has something to do; none: nobody could ask.
    endpoint_use: Option<EndpointUse>,
    /// Of two endpoints that are asked at once the first; none: there is one.
    hedged: Option<Box<Asked>>,
    /// At most as many as a route may make.
    failed_attempts: Vec<FailedAttempt>,
    /// How often it was sent, or began to be.
    attempts: u32,
    upstream_duration: Option<Duration>,
    /// None: the request has no body.
    fault: Option<Rc<BodyFault>>,
    /// In which the client waits to be answered.
    dialect: Dialect,
    /// In which the answer's messages are told; none: as they come.
    web_form: Option<WebForm>,
    /// Of a call of gRPC; none: there is none yet, or it is no call.
    call_status: Option<GrpcStatus>,
    /// None: there is no answer yet.
    status: Option<StatusCode>,
    why: &'static str,
    /// Why a policy that is only judged would have refused the request.
    shadow: Option<&'static str>,
    bytes: u64,
    has_ended: bool,
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
            certificate: client.peer.certificate().cloned(),
            began: client.deadlines.now(),
            request_id,
            trace: None,
            target: None,
            route: None,
            caller: None,
            counters: None,
            answer_fields: AnswerFields::default(),
            permit: None,
            lesson: None,
            call: None,
            upstream: None,
            endpoint_use: None,
            hedged: None,
            failed_attempts: Vec::new(),
            attempts: 0,
            upstream_duration: None,
            fault: None,
            dialect: Dialect::Http,
            web_form: None,
            call_status: None,
            status: None,
            why: "ok",
            shadow: None,
            bytes: 0,
            has_ended: false,
        }
    }

    /// The time, as far as the exchange goes.
    pub(crate) fn now(&self) -> Instant {
        self.deadlines.now()
    }

    /// The client's address, as far as it is known.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Takes what a policy gives to a request that it lets pass; notes and counts what one in shadow mode would have
    /// refused. In the log the first one stays.
    pub(crate) fn pass<A>(&mut self, passage: Passage<A, impl Into<Rejection>>) -> Option<A> {
        match passage {
            Passage::Admitted(admitted) => Some(admitted),
            Passage::WouldReject(rejection) => {
                let reason = rejection.into().answer().reason;
                self.shadow.get_or_insert(reason);
                self.counters().count_shadow(reason);
                None
            }
        }
    }

    /// What the request's judgements leave for the answer.
    pub(crate) fn answer_fields(&mut self) -> &mut AnswerFields {
        &mut self.answer_fields
    }

    /// Takes what the request's judgements left for the answer.
    pub(crate) fn take_answer_fields(&mut self) -> AnswerFields {
        std::mem::take(&mut self.answer_fields)
    }

    /// Where the route lies in the snapshot, once it is known.
    pub(crate) fn route(&self) -> Option<Slot> {
        self.route
    }

    /// The route's name; empty while none is known.
    pub(crate) fn route_name(&self) -> &str {
        self.route.map_or("", |slot| self.view.snapshot().route_at(slot).config.name.as_str())
    }

    /// What the route changes of answers, once it is known.
    pub(crate) fn changes_of_answer(&self) -> Option<&HeaderChanges> {
        self.route.map(|slot| self.view.snapshot().route_at(slot).config.response_headers.as_changes())
    }

    /// Holds a place until the exchange ends.
    pub(crate) fn hold_place(&mut self, place: Place) {
        let Place { permit, lesson } = place;
        (self.permit, self.lesson) = (Some(permit), lesson);
    }

    /// Holds what a breaker has admitted until it is known how the upstream fared. Dropped before, it tells nothing: the
    /// client's hang-up is nobody's failure.
    pub(crate) fn hold_call(&mut self, call: Option<AdmittedCall>) {
        self.call = call;
    }

    /// Notes in which dialect the client waits to be answered.
    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// In which dialect the client waits to be answered.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Notes in which form the answer's messages are to be told.
    pub(crate) fn set_web_form(&mut self, form: Option<WebForm>) {
        self.web_form = form;
    }

    /// In which form the answer's messages are to be told; none: as they come.
    pub(crate) fn web_form(&self) -> Option<WebForm> {
        self.web_form
    }

    /// Notes how a call is told that it ended.
    pub(crate) fn set_call_status(&mut self, status: GrpcStatus) {
        self.call_status = Some(status);
    }

    /// Notes what head or trailers of the upstream's answer tell of a call's status.
    pub(crate) fn note_call_status(&mut self, told: Option<&HeaderValue>) {
        if self.dialect.is_call() {
            self.call_status = told.and_then(GrpcStatus::told_by).or(self.call_status);
        }
    }

    /// Whether the time is over that the exchange may take.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadlines.overdue().is_some()
    }

    /// Why an answer has broken off that had begun.
    pub(crate) fn breach(&self, broken: &UpstreamBroken) -> (Ending, Rejection) {
        if let Some(limit) = self.deadlines.overdue() {
            return (Ending::Overdue(limit), overdue(limit, Awaited::Client));
        }
        match broken {
            UpstreamBroken::Idle => return (Ending::UpstreamIdle, UpstreamFailure::ResponseTimeout.into()),
            UpstreamBroken::Compression(_) => return (Ending::Internal, Rejection::Internal),
            _ => {}
        }
        let fault = self.fault.as_ref().and_then(|fault| fault.found());
        (Ending::UpstreamTruncated, fault.map_or(UpstreamFailure::Reset.into(), Rejection::from))
    }

    pub(crate) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// Notes who sends the request and what it asks for.
    pub(crate) fn set_target(&mut self, method: &Method, uri: &Uri, client: IpAddr) {
        self.target = Some(Target::new(method, uri));
        self.client = client;
    }

    /// What is asked for, as the client has said it, and who is asked; none: nobody yet.
    pub(crate) fn asked(&self) -> Option<(&Uri, &Upstream)> {
        self.target.as_ref().map(Target::uri).zip(self.upstream.as_deref())
    }

    /// Who was asked last; none: nobody yet.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_deref()
    }

    /// Begins the exchange's part of a trace, where they are collected.
    pub(crate) fn begin_trace(&mut self, client: &Client, head: &RequestHead) {
        if let Some(tracing) = &self.view.snapshot().settings().tracing {
            let (scheme, random) = (client.peer.scheme(), &mut self.worker.random.borrow_mut());
            self.trace = Some(Box::new(ExchangeTrace::new(head, scheme, tracing.sample_ratio, random)));
        }
    }

    /// The exchange's part of a trace; none: they are not collected.
    pub(crate) fn trace(&mut self) -> Option<&mut ExchangeTrace> {
        self.trace.as_deref_mut()
    }

    /// Tells a service that is asked about the request of which trace it is a part, where they are collected.
    pub(crate) fn tell_service(&self, received: &Fields, fields: &mut Fields) {
        if let Some(trace) = &self.trace {
            trace.tell_service(received, fields);
        }
    }

    /// What is counted of the route, once it is known, and before of requests that meet none.
    pub(crate) fn counters(&self) -> &Arc<RouteCounters> {
        self.counters.as_ref().unwrap_or_else(|| self.worker.counters_without_route())
    }

    /// Notes the form in which the path is judged.
    pub(crate) fn set_path(&mut self, path: &NormalPath<'_>) {
        if let Some(target) = &mut self.target {
            target.set_path(path);
        }
    }

    /// Notes the route; its times hold from now on.
    pub(crate) fn set_route(&mut self, route: &Route<'_>) {
        if let Some(timeouts) = &route.policies.timeouts {
            self.deadlines.follow_route(timeouts);
        }
        self.route = Some(route.slot);
        self.counters = Some(self.worker.counters_of(route));
    }

    /// Notes who sends the request, if it is not a token that names him.
    pub(crate) fn set_caller(&mut self, caller: &Caller) {
        self.caller = caller.vouched().cloned();
    }

    /// Notes an answer that is no rejection.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Notes that the upstream's answer begins.
    pub(crate) fn set_forwarded(&mut self, status: StatusCode, call_status: Option<&HeaderValue>) {
        self.set_status(status);
        self.note_call_status(call_status);
        if let Some(trace) = &mut self.trace {
            trace.set_answered(status);
        }
        let now = self.now();
        let duration = now.saturating_duration_since(self.began);
        self.upstream_duration = Some(duration);
        self.counters().count_upstream(duration);
        if !status.is_server_error() {
            // While the client still sends, the time is its own.
            self.teach_limit(now, self.deadlines.whole_since(self.began));
        }
        if status.is_server_error() || self.has_call_failed() {
            self.upstream_failed(now);
        } else if self.call.as_ref().is_some_and(AdmittedCall::is_trial) {
            // A trial is judged by its head: the end of a long stream may be hours away, and until then nobody else
            // would be let through.
            self.upstream_succeeded(now);
        }
    }

    /// Notes that the gateway itself answers.
    pub(crate) fn set_rejection(&mut self, rejection: &Rejection, answer: &Answer) {
        if rejection.is_upstream_failure() {
            self.upstream_failed(self.now());
            if let Some(trace) = &mut self.trace {
                trace.set_error(answer.reason);
            }
        }
        if let (Rejection::Host, Some(trace)) = (rejection, &mut self.trace) {
            trace.forget_host();
        }
        if rejection.says_that_upstream_is_late() {
            let whole = self.deadlines.whole_since(self.began);
            self.teach_limit(self.now(), whole.or(Some(self.began)));
        }
        // Whatever else it was, it was not the upstream.
        self.upstream_is_not_to_blame();
        self.set_answer(answer);
    }

    /// Notes what the gateway itself says.
    pub(crate) fn set_answer(&mut self, answer: &Answer) {
        self.status = Some(answer.status);
        self.why = answer.reason;
        self.counters().count_rejection(answer.reason);
    }

    /// Tells a limit that follows the upstream how long it took. What fails at once would look like an upstream that is well.
    /// `whole` is since when the upstream could have all of the request.
    fn teach_limit(&mut self, now: Instant, whole: Option<Instant>) {
        if let (Some(lesson), Some(permit), Some(whole)) = (self.lesson.take(), &self.permit, whole) {
            lesson.answered(self.worker.time(whole), self.worker.time(now), permit.in_flight());
        }
    }

    /// Whether the upstream says of a call what says that it is not well.
    fn has_call_failed(&self) -> bool {
        self.call_status.is_some_and(GrpcStatus::is_upstream_failure)
    }

    fn upstream_failed(&mut self, now: Instant) {
        let now = self.worker.time(now);
        if let Some(call) = self.call.take() {
            call.failed(now);
        }
        self.endpoint_failed(now);
    }

    fn upstream_succeeded(&mut self, now: Instant) {
        let now = self.worker.time(now);
        if let Some(call) = self.call.take() {
            call.succeeded(now);
        }
        if let Some(used) = &mut self.endpoint_use {
            used.succeeded(now);
        }
    }

    fn upstream_is_not_to_blame(&mut self) {
        self.call = None;
        if let Some(used) = &mut self.endpoint_use {
            used.says_nothing();
        }
    }

    /// The name of the backend that is asked; empty where it has none, or no upstream is asked.
    fn backend_name(&self) -> &str {
        let backend = self.upstream.as_ref().and_then(|upstream| upstream.backend.as_ref());
        backend.map_or("", BackendName::as_str)
    }

    /// As logs have it; empty while no upstream is asked.
    fn upstream_name(&self) -> Cow<'_, str> {
        self.upstream.as_ref().map_or("".into(), |upstream| upstream.name())
    }

    /// Counts bytes of the answer's body.
    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Notes where a fault of the request's body will be found.
    pub(crate) fn set_body_fault(&mut self, fault: Option<Rc<BodyFault>>) {
        self.fault = fault;
    }

    /// Why the request's body failed, and with it the upstream's connection.
    fn body_fault(&self) -> Option<&'static str> {
        let fault = self.fault.as_ref()?.found()?;
        Some(Rejection::from(fault).answer().reason)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(Ending::ClientDisconnected);
    }
}
