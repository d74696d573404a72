//! A request that is sent once more where its route says so, as long as nothing of an answer has gone to the client. Whether it
//! is, and within which budget, the engine judges; here it is done.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use apigw_engine::{
    head::RequestHead,
    rejection::Rejection,
    retry::{Attempt, Others, Outcome, RetryRules, Verdict, wait_after},
    snapshot::{Route, Upstream},
};
use http::{
    StatusCode,
    header::{HOST, UPGRADE},
};
use tokio::time::sleep;

use super::{
    call,
    choice::Choice,
    hedging::{self, Hedged},
    record::Record,
    request_body::{RequestBody, replay::Repeatable},
    response::Response,
    sending::{Sender, passed},
};
use crate::upstream::answer::UpstreamBody;

/// By what a request is sent more than once.
#[derive(Clone, Copy)]
struct Attempts<'a> {
    sender: &'a Sender<'a>,
    rules: &'a RetryRules,
    chosen: &'a Choice<'a>,
}

/// An attempt whose answer is not passed on.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) why: WhyFailed,
}

/// Why another attempt's answer is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyFailed {
    /// There was none, with this reason code.
    Unanswered(&'static str),
    /// It was one after which there is another attempt.
    Answered(StatusCode),
    /// The other of two at once was the request's before this one had come to anything.
    GivenUp,
}

impl WhyFailed {
    /// What an attempt came to whose answer is not passed on.
    pub(super) fn new(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) => Self::Unanswered(Rejection::from(failure).answer().reason),
            Outcome::Answered(status) => Self::Answered(status),
        }
    }

    /// The word in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered(reason) => reason,
            Self::Answered(_) => "status",
            Self::GivenUp => "given_up",
        }
    }

    /// Of the answer, if there was one.
    pub(crate) fn status(self) -> Option<StatusCode> {
        match self {
            Self::Answered(status) => Some(status),
            Self::Unanswered(_) | Self::GivenUp => None,
        }
    }

    /// Why there was no answer, although it was waited for.
    pub(crate) fn error(self) -> Option<&'static str> {
        match self {
            Self::Unanswered(reason) => Some(reason),
            Self::Answered(_) | Self::GivenUp => None,
        }
    }

    /// Whether it speaks against the endpoint, as an answer that is passed on would.
    pub(crate) fn is_upstream_failure(self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Answered(status) => status.is_server_error(),
            Self::GivenUp => false,
        }
    }
}

/// What an attempt came to; none: what the client did, or that its time is over.
pub(super) fn outcome(answered: &Result<Response<UpstreamBody>, Rejection>) -> Option<Outcome> {
    match answered {
        Ok(response) => Some(Outcome::Answered(response.status)),
        Err(Rejection::Upstream(failure)) => Some(Outcome::Failed(*failure)),
        Err(_) => None,
    }
}

/// Sends a request to the endpoint that was chosen, and once more where the route says so.
///
/// # Errors
/// What the last attempt came to.
pub(super) async fn send(
    sender: &Sender<'_>,
    route: &Route<'_>,
    record: &mut Record,
    chosen: &Choice<'_>,
    head: &mut RequestHead,
    body: RequestBody,
) -> Result<Response<UpstreamBody>, Rejection> {
    match &route.policies.retry {
        None => {
            call::tell_time_left(record.dialect(), &mut head.headers, &sender.client.deadlines);
            sender.send(&chosen.endpoint.upstream, head, body).await
        }
        Some(rules) => {
            let attempts = Attempts { sender, rules, chosen };
            // On the heap, so that requests that are sent once do not carry the room for it.
            Box::pin(attempts.send(record, head, body)).await
        }
    }
}

impl Attempts<'_> {
    async fn send(
        self,
        record: &mut Record,
        head: &mut RequestHead,
        body: RequestBody,
    ) -> Result<Response<UpstreamBody>, Rejection> {
        let Self { sender, rules, chosen: &Choice { backend, endpoint: first, affinity, .. } } = self;
        let worker = sender.worker;
        rules.count_request(worker.time(record.now()));
        let body = Repeatable::new(body);
        let mut endpoint = first;
        let (mut tried, mut number) = (Vec::new(), 0);
        loop {
            // Two endpoints at once are one attempt.
            number += 1;
            let deadlines = &sender.client.deadlines;
            call::tell_time_left(record.dialect(), &mut head.headers, deadlines);
            let answered = match self.hedge_after(head, &body).filter(|_| number == 1) {
                None => sender.send(&endpoint.upstream, head, body.begin()).await,
                Some(after) => {
                    let hedged = Hedged { sender, rules, chosen: self.chosen, after };
                    hedging::send(hedged, record, (&mut endpoint, &mut tried), head).await
                }
            };
            let Some(outcome) = outcome(&answered).filter(|outcome| rules.is_reason(*outcome)) else {
                return answered;
            };
            tried.push(endpoint.upstream.id);
            let other = worker.other_endpoint(backend, affinity, &tried);
            let attempt = Attempt {
                number,
                method: &head.method,
                outcome,
                body: body.state(),
                others: if other.is_some() { Others::Left } else { Others::Tried },
            };
            match rules.judge(&attempt, worker.time(record.now())) {
                Verdict::Final => return answered,
                Verdict::BudgetSpent => {
                    record.count_refused_retry();
                    return answered;
                }
                Verdict::Again(reason) => {
                    let upstream = Arc::clone(&endpoint.upstream);
                    record
                        .add_failed_attempt(FailedAttempt { upstream, why: WhyFailed::new(outcome) }, reason);
                }
            }
            // It must be gone before the next one begins: its connection, and its hold on the body.
            drop(answered);
            deadlines.attempt_ends();
            let next = match other {
                Some(other) => other,
                None => {
                    let chance = worker.random.borrow_mut().f64();
                    self.wait(wait_after(number, chance)).await?;
                    worker.endpoint(backend, affinity)
                }
            };
            readdress(head, &endpoint.upstream, &next.upstream);
            record.set_endpoint(next);
            if let Some(trace) = record.trace() {
                trace.tell_again(&mut head.headers);
            }
            endpoint = next;
        }
    }

    /// How long the first endpoint has for its answer until another one is asked as well. A tunnel is opened once, and a body
    /// is read by one.
    fn hedge_after(self, head: &RequestHead, body: &Repeatable) -> Option<Duration> {
        let after = self.rules.hedge_after(&head.method)?;
        (matches!(body, Repeatable::Empty) && !head.headers.contains_key(UPGRADE)).then_some(after)
    }

    /// Waits before the next attempt, at most half of the time that is left for all.
    async fn wait(self, time: Duration) -> Result<(), Rejection> {
        let deadlines = &self.sender.client.deadlines;
        let left = deadlines.exchange_time_left().map_or(time, |left| left / 2);
        let mut waited = pin!(sleep(time.min(left)));
        poll_fn(|context| match passed(deadlines) {
            Some(rejection) => Poll::Ready(Err(rejection)),
            None => waited.as_mut().poll(context).map(Ok),
        })
        .await
    }
}

/// Names the endpoint as the host, where the former one was named.
pub(super) fn readdress(head: &mut RequestHead, former: &Upstream, next: &Upstream) {
    if head.headers.get(HOST) == Some(&former.authority) {
        head.headers.insert(HOST, next.authority.clone());
    }
}
