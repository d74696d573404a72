//! The timer of a connection's task, for the earliest of its deadlines.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep},
};

/// When an alarm without a deadline goes off.
const UNHURRIED: Duration = Duration::from_secs(3_600);

/// A timer that is moved as deadlines change, and asked only when it has something to say: each time it is asked it
/// registers its task anew.
pub(super) struct Alarm<'a> {
    timer: Pin<&'a mut Sleep>,
    /// Whom the timer wakes for its present deadline.
    woken: Option<Waker>,
}

impl<'a> Alarm<'a> {
    pub(super) fn new(timer: Pin<&'a mut Sleep>) -> Self {
        Self { timer, woken: None }
    }

    /// Ready when it goes off: a deadline may have passed, or there may be a later one, which is to be set then. An earlier one
    /// is set here.
    pub(super) fn poll(&mut self, next: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(next) = next
            && next < self.timer.deadline()
        {
            self.reset(next);
        }
        let is_woken = self.woken.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_woken && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        // Unconstrained: a peer that keeps the connection busy must not use up the timer's turn as well.
        let polled = pin!(unconstrained(self.timer.as_mut())).poll(context);
        self.woken = polled.is_pending().then(|| context.waker().clone());
        polled
    }

    /// Sets it when it has gone off.
    pub(super) fn set(&mut self, next: Option<Instant>, now: Instant) {
        self.reset(next.unwrap_or(now + UNHURRIED));
    }

    fn reset(&mut self, next: Instant) {
        self.timer.as_mut().reset(next);
        self.woken = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{sleep_until, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_earliest_deadline_and_wakes_whoever_has_asked_last() {
        let begin = Instant::now();
        let timer = pin!(sleep_until(begin + 10 * SECOND));
        let mut alarm = Alarm::new(timer);
        let mut ask = |next, waker: &Waker| alarm.poll(Some(next), &mut Context::from_waker(waker));
        for after in [20, 10, 4, 5] {
            assert!(ask(begin + after * SECOND, Waker::noop()).is_pending());
        }
        let gone_off = poll_fn(|context| ask(begin + 4 * SECOND, context.waker()));
        assert!(timeout(10 * SECOND, gone_off).await.is_ok());
        assert_eq!(Instant::now(), begin + 4 * SECOND);
        alarm.set(Some(begin + 7 * SECOND), Instant::now());
        let gone_off = poll_fn(|context| alarm.poll(Some(begin + 7 * SECOND), context));
        assert!(timeout(10 * SECOND, gone_off).await.is_ok());
        assert_eq!(Instant::now(), begin + 7 * SECOND);
    }
}
