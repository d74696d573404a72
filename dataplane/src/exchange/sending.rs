//! A request on its way upstream, until the head of an answer comes or a deadline passes.

use std::{future::poll_fn, pin::pin, rc::Rc, task::Poll};

use apigw_engine::{
    head::RequestHead,
    policies::Policies,
    rejection::{Awaited, Rejection, UpstreamFailure},
    snapshot::{Snapshot, Upstream},
};
use http::StatusCode;

use super::{
    request_body::{BodyFault, RequestBody},
    response::Response,
    response_body::Source,
    timed_body::TimedBody,
};
use crate::{
    connection::{
        Client,
        deadlines::{Deadlines, Expired, Limit},
    },
    upstream::answer::UpstreamBody,
    worker::Worker,
};

/// By what a request is sent.
pub(super) struct Sender<'a> {
    pub(super) worker: &'a Worker,
    pub(super) client: &'a Client,
    pub(super) snapshot: &'a Snapshot,
    /// Of the route.
    pub(super) policies: &'a Policies,
    /// None: there is no body that could fail.
    pub(super) fault: Option<&'a BodyFault>,
}

impl Sender<'_> {
    /// Sends a request.
    pub(super) async fn send(
        &self,
        upstream: &Upstream,
        head: &RequestHead,
        body: RequestBody,
    ) -> Result<Response<UpstreamBody>, Rejection> {
        let &Self { worker, client, snapshot, policies, fault } = self;
        let deadlines = &client.deadlines;
        // It may have passed while the request was judged.
        if let Some(limit) = deadlines.overdue() {
            return Err(overdue(limit, Awaited::Client));
        }
        let settings = (snapshot, policies.timeouts.as_ref());
        let mut sent = pin!(worker.upstreams.send(settings, upstream, head, body, deadlines));
        poll_fn(|context| match sent.as_mut().poll(context) {
            // A body that failed broke the upstream's connection, not the other way round.
            Poll::Ready(response) => Poll::Ready(response.map_err(|failure| {
                fault.and_then(BodyFault::found).map_or(Rejection::Upstream(failure), Rejection::from)
            })),
            Poll::Pending => passed(deadlines).map_or(Poll::Pending, |rejection| Poll::Ready(Err(rejection))),
        })
        .await
    }

    /// The answer on its way to the client, which breaks off where the route does not bear silence.
    pub(super) fn pass_on(&self, response: Response<UpstreamBody>) -> Response<Source> {
        let idle = self.policies.timeouts.as_ref().and_then(|timeouts| timeouts.idle);
        // A tunnel has a limit of its own.
        match idle.filter(|_| response.status != StatusCode::SWITCHING_PROTOCOLS) {
            None => response.map(Source::Upstream),
            Some(limit) => response.map(|body| {
                let deadlines = Rc::clone(&self.client.deadlines);
                Source::Timed(Box::new(TimedBody::new(body, limit.duration(), deadlines)))
            }),
        }
    }
}

/// The rejection that a passed deadline asks for.
pub(super) fn passed(deadlines: &Deadlines) -> Option<Rejection> {
    match deadlines.expired()? {
        Expired::Body => Some(Rejection::BodyTimeout),
        Expired::Phase(_) => Some(UpstreamFailure::ResponseTimeout.into()),
        Expired::Exchange(limit) => {
            let awaited = if deadlines.is_upstream_awaited() { Awaited::Upstream } else { Awaited::Client };
            Some(overdue(limit, awaited))
        }
        // The connection ends without an answer, or goes on.
        Expired::Write | Expired::Look => None,
    }
}

/// The rejection where the time is over that an exchange may take.
pub(super) fn overdue(limit: Limit, awaited: Awaited) -> Rejection {
    match limit {
        Limit::Caller => Rejection::DeadlineExceeded,
        Limit::Route => Rejection::TotalTimeout { awaited },
    }
}
