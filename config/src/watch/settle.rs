//! When to look: after things have calmed down, but not for ever. Pure; time is an argument.

use std::time::{Duration, Instant};

/// How long nothing may happen before a file that somebody writes counts as settled.
pub(super) const QUIET: Duration = Duration::from_millis(20);
/// The same for one that was put in its place by a rename: whoever does that has written it before.
pub(super) const QUIET_AFTER_RENAME: Duration = Duration::from_millis(2);
/// How long after a look a rename is taken for one of many, which are waited for as writing is.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// How long a change may go on before the file is looked at all the same.
pub(super) const LIMIT: Duration = Duration::from_millis(200);

/// What an event says of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Something was done to it, perhaps a part of more.
    Touched,
    /// Another was put in its place, or in that of something on the way to it.
    Replaced,
}

/// The time since a change began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settling {
    first: Instant,
    last: Instant,
    quiet: Duration,
}

impl Settling {
    /// A change that began now.
    pub(super) fn since(now: Instant, sign: Sign) -> Self {
        Self { first: now, last: now, quiet: sign.quiet() }
    }

    /// Something happened again.
    pub(super) fn stir(&mut self, now: Instant, sign: Sign) {
        self.last = now;
        self.quiet = match sign {
            Sign::Touched => self.quiet.max(sign.quiet()),
            Sign::Replaced => sign.quiet(),
        };
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

impl Sign {
    /// What it counts for when the last look was then.
    pub(super) fn after(self, looked: Option<Instant>, now: Instant) -> Self {
        let is_one_of_many = looked.is_some_and(|looked| now.saturating_duration_since(looked) < PAUSE);
        if is_one_of_many { Self::Touched } else { self }
    }

    fn quiet(self) -> Duration {
        match self {
            Self::Touched => QUIET,
            Self::Replaced => QUIET_AFTER_RENAME,
        }
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
        let mut settling = Settling::since(start, Sign::Touched);
        assert_eq!(settling.wait(start), Some(QUIET));
        settling.stir(start + STEP, Sign::Touched);
        assert_eq!(settling.wait(start + STEP), Some(QUIET));
        assert_eq!(settling.wait(start + STEP + QUIET), None);
    }

    #[test]
    fn constant_events_do_not_make_it_wait_beyond_the_limit() {
        let start = Instant::now();
        let mut settling = Settling::since(start, Sign::Touched);
        let mut now = start;
        while let Some(wait) = settling.wait(now).filter(|_| now < start + 2 * LIMIT) {
            now += wait.min(STEP);
            settling.stir(now, Sign::Touched);
        }
        assert_eq!(now, start + LIMIT);
    }

    #[test]
    fn a_rename_is_not_waited_for_unless_writing_follows_it() {
        let start = Instant::now();
        let mut settling = Settling::since(start, Sign::Replaced);
        assert_eq!(settling.wait(start), Some(QUIET_AFTER_RENAME));
        settling.stir(start, Sign::Touched);
        assert_eq!(settling.wait(start), Some(QUIET));
        assert_eq!(settling.be_patient(start), Patience::Left);
        settling.stir(start + STEP, Sign::Touched);
        assert_eq!(settling.wait(start + STEP), LIMIT.checked_sub(STEP), "patience stays");
        settling.stir(start + STEP, Sign::Replaced);
        assert_eq!(settling.wait(start + STEP), Some(QUIET_AFTER_RENAME), "now it has come");
    }

    #[test]
    fn one_rename_after_the_other_is_waited_for() {
        let start = Instant::now();
        for (looked, counts_for) in [
            (None, Sign::Replaced),
            (Some(start), Sign::Touched),
            (start.checked_sub(STEP), Sign::Touched),
            (start.checked_sub(PAUSE), Sign::Replaced),
        ] {
            assert_eq!(Sign::Replaced.after(looked, start), counts_for, "{looked:?}");
            assert_eq!(Sign::Touched.after(looked, start), Sign::Touched);
        }
    }

    #[test]
    fn patience_lasts_to_the_limit() {
        let start = Instant::now();
        let mut settling = Settling::since(start, Sign::Touched);
        assert_eq!(settling.be_patient(start + QUIET), Patience::Left);
        assert_eq!(settling.wait(start + QUIET), LIMIT.checked_sub(QUIET));
        assert_eq!(settling.be_patient(start + LIMIT), Patience::Ended);
    }
}
