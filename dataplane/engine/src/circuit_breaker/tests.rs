//! What a breaker does, one event after the other. `interleavings.rs` has events that meet.

use std::num::NonZeroU32;

use apigw_config::{
    model::{CircuitBreaker, FailureRate},
    names::{Percent, Period, PolicyMode},
};
use proptest::prelude::*;

use super::*;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// Opens for 10 s, then tries this many at once.
fn settings(failure_threshold: u32, half_open_max_in_flight: u32) -> BreakerSettings {
    BreakerSettings {
        failure_threshold: Some(number(failure_threshold)),
        failure_rate: None,
        open_for: Period::seconds(10),
        half_open_max_in_flight: number(half_open_max_in_flight),
    }
}

/// Looks back 10 s and opens at half of four.
fn rate() -> FailureRate {
    let percent = Percent::new(50.0).unwrap();
    FailureRate { percent, window: Period::seconds(10), minimum_requests: number(4) }
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn admit(breaker: &Breaker, seconds: u64) -> Call<&Breaker> {
    Breaker::admit(breaker, at(seconds)).unwrap()
}

fn refusal(breaker: &Breaker, now: Duration) -> Duration {
    Breaker::admit(breaker, now).unwrap_err().retry_after
}

fn phase(breaker: &Breaker, seconds: u64) -> BreakerPhase {
    breaker.state(at(seconds)).phase
}

/// Opened by failures at zero.
fn opened(settings: BreakerSettings) -> Breaker {
    let breaker = Breaker::new(settings);
    for _ in 0..settings.failure_threshold.unwrap().get() {
        admit(&breaker, 0).failed(at(0));
    }
    assert_eq!(phase(&breaker, 0), BreakerPhase::Open);
    breaker
}

#[test]
fn failures_in_a_row_open_it() {
    let breaker = Breaker::new(settings(3, 1));
    for _ in 0..2 {
        admit(&breaker, 0).failed(at(0));
    }
    assert_eq!((phase(&breaker, 0), breaker.state(at(0)).failures), (BreakerPhase::Closed, 2));
    admit(&breaker, 0).failed(at(0));
    assert_eq!(phase(&breaker, 0), BreakerPhase::Open);
}

#[test]
fn a_success_in_between_begins_the_row_anew() {
    let breaker = Breaker::new(settings(2, 1));
    for _ in 0..5 {
        admit(&breaker, 0).failed(at(0));
        admit(&breaker, 0).succeeded(at(0));
    }
    assert_eq!((phase(&breaker, 0), breaker.state(at(0)).failures), (BreakerPhase::Closed, 0));
}

#[test]
fn client_hang_ups_do_not_open_it() {
    let breaker = Breaker::new(settings(1, 1));
    for _ in 0..64 {
        drop(admit(&breaker, 0));
    }
    assert_eq!((phase(&breaker, 0), breaker.state(at(0)).failures), (BreakerPhase::Closed, 0));
}

#[test]
fn a_hang_up_does_not_begin_the_row_anew() {
    let breaker = Breaker::new(settings(2, 1));
    admit(&breaker, 0).failed(at(0));
    drop(admit(&breaker, 0));
    admit(&breaker, 0).failed(at(0));
    assert_eq!(phase(&breaker, 0), BreakerPhase::Open);
}

#[test]
fn an_open_breaker_admits_nobody_and_says_how_long() {
    let breaker = opened(settings(2, 1));
    assert_eq!(refusal(&breaker, at(0)), at(10));
    assert_eq!(refusal(&breaker, Duration::from_millis(9_500)), Duration::from_millis(500));
    let expected = BreakerState {
        phase: BreakerPhase::Open,
        failures: 2,
        opened_at: Some(at(0)),
        retry_after: Some(at(6)),
        half_open_in_flight: 0,
    };
    assert_eq!(breaker.state(at(4)), expected);
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_and_never_zero() {
    let check = |millis, seconds| {
        let open = Open { retry_after: Duration::from_millis(millis) };
        assert_eq!(open.retry_after_seconds(), seconds, "{millis} ms");
    };
    check(0, 1);
    check(1, 1);
    check(1000, 1);
    check(1001, 2);
    check(9999, 10);
}

#[test]
fn after_that_it_admits_so_many_trials_at_once_and_no_more() {
    let breaker = opened(settings(1, 2));
    let trials = [admit(&breaker, 10), admit(&breaker, 10)];
    assert_eq!(refusal(&breaker, at(10)), at(0));
    assert_eq!(breaker.state(at(10)).half_open_in_flight, 2);
    drop(trials);
    assert_eq!(breaker.state(at(10)).half_open_in_flight, 0);
}

#[test]
fn one_success_closes_it() {
    let breaker = opened(settings(3, 1));
    admit(&breaker, 10).succeeded(at(10));
    assert_eq!((phase(&breaker, 10), breaker.state(at(10)).failures), (BreakerPhase::Closed, 0));
    admit(&breaker, 10).failed(at(10));
    assert_eq!(phase(&breaker, 10), BreakerPhase::Closed);
}

#[test]
fn one_failed_trial_opens_it_again_for_the_whole_time() {
    let breaker = opened(settings(3, 1));
    admit(&breaker, 12).failed(at(13));
    assert_eq!(refusal(&breaker, at(13)), at(10));
    assert_eq!(breaker.state(at(13)).failures, 4);
    assert_eq!(phase(&breaker, 23), BreakerPhase::HalfOpen);
}

#[test]
fn a_hang_up_in_a_trial_gives_its_place_back_and_decides_nothing() {
    let breaker = opened(settings(1, 1));
    for _ in 0..64 {
        drop(admit(&breaker, 10));
        assert_eq!((phase(&breaker, 10), breaker.state(at(10)).failures), (BreakerPhase::HalfOpen, 1));
    }
}

#[test]
fn calls_from_before_it_opened_do_not_count_after_it_closed() {
    let breaker = Breaker::new(settings(1, 1));
    let old = [admit(&breaker, 0), admit(&breaker, 0), admit(&breaker, 0)];
    let [late_in_open, late_in_half_open, late_in_closed] = old;
    admit(&breaker, 0).failed(at(0));
    late_in_open.succeeded(at(1));
    assert_eq!(phase(&breaker, 1), BreakerPhase::Open);
    let trial = admit(&breaker, 10);
    late_in_half_open.succeeded(at(10));
    assert_eq!(phase(&breaker, 10), BreakerPhase::HalfOpen);
    trial.succeeded(at(11));
    late_in_closed.failed(at(12));
    assert_eq!((phase(&breaker, 12), breaker.state(at(12)).failures), (BreakerPhase::Closed, 0));
}

#[test]
fn a_trial_of_an_earlier_half_open_period_decides_nothing_but_keeps_its_place() {
    let breaker = opened(settings(1, 2));
    let slow = admit(&breaker, 10);
    admit(&breaker, 10).failed(at(10));
    let trial = admit(&breaker, 20);
    assert_eq!(refusal(&breaker, at(20)), at(0));
    slow.succeeded(at(21));
    assert_eq!((phase(&breaker, 21), breaker.state(at(21)).half_open_in_flight), (BreakerPhase::HalfOpen, 1));
    trial.succeeded(at(22));
    assert_eq!((phase(&breaker, 22), breaker.state(at(22)).half_open_in_flight), (BreakerPhase::Closed, 0));
}

#[test]
fn a_large_share_of_failures_opens_it_without_a_row() {
    let breaker = Breaker::new(BreakerSettings { failure_rate: Some(rate()), ..settings(3, 1) });
    admit(&breaker, 0).failed(at(0));
    admit(&breaker, 1).succeeded(at(1));
    admit(&breaker, 2).failed(at(2));
    assert_eq!(phase(&breaker, 2), BreakerPhase::Closed);
    admit(&breaker, 3).succeeded(at(3));
    assert_eq!(phase(&breaker, 3), BreakerPhase::Open);
}

#[test]
fn a_row_opens_it_although_the_share_is_small() {
    let breaker = Breaker::new(BreakerSettings { failure_rate: Some(rate()), ..settings(2, 1) });
    for _ in 0..20 {
        admit(&breaker, 0).succeeded(at(0));
    }
    for _ in 0..2 {
        admit(&breaker, 1).failed(at(1));
    }
    assert_eq!(phase(&breaker, 1), BreakerPhase::Open);
}

#[test]
fn hang_ups_are_no_part_of_the_share() {
    let breaker = Breaker::new(BreakerSettings { failure_rate: Some(rate()), ..settings(9, 1) });
    for _ in 0..3 {
        admit(&breaker, 0).failed(at(0));
        drop(admit(&breaker, 0));
    }
    assert_eq!(phase(&breaker, 0), BreakerPhase::Closed);
}

#[test]
fn the_share_is_forgotten_when_it_closes() {
    let settings = BreakerSettings { failure_threshold: None, failure_rate: Some(rate()), ..settings(1, 1) };
    let breaker = Breaker::new(BreakerSettings { open_for: Period::seconds(1), ..settings });
    for _ in 0..4 {
        admit(&breaker, 0).failed(at(0));
    }
    admit(&breaker, 1).succeeded(at(1));
    admit(&breaker, 1).failed(at(1));
    assert_eq!(phase(&breaker, 1), BreakerPhase::Closed);
}

#[test]
fn without_a_condition_it_never_opens() {
    let breaker = Breaker::new(BreakerSettings { failure_threshold: None, ..settings(1, 1) });
    for _ in 0..100 {
        admit(&breaker, 0).failed(at(0));
    }
    assert_eq!(phase(&breaker, 0), BreakerPhase::Closed);
}

#[test]
fn settings_are_those_of_the_file_whatever_the_mode() {
    let file = CircuitBreaker::enabled(3, 10_000_000, 2).unwrap();
    assert_eq!(BreakerSettings::new(&file.with_mode(PolicyMode::Shadow)), Some(settings(3, 2)));
    let expected = BreakerSettings { failure_rate: Some(rate()), ..settings(3, 2) };
    assert_eq!(BreakerSettings::new(&file.with_failure_rate(rate())), Some(expected));
    assert_eq!(BreakerSettings::new(&CircuitBreaker::disabled(3, 10_000_000, 2).unwrap()), None);
}

#[test]
fn the_calls_of_a_healthy_upstream_only_read_the_summary() {
    let breaker = Breaker::new(settings(1, 1));
    // Whoever looked at the state itself would be refused, and his success would close the breaker.
    let failure = breaker.state.lock().admit(at(0), breaker.settings()).unwrap();
    breaker.state.lock().end(failure, Outcome::Failure, at(0), breaker.settings());
    admit(&breaker, 0).succeeded(at(0));
    drop(admit(&breaker, 0));
    admit(&breaker, 10).succeeded(at(10));
    assert_eq!(phase(&breaker, 9), BreakerPhase::Open);
}

/// A breaker that remembers everything that happened and works out the rest each time.
struct Oracle {
    settings: BreakerSettings,
    phase: OraclePhase,
    period: u32,
    /// Ends counted since it last closed, true for failures.
    ends: Vec<(Duration, bool)>,
    /// Under way: the period, and whether it is a trial.
    calls: Vec<(u32, bool)>,
}

#[derive(Clone, Copy, PartialEq)]
enum OraclePhase {
    Closed,
    OpenSince(Duration),
    HalfOpen,
}

impl Oracle {
    fn new(settings: BreakerSettings) -> Self {
        Self { settings, phase: OraclePhase::Closed, period: 0, ends: Vec::new(), calls: Vec::new() }
    }

    fn enter(&mut self, phase: OraclePhase) {
        (self.phase, self.period) = (phase, self.period + 1);
    }

    fn trials(&self) -> usize {
        self.calls.iter().filter(|(_, is_trial)| *is_trial).count()
    }

    fn failures(&self) -> usize {
        self.ends.iter().rev().take_while(|(_, is_failure)| *is_failure).count()
    }

    fn remaining(&self, now: Duration) -> Option<Duration> {
        let OraclePhase::OpenSince(since) = self.phase else { return None };
        (since + self.settings.open_for.duration()).checked_sub(now).filter(|remaining| !remaining.is_zero())
    }

    fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if let Some(remaining) = self.remaining(now) {
            return Err(remaining);
        }
        if matches!(self.phase, OraclePhase::OpenSince(_)) {
            self.enter(OraclePhase::HalfOpen);
        }
        let is_trial = self.phase == OraclePhase::HalfOpen;
        if is_trial && self.trials() >= self.settings.half_open_max_in_flight.get() as usize {
            return Err(Duration::ZERO);
        }
        self.calls.push((self.period, is_trial));
        Ok(())
    }

    /// `is_failure` is none for a hang-up.
    fn end(&mut self, index: usize, is_failure: Option<bool>, now: Duration) {
        let (period, _) = self.calls.remove(index);
        let Some(is_failure) = is_failure.filter(|_| period == self.period) else { return };
        if self.phase == OraclePhase::HalfOpen && !is_failure {
            self.ends.clear();
            return self.enter(OraclePhase::Closed);
        }
        self.ends.push((now, is_failure));
        if self.phase == OraclePhase::HalfOpen || self.has_too_many() || self.has_too_large_a_share(now) {
            self.enter(OraclePhase::OpenSince(now));
        }
    }

    fn has_too_many(&self) -> bool {
        self.settings.failure_threshold.is_some_and(|threshold| self.failures() >= threshold.get() as usize)
    }

    fn has_too_large_a_share(&self, now: Duration) -> bool {
        let Some(rate) = self.settings.failure_rate else { return false };
        let tenth = |at: Duration| at.as_millis() / (rate.window.duration().as_millis() / 10);
        let recent = self.ends.iter().filter(|(at, _)| tenth(*at) + 10 > tenth(now));
        let (requests, failures) = recent.fold((0, 0), |(requests, failures), (_, is_failure)| {
            (requests + 1, failures + u32::from(*is_failure))
        });
        requests >= rate.minimum_requests.get()
            && f64::from(failures) * 100.0 >= f64::from(requests) * rate.percent.get()
    }

    fn state(&self, now: Duration) -> BreakerState {
        let retry_after = self.remaining(now);
        let phase = match self.phase {
            OraclePhase::Closed => BreakerPhase::Closed,
            OraclePhase::OpenSince(_) if retry_after.is_some() => BreakerPhase::Open,
            OraclePhase::OpenSince(_) | OraclePhase::HalfOpen => BreakerPhase::HalfOpen,
        };
        let opened_at = match self.phase {
            OraclePhase::OpenSince(since) => retry_after.map(|_| since),
            OraclePhase::Closed | OraclePhase::HalfOpen => None,
        };
        let failures = u32::try_from(self.failures()).unwrap();
        let half_open_in_flight = u32::try_from(self.trials()).unwrap();
        BreakerState { phase, failures, opened_at, retry_after, half_open_in_flight }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Arrival,
    /// Of the call at this place among those under way; none: a hang-up, true: a failure.
    End(prop::sample::Index, Option<bool>),
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop::option::weighted(0.8, any::<bool>());
    prop_oneof![
        Just(Event::Arrival),
        (any::<prop::sample::Index>(), outcome).prop_map(|(i, o)| Event::End(i, o))
    ]
}

fn any_settings() -> impl Strategy<Value = BreakerSettings> {
    let rate = (1..=100_u8, 1..8_u32).prop_map(|(percent, minimum_requests)| FailureRate {
        percent: Percent::new(percent.into()).unwrap(),
        window: Period::seconds(10),
        minimum_requests: number(minimum_requests),
    });
    (prop::option::of(1..4_u32), prop::option::of(rate), 1..4_u32).prop_map(|(threshold, rate, trials)| {
        let failure_threshold = threshold.map(number);
        BreakerSettings { failure_threshold, failure_rate: rate, ..settings(1, trials) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn it_does_what_one_that_remembers_everything_does(
        settings in any_settings(),
        events in prop::collection::vec((any_event(), 0..4000_u64), 1..120),
    ) {
        let breaker = Breaker::new(settings);
        let mut oracle = Oracle::new(settings);
        let mut calls = Vec::new();
        let mut now = Duration::ZERO;
        for (event, millis) in events {
            now += Duration::from_millis(millis);
            match event {
                Event::Arrival => {
                    let admitted = Breaker::admit(&breaker, now);
                    let seen = admitted.as_ref().map(|_| ()).map_err(|open| open.retry_after);
                    prop_assert_eq!(seen, oracle.admit(now));
                    calls.extend(admitted);
                }
                Event::End(index, outcome) if !calls.is_empty() => {
                    let index = index.index(calls.len());
                    let call = calls.remove(index);
                    match outcome {
                        None => drop(call),
                        Some(false) => call.succeeded(now),
                        Some(true) => call.failed(now),
                    }
                    oracle.end(index, outcome, now);
                }
                Event::End(..) => {}
            }
            prop_assert_eq!(breaker.state(now), oracle.state(now));
        }
    }
}
