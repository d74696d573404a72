//! What is known of an endpoint beside its settings, by all workers, and what part of its weight follows from it.
//!
//! A choice reads one number of each endpoint, and of a backend whose endpoints are all well one number only. What changes
//! them is rare and goes through a lock. It outlives snapshots: an endpoint keeps its state as long as its backend, by its
//! name, has it.

/// What checks have found.
mod checked;
/// What the requests say that it was given.
mod ejections;
/// A request that it is given.
mod in_use;
/// How it takes its share when it comes or returns.
mod rise;
/// What operators see of it.
mod seen;
/// What the others of its backend have to know.
mod shape;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_config::model::{ActiveCheck, Outlier};

pub use self::{
    checked::CheckFailure,
    in_use::EndpointUse,
    seen::{DrainedBy, EndpointSeen, Standing},
};
use self::{
    checked::Checked,
    ejections::{Ejections, Memory, Verdict},
    rise::Rise,
    shape::{Counts, Shape},
};
use crate::sync::Mutex;

/// What an endpoint takes that is well: all of its weight, in thousandths.
pub(crate) const WHOLE: u32 = 1_000;

/// What the endpoints of a backend have in common.
#[derive(Debug)]
pub struct BackendState {
    /// How many endpoints take less than all of their weight.
    reduced: AtomicU32,
    counts: Mutex<Counts>,
    /// Requests that were given to an endpoint although none was well.
    unguided: AtomicU64,
}

/// By what an endpoint is left out that fails the requests it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutlierRules {
    /// As configured.
    pub settings: Outlier,
    /// How many endpoints its backend has that do not drain.
    pub endpoints: usize,
}

impl OutlierRules {
    /// Whether one more may be left out. Somebody else must be left who takes requests.
    fn allow_one_more(&self, counts: &Counts) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
        let share = (counts.ejected + 1) as f64 * 100.0 / self.endpoints.max(1) as f64;
        counts.out + 1 < self.endpoints && share <= self.settings.max_ejected.get()
    }
}

/// What is known of an endpoint. Shared by all workers and by whoever finds out how it is.
#[derive(Debug)]
pub struct EndpointState {
    backend: Arc<BackendState>,
    in_flight: AtomicU32,
    /// What part of its weight it takes, in thousandths. Relaxed, because nothing else is read by its leave.
    share: AtomicU32,
    /// What part it takes where no endpoint takes any, in thousandths.
    last_resort: AtomicU32,
    /// Whether nothing that was found out speaks against it, whatever it takes.
    is_well: AtomicBool,
    /// Whether an operator has said that it is given no new requests.
    is_drained: AtomicBool,
    /// Whether a success changes anything, so that those of one that is well only read.
    has_failed: AtomicBool,
    condition: Mutex<Condition>,
}

/// How an endpoint is.
#[derive(Debug, Default)]
struct Condition {
    checked: Checked,
    round: CheckRound,
    tally: CheckTally,
    /// The choice leaves it out by its snapshot's weights; this is for people.
    drains: bool,
    /// An operator has said so, whatever the configuration says.
    is_drained: bool,
    /// It has come to others that are at work.
    joins: bool,
    rise: Rise,
    /// What it does not take yet where it is well, in thousandths.
    lacks: u32,
    /// None: what requests say has no consequences.
    ejections: Option<Ejections>,
    /// How often it was ejected.
    ejected: u64,
    /// When it last became what it is; none: it has been so from the beginning.
    since: Option<Duration>,
}

/// Checks of one kind. What comes of those before them counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckRound(u64);

/// What becomes of the checks of an endpoint that drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// They go on: it has sessions, which leave it when it is not well.
    GoesOn,
    /// They end: it is given nothing.
    Ends,
}

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
    /// It failed requests, and is given none for so long.
    Ejected(Duration),
    /// It takes requests again.
    BecameHealthy,
}

impl Default for BackendState {
    /// All endpoints are well.
    fn default() -> Self {
        let (reduced, unguided) = Default::default();
        Self { reduced, counts: Mutex::new(Counts::default()), unguided }
    }
}

