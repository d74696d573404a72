//! How an endpoint that comes or returns takes its share slowly. Nothing here knows whether it is well.

use std::time::Duration;

use super::WHOLE;

/// What it begins with, in thousandths of its weight.
const FIRST: u32 = WHOLE / 10;

/// The way of an endpoint from its first requests to all of its weight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rise {
    /// Zero: it takes all at once.
    length: Duration,
    /// None: it takes all, or nothing.
    since: Option<Duration>,
}

impl Rise {
    /// Takes as long from now on, also where it has begun.
    pub(super) fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    /// Begins.
    pub(super) fn begin(&mut self, now: Duration) {
        self.since = Some(now);
    }

    /// It is not well, and will begin anew.
    pub(super) fn stop(&mut self) {
        self.since = None;
    }

    /// What it takes, in thousandths: a tenth at first, and evenly more until it is all.
    pub(super) fn share(&mut self, now: Duration) -> u32 {
        let Some(since) = self.since else { return WHOLE };
        let passed = now.saturating_sub(since);
        if passed >= self.length {
            self.since = None;
            return WHOLE;
        }
        let rest = u128::from(WHOLE - FIRST) * passed.as_micros() / self.length.as_micros();
        FIRST + u32::try_from(rest).unwrap_or(WHOLE - FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_from_a_tenth_to_all_evenly() {
        let at = Duration::from_secs;
        let mut rise = Rise::default();
        assert_eq!(rise.share(at(5)), WHOLE);
        rise.begin(at(5));
        assert_eq!(rise.share(at(5)), WHOLE, "it takes no time");
        rise.set_length(at(9));
        assert_eq!(rise.share(at(6)), WHOLE, "and is over");
        rise.begin(at(10));
        let shares = [9, 10, 11, 14, 18, 19, 20].map(|second| rise.share(at(second)));
        assert_eq!(shares, [100, 100, 200, 500, 900, WHOLE, WHOLE]);
        rise.begin(at(30));
        rise.set_length(at(3));
        assert_eq!(rise.share(at(31)), 400);
        rise.set_length(Duration::ZERO);
        assert_eq!(rise.share(at(31)), WHOLE);
    }
}
