//! One request and its answer, in two functions: [`serve`] observes and renders, [`answer`] is the story.

// In the order a request meets them:
/// What is remembered of it.
pub(crate) mod record;
/// Which part of a trace it is.
pub(crate) mod trace;
/// Who sends it.
pub(crate) mod caller;
/// Whether it asks for another protocol.
pub(crate) mod upgrade;
/// Whether it comes too soon.
mod counting;
/// What its route changes of header fields.
mod changes;
/// What its judgements leave for the answer.
mod answer_fields;
/// How it is answered if it is a call of gRPC.
pub(crate) mod call;
/// What a call of gRPC-Web is for an upstream that speaks gRPC.
mod grpc_web;
/// What it is answered where no upstream is asked.
mod own_answer;
/// Which endpoint it goes to.
mod choice;
/// Its body on the way up.
pub(crate) mod request_body;
/// How it is sent.
mod sending;
/// How often.
pub(crate) mod attempts;
/// To whom at once, where the first is slow.
mod hedging;
/// Who else is sent it.
pub(crate) mod mirroring;
/// The answer.
pub(crate) mod response;
/// Header fields that stop here or are written here.
pub(crate) mod forwarding;
/// Those behind a body.
mod trailers;
/// The answer's body on the way down.
pub(crate) mod response_body;
/// Where it must not be silent for long.
pub(crate) mod timed_body;
/// Where it is to be shorter.
pub(crate) mod compression;

use std::{rc::Rc, sync::Arc};

use apigw_config::names::Scheme;
use apigw_engine::{
    cors::CorsVerdict,
    fields::X_REQUEST_ID,
    grpc::{Dialect, WebForm, status::GRPC_STATUS},
    head::{self, RequestHead},
    mode::JudgedMode,
    path::NormalPath,
    policies::{Policies, admit_call},
    redirect,
    rejection::{Answer, Rejection},
    routing::Asked,
    snapshot::{Answerer, Route, Snapshot, Upstream},
    target,
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};

use self::{
    call::Telling,
    choice::Choice,
    record::Record,
    request_body::{BodyFault, ClientBody, RequestBody},
    response::Response,
    response_body::{ResponseBody, Source},
    sending::Sender,
    upgrade::Upgrade,
};
use crate::{
    admin::endpoints::Place,
    connection::Client,
    heap,
    upstream::answer::UpstreamBody,
    worker::{View, Worker},
};

