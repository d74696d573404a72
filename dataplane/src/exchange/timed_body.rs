//! An upstream's answer that must not be silent for long. Only time counts in which the upstream is asked: while the client
//! takes nothing, or sends its request, nobody is late.

use std::{
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::time::{Sleep, sleep};

use crate::{
    connection::deadlines::Deadlines,
    upstream::answer::{UpstreamBody, UpstreamBroken},
};

/// A body and its limit.
pub(crate) struct TimedBody {
    inner: UpstreamBody,
    limit: Duration,
    /// Runs while the upstream is waited for.
    timer: Pin<Box<Sleep>>,
    wait: Wait,
    deadlines: Rc<Deadlines>,
}

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Not the upstream.
    None,
    /// The upstream; so much of the request's body had come when that began.
    Upstream { request_bytes: u64 },
}

impl TimedBody {
    pub(super) fn new(inner: UpstreamBody, limit: Duration, deadlines: Rc<Deadlines>) -> Self {
        Self { inner, limit, timer: Box::pin(sleep(limit)), wait: Wait::None, deadlines }
    }

    pub(super) fn inner(&self) -> &UpstreamBody {
        &self.inner
    }

    /// Lets what the client still sends go on, while it does not take the answer.
    pub(super) fn poll_upload(&mut self, context: &mut Context<'_>) {
        self.wait = Wait::None;
        self.inner.poll_upload(context);
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.wait = Wait::None;
            return Poll::Ready(frame);
        }
        let now = Wait::Upstream { request_bytes: self.deadlines.body_bytes() };
        if self.wait != now {
            self.wait = now;
            self.timer.as_mut().reset(self.deadlines.now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Some(Err(UpstreamBroken::Idle)))
    }
}
