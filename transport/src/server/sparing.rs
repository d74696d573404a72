//! What strangers can make happen often is told seldom, with how often it happened.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Tells of one kind of event.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told_at: Option<Instant>,
    others: u64,
}

impl Sparing {
    /// Tells of an event and of how many were passed over since the last line, or passes over it.
    pub(super) fn tell(&self, line: impl FnOnce(u64)) {
        let others = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if state.told_at.is_some_and(|told_at| now.duration_since(told_at) < INTERVAL) {
                state.others += 1;
                return;
            }
            state.told_at = Some(now);
            std::mem::take(&mut state.others)
        };
        line(others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_events_are_few_lines() {
        let sparing = Sparing::default();
        let mut lines = Vec::new();
        for _ in 0..5 {
            sparing.tell(|others| lines.push(others));
        }
        tokio::time::advance(INTERVAL).await;
        sparing.tell(|others| lines.push(others));
        assert_eq!(lines, [0, 4]);
    }
}
