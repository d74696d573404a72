//! The share of failures in the recent past, in constant memory: a sliding window of ten buckets.

use std::time::Duration;

use apigw_config::model::FailureRate;

const BUCKETS: u8 = 10;

/// Counts of what ended within the window. It reaches back between nine and ten tenths of its length, because the
/// bucket of the present moment is not full yet.
#[derive(Debug)]
pub(crate) struct Window {
    bucket_nanos: u128,
    /// Thousandths of a percent: whole numbers, because shares are compared exactly.
    share: u128,
    minimum_requests: u64,
    /// Number of the newest bucket, counted from time zero.
    newest: u64,
    /// Bucket `n` stands at `n` modulo their number.
    buckets: [Bucket; BUCKETS as usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    requests: u64,
    failures: u64,
}

impl Window {
    pub(crate) fn new(rate: FailureRate) -> Self {
        let FailureRate { percent, window, minimum_requests } = rate;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to 100000")]
        let share = (percent.get() * 1000.0).round().max(1.0) as u128;
        Self {
            bucket_nanos: window.duration().as_nanos().div_ceil(u128::from(BUCKETS)),
            share,
            minimum_requests: minimum_requests.get().into(),
            newest: 0,
            buckets: Default::default(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.buckets = Default::default();
    }

    pub(crate) fn count_success(&mut self, now: Duration) {
        self.bucket(now).requests += 1;
    }

    pub(crate) fn count_failure(&mut self, now: Duration) {
        let bucket = self.bucket(now);
        bucket.requests += 1;
        bucket.failures += 1;
    }

    /// Whether the condition held when the last end was counted.
    pub(crate) fn is_failing(&self) -> bool {
        let requests: u64 = self.buckets.iter().map(|bucket| bucket.requests).sum();
        let failures: u64 = self.buckets.iter().map(|bucket| bucket.failures).sum();
        let is_share = u128::from(failures) * 100_000 >= self.share * u128::from(requests);
        requests >= self.minimum_requests && is_share
    }

    /// The bucket of this moment; those that the window has left are emptied. A moment before the newest bucket (the
    /// times of workers may be slightly apart) counts as being in it.
    fn bucket(&mut self, now: Duration) -> &mut Bucket {
        let number = u64::try_from(now.as_nanos() / self.bucket_nanos).unwrap_or(u64::MAX).max(self.newest);
        let passed = (number - self.newest).min(BUCKETS.into());
        for left in number - passed..number {
            self.buckets[place(left + 1)] = Bucket::default();
        }
        self.newest = number;
        &mut self.buckets[place(number)]
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % u64::from(BUCKETS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use apigw_config::names::{Percent, Period};
    use proptest::prelude::*;

    use super::*;

    fn window(percent: f64, seconds: f64, minimum_requests: u32) -> Window {
        Window::new(FailureRate {
            percent: Percent::new(percent).unwrap(),
            window: Period::from_seconds(seconds).unwrap(),
            minimum_requests: NonZeroU32::new(minimum_requests).unwrap(),
        })
    }

    /// Ends at these times in milliseconds, true for a failure; then whether it is failing.
    fn check(percent: f64, minimum_requests: u32, ends: &[(u64, bool)], expected: bool) {
        let mut window = window(percent, 1.0, minimum_requests);
        for (millis, is_failure) in ends {
            let now = Duration::from_millis(*millis);
            if *is_failure { window.count_failure(now) } else { window.count_success(now) }
        }
        assert_eq!(window.is_failing(), expected, "{percent}% of {minimum_requests}: {ends:?}");
    }

    #[test]
    fn the_share_must_be_reached() {
        check(50.0, 4, &[(0, true), (0, true), (0, false), (0, false)], true);
        check(51.0, 4, &[(0, true), (0, true), (0, false), (0, false)], false);
        check(100.0, 2, &[(0, true), (0, true)], true);
        check(33.0, 3, &[(0, true), (0, false), (0, false)], true);
        check(34.0, 3, &[(0, true), (0, false), (0, false)], false);
        check(33.333, 3, &[(0, true), (0, false), (0, false)], true);
        check(33.334, 3, &[(0, true), (0, false), (0, false)], false);
        check(0.000_01, 3, &[(0, false), (0, false), (0, false)], false);
    }

    #[test]
    fn too_few_requests_say_nothing() {
        check(1.0, 4, &[(0, true), (0, true), (0, true)], false);
    }

    #[test]
    fn what_the_window_has_left_is_forgotten() {
        check(50.0, 2, &[(0, true), (999, true)], true);
        check(50.0, 2, &[(0, true), (1000, true)], false);
        check(50.0, 2, &[(0, true), (5_000_000, true)], false);
    }

    #[test]
    fn a_clock_that_is_behind_counts_as_the_newest_moment() {
        check(50.0, 2, &[(5000, true), (3000, true)], true);
        check(50.0, 2, &[(5000, true), (3000, true), (5999, false), (5999, false), (6000, false)], false);
    }

    #[test]
    fn the_end_of_time_is_no_special_case() {
        let mut window = window(1.0, 0.000_001, 1);
        window.count_failure(Duration::MAX);
        assert!(window.is_failing());
    }

    proptest! {
        #[test]
        fn buckets_are_a_look_back_at_everything(
            steps in prop::collection::vec((0..400_u64, any::<bool>()), 1..60),
            percent in 1..=100_u8,
            minimum_requests in 1..8_u32,
        ) {
            let mut window = window(percent.into(), 1.0, minimum_requests);
            let mut ends = Vec::new();
            let mut now = 0;
            for (millis, is_failure) in steps {
                now += millis;
                let at = Duration::from_millis(now);
                if is_failure { window.count_failure(at) } else { window.count_success(at) }
                ends.push((now / 100, is_failure));
                let recent: Vec<_> = ends.iter().filter(|(tenth, _)| tenth + 10 > now / 100).collect();
                let failures = recent.iter().filter(|(_, is_failure)| *is_failure).count();
                let is_failing = recent.len() >= minimum_requests as usize
                    && failures * 100 >= recent.len() * usize::from(percent);
                prop_assert_eq!(window.is_failing(), is_failing, "{:?}", recent);
            }
        }
    }
}
