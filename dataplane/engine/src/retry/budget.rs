//! How many retries there may be: a share of the requests of the last ten seconds, so that an outage is not multiplied. A few
//! there may be in any case, so that a route with little to do can retry.

use std::time::Duration;

use crate::sync::Mutex;

/// How far back requests and retries count.
const WINDOW: Duration = Duration::from_secs(10);

/// Retries in a window that there may be in any case.
const FLOOR: u64 = 30;

/// The requests and retries of one route, counted over all workers. It knows no share, so it outlives a change of it.
#[derive(Debug)]
pub struct Budget(Mutex<Recent>);

/// What an operator sees of a budget. Numbers are of the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// Requests, however often they were sent.
    pub requests: u64,
    /// Retries that counted.
    pub retries: u64,
    /// The most there may be.
    pub max_retries: u64,
}

/// Counts of the present window and of the one before. What reaches into the past counts by its share of the window, as if it
/// had come evenly.
#[derive(Debug, Default)]
struct Recent {
    /// Of the present window, from time zero.
    number: u64,
    present: Counts,
    former: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(super) fn count_request(&self, now: Duration) {
        let mut recent = self.0.lock();
        recent.follow(now);
        recent.present.requests += 1;
    }

    /// Counts a retry, if there may be one.
    pub(super) fn take(&self, percent: f64, now: Duration) -> bool {
        let mut recent = self.0.lock();
        let BudgetState { retries, max_retries, .. } = recent.state(percent, now);
        let may_be = retries < max_retries;
        recent.present.retries += u64::from(may_be);
        may_be
    }

    pub(super) fn state(&self, percent: f64, now: Duration) -> BudgetState {
        self.0.lock().state(percent, now)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Recent::default()))
    }
}

impl Recent {
    /// Goes on to the window of this moment. A moment before it (the times of workers may be slightly apart) is in it.
    fn follow(&mut self, now: Duration) {
        let number = (now.as_secs() / WINDOW.as_secs()).max(self.number);
        match number - self.number {
            0 => return,
            1 => self.former = self.present,
            _ => self.former = Counts::default(),
        }
        (self.number, self.present) = (number, Counts::default());
    }

    fn state(&mut self, percent: f64, now: Duration) -> BudgetState {
        self.follow(now);
        let begin = WINDOW.as_secs().saturating_mul(self.number);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let passed = millis(now.saturating_sub(Duration::from_secs(begin))).min(millis(WINDOW));
        let left = |former: u64| former.saturating_mul(millis(WINDOW) - passed) / millis(WINDOW);
        let requests = self.present.requests + left(self.former.requests);
        let retries = self.present.retries + left(self.former.retries);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "requests of ten seconds are far below 2^53, and a share is at most all of them"
        )]
        let share = (requests as f64 * percent / 100.0) as u64;
        BudgetState { requests, retries, max_retries: share.max(FLOOR) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(budget: &Budget, percent: f64, now: Duration) -> u64 {
        (0..10_000).filter(|_| budget.take(percent, now)).count() as u64
    }

    #[test]
    fn a_quiet_route_has_a_few() {
        assert_eq!(taken(&Budget::default(), 0.1, Duration::from_secs(5)), FLOOR);
    }

    #[test]
    fn a_busy_route_has_its_share_and_no_more() {
        let (budget, now) = (Budget::default(), Duration::from_secs(5));
        (0..1_000).for_each(|_| budget.count_request(now));
        assert_eq!(taken(&budget, 20.0, now), 200);
        assert_eq!(budget.state(20.0, now), BudgetState { requests: 1_000, retries: 200, max_retries: 200 });
    }

    #[test]
    fn what_has_passed_is_forgotten_little_by_little() {
        let budget = Budget::default();
        (0..1_000).for_each(|_| budget.count_request(Duration::from_secs(5)));
        let requests = |seconds| budget.state(20.0, Duration::from_secs(seconds)).requests;
        assert_eq!([10, 15, 19, 20].map(requests), [1_000, 500, 100, 0]);
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_its_share(
            steps in prop::collection::vec((0_u64..400, any::<bool>()), 1..3_000),
            percent in 1.0..100.0_f64,
        ) {
            let budget = Budget::default();
            let (mut now, mut requests, mut retries) = (Duration::ZERO, 0_u64, 0_u64);
            for (millis, is_request) in steps {
                now += Duration::from_millis(millis);
                if is_request {
                    budget.count_request(now);
                    requests += 1;
                } else if budget.take(percent, now) {
                    retries += 1;
                }
            }
            let windows = now.as_secs() / WINDOW.as_secs() + 1;
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let most = requests as f64 * 2.0 * percent / 100.0 + (windows * FLOOR) as f64;
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let retries = retries as f64;
            prop_assert!(retries <= most, "{retries} of {requests}");
        }
    }
}
