//! Whether what files of certificates say now is of use, and when that is told and looked at again. Whoever follows files has
//! one of these; what cannot be used is told once.

use std::{fmt::Display, time::Duration};

use tokio::time::Instant;
use tracing::warn;

/// A certificate and its key are two files: one that does not fit has so long for the other to come.
const PATIENCE: Duration = Duration::from_secs(3);
/// What was of no use is looked at again: its time may come.
const RETRY: Duration = Duration::from_secs(60);

/// When to look next without a change, and what is then to be told.
#[derive(Debug)]
pub struct Standing(State);

#[derive(Debug)]
enum State {
    /// What is there is in use.
    Good,
    /// It is of no use; nobody was told yet.
    Doubtful { told_at: Instant },
    /// It is of no use, and was told.
    Bad { reason: String, again_at: Instant },
}

/// Whether a file has changed since it was looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One has.
    Some,
    /// None has.
    None,
}

impl Standing {
    /// Of files that are in use.
    #[must_use]
    pub fn good() -> Self {
        Self(State::Good)
    }

    /// When to look again even if nothing changes; none: no need.
    #[must_use]
    pub fn look_at(&self) -> Option<Instant> {
        match &self.0 {
            State::Good => None,
            State::Doubtful { told_at: at } | State::Bad { again_at: at, .. } => Some(*at),
        }
    }

    /// Whether somebody was told that what is there is of no use.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        matches!(self.0, State::Bad { .. })
    }

    /// After another look at the files.
    #[must_use]
    pub fn after(self, renewed: Result<(), impl Display>, change: Change) -> Self {
        let now = Instant::now();
        Self(match (renewed, self.0, change) {
            (Ok(()), _, _) => State::Good,
            (Err(_), _, Change::Some) => State::Doubtful { told_at: now + PATIENCE },
            (Err(error), state, Change::None) => {
                let reason = error.to_string();
                if !matches!(state, State::Bad { reason: told, .. } if told == reason) {
                    warn!(reason, "certificate not renewed; the one before stays in use");
                }
                State::Bad { reason, again_at: now + RETRY }
            }
        })
    }
}
