//! A request that goes to a second endpoint as well, because the first has not answered for a while. The first answer that is
//! not a failure is the request's, and the other attempt is given up; a failure is, when both have failed.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use apigw_engine::{
    head::RequestHead,
    rejection::Rejection,
    retry::RetryRules,
    snapshot::{Endpoint, UpstreamId},
};
use tokio::time::sleep;

use super::{
    attempts::{WhyFailed, outcome, readdress},
    choice::Choice,
    record::Record,
    request_body::RequestBody,
    response::Response,
    sending::Sender,
};
use crate::upstream::answer::UpstreamBody;

type Answered = Result<Response<UpstreamBody>, Rejection>;

/// By what a request is sent to two endpoints.
#[derive(Clone, Copy)]
pub(super) struct Hedged<'a> {
    pub(super) sender: &'a Sender<'a>,
    pub(super) rules: &'a RetryRules,
    pub(super) chosen: &'a Choice<'a>,
    /// How long the first one has for its answer.
    pub(super) after: Duration,
}

/// One of the two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Racer {
    First,
    Second,
}

impl Racer {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Sends a request without a body to this endpoint, and to another one as well where it does not answer for a while. Whoever else
/// was asked is added to `tried`; `endpoint` and `head` are those of the outcome.
///
/// # Errors
/// What the last of both came to.
pub(super) async fn send<'a>(
    hedged: Hedged<'a>,
    record: &mut Record,
    (endpoint, tried): (&mut &'a Endpoint, &mut Vec<UpstreamId>),
    head: &mut RequestHead,
) -> Answered {
    let Hedged { sender, after, .. } = hedged;
    let (first, second, mut other_head);
    let race = {
        first = *endpoint;
        let mut answer = pin!(sender.send(&first.upstream, head, RequestBody::Empty));
        if let Some(answered) = within(after, answer.as_mut()).await {
            return answered;
        }
        second = match hedged.other(record, first) {
            Some(second) => second,
            None => return answer.await,
        };
        other_head = head.clone();
        readdress(&mut other_head, &first.upstream, &second.upstream);
        record.begin_hedge(second);
        sender.client.deadlines.hedge_begins();
        if let Some(trace) = record.trace() {
            trace.tell_again(&mut other_head.headers);
        }
        let other_answer = pin!(sender.send(&second.upstream, &other_head, RequestBody::Empty));
        race(record, answer, other_answer).await
        // Both futures are gone here, and with them the connection of the one that is given up.
    };
    match race.decided_by {
        Racer::First => tried.push(second.upstream.id),
        Racer::Second => {
            tried.push(first.upstream.id);
            (*endpoint, *head) = (second, other_head);
        }
    }
    race.answered
}

impl<'a> Hedged<'a> {
    /// Whom to ask beside the first, if there is somebody and the budget has room.
    fn other(self, record: &Record, first: &Endpoint) -> Option<&'a Endpoint> {
        let worker = self.sender.worker;
        let &Choice { backend, affinity, .. } = self.chosen;
        let other = worker.endpoint_beside(backend, affinity, first.upstream.id)?;
        if self.rules.may_hedge(worker.time(record.now())) {
            return Some(other);
        }
        record.count_refused_retry();
        None
    }
}

/// The answer, if it comes in time.
async fn within(time: Duration, mut answer: Pin<&mut impl Future<Output = Answered>>) -> Option<Answered> {
    let mut time = pin!(sleep(time));
    poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => time.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// How a race ended.
struct Race {
    answered: Answered,
    /// Whose answer it is.
    decided_by: Racer,
}

/// Waits for both. The record hears of the one that is not the outcome, and goes on with the other.
async fn race<F: Future<Output = Answered>, S: Future<Output = Answered>>(
    record: &mut Record,
    first: Pin<&mut F>,
    second: Pin<&mut S>,
) -> Race {
    let (mut first, mut second) = (Some(first), Some(second));
    poll_fn(|context| {
        for racer in [Racer::First, Racer::Second] {
            let (answered, is_other_left) = match racer {
                Racer::First => (poll(&mut first, context), second.is_some()),
                Racer::Second => (poll(&mut second, context), first.is_some()),
            };
            let Some(answered) = answered else { continue };
            match why_failed(&answered).filter(|_| is_other_left) {
                Some(why) => record.end_hedge(racer, why),
                None => {
                    if is_other_left {
                        record.end_hedge(racer.other(), WhyFailed::GivenUp);
                    }
                    return Poll::Ready(Race { answered, decided_by: racer });
                }
            }
        }
        Poll::Pending
    })
    .await
}

/// Asks an attempt that is under way; it is not, once it has given its outcome.
fn poll<F: Future<Output = Answered>>(
    attempt: &mut Option<Pin<&mut F>>,
    context: &mut Context<'_>,
) -> Option<Answered> {
    let Poll::Ready(answered) = attempt.as_mut()?.as_mut().poll(context) else { return None };
    *attempt = None;
    Some(answered)
}

/// What makes an outcome one that is not passed on while there may be a better one; none: it is the request's.
fn why_failed(answered: &Answered) -> Option<WhyFailed> {
    outcome(answered).map(WhyFailed::new).filter(|why| why.is_upstream_failure())
}
