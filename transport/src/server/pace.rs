//! How fast the calls of one connection are taken: whoever asks more often waits, for the keys he tries as for the answers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// As many calls as these are taken at once,
const BURST: u32 = 100;
/// and then one in this time: 50 in a second.
const INTERVAL: Duration = Duration::from_millis(20);

/// The pace of a connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the next call would come if all had come evenly.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: Mutex::new(now) }
    }

    /// How long a call that comes now must wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = (*due).max(now) + INTERVAL;
        due.saturating_duration_since(now + INTERVAL * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_over_the_burst_wait_for_their_turn() {
        let start = Instant::now();
        let pace = Pace::new(start);
        for _ in 0..BURST {
            assert_eq!(pace.wait(start), Duration::ZERO);
        }
        assert_eq!([(); 3].map(|()| pace.wait(start)), [INTERVAL, INTERVAL * 2, INTERVAL * 3]);
        let rested = start + INTERVAL * (BURST + 3);
        assert_eq!(pace.wait(rested), Duration::ZERO);
    }
}
