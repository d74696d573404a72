//! What is known of an endpoint beside its settings, by all workers, and what part of its weight follows from it.
//!
//! A choice reads one number of each endpoint, and of a backend whose endpoints are all well one number only. What changes
//! them is rare and goes through a lock. It outlives snapshots: an endpoint keeps its state as long as its backend, by its
//! name, has it.

/// What checks have found.
mod checked;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_config::model::ActiveCheck;

pub use self::checked::CheckFailure;
use self::checked::Checked;
use crate::sync::Mutex;

/// What an endpoint takes that is well: all of its weight, in thousandths.
pub(crate) const WHOLE: u32 = 1_000;

/// What the endpoints of a backend have in common.
#[derive(Debug, Default)]
pub struct BackendState {
    /// How many endpoints take less than all of their weight.
    reduced: AtomicU32,
    /// Requests that were given to an endpoint although none was well.
    unguided: AtomicU64,
}

/// What is known of an endpoint. Shared by all workers and by whoever finds out how it is.
#[derive(Debug)]
pub struct EndpointState {
    backend: Arc<BackendState>,
    in_flight: AtomicU32,
    /// What part of its weight it takes, in thousandths. Relaxed, because nothing else is read by its leave.
    share: AtomicU32,
    condition: Mutex<Condition>,
}

/// How an endpoint is.
#[derive(Debug, Default)]
struct Condition {
    checked: Checked,
    round: CheckRound,
    tally: CheckTally,
    /// When it last became what it is; none: it has been so from the beginning.
    since: Option<Duration>,
}

/// Checks of one kind. What comes of those before them counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckRound(u64);

/// How often an endpoint was asked whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckTally {
    /// And was.
    pub passed: u64,
    /// And was not.
    pub failed: u64,
}

/// What became of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is given no further requests.
    BecameUnhealthy(CheckFailure),
    /// It takes requests again.
    BecameHealthy,
}

/// What an operator sees of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointSeen {
    /// Whether it is given requests.
    pub standing: Standing,
    /// Since when; none: from the beginning.
    pub since: Option<Duration>,
    /// How often it was asked.
    pub checks: CheckTally,
}

/// Whether an endpoint is given requests, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is.
    #[default]
    Healthy,
    /// Checks say that it is not well.
    Unhealthy(CheckFailure),
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy(_) => "unhealthy",
        }
    }

    /// Why it is not healthy, in a word; none: it is.
    #[must_use]
    pub fn reason(self) -> Option<String> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy(failure) => Some(failure.to_string()),
        }
    }
}

