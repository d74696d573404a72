//! Limits against upstreams that bear more, less, or take longer.

use proptest::prelude::*;

use super::*;

fn bounds(min: u32, max: u32) -> AdaptiveConcurrency {
    AdaptiveConcurrency::new(min, max).unwrap()
}

/// An upstream that works at so many requests at once, each for 10 ms, and lets the others wait.
struct Upstream {
    adaptive: Arc<Adaptive>,
    capacity: f64,
    now: Duration,
}

impl Upstream {
    fn new(bounds: AdaptiveConcurrency, capacity: f64) -> Self {
        Self { adaptive: Arc::new(Adaptive::new(bounds)), capacity, now: Duration::ZERO }
    }

    /// Serves as many as the limit lets through of those who ask, for so many windows.
    fn serve(&mut self, asking: u32, windows: u32) -> u32 {
        for _ in 0..windows {
            let in_flight = asking.min(self.adaptive.limit());
            let latency = 0.010 * (f64::from(in_flight) / self.capacity).max(1.0);
            self.now += WINDOW;
            for _ in 0..LEAST_ANSWERS {
                let lesson = self.adaptive.begin(self.now.saturating_sub(Duration::from_secs_f64(latency)));
                lesson.answered(Duration::ZERO, self.now, in_flight.into());
            }
        }
        self.adaptive.limit()
    }
}

#[test]
fn the_limit_comes_to_rest_where_the_upstream_has_enough_to_do() {
    let mut upstream = Upstream::new(bounds(5, 1_000), 100.0);
    assert_eq!(upstream.adaptive.limit(), 20);
    // Under a load that never ends, for a minute as for a day.
    for windows in [600, 6_000, 864_000] {
        let found = upstream.serve(10_000, windows);
        assert!((100..=250).contains(&found), "{windows}: {found}");
    }
}

#[test]
fn an_upstream_that_bears_less_is_sent_less_and_one_that_recovers_more_again() {
    let mut upstream = Upstream::new(bounds(5, 1_000), 100.0);
    let before = upstream.serve(10_000, 600);
    upstream.capacity = 20.0;
    let meanwhile = upstream.serve(10_000, 200);
    assert!(meanwhile < 60, "{meanwhile}");
    upstream.capacity = 100.0;
    let after = upstream.serve(10_000, 700);
    assert!(after.abs_diff(before) < 60, "{before} {after}");
}

#[test]
fn a_limit_that_nobody_reaches_does_not_rise() {
    let mut upstream = Upstream::new(bounds(5, 1_000), 100.0);
    assert_eq!(upstream.serve(9, 600), 20);
}

#[test]
fn an_upstream_that_is_slower_for_good_is_believed_in_the_end() {
    let mut upstream = Upstream::new(bounds(5, 1_000), 100.0);
    upstream.serve(10_000, 600);
    // Three times the latency at any load.
    for _ in 0..6_000 {
        upstream.now += WINDOW;
        let in_flight = upstream.adaptive.limit();
        for _ in 0..LEAST_ANSWERS {
            let lesson = upstream.adaptive.begin(upstream.now.saturating_sub(Duration::from_millis(30)));
            lesson.answered(Duration::ZERO, upstream.now, in_flight.into());
        }
    }
    assert_eq!(upstream.adaptive.limit(), 1_000);
}

#[test]
fn few_answers_and_lessons_without_an_answer_teach_nothing() {
    let adaptive = Arc::new(Adaptive::new(bounds(5, 1_000)));
    let late = Duration::from_secs(1_000);
    for _ in 1..LEAST_ANSWERS {
        adaptive.begin(Duration::ZERO).answered(Duration::ZERO, late, 20);
        drop(adaptive.begin(Duration::ZERO));
    }
    let nothing =
        AdaptiveNumbers { bounds: bounds(5, 1_000), usual_latency: Duration::ZERO, latency: Duration::ZERO };
    assert_eq!((adaptive.limit(), adaptive.numbers()), (20, nothing));
    adaptive.begin(Duration::ZERO).answered(Duration::ZERO, late, 20);
    let most = Duration::from_micros(MOST_MICROS);
    assert_eq!(adaptive.numbers(), AdaptiveNumbers { usual_latency: most, latency: most, ..nothing });
}

#[test]
fn a_moment_of_cheap_requests_costs_the_others_no_place_for_long() {
    let adaptive = Arc::new(Adaptive::new(bounds(2, 1_000)));
    let mut now = Duration::ZERO;
    // 16 users whose requests take 100 ms, however many there are.
    let mut serve = |millis: u64, windows: u32| {
        for _ in 0..windows {
            now += Duration::from_millis(250);
            let in_flight = 16.min(adaptive.limit());
            for _ in 0..LEAST_ANSWERS {
                let began = now.saturating_sub(Duration::from_millis(millis));
                adaptive.begin(began).answered(Duration::ZERO, now, in_flight.into());
            }
        }
        adaptive.limit()
    };
    assert!(serve(100, 600) >= 16);
    serve(1, 30);
    assert!(serve(100, 2 * PERIOD) >= 16, "{:?}", adaptive.numbers());
}

#[test]
fn what_a_client_takes_to_send_its_request_teaches_nothing() {
    let adaptive = Arc::new(Adaptive::new(bounds(5, 1_000)));
    let (whole, now) = (Duration::from_secs(9), Duration::from_millis(9_005));
    for _ in 0..LEAST_ANSWERS {
        adaptive.begin(Duration::ZERO).answered(whole, now, 20);
    }
    assert_eq!(adaptive.numbers().latency, Duration::from_millis(5));
}

proptest! {
    #[test]
    fn the_limit_stays_within_its_bounds(
        (min, more) in (1_u32..50, 0_u32..1_000),
        answers in prop::collection::vec((any::<u32>(), 0_u64..2_000, 0_u64..200_000), 0..400),
    ) {
        let bounds = bounds(min, min + more);
        let adaptive = Arc::new(Adaptive::new(bounds));
        let mut now = Duration::from_secs(10_000);
        for (latency, in_flight, passed) in answers {
            now += Duration::from_micros(passed);
            let began = now.saturating_sub(Duration::from_micros(latency.into()));
            adaptive.begin(began).answered(Duration::ZERO, now, in_flight);
            prop_assert!((bounds.min()..=bounds.max()).contains(&adaptive.limit()));
        }
    }
}
