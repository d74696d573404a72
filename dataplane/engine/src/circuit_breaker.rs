//! Whether a route's upstream is well enough to be asked: a circuit breaker. Which answers are failures is decided by
//! the caller; what a client does is nobody's failure.
//!
//! ```text
//! closed --failures--> open --open_for--> half open --a trial succeeds--> closed
//!                       ^                     |
//!                       +---- a trial fails --+
//! ```
//!
//! Each of these stays is a *period* with a number of its own. A call belongs to the period that admitted it, and its
//! end counts in that period or not at all: a call from before the breaker opened neither closes it nor opens it again.
//!
//! What every interleaving keeps: every end that counts is counted once; a breaker opens with the end that fulfils a
//! condition; trials under way never exceed their limit; a trial gives its place back however it ends, so that a half-open
//! breaker without trials always admits one; a hang-up changes nothing else.

/// When it opens, how long, and how it is tried.
mod settings;
/// What happens at each event, one at a time.
mod state;
/// The share of failures in the recent past.
pub(crate) mod window;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

use std::{ops::Deref, sync::atomic::Ordering, time::Duration};

pub use self::settings::BreakerSettings;
use self::state::{Admission, Outcome, State};
use crate::sync::{AtomicU64, Mutex};

/// The breaker of one route, shared by all workers. Changed settings want a new one; the same settings keep it.
///
/// All times are since one arbitrary fixed moment. Those of different workers may be slightly apart.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    /// Of the state below, as of its last change: all that a healthy upstream's calls have to know, so that they only
    /// read. Relaxed, because nothing else is read by its leave: whoever sees an old one is judged as if he had come
    /// that much earlier.
    summary: AtomicU64,
    state: Mutex<State>,
}

/// A call that may be made. It ends as a success or a failure of the upstream, or, dropped, as nothing: the client is gone.
///
/// `B` is how it holds its breaker: a reference costs nothing; an `Arc` or `Rc` lets it go where a response's body goes.
#[derive(Debug)]
#[must_use = "a call that is dropped at once counts as given up by its client"]
pub struct Call<B: Deref<Target = Breaker>> {
    breaker: B,
    /// None: it has ended.
    admission: Option<Admission>,
}

/// The breaker does not let the call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    /// Until trials begin; zero while as many as allowed are under way, of which any may close the breaker.
    pub retry_after: Duration,
}

/// What an operator sees of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerState {
    /// What the next call meets.
    pub phase: BreakerPhase,
    /// Failures in a row since the breaker last closed; those that opened it and failed trials included.
    pub failures: u32,
    /// When it opened; none unless it is open.
    pub opened_at: Option<Duration>,
    /// Until trials begin; none unless it is open.
    pub retry_after: Option<Duration>,
    /// Trials under way, those of earlier periods included.
    pub half_open_in_flight: u32,
}

/// Which calls a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPhase {
    /// All.
    Closed,
    /// None.
    Open,
    /// Trials.
    HalfOpen,
}

impl BreakerPhase {
    /// The word in metrics and admin answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Open {
    /// The value of Retry-After: whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        let is_more = self.retry_after.subsec_nanos() > 0;
        (self.retry_after.as_secs() + u64::from(is_more)).max(1)
    }
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        let state = State::new(&settings);
        Self { settings, summary: AtomicU64::new(Summary::of(&state).0), state: Mutex::new(state) }
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    /// Judges a call that would be made now.
    ///
    /// # Errors
    /// When it may not be made.
    pub fn admit<B: Deref<Target = Self>>(breaker: B, now: Duration) -> Result<Call<B>, Open> {
        let admission = match breaker.summary().closed_period() {
            Some(period) => Admission::ordinary(period),
            None => breaker.update(|state, settings| state.admit(now, settings))?,
        };
        Ok(Call { breaker, admission: Some(admission) })
    }

    /// What an operator sees now.
    #[must_use]
    pub fn state(&self, now: Duration) -> BreakerState {
        self.state.lock().seen(now)
    }

    fn end(&self, admission: Admission, outcome: Outcome, now: Duration) {
        let is_news =
            admission.is_trial() || outcome == Outcome::Failure || !self.summary().ignores_success();
        if is_news {
            self.update(|state, settings| state.end(admission, outcome, now, settings));
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut State, &BreakerSettings) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state, &self.settings);
        // Before the lock is released, so that summaries follow each other as the states do.
        self.summary.store(Summary::of(&state).0, Ordering::Relaxed);
        changed
    }

    fn summary(&self) -> Summary {
        Summary(self.summary.load(Ordering::Relaxed))
    }
}

impl<B: Deref<Target = Breaker>> Call<B> {
    /// Whether the breaker is half open and lets this call find out how the upstream is.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.admission.as_ref().is_some_and(Admission::is_trial)
    }

    /// The upstream answered, and not with a failure.
    pub fn succeeded(mut self, now: Duration) {
        self.end(Outcome::Success, now);
    }

    /// The upstream failed.
    pub fn failed(mut self, now: Duration) {
        self.end(Outcome::Failure, now);
    }

    fn end(&mut self, outcome: Outcome, now: Duration) {
        if let Some(admission) = self.admission.take() {
            self.breaker.end(admission, outcome, now);
        }
    }
}

impl<B: Deref<Target = Breaker>> Drop for Call<B> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take().filter(Admission::is_trial) {
            self.breaker.update(|state, _| state.give_up(admission));
        }
    }
}

/// Of a state: the number of its period, whether that is a closed one, and whether an ordinary call's success changes
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summary(u64);

impl Summary {
    const IS_CLOSED: u64 = 1;
    const IGNORES_SUCCESS: u64 = 2;
    const PERIOD_SHIFT: u32 = 2;

    fn of(state: &State) -> Self {
        let closed = if state.is_closed() { Self::IS_CLOSED } else { 0 };
        let ignores = if state.ignores_success() { Self::IGNORES_SUCCESS } else { 0 };
        Self(state.period() << Self::PERIOD_SHIFT | closed | ignores)
    }

    /// The number of the period, if it is a closed one.
    fn closed_period(self) -> Option<u64> {
        (self.0 & Self::IS_CLOSED != 0).then_some(self.0 >> Self::PERIOD_SHIFT)
    }

    fn ignores_success(self) -> bool {
        self.0 & Self::IGNORES_SUCCESS != 0
    }
}
