//! Asks a service whether a request may pass: a question without a body, on connections of the worker's own, as requests have
//! them. It is given up when its time is over, or that of the exchange, or when the client leaves.

use std::{
    cell::RefCell,
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use apigw_engine::{
    callers::external::{Approval, ExternalError, Service, X_FORWARDED_METHOD, X_FORWARDED_URI},
    head::RequestHead,
    rejection::UpstreamFailure,
    snapshot::UpstreamId,
};
use http::{HeaderValue, Method, Version};
use http_body::Body as _;
use rustc_hash::FxHashMap;
use tokio::{
    task::spawn_local,
    time::{Instant, timeout_at},
};

use super::methods::Asked;
use crate::{
    connection::deadlines::Deadlines,
    exchange::{forwarding, request_body::RequestBody, response::Response, sending::passed},
    metrics::RouteCounters,
    upstream::answer::UpstreamBody,
};

/// How many questions to one service a worker waits for. Each has a connection, and each of its requests memory.
const MAX_QUESTIONS: usize = 256;

/// What is read of an answer's body, so that its connection can be used again. One that is longer costs the connection.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Allowed,
    /// It has allowed the same before, and that holds.
    Cached,
    Refused,
    /// The service could not be asked, or its answer is none.
    Failed,
    Overdue,
    /// As many wait for the service as may.
    NoRoom,
    /// The client left, or its time was over.
    GivenUp,
}

impl Outcome {
    /// Whether the service was waited for to the end.
    fn was_awaited(self) -> bool {
        !matches!(self, Self::Cached | Self::NoRoom | Self::GivenUp)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Cached => "cached",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
            Self::NoRoom => "no_room",
            Self::GivenUp => "given_up",
        }
    }
}

impl From<&Result<Approval, ExternalError>> for Outcome {
    fn from(answer: &Result<Approval, ExternalError>) -> Self {
        match answer {
            Ok(_) => Self::Allowed,
            Err(ExternalError::Unauthorized(_) | ExternalError::Forbidden(_)) => Self::Refused,
            Err(ExternalError::Late) => Self::Overdue,
            Err(ExternalError::Failed) => Self::Failed,
            Err(ExternalError::Busy) => Self::NoRoom,
        }
    }
}

/// The questions that one worker waits for. A service that is asked nothing has no entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Questions(Rc<RefCell<FxHashMap<UpstreamId, usize>>>);

/// One of them.
#[derive(Debug)]
struct Place {
    questions: Questions,
    service: UpstreamId,
}

impl Questions {
    fn admit(&self, service: UpstreamId) -> Option<Place> {
        let mut counts = self.0.borrow_mut();
        let count = counts.entry(service).or_default();
        if *count >= MAX_QUESTIONS {
            return None;
        }
        *count += 1;
        Some(Place { questions: self.clone(), service })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.questions.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.service);
            }
        }
    }
}

/// A question that counts, whatever becomes of it.
struct Counted {
    counters: Arc<RouteCounters>,
    began: Instant,
    outcome: Outcome,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.count_question(self.outcome.as_str());
        if self.outcome.was_awaited() {
            self.counters.count_question_time(self.began.elapsed());
        }
    }
}

/// Asks a service, or recalls what it has said.
///
/// # Errors
/// When it does not let the request pass, or does not say so.
pub(super) async fn ask(asked: &Asked<'_>, service: &Service) -> Result<Approval, ExternalError> {
    let counters = Arc::clone(asked.record.counters());
    let mut counted = Counted { counters, began: Instant::now(), outcome: Outcome::GivenUp };
    let Some(head) = question(asked, service) else {
        counted.outcome = Outcome::Failed;
        return Err(ExternalError::Failed);
    };
    let (answers, now) = (&asked.worker.answers, asked.worker.time(counted.began));
    let key = answers.borrow().key_of(service, &head.headers);
    if let Some(approval) = key.and_then(|key| answers.borrow().recall(key, now)) {
        counted.outcome = Outcome::Cached;
        return Ok(approval);
    }
    let deadline = counted.began + service.timeout();
    let answer = match asked.worker.questions.admit(service.upstream().id) {
        None => Err(ExternalError::Busy),
        Some(place) => match answer(asked, service, &head, deadline).await {
            None => return Err(ExternalError::Late),
            Some(Err(error)) => Err(error),
            Some(Ok(response)) => {
                let judgement = service.judge(response.status, &response.headers);
                let lifetime = service.lifetime(&response.headers);
                if let (Some(key), Some(lifetime), Ok(approval)) = (key, lifetime, &judgement) {
                    answers.borrow_mut().remember(key, approval, now + lifetime);
                }
                finish(response.body, place, deadline);
                judgement
            }
        },
    };
    counted.outcome = Outcome::from(&answer);
    answer
}