impl BackendState {
    /// Whether all endpoints take all of their weight.
    pub(crate) fn is_whole(&self) -> bool {
        self.reduced.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn count_unguided(&self) {
        self.unguided.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were given to an endpoint although none was well.
    #[must_use]
    pub fn unguided(&self) -> u64 {
        self.unguided.load(Ordering::Relaxed)
    }
}

impl EndpointState {
    /// Of one that nobody has asked yet. It is taken to be well.
    #[must_use]
    pub fn new(backend: Arc<BackendState>) -> Self {
        Self {
            backend,
            in_flight: AtomicU32::new(0),
            share: AtomicU32::new(WHOLE),
            condition: Mutex::new(Condition::default()),
        }
    }

    /// How many requests it is given just now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Notes that a request goes there, until what is returned is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> EndpointUse {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        EndpointUse(Arc::clone(self))
    }

    /// What part of its weight it takes, in thousandths.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    /// Begins checks of another kind than before, if there were any. What is known is believed until the first of them.
    #[must_use]
    pub fn begin_checks(&self, now: Duration) -> CheckRound {
        self.update(now, |condition| {
            condition.checked.begin();
            condition.next_round()
        })
    }

    /// Takes the outcome of a check; gives what it changes.
    pub fn checked(
        &self,
        round: CheckRound,
        outcome: Result<(), CheckFailure>,
        check: &ActiveCheck,
        now: Duration,
    ) -> Option<Change> {
        self.update(now, |condition| {
            if condition.round != round {
                return None;
            }
            match outcome {
                Ok(()) => condition.tally.passed += 1,
                Err(_) => condition.tally.failed += 1,
            }
            condition.checked.take(outcome, check)
        })
    }

    /// There are no checks any more, and what they have found is forgotten.
    pub fn forget_checks(&self, now: Duration) {
        self.update(now, |condition| {
            condition.checked = Checked::default();
            condition.next_round();
        });
    }

    /// What an operator sees.
    #[must_use]
    pub fn seen(&self) -> EndpointSeen {
        let condition = self.condition.lock();
        EndpointSeen { standing: condition.standing(), since: condition.since, checks: condition.tally }
    }

    fn update<T>(&self, now: Duration, change: impl FnOnce(&mut Condition) -> T) -> T {
        let mut condition = self.condition.lock();
        let before = condition.standing().as_str();
        let changed = change(&mut condition);
        if condition.standing().as_str() != before {
            condition.since = Some(now);
        }
        // Before the lock is released, so that what is counted follows what is known.
        let share = condition.share();
        let former = self.share.swap(share, Ordering::Relaxed);
        match (former == WHOLE, share == WHOLE) {
            (true, false) => drop(self.backend.reduced.fetch_add(1, Ordering::Relaxed)),
            (false, true) => drop(self.backend.reduced.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
        changed
    }
}

impl Drop for EndpointState {
    /// Whoever leaves its backend is not missed there.
    fn drop(&mut self) {
        if self.share() != WHOLE {
            self.backend.reduced.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Condition {
    fn standing(&self) -> Standing {
        self.checked.unwell().map_or(Standing::Healthy, Standing::Unhealthy)
    }

    fn next_round(&mut self) -> CheckRound {
        self.round.0 += 1;
        self.round
    }

    fn share(&self) -> u32 {
        match self.standing() {
            Standing::Healthy => WHOLE,
            Standing::Unhealthy(_) => 0,
        }
    }
}

/// A request under way to an endpoint.
#[derive(Debug)]
pub struct EndpointUse(Arc<EndpointState>);

impl Drop for EndpointUse {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::{
        model::Probe,
        names::{CheckCount, Period},
    };
    use http::StatusCode;

    use super::*;
    use crate::rejection::UpstreamFailure;

    const REFUSED: Result<(), CheckFailure> = Err(CheckFailure::NoAnswer(UpstreamFailure::Connect));

    fn check(down: u32, up: u32) -> ActiveCheck {
        let (interval, timeout) = (Period::seconds(5), Period::seconds(1));
        let count = |count| CheckCount::new(count).unwrap();
        ActiveCheck::new(Probe::Tcp, interval, timeout, count(down), count(up)).unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What each of these outcomes of checks changes; `+` for one that is passed.
    fn changes(check: &ActiveCheck, outcomes: &str) -> String {
        let state = EndpointState::new(Arc::default());
        let round = state.begin_checks(at(0));
        let changes = outcomes.bytes().map(|outcome| {
            let outcome = if outcome == b'+' { Ok(()) } else { REFUSED };
            match state.checked(round, outcome, check, at(1)) {
                None => '.',
                Some(Change::BecameHealthy) => 'H',
                Some(Change::BecameUnhealthy(_)) => 'U',
            }
        });
        changes.collect()
    }

    #[test]
    fn the_first_check_decides_alone() {
        assert_eq!(changes(&check(3, 3), "-"), "U");
        assert_eq!(changes(&check(3, 3), "+"), ".");
    }

    #[test]
    fn so_many_checks_in_a_row_decide_and_not_one_less() {
        assert_eq!(changes(&check(3, 2), "+--+---+-++"), "......U...H");
        assert_eq!(changes(&check(1, 1), "+-+-"), ".UHU");
    }

    #[test]
    fn what_is_not_well_takes_nothing_and_its_backend_knows() {
        let backend = Arc::<BackendState>::default();
        let states = [(); 2].map(|()| EndpointState::new(Arc::clone(&backend)));
        let round = CheckRound::default();
        for state in &states {
            let _ = state.checked(round, REFUSED, &check(1, 1), at(1));
            assert_eq!((state.share(), backend.is_whole()), (0, false));
        }
        let [first, second] = states;
        let _ = first.checked(round, Ok(()), &check(1, 1), at(2));
        assert_eq!((first.share(), backend.is_whole()), (WHOLE, false));
        drop(second);
        assert!(backend.is_whole(), "it has left");
        drop(first);
        assert!(backend.is_whole());
    }

    #[test]
    fn operators_see_why_and_since_when() {
        let state = EndpointState::new(Arc::default());
        let seen = state.seen();
        assert_eq!((seen.standing, seen.since), (Standing::Healthy, None));
        let unwell = CheckFailure::Status(StatusCode::SERVICE_UNAVAILABLE);
        let _ = state.checked(CheckRound::default(), Err(unwell), &check(1, 1), at(7));
        let _ = state.checked(CheckRound::default(), REFUSED, &check(1, 1), at(9));
        let CheckFailure::NoAnswer(refused) = REFUSED.unwrap_err() else { panic!("it is") };
        let seen = state.seen();
        assert_eq!(seen.standing, Standing::Unhealthy(CheckFailure::NoAnswer(refused)), "the newest");
        assert_eq!((seen.since, seen.checks), (Some(at(7)), CheckTally { passed: 0, failed: 2 }));
        assert_eq!(unwell.to_string(), "status_503");
        assert_eq!(CheckFailure::NoAnswer(refused).to_string(), "upstream_unreachable");
    }

    #[test]
    fn other_checks_believe_what_is_known_until_their_first_outcome() {
        let state = EndpointState::new(Arc::default());
        let former = state.begin_checks(at(0));
        let _ = state.checked(former, REFUSED, &check(1, 5), at(1));
        let round = state.begin_checks(at(2));
        assert_eq!(state.share(), 0);
        assert_eq!(state.checked(former, Ok(()), &check(1, 1), at(3)), None, "it is of those before");
        assert_eq!(state.checked(round, Ok(()), &check(1, 5), at(3)), Some(Change::BecameHealthy));
        assert_eq!(state.share(), WHOLE);
    }

    #[test]
    fn without_checks_it_is_taken_to_be_well() {
        let state = EndpointState::new(Arc::default());
        let round = state.begin_checks(at(0));
        let _ = state.checked(round, REFUSED, &check(1, 5), at(1));
        state.forget_checks(at(2));
        assert_eq!((state.share(), state.seen().standing), (WHOLE, Standing::Healthy));
        assert_eq!(state.checked(round, REFUSED, &check(1, 5), at(3)), None, "it was under way");
        assert_eq!(state.share(), WHOLE);
    }
}