impl BackendState {
    /// Whether all endpoints take all of their weight.
    #[must_use]
    pub fn is_whole(&self) -> bool {
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
            last_resort: AtomicU32::new(WHOLE),
            is_well: AtomicBool::new(true),
            is_drained: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
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
    pub fn begin(self: &Arc<Self>, rules: Option<OutlierRules>) -> EndpointUse {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        EndpointUse { state: Arc::clone(self), rules }
    }

    /// What part of its weight it takes, in thousandths.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    /// What part of its weight it takes where no endpoint takes any, in thousandths: all, unless checks speak against it. One
    /// that is ejected may be well again before its time is over, and its checks, if there are any, say so.
    #[must_use]
    pub fn last_resort(&self) -> u32 {
        self.last_resort.load(Ordering::Relaxed)
    }

    /// Whether nothing that was found out speaks against it, whatever it takes: so it goes on with what is its own, also while
    /// it drains or begins slowly.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Whether an operator has said that it is given no new requests.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }

    /// Of one that comes to others, which are at work already.
    #[must_use]
    pub fn joining(backend: Arc<BackendState>) -> Self {
        let state = Self::new(backend);
        state.condition.lock().joins = true;
        state
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

    /// Whenever it comes or returns from now on, it takes so long until it has all of its share.
    pub fn start_slowly(&self, length: Duration, now: Duration) {
        self.update(now, |condition| {
            condition.rise.set_length(length);
            if std::mem::take(&mut condition.joins) {
                condition.rise.begin(now);
            }
        });
    }

    /// It drains from now on. Where nobody watches it any more, what was found before is forgotten: it may return as another.
    pub fn drain(&self, watch: Watch, now: Duration) {
        self.update(now, |condition| {
            (condition.drains, condition.ejections) = (true, None);
            if watch == Watch::Ends {
                condition.checked = Checked::default();
                condition.next_round();
            }
        });
    }

    /// It is given no new requests from now on, because an operator says so, whatever the configuration says. Its backend has so
    /// many endpoints.
    ///
    /// # Errors
    /// When no other of them would take requests.
    pub fn begin_drain(&self, endpoints: usize, now: Duration) -> Result<(), LastEndpoint> {
        let mut condition = self.condition.lock();
        let mut counts = self.backend.counts.lock();
        let before = condition.shape();
        if !before.is_draining && counts.draining + 1 >= endpoints {
            return Err(LastEndpoint);
        }
        condition.is_drained = true;
        condition.rise_since(before.standing, now);
        self.settle(&before, &mut condition, &mut counts, now);
        Ok(())
    }

    /// The operator's word no longer holds.
    pub fn end_drain(&self, now: Duration) {
        self.update(now, |condition| condition.is_drained = false);
    }

    /// It does not drain, and requests are judged by these settings from now on, or not at all. What was found by others is
    /// forgotten.
    pub fn judge_requests(&self, settings: Option<&Outlier>, now: Duration) {
        self.update(now, |condition| {
            condition.drains = false;
            if condition.ejections.as_ref().map(Ejections::settings) != settings {
                condition.ejections = settings.copied().map(Ejections::new);
            }
            // Looked at by the first one at least.
            self.has_failed.store(true, Ordering::Relaxed);
        });
    }

    /// Does what it is time for; gives what it changes.
    pub fn tick(&self, now: Duration) -> Option<Change> {
        self.update(now, |condition| {
            let was_out = condition.ejections.as_ref().is_some_and(|ejections| ejections.until().is_some());
            condition.ejections.iter_mut().for_each(|ejections| ejections.end_if_due(now));
            let is_back = was_out && condition.standing() == Standing::Healthy;
            is_back.then_some(Change::BecameHealthy)
        })
    }

    fn succeeded(&self, rules: &OutlierRules, now: Duration) {
        if !self.has_failed.load(Ordering::Relaxed) {
            return;
        }
        let mut condition = self.condition.lock();
        if let Some(ejections) = condition.judging(rules)
            && ejections.succeeded(now) == Memory::Empty
        {
            self.has_failed.store(false, Ordering::Relaxed);
        }
    }

    fn failed(&self, rules: &OutlierRules, now: Duration) -> Option<Change> {
        let mut condition = self.condition.lock();
        let before = condition.shape();
        self.has_failed.store(true, Ordering::Relaxed);
        if condition.judging(rules)?.failed(now) == Verdict::Keep {
            return None;
        }
        let mut counts = self.backend.counts.lock();
        if !rules.allow_one_more(&counts) {
            return None;
        }
        let length = condition.judging(rules)?.begin(now);
        condition.ejected += 1;
        self.settle(&before, &mut condition, &mut counts, now);
        Some(Change::Ejected(length))
    }

    /// What an operator sees.
    #[must_use]
    pub fn seen(&self) -> EndpointSeen {
        let condition = self.condition.lock();
        EndpointSeen {
            standing: condition.standing(),
            since: condition.since,
            checks: condition.tally,
            ejections: condition.ejected,
        }
    }

    fn update<T>(&self, now: Duration, change: impl FnOnce(&mut Condition) -> T) -> T {
        let mut condition = self.condition.lock();
        let before = condition.shape();
        let changed = change(&mut condition);
        condition.rise_since(before.standing, now);
        self.settle(&before, &mut condition, &mut self.backend.counts.lock(), now);
        changed
    }

    /// Lets everybody know, before any lock is released, so that what is counted follows what is known.
    fn settle(&self, before: &Shape, condition: &mut Condition, counts: &mut Counts, now: Duration) {
        let after = condition.shape();
        if after.standing != before.standing {
            condition.since = Some(now);
        }
        self.share.store(after.share, Ordering::Relaxed);
        self.last_resort.store(after.last_resort, Ordering::Relaxed);
        self.is_well.store(after.is_well, Ordering::Relaxed);
        self.is_drained.store(condition.is_drained, Ordering::Relaxed);
        counts.replace(before, &after);
        match (before.share == WHOLE, after.share == WHOLE) {
            (true, false) => drop(self.backend.reduced.fetch_add(1, Ordering::Relaxed)),
            (false, true) => drop(self.backend.reduced.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for EndpointState {
    /// Whoever leaves its backend is not missed there.
    fn drop(&mut self) {
        let shape = self.condition.lock().shape();
        self.backend.counts.lock().replace(&shape, &Shape::WHOLE);
        if shape.share != WHOLE {
            self.backend.reduced.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Why an endpoint cannot be drained: no other of its backend would take requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no other endpoint of the backend would take requests")]
pub struct LastEndpoint;

impl Condition {
    fn standing(&self) -> Standing {
        if self.drains {
            return Standing::Draining(DrainedBy::File);
        }
        if self.is_drained {
            return Standing::Draining(DrainedBy::Operator);
        }
        match (self.checked.unwell(), self.ejections.as_ref().and_then(Ejections::until)) {
            (Some(failure), _) => Standing::Unhealthy(failure),
            (None, Some(until)) => Standing::Ejected(until),
            (None, None) => Standing::Healthy,
        }
    }

    /// Takes more where it has become well, or is on its way.
    fn rise_since(&mut self, before: &'static str, now: Duration) {
        match (self.standing(), before) {
            (Standing::Healthy, "healthy") => {}
            (Standing::Healthy, _) => self.rise.begin(now),
            _ => self.rise.stop(),
        }
        self.lacks = WHOLE - self.rise.share(now);
    }

    fn next_round(&mut self) -> CheckRound {
        self.round.0 += 1;
        self.round
    }

    /// What judges requests by these rules; none while it is left out, or if others judge by now.
    fn judging(&mut self, rules: &OutlierRules) -> Option<&mut Ejections> {
        let ejections = self.ejections.as_mut()?;
        (ejections.until().is_none() && *ejections.settings() == rules.settings).then_some(ejections)
    }

    fn shape(&self) -> Shape {
        let standing = self.standing();
        let (share, last_resort) = match standing {
            Standing::Healthy => (WHOLE - self.lacks, WHOLE),
            // It has no weight that it could take less of.
            Standing::Draining(DrainedBy::File) => (WHOLE, WHOLE),
            Standing::Ejected(_) => (0, WHOLE),
            Standing::Draining(DrainedBy::Operator) | Standing::Unhealthy(_) => (0, 0),
        };
        let is_ejected = self.ejections.as_ref().is_some_and(|ejections| ejections.until().is_some());
        let is_well = !is_ejected && self.checked.unwell().is_none();
        let is_draining = matches!(standing, Standing::Draining(_));
        Shape { standing: standing.as_str(), share, last_resort, is_ejected, is_well, is_draining }
    }
}

#[cfg(test)]
mod tests;