/// What the service answers; none: the time of the exchange is over.
async fn answer(
    asked: &Asked<'_>,
    service: &Service,
    head: &RequestHead,
    deadline: Instant,
) -> Option<Result<Response<UpstreamBody>, ExternalError>> {
    let snapshot = asked.view.snapshot();
    let settings = snapshot.settings();
    // The client's own deadlines go on meanwhile: nothing of its request is on its way.
    let deadlines = Deadlines::new(&settings.server, &settings.upstream, Instant::now());
    let upstreams = &asked.worker.upstreams;
    let sent = upstreams.send((snapshot, None), service.upstream(), head, RequestBody::Empty, &deadlines);
    let mut sent = pin!(timeout_at(deadline, sent));
    let answered = poll_fn(|context| match sent.as_mut().poll(context) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending if passed(&asked.client.deadlines).is_some() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    Some(match answered.await? {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(UpstreamFailure::ConnectTimeout | UpstreamFailure::ResponseTimeout)) | Err(_) => {
            Err(ExternalError::Late)
        }
        Ok(Err(error)) => {
            tracing::debug!(url = service.url(), %error, "a service could not be asked");
            Err(ExternalError::Failed)
        }
    })
}

/// What the service is asked: of the request's own fields those that the route names, as an upstream would see them. None: its
/// target cannot stand in a field.
fn question(asked: &Asked<'_>, service: &Service) -> Option<RequestHead> {
    let Asked { worker, view, record, client, head, path, .. } = asked;
    let snapshot = view.snapshot();
    let trusted = &snapshot.settings().server.trusted_proxies;
    let mut fields = head.headers.clone();
    forwarding::prepare_request(
        &mut fields,
        &client.peer,
        trusted,
        Some(&service.upstream().authority),
        record.request_id(),
    );
    snapshot.vouched().strip(&mut fields);
    worker.endpoints().keep_key_back(&mut fields);
    fields.retain(|name| forwarding::is_written_for_all(name) || service.is_told(name));
    record.tell_service(&head.headers, &mut fields);
    let target = match head.uri.query() {
        Some(query) => [path.as_str(), "?", query].concat(),
        None => path.as_str().to_owned(),
    };
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
    fields.insert(X_FORWARDED_METHOD, value(head.method.as_str())?);
    fields.insert(X_FORWARDED_URI, value(&target)?);
    let uri = service.target().clone();
    Some(RequestHead { method: Method::GET, uri, version: Version::HTTP_11, headers: fields })
}

/// Reads what is left of an answer, while nobody waits for it, so that its connection can be used again.
fn finish(body: UpstreamBody, place: Place, deadline: Instant) {
    if body.is_end_stream() {
        return;
    }
    spawn_local(async move {
        // Whatever comes of it, the answer's head has said all.
        let _ = timeout_at(deadline, body.discard(MAX_BODY_BYTES)).await;
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_to_one_service_are_bounded() {
        let (questions, service) = (Questions::default(), UpstreamId::default());
        let mut places: Vec<_> = (0..MAX_QUESTIONS).map(|_| questions.admit(service).unwrap()).collect();
        assert!(questions.admit(service).is_none());
        places.pop();
        let last = questions.admit(service).unwrap();
        assert!(questions.admit(service).is_none());
        drop((places, last));
        assert!(questions.0.borrow().is_empty());
    }
}
