//! Waiting for what another process does: a condition is asked until it holds, never a guess slept through.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Generous: a slow machine is no failure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at a condition that nobody announces.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none before [`DEADLINE`]; says then what was waited for.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, look).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain: {what}"))
}

/// Asks until there is an answer or the time is up.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        if started.elapsed() > limit {
            return None;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
