//! A quota against a token bucket as it is told in words, counted in exact fractions.

use proptest::prelude::*;

use super::*;

/// A token bucket: `burst` tokens, one more each interval, one taken for each request. In parts of a token, of which
/// there are as many as the interval has nanoseconds, so that nothing is ever rounded.
struct TokenBucket {
    interval: u128,
    capacity: u128,
    tokens: u128,
    at: u128,
}

impl TokenBucket {
    fn full(quota: Quota) -> Self {
        let capacity = u128::from(quota.most_debt);
        Self { interval: u128::from(quota.interval), capacity, tokens: capacity, at: 0 }
    }

    fn admits(&mut self, now: u128) -> bool {
        self.tokens = (self.tokens + now - self.at).min(self.capacity);
        self.at = now;
        let has_token = self.tokens >= self.interval;
        if has_token {
            self.tokens -= self.interval;
        }
        has_token
    }
}

fn quota(requests_per_second: f64, burst: f64) -> Quota {
    Quota::new(requests_per_second, burst).unwrap()
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let rate = prop_oneof![0.01..10.0_f64, 1.0..1e6_f64, Just(3.0), Just(1e9)];
    let burst = prop_oneof![0.1..5.0_f64, 1.0..50.0_f64, Just(1.0), Just(10.0)];
    (rate, burst).prop_map(|(rate, burst)| quota(rate, burst))
}

/// Pauses between requests, most of them about as long as what they are measured by.
fn any_pauses(quota: Quota) -> impl Strategy<Value = Vec<u64>> {
    let pause = prop_oneof![
        3 => Just(0),
        2 => 0..=quota.interval,
        1 => 0..=quota.most_debt.saturating_mul(2),
    ];
    prop::collection::vec(pause, 1..120)
}

fn any_quota_and_pauses() -> impl Strategy<Value = (Quota, Vec<u64>)> {
    any_quota().prop_flat_map(|quota| (Just(quota), any_pauses(quota)))
}

