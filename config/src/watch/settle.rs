//! When to look: after things have calmed down, but not for ever. Pure; time is an argument.

use std::time::{Duration, Instant};

/// How long nothing may happen before a file counts as settled.
pub(super) const QUIET: Duration = Duration::from_millis(20);
/// How long a change may go on before the file is looked at all the same.
pub(super) const LIMIT: Duration = Duration::from_millis(200);

/// The time since a change began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settling {
    first: Instant,
    last: Instant,
    quiet: Duration,
}

impl Settling {
    /// A change that began now.
    pub(super) fn since(now: Instant) -> Self {
        Self { first: now, last: now, quiet: QUIET }
    }

    /// Something happened again.
    pub(super) fn stir(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long to wait before looking, unless something happens; none: look now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let until = (self.last + self.quiet).min(self.first + LIMIT);
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Waits to the limit from now on. Whether there is time left for that.
    ///
    /// For what may be the middle of a save: a file that is gone or empty is usually about to be written.
    pub(super) fn be_patient(&mut self, now: Instant) -> Patience {
        self.quiet = LIMIT;
        if self.wait(now).is_some() { Patience::Left } else { Patience::Ended }
    }
}

/// Whether it is worth waiting for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// More may come.
    Left,
    /// What is there now is the result.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(15);

    #[test]
    fn it_waits_for_quiet() {
        let start = Instant::now();
        let mut settling = Settling::since(start);
        assert_eq!(settling.wait(start), Some(QUIET));
        settling.stir(start + STEP);
        assert_eq!(settling.wait(start + STEP), Some(QUIET));
        assert_eq!(settling.wait(start + STEP + QUIET), None);
    }

    #[test]
    fn constant_events_do_not_make_it_wait_beyond_the_limit() {
        let start = Instant::now();
        let mut settling = Settling::since(start);
        let mut now = start;
        while let Some(wait) = settling.wait(now).filter(|_| now < start + 2 * LIMIT) {
            now += wait.min(STEP);
            settling.stir(now);
        }
        assert_eq!(now, start + LIMIT);
    }

    #[test]
    fn patience_lasts_to_the_limit() {
        let start = Instant::now();
        let mut settling = Settling::since(start);
        assert_eq!(settling.be_patient(start + QUIET), Patience::Left);
        assert_eq!(settling.wait(start + QUIET), LIMIT.checked_sub(QUIET));
        assert_eq!(settling.be_patient(start + LIMIT), Patience::Ended);
    }
}
