//! Pauses between attempts: each about twice the one before, none longer than 5 s, none predictable, so that a thousand
//! data planes do not come back to a restarted server at one moment.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The next pause to make.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { ceiling: SHORTEST }
    }

    /// The next pause: half of it fixed, half of it as `random` (from 0 to 1) has it.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let pause = self.ceiling.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn half_of_a_pause_is_chance() {
        for random in [0.0, 0.3, 1.0] {
            let pause = Backoff::new().next(random);
            assert!((SHORTEST / 2..=SHORTEST).contains(&pause), "{pause:?}");
        }
        assert_ne!(Backoff::new().next(0.0), Backoff::new().next(1.0));
    }
}