/// Serves one request: takes the snapshot that judges it to its end, has it answered, turns a rejection into a response
/// and sees that whatever happens to it is counted and logged.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    client: Rc<Client>,
    head: Box<RequestHead>,
    body: ClientBody,
) -> Response<ResponseBody> {
    client.deadlines.head_complete();
    let view = worker.view();
    let snapshot = view.snapshot();
    client.deadlines.set_timeouts(&snapshot.settings().server, &snapshot.settings().upstream);
    let request_id = forwarding::request_id(&head.headers, &mut worker.random.borrow_mut());
    // On the heap, since it goes with the answer from hand to hand.
    let mut record = heap::put(|| Record::new(&worker, &view, &client, request_id));
    let address = client.peer.client(&head.headers, &snapshot.settings().server.trusted_proxies);
    record.set_target(&head.method, &head.uri, address);
    record.begin_trace(&client, &head);
    let (is_head, version) = (head.method == Method::HEAD, head.version);
    let is_opening = matches!(body, ClientBody::Opening);

    let mut response = match answer(&worker, &client, &view, &mut record, head, body).await {
        // In a stream any success means that the tunnel is open (RFC 8441 section 5).
        Ok(response) if is_opening && response.status.is_success() => {
            render(&Rejection::WebSocketDeclined, &mut record)
        }
        Ok(response) => response,
        Err(rejection) => render(&rejection, &mut record),
    };
    if let Some(route) = record.route() {
        response = finish(&worker, &mut record, &snapshot.route_at(route), is_head, response);
    }
    let may_have_length = response.status != StatusCode::NO_CONTENT;
    if let Source::Own(body) = &mut response.body {
        let length = HeaderValue::from(body.len());
        if is_head {
            body.clear();
        }
        // RFC 9110 section 8.6.
        if may_have_length {
            response.headers.insert(CONTENT_LENGTH, length);
        }
    }
    if client.is_draining() {
        response.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers.insert(X_REQUEST_ID, record.request_id().clone());
    client.deadlines.response_begins();
    let telling = Telling::of(&record, version, &response);
    response.map(|source| ResponseBody::new(source, record, telling))
}

/// Makes of an answer of a route, whoever gives it, what its client is told.
fn finish(
    worker: &Worker,
    record: &mut Record,
    route: &Route<'_>,
    is_head: bool,
    mut response: Response<Source>,
) -> Response<Source> {
    let fields = record.take_answer_fields();
    let preferred = fields.coding();
    fields.put_on(&mut response.headers, route);
    match &route.policies.compression {
        // A call's messages are compressed by whoever writes them, if at all.
        Some(rules) if !record.dialect().is_call() => {
            compression::treat(worker, rules, preferred, is_head, response)
        }
        _ => response,
    }
}

/// Answers a request whose head is none, so that nothing about it can be judged.
pub(crate) fn refuse(
    worker: &Rc<Worker>,
    client: &Client,
    dialect: Dialect,
    rejection: &Rejection,
) -> Response<ResponseBody> {
    let request_id = forwarding::new_request_id(&mut worker.random.borrow_mut());
    let mut record = heap::put(|| Record::new(worker, &worker.view(), client, request_id));
    record.set_dialect(dialect);
    let mut response = render(rejection, &mut record);
    response.headers.insert(X_REQUEST_ID, record.request_id().clone());
    response.map(|source| ResponseBody::new(source, record, Telling::Breaking))
}

/// The story of a request. The order is fixed; it is a security property, not a setting:
///
/// normalise, so that all that follows judges one path; find the route, which says what holds; then the judgements, cheap
/// and sweeping ones first; a browser's question whether it may ask, which carries no token, before the token is wanted;
/// those that need to know the caller after the one that makes him known; those that hold a place upstream last, so that
/// nobody who is refused occupies one.
async fn answer(
    worker: &Rc<Worker>,
    client: &Client,
    view: &Rc<View>,
    record: &mut Record,
    mut head: Box<RequestHead>,
    body: ClientBody,
) -> Result<Response<Source>, Rejection> {
    let snapshot = view.snapshot();
    record.set_dialect(call::dialect(&head.method, head.headers.get(CONTENT_TYPE)));
    head::check(&head)?;
    if head::is_about_server(&head) {
        record.pass(snapshot.addresses().admit(record.client())?);
        return Ok(no_content(record));
    }
    let path = NormalPath::new(head.uri.path(), snapshot.settings().server.paths)?;
    record.set_path(&path);
    let place = Place::at(path.as_str()).filter(|_| snapshot.settings().admin.is_none());
    // Who asks whether the gateway is well is often no client, and learns nothing else.
    if !place.is_some_and(Place::is_probe) {
        record.pass(snapshot.addresses().admit(record.client())?);
    }
    if let Some(place) = place {
        return ask_endpoints(worker, record, place, &head).await;
    }
    if let Some(port) = redirect_port(snapshot, client) {
        return redirect_to_https(record, &head, &path, port);
    }
    let route = snapshot.route(&Asked::new(&head, &path)).ok_or(Rejection::NoRoute)?;
    record.set_route(&route);
    changes::of_answer((client, snapshot), record, &route, &head, &path);

    let policies = route.policies;
    record.pass(policies.addresses.admit(record.client())?);
    if let Some(granted) = judge_origin(policies, record, &head)? {
        return Ok(granted);
    }
    head::check_size(&head, route.config)?;
    call::wait(record.dialect(), &head.headers, &client.deadlines)?;
    let caller = caller::admit(worker, view, policies, record, (client, &head, &path)).await?;
    counting::admit(worker, view, &route, record, caller.as_ref(), &head.headers).await?;
    let backend = match route.answerer {
        Answerer::Backend(backend) => backend,
        Answerer::Split(split) => worker.backend(split, &head.headers, record.client()),
        Answerer::Gateway(answer) => {
            return own_answer::reply(answer, (client, snapshot), record, &route, &head, &path);
        }
    };

    // Before the fields that say so are taken away, as what is for one connection only.
    let upgrade = Upgrade::asked(&head, &body);
    let (body, fault) = take_body(client, view, record, &route, body)?;
    let changes = changes::of_request(client, record, &route, &head, &path, caller.as_ref());
    head.uri = target::upstream_target(&head.uri, &path, &route, backend, snapshot)?;
    let chosen = choice::choose(worker, client, snapshot, backend, record, &mut head.headers);
    let upgrade = upgrade.through(chosen.endpoint.upstream.protocol);
    prepare_fields(worker, client, snapshot, (&route, &chosen.endpoint.upstream), record, &mut head);
    upgrade.ask(&mut head.headers);
    caller::tell_upstream(policies, caller.as_ref(), &mut head.headers);
    changes.into_iter().for_each(|changes| changes.apply_to_request(&mut head.headers));

    let web = grpc_web::asked(record.dialect(), chosen.endpoint.upstream.protocol);
    let body = grpc_web::translate_request(web, &mut head.headers, body);

    occupy(worker, policies, record)?;
    record.set_endpoint(chosen.endpoint);
    let body = mirroring::copy(worker, view, &route, record, &head, body);
    let sender = Sender { worker, client, snapshot, policies, fault: fault.as_deref() };
    let mut response = attempts::send(&sender, &route, record, &chosen, &mut head, body).await?;
    upgrade.check(&response)?;
    prepare_answer(&mut response, web, chosen, record);
    Ok(sender.pass_on(response))
}

/// Takes a request's body, within what its route allows; how it fails is noted where the record finds it.
fn take_body(
    client: &Client,
    view: &Rc<View>,
    record: &mut Record,
    route: &Route<'_>,
    body: ClientBody,
) -> Result<(RequestBody, Option<Rc<BodyFault>>), Rejection> {
    let of_server = view.snapshot().settings().server.max_body_bytes;
    let max_body_bytes = route.config.max_body_bytes.unwrap_or(of_server);
    let body = RequestBody::new(body, max_body_bytes.get(), (view, route.slot), &client.deadlines)?;
    let fault = body.fault();
    record.set_body_fault(fault.clone());
    Ok((body, fault))
}

/// Takes what is not forwarded out of a request's fields, and writes what the gateway says of it.
fn prepare_fields(
    worker: &Worker,
    client: &Client,
    snapshot: &Snapshot,
    (route, upstream): (&Route<'_>, &Upstream),
    record: &mut Record,
    head: &mut RequestHead,
) {
    let RequestHead { uri, headers: fields, .. } = head;
    let host = forwarding::host(&route.config.host_rewrite, upstream, fields);
    let trusted = &snapshot.settings().server.trusted_proxies;
    forwarding::prepare_request(fields, &client.peer, trusted, host, record.request_id());
    snapshot.vouched().strip(fields);
    worker.endpoints().keep_key_back(fields);
    if let Some(trace) = record.trace() {
        trace.tell(uri, fields);
    }
}

/// Takes what is not passed on out of an upstream's answer, notes what it says, and puts it in the client's dialect.
fn prepare_answer(
    response: &mut Response<UpstreamBody>,
    web: Option<WebForm>,
    chosen: Choice<'_>,
    record: &mut Record,
) {
    forwarding::prepare_response(&mut response.headers);
    chosen.keep_client(record, &mut response.headers);
    record.set_forwarded(response.status, response.headers.get(GRPC_STATUS));
    record.set_web_form(grpc_web::translate_answer(web, &mut response.headers));
}

/// Where a request in clear is sent, if it is sent elsewhere.
fn redirect_port(snapshot: &Snapshot, client: &Client) -> Option<u16> {
    let tls = snapshot.settings().server.tls.as_ref();
    tls.and_then(|tls| tls.listening.redirect_port()).filter(|_| client.peer.scheme() == Scheme::Http)
}

/// Sends a request in clear to where there is TLS.
fn redirect_to_https(
    record: &mut Record,
    head: &RequestHead,
    path: &NormalPath<'_>,
    port: u16,
) -> Result<Response<Source>, Rejection> {
    let (status, location) = redirect::to_https(head, path, port)?;
    record.set_status(status);
    let mut response = Response::new(status, Source::Own(Bytes::new()));
    response.headers.insert(LOCATION, location);
    Ok(response)
}

/// Answers a page's question whether it may ask, if that is what the request is.
fn judge_origin(
    policies: &Policies,
    record: &mut Record,
    head: &RequestHead,
) -> Result<Option<Response<Source>>, Rejection> {
    let Some(cors) = &policies.cors else { return Ok(None) };
    let (verdict, grant) = cors.rules().judge(&head.method, &head.headers);
    let is_enforced = cors.mode() == JudgedMode::Enforce;
    if is_enforced {
        record.answer_fields().set_grant(grant);
    }
    match verdict {
        CorsVerdict::Refused(refusal) => {
            record.pass(cors.apply(Err::<(), _>(Rejection::from(refusal)))?);
            Ok(None)
        }
        CorsVerdict::Preflight if is_enforced => Ok(Some(no_content(record))),
        CorsVerdict::Preflight | CorsVerdict::NoPreflight => Ok(None),
    }
}

/// An answer of the gateway's own that says nothing but yes.
fn no_content(record: &mut Record) -> Response<Source> {
    record.set_status(StatusCode::NO_CONTENT);
    Response::new(StatusCode::NO_CONTENT, Source::Own(Bytes::new()))
}

/// Takes a place among the requests under way, and asks whether the upstream is well. Both are held by the record, which
/// gives them back however the exchange ends.
fn occupy(worker: &Worker, policies: &Policies, record: &mut Record) -> Result<(), Rejection> {
    if let Some(places) = &policies.concurrency {
        let place = places.rules().admit(worker.time(record.now())).map_err(Rejection::from);
        // Who is refused one in shadow is under way all the same.
        let place = record.pass(places.apply(place)?).unwrap_or_else(|| places.rules().beyond());
        record.hold_place(place);
    }
    if let Some(breaker) = &policies.breaker {
        let call = admit_call(breaker.rules(), worker.time(record.now())).map_err(Rejection::from);
        let call = record.pass(breaker.apply(call)?);
        record.hold_call(call);
    }
    Ok(())
}

/// Asks the admin endpoints, which may take their time, without keeping this worker from its requests.
async fn ask_endpoints(
    worker: &Worker,
    record: &mut Record,
    place: Place,
    head: &RequestHead,
) -> Result<Response<Source>, Rejection> {
    let endpoints = Arc::clone(worker.endpoints());
    let response = endpoints.ask(place, head).await.ok_or(Rejection::Internal)?;
    record.set_status(response.status());
    Ok(Response::from(response).map(Source::Own))
}

/// The gateway's own answer.
fn render(rejection: &Rejection, record: &mut Record) -> Response<Source> {
    let answer = rejection.answer();
    record.set_rejection(rejection, &answer);
    let mut response = if record.dialect().is_call() {
        call::refusal(rejection, &answer, record)
    } else {
        refusal(&answer, record)
    };
    let headers = &mut response.headers;
    headers.extend(answer.challenges.into_iter().map(|challenge| (WWW_AUTHENTICATE, challenge)));
    headers.extend(answer.fields);
    headers.extend(answer.retry_after_seconds.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
    if answer.closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A refusal as it is told in HTTP.
fn refusal(answer: &Answer, record: &Record) -> Response<Source> {
    let body = Bytes::from(answer.body(record.route_name(), record.request_id().to_str().unwrap_or("")));
    let mut response = Response::new(answer.status, Source::Own(body));
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
