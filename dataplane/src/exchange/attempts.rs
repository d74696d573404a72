//! A request that is sent once more where its route says so, as long as nothing of an answer has gone to the client. Whether it
//! is, and within which budget, the engine judges; here it is done.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use apigw_engine::{
    head::RequestHead,
    rejection::{Rejection, UpstreamFailure},
    retry::{Attempt, Others, Outcome, RetryRules, Verdict, wait_after},
    snapshot::{Backend, Endpoint, Route, Upstream},
};
use http::{StatusCode, header::HOST};
use tokio::time::sleep;

use super::{
    record::Record,
    request_body::{RequestBody, replay::Repeatable},
    response::Response,
    sending::{Sender, passed},
};
use crate::upstream::answer::UpstreamBody;

/// By what a request is sent more than once.
#[derive(Clone, Copy)]
struct Attempts<'a> {
    sender: Sender<'a>,
    rules: &'a RetryRules,
    backend: &'a Backend,
}

/// An attempt that was not the last.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    pub(crate) upstream: Arc<Upstream>,
    /// A reason code; of an answer `status`.
    pub(crate) why: &'static str,
    /// Of the answer, if there was one.
    pub(crate) status: Option<StatusCode>,
}

impl FailedAttempt {
    /// Whether it speaks against the endpoint, as an answer that is passed on would.
    pub(crate) fn is_upstream_failure(&self) -> bool {
        self.status.is_none_or(|status| status.is_server_error())
    }
}

/// Sends a request to this endpoint, and once more where the route says so.
///
/// # Errors
/// What the last attempt came to.
pub(super) async fn send(
    sender: Sender<'_>,
    (route, backend): (&Route<'_>, &Backend),
    record: &mut Record,
    endpoint: &Endpoint,
    head: &mut RequestHead,
    body: RequestBody,
) -> Result<Response<UpstreamBody>, Rejection> {
    match &route.policies.retry {
        None => sender.send(record.dialect(), &endpoint.upstream, head, body).await,
        Some(rules) => {
            let attempts = Attempts { sender, rules, backend };
            // On the heap, so that requests that are sent once do not carry the room for it.
            Box::pin(attempts.send(record, endpoint, head, body)).await
        }
    }
}

impl<'a> Attempts<'a> {
    async fn send(
        self,
        record: &mut Record,
        first: &'a Endpoint,
        head: &mut RequestHead,
        body: RequestBody,
    ) -> Result<Response<UpstreamBody>, Rejection> {
        let Self { sender, rules, backend } = self;
        let worker = sender.worker;
        rules.count_request(worker.time(record.now()));
        let body = Repeatable::new(body);
        let mut endpoint = first;
        let mut tried = Vec::new();
        loop {
            let answered = sender.send(record.dialect(), &endpoint.upstream, head, body.begin()).await;
            let outcome = match &answered {
                Ok(response) => Outcome::Answered(response.status),
                Err(Rejection::Upstream(failure)) => Outcome::Failed(*failure),
                // The client's doing, or its time is over.
                Err(_) => return answered,
            };
            if !rules.is_reason(outcome) {
                return answered;
            }
            tried.push(endpoint.upstream.id);
            let other = worker.other_endpoint(backend, (&head.headers, record.client()), &tried);
            let attempt = Attempt {
                number: tried.len(),
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
                    record.add_failed_attempt(failed(&endpoint.upstream, outcome), reason);
                }
            }
            // It must be gone before the next one begins: its connection, and its hold on the body.
            drop(answered);
            sender.client.deadlines.attempt_ends();
            let next = match other {
                Some(other) => other,
                None => {
                    let chance = worker.random.borrow_mut().f64();
                    self.wait(wait_after(tried.len(), chance)).await?;
                    worker.endpoint(backend, &head.headers, record.client())
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

fn failed(upstream: &Arc<Upstream>, outcome: Outcome) -> FailedAttempt {
    let reason = |failure: UpstreamFailure| Rejection::from(failure).answer().reason;
    let (why, status) = match outcome {
        Outcome::Failed(failure) => (reason(failure), None),
        Outcome::Answered(status) => ("status", Some(status)),
    };
    FailedAttempt { upstream: Arc::clone(upstream), why, status }
}

/// Names the endpoint as the host, where the former one was named.
pub(super) fn readdress(head: &mut RequestHead, former: &Upstream, next: &Upstream) {
    if head.headers.get(HOST) == Some(&former.authority) {
        head.headers.insert(HOST, next.authority.clone());
    }
}
