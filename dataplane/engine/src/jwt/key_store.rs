//! When a provider's keys are fetched, and when they are not. The fetching is somebody else's: every method takes the
//! time (since some fixed start) and says what to do.
//!
//! - Keys are fetched again when 80 percent of their lifetime has passed, so that they never run out while all is well.
//! - When the provider fails, the keys it last gave stay in use, and it is asked again at growing intervals.
//! - A token with an unknown `kid` brings a fetch forward: one for all who ask meanwhile, and at most one in 10 seconds,
//!   whatever anybody sends. A name that a fetch begun after the question did not bring is then known to be unknown for a
//!   minute.
//!
//! Whoever shares a store between threads puts it behind one lock; no method waits.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::keys::{KeySet, MAX_KID_BYTES};

/// At most one fetch for unknown names in this time.
pub const FORCED_INTERVAL: Duration = Duration::from_secs(10);

/// How long a name stays known to be unknown.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// The most names that are remembered; the oldest goes first.
pub const MAX_UNKNOWN: usize = 1_000;

/// The most names that wait for a fetch to tell whether they are known.
const MAX_ASKED: usize = 100;

/// Between the first failure and the next fetch; doubled with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// The longest time between fetches of a provider that fails.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The number of a fetch of one store, from 1. They do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FetchNumber(u64);

/// What the fetcher is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Fetch. The store counts it as begun; its end must be reported.
    Now(FetchNumber),
    /// Ask again at this time, or when an unknown name brings a fetch forward.
    At(Duration),
    /// A fetch is under way: its end must be reported first.
    AfterFetch,
}

/// What becomes of a token whose key's name is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKid {
    /// Refuse it: asking the provider would tell nothing new, or is not allowed so soon.
    Refuse,
    /// Wait for the end of this fetch, and look again. If the fetch is not under way yet, wake the fetcher.
    Await(FetchNumber),
}

/// Where the keys stand, for people and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStanding {
    /// When the keys in use were fetched; none: never.
    pub fetched_at: Option<Duration>,
    /// Until when they count as fresh.
    pub fresh_until: Option<Duration>,
    /// Since when every fetch has failed; none: the last one did not.
    pub failing_since: Option<Duration>,
    /// What the last fetch failed with; none: it did not.
    pub last_error: Option<Arc<str>>,
    /// Fetches that brought keys.
    pub successes: u64,
    /// Fetches that failed.
    pub failures: u64,
}

/// The state of one provider's keys.
#[derive(Debug)]
pub struct KeyStore {
    lifetime: Duration,
    standing: KeyStanding,
    failures_in_a_row: u32,
    /// The fetch that was begun last.
    last: FetchNumber,
    /// Whether it has not ended.
    is_fetching: bool,
    /// When the next one is due by itself.
    next_at: Duration,
    /// When unknown names last brought a fetch forward.
    forced_at: Option<Duration>,
    /// Whether such a fetch has not begun yet.
    is_forced: bool,
    /// Names that the fetch under way, or else the next one, tells about.
    asked: HashSet<Box<str>>,
    /// Names asked for while a fetch was under way: it may have read too early.
    unknown: UnknownNames,
}

impl KeyStore {
    /// The state before the first fetch, which is due at once. `lifetime`: how long fetched keys count as fresh.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            standing: KeyStanding {
                fetched_at: None,
                fresh_until: None,
                failing_since: None,
                last_error: None,
                successes: 0,
                failures: 0,
            },
            failures_in_a_row: 0,
            last: FetchNumber::default(),
            is_fetching: false,
            next_at: Duration::ZERO,
            forced_at: None,
            is_forced: false,
            asked: HashSet::new(),
            unknown: UnknownNames::default(),
        }
    }

    /// Where the keys stand.
    #[must_use]
    pub fn standing(&self) -> &KeyStanding {
        &self.standing
    }

    /// Whether the keys are older than their lifetime, or were never fetched.
    #[must_use]
    pub fn is_stale(&self, now: Duration) -> bool {
        self.standing.fresh_until.is_none_or(|fresh_until| now >= fresh_until)
    }

    /// Whether a fetch is due; if so, it is begun.
    pub fn due(&mut self, now: Duration) -> Due {
        if self.is_fetching {
            return Due::AfterFetch;
        }
        if !self.is_forced && now < self.next_at {
            return Due::At(self.next_at);
        }
        self.is_fetching = true;
        self.is_forced = false;
        self.last = self.following();
        Due::Now(self.last)
    }

    /// The fetch under way brought these keys.
    pub fn succeeded(&mut self, keys: &KeySet, now: Duration) {
        self.is_fetching = false;
        self.failures_in_a_row = 0;
        self.next_at = now.saturating_add(self.lifetime.mul_f64(0.8));
        self.standing.fetched_at = Some(now);
        self.standing.fresh_until = Some(now.saturating_add(self.lifetime));
        self.standing.failing_since = None;
        self.standing.last_error = None;
        self.standing.successes += 1;
        let until = now.saturating_add(UNKNOWN_FOR);
        for kid in self.asked.drain().filter(|kid| !keys.names(kid)) {
            self.unknown.remember(kid, until);
        }
    }

    /// The fetch under way failed; the keys stay. `error` is shown to operators: it must hold nothing the provider sent.
    pub fn failed(&mut self, error: Arc<str>, now: Duration) {
        self.is_fetching = false;
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.failures_in_a_row.min(10)).min(MAX_BACKOFF);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.next_at = now.saturating_add(backoff);
        self.standing.failing_since.get_or_insert(now);
        self.standing.last_error = Some(error);
        self.standing.failures += 1;
        // Nothing was learnt about them.
        self.asked.clear();
    }

    /// What becomes of a token whose key has a name that the keys in use do not have.
    pub fn unknown_kid(&mut self, kid: &str, now: Duration) -> UnknownKid {
        if kid.len() > MAX_KID_BYTES || self.unknown.contains(kid, now) {
            return UnknownKid::Refuse;
        }
        if self.is_fetching {
            // It may bring the key, but may also have read too early: nothing is learnt if it does not.
            return UnknownKid::Await(self.last);
        }
        if !self.is_forced {
            if self.forced_at.is_some_and(|forced_at| now < forced_at.saturating_add(FORCED_INTERVAL)) {
                return UnknownKid::Refuse;
            }
            self.forced_at = Some(now);
            self.is_forced = true;
        }
        if self.asked.len() < MAX_ASKED {
            self.asked.insert(kid.into());
        }
        UnknownKid::Await(self.following())
    }

    fn following(&self) -> FetchNumber {
        FetchNumber(self.last.0 + 1)
    }
}

/// Names known to be unknown, each for a while.
#[derive(Debug, Default)]
struct UnknownNames {
    names: HashSet<Arc<str>>,
    /// In the order in which they end.
    ends: VecDeque<(Duration, Arc<str>)>,
}

impl UnknownNames {
    fn contains(&mut self, kid: &str, now: Duration) -> bool {
        while self.ends.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
        self.names.contains(kid)
    }

    fn remember(&mut self, kid: Box<str>, until: Duration) {
        let kid: Arc<str> = kid.into();
        if !self.names.insert(Arc::clone(&kid)) {
            return;
        }
        self.ends.push_back((until, kid));
        if self.ends.len() > MAX_UNKNOWN {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, kid)) = self.ends.pop_front() {
            self.names.remove(&kid);
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