fn at(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[test]
fn numbers_are_rounded_so_that_no_rate_is_exceeded() {
    for (rate, burst, interval, most_debt) in [
        (5.0, 10.0, 200_000_000, 2_000_000_000),
        (3.0, 10.0, 333_333_334, 3_333_333_340),
        (0.1, 1.0, 10_000_000_000, 10_000_000_000),
        (0.5, 2.5, 2_000_000_000, 5_000_000_000),
        (1e9, 1.0, 1, 1),
        (7e8, 4.0, 2, 8),
    ] {
        assert_eq!(quota(rate, burst), Quota { interval, most_debt }, "{rate} {burst}");
    }
}

#[test]
fn a_burst_below_one_request_is_one_request() {
    assert_eq!(quota(2.0, 0.25), quota(2.0, 1.0));
    assert!(quota(2.0, 0.25).decide(Tat::default(), at(0)).allowed);
}

#[test]
fn what_is_no_number_above_zero_is_no_quota() {
    for wrong in [0.0, -0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        assert!(matches!(Quota::new(wrong, 1.0), Err(QuotaError::Rate(_))), "{wrong}");
        assert!(matches!(Quota::new(1.0, wrong), Err(QuotaError::Burst(_))), "{wrong}");
    }
}

#[test]
fn extreme_numbers_are_cut_to_what_can_be_counted() {
    let extremes = [f64::MIN_POSITIVE, 5e-324, 1e-300, 1e-13, 1e-9, 1.0, 1e9, 1e300, f64::MAX, f64::INFINITY];
    for rate in extremes {
        for burst in extremes {
            let quota = quota(rate, burst);
            assert!(quota.interval >= 1 && quota.most_debt >= quota.interval, "{rate} {burst}");
            assert!(quota.most_debt <= LONGEST, "{rate} {burst}");
            for now in [Duration::ZERO, at(u64::MAX), Duration::MAX] {
                let decision = quota.decide(Tat::default(), now);
                assert!(decision.allowed, "{rate} {burst} {now:?}");
                let _ = quota.decide(Tat(u64::MAX), now);
                let _ = quota.decide(decision.new_tat, Duration::ZERO);
            }
        }
    }
    assert_eq!(quota(5e-324, 1.0).interval, LONGEST);
    assert_eq!(quota(1e-6, 1e9).most_debt, LONGEST);
    assert_eq!(quota(1e9, 1e9).whole_burst(), 1_000_000_000);
}

#[test]
fn a_caller_is_told_how_it_stands() {
    let quota = quota(5.0, 10.0);
    let first = quota.decide(Tat::default(), at(7));
    assert_eq!((first.allowed, first.remaining, first.retry_after), (true, 9, Duration::ZERO));
    assert_eq!((first.next_after, first.reset_after), (at(200_000_000), at(200_000_000)));
    let empty = quota.decide(Tat(7 + 2_000_000_000), at(7));
    assert_eq!((empty.allowed, empty.remaining, empty.retry_after), (false, 0, at(200_000_000)));
    assert_eq!(empty.reset_after, at(2_000_000_000));
    assert_eq!(empty.new_tat, Tat(7 + 2_000_000_000), "a refused request costs nothing");
}

#[test]
fn the_last_fraction_of_a_burst_is_no_request_to_wait_for() {
    let quota = quota(1.0, 1.5);
    let decision = quota.decide(Tat::default(), at(0));
    assert_eq!((decision.remaining, decision.next_after), (0, at(500_000_000)));
    let full_again = quota.decision(true, 100, Tat(100));
    assert_eq!((full_again.remaining, full_again.next_after), (1, at(100)));
}

#[test]
fn a_clock_going_backwards_admits_nothing_more() {
    let quota = quota(10.0, 3.0);
    let second = 1_000_000_000;
    let mut tat = Tat::default();
    for (now, allowed) in [
        (10 * second, true),
        (9 * second, false), // The bucket's time stands still.
        (10 * second, true),
        (10 * second, true),
        (10 * second, false),
        (10 * second + 99_999_999, false),
        (10 * second + 100_000_000, true),
    ] {
        let decision = quota.decide(tat, at(now));
        assert_eq!(decision.allowed, allowed, "at {now}");
        assert!(decision.new_tat >= tat);
        tat = decision.new_tat;
    }
}

proptest! {
    #[test]
    fn a_quota_is_a_token_bucket((quota, pauses) in any_quota_and_pauses()) {
        let mut bucket = TokenBucket::full(quota);
        let (mut tat, mut now) = (Tat::default(), 0);
        for pause in pauses {
            now += pause;
            let decision = quota.decide(tat, at(now));
            prop_assert_eq!(decision.allowed, bucket.admits(u128::from(now)));
            prop_assert_eq!(u128::from(decision.remaining), bucket.tokens / bucket.interval);
            prop_assert_eq!(decision.reset_after.as_nanos(), bucket.capacity - bucket.tokens);
            tat = decision.new_tat;
        }
    }

    /// For every window between two admitted requests: (n - burst) / rate <= time, in exact fractions.
    #[test]
    fn no_window_admits_more_than_burst_and_rate(
        tenths_of_rate in 1_u32..10_000_000,
        tenths_of_burst in 10_u32..300,
        seeds in prop::collection::vec(0_u64..4, 1..80),
    ) {
        let quota = quota(f64::from(tenths_of_rate) / 10.0, f64::from(tenths_of_burst) / 10.0);
        let (mut tat, mut now, mut admitted) = (Tat::default(), 0, Vec::new());
        for seed in seeds {
            now += quota.interval / 3 * seed;
            let decision = quota.decide(tat, at(now));
            tat = decision.new_tat;
            if decision.allowed {
                admitted.push(now);
            }
        }
        for (first, start) in admitted.iter().enumerate() {
            for (last, end) in admitted.iter().enumerate().skip(first) {
                let tenths = 10 * u128::try_from(last - first + 1).unwrap();
                let earned = u128::from(tenths_of_rate) * u128::from(end - start); // in 10^-10 requests
                let allowed = u128::from(tenths_of_burst) * 1_000_000_000 + earned;
                prop_assert!(tenths * 1_000_000_000 <= allowed, "{} in {} ns", last - first + 1, end - start);
            }
        }
    }

    #[test]
    fn retry_after_is_exact_to_the_nanosecond((quota, pauses) in any_quota_and_pauses()) {
        let (mut tat, mut now) = (Tat::default(), 0);
        for pause in pauses {
            now += pause;
            let decision = quota.decide(tat, at(now));
            tat = decision.new_tat;
            let next = u64::try_from(decision.next_after.as_nanos()).unwrap();
            if decision.remaining == 0 {
                prop_assert!(next > 0);
                prop_assert!(!quota.decide(tat, at(now + next - 1)).allowed);
                prop_assert!(quota.decide(tat, at(now + next)).allowed);
            }
            prop_assert!(decision.allowed || decision.retry_after == decision.next_after);
            prop_assert!(decision.next_after <= decision.reset_after);
        }
    }

    /// Whoever reads the clock early and judges late: by the times that were read, no window admits more.
    #[test]
    fn clocks_read_out_of_order_admit_nothing_more(
        quota in any_quota(),
        steps in prop::collection::vec((0_u64..4, 0_u64..4), 1..80),
    ) {
        let (mut tat, mut latest, mut admitted) = (Tat::default(), quota.interval * 3, Vec::new());
        for (forward, back) in steps {
            latest += quota.interval / 3 * forward;
            let now = latest - quota.interval / 2 * back;
            let decision = quota.decide(tat, at(now));
            prop_assert!(decision.new_tat >= tat);
            tat = decision.new_tat;
            if decision.allowed {
                admitted.push(now);
            }
        }
        admitted.sort_unstable();
        for (first, start) in admitted.iter().enumerate() {
            for (last, end) in admitted.iter().enumerate().skip(first) {
                let taken = u128::try_from(last - first + 1).unwrap() * u128::from(quota.interval);
                prop_assert!(taken <= u128::from(quota.most_debt) + u128::from(end - start));
            }
        }
    }
}
