//! Whether anybody is at the other end: where requests wait and nothing has come for a while, the upstream is asked (RFC 9113
//! section 6.7). Servers of gRPC close a connection that asks too often, so one that has answered and then said nothing else is
//! asked again only much later.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Nothing has come for as long as this: the upstream is asked.
const SILENCE: Duration = Duration::from_secs(5);
/// How long it may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);
/// When it is asked again that has said nothing else: what gRPC's servers put up with by default
/// (<https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md>).
const UNHURRIED: Duration = Duration::from_secs(300);

/// The upstream is not there any more.
#[derive(Debug)]
pub(super) struct Dead;

/// Asks one upstream.
pub(super) struct Keepalive {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    /// What had come when it was looked last.
    reads: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// It says enough by itself.
    Trusted,
    /// It was asked.
    Asked { until: Instant },
    /// It has answered at that time, and this much had come then.
    Answered { at: Instant, reads: u64 },
}

impl Keepalive {
    pub(super) fn new(pings: PingPong) -> Self {
        Self { pings, timer: Box::pin(sleep(SILENCE)), reads: 0, state: State::Trusted }
    }

    /// Looks whether an answer has come, and from time to time whether one is to be asked for. `reads` is what has come so far.
    pub(super) fn poll(
        &mut self,
        reads: u64,
        has_requests: impl Fn() -> bool,
        context: &mut Context<'_>,
    ) -> Poll<Dead> {
        if let State::Asked { .. } = self.state
            && let Poll::Ready(Ok(_)) = self.pings.poll_pong(context)
        {
            self.state = State::Answered { at: Instant::now(), reads };
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            self.timer.as_mut().reset(now + SILENCE);
            let was_silent = std::mem::replace(&mut self.reads, reads) == reads;
            let may_ask = match self.state {
                State::Asked { until } if until <= now => return Poll::Ready(Dead),
                State::Asked { .. } => false,
                State::Answered { at, reads: then } => reads != then || now >= at + UNHURRIED,
                State::Trusted => true,
            };
            if may_ask && was_silent && has_requests() && self.pings.send_ping(Ping::opaque()).is_ok() {
                self.state = State::Asked { until: now + PATIENCE };
                // Registers for the answer; there is none yet.
                let _ = self.pings.poll_pong(context);
            }
        }
        Poll::Pending
    }
}
