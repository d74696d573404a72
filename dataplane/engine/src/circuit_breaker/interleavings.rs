//! What a breaker keeps when events of several threads meet: each test runs once for every interleaving, and for every
//! value that a relaxed load may see.

use std::{num::NonZeroU32, rc::Rc, sync::Arc};

use apigw_config::names::Period;
use loom::{
    cell::UnsafeCell,
    thread::{self, JoinHandle},
};

use super::*;
use crate::sync::model;

const START: Duration = Duration::ZERO;
/// When a breaker that opened at the start may be tried.
const TRIAL_TIME: Duration = Duration::from_secs(10);

fn breaker(failure_threshold: u32, half_open_max_in_flight: u32) -> Arc<Breaker> {
    Arc::new(Breaker::new(BreakerSettings {
        failure_threshold: NonZeroU32::new(failure_threshold),
        failure_rate: None,
        open_for: Period::seconds(10),
        half_open_max_in_flight: NonZeroU32::new(half_open_max_in_flight).unwrap(),
    }))
}

fn opened(half_open_max_in_flight: u32) -> Arc<Breaker> {
    let breaker = breaker(1, half_open_max_in_flight);
    admit(&breaker, START).failed(START);
    breaker
}

fn admit(breaker: &Arc<Breaker>, now: Duration) -> Call<Arc<Breaker>> {
    Breaker::admit(Arc::clone(breaker), now).unwrap()
}

fn start<T: 'static>(
    breaker: &Arc<Breaker>,
    act: impl FnOnce(&Arc<Breaker>) -> T + 'static,
) -> JoinHandle<T> {
    let breaker = Arc::clone(breaker);
    thread::spawn(move || act(&breaker))
}

/// The phase and the failures counted in it, once nobody is at it any more.
fn seen(breaker: &Breaker, now: Duration) -> (BreakerPhase, u32) {
    assert_eq!(
        breaker.summary(),
        Summary::of(&breaker.state.lock()),
        "calls go by something else than the state"
    );
    let state = breaker.state(now);
    (state.phase, state.failures)
}

#[test]
fn one_trial_at_a_time_whatever_becomes_of_it() {
    model(|| {
        let breaker = opened(1);
        // loom fails the test when two trials are in the cell without one having ended before the other began.
        let upstream = Rc::new(UnsafeCell::new(()));
        let attempt = |end: fn(Call<Arc<Breaker>>)| {
            let upstream = Rc::clone(&upstream);
            move |breaker: &Arc<Breaker>| {
                let Ok(call) = Breaker::admit(Arc::clone(breaker), TRIAL_TIME) else { return };
                upstream.with_mut(|_| {});
                end(call);
            }
        };
        let other = start(&breaker, attempt(drop));
        attempt(drop)(&breaker);
        attempt(|trial| trial.failed(TRIAL_TIME))(&breaker);
        other.join().unwrap();
        assert_eq!(breaker.state(TRIAL_TIME).half_open_in_flight, 0);
    });
}

#[test]
fn exactly_as_many_trials_as_allowed_are_admitted_of_those_who_ask_at_once() {
    model(|| {
        let breaker = opened(2);
        let ask = |breaker: &Arc<Breaker>| Breaker::admit(Arc::clone(breaker), TRIAL_TIME).ok();
        let others = [start(&breaker, ask), start(&breaker, ask)];
        let own = ask(&breaker);
        let trials: Vec<_> =
            others.map(|other| other.join().unwrap()).into_iter().chain([own]).flatten().collect();
        assert_eq!(trials.len(), 2);
        assert_eq!(breaker.state(TRIAL_TIME).half_open_in_flight, 2);
    });
}

#[test]
fn a_place_given_back_is_never_lost() {
    model(|| {
        let breaker = opened(1);
        let trial = admit(&breaker, TRIAL_TIME);
        let other = start(&breaker, |breaker| drop(Breaker::admit(Arc::clone(breaker), TRIAL_TIME)));
        drop(trial);
        other.join().unwrap();
        assert_eq!(seen(&breaker, TRIAL_TIME), (BreakerPhase::HalfOpen, 1));
        admit(&breaker, TRIAL_TIME).succeeded(TRIAL_TIME);
        assert_eq!(seen(&breaker, TRIAL_TIME), (BreakerPhase::Closed, 0));
    });
}

#[test]
fn trials_that_end_differently_leave_it_decided_and_never_stuck() {
    model(|| {
        let breaker = opened(2);
        let (good, bad) = (admit(&breaker, TRIAL_TIME), admit(&breaker, TRIAL_TIME));
        let other = start(&breaker, move |_| good.succeeded(TRIAL_TIME));
        bad.failed(TRIAL_TIME);
        other.join().unwrap();
        let state = breaker.state(TRIAL_TIME);
        assert!(matches!(state.phase, BreakerPhase::Closed | BreakerPhase::Open), "{state:?}");
        assert_eq!(state.half_open_in_flight, 0);
        admit(&breaker, TRIAL_TIME * 2).succeeded(TRIAL_TIME * 2);
        assert_eq!(seen(&breaker, TRIAL_TIME * 2), (BreakerPhase::Closed, 0));
    });
}

#[test]
fn failures_that_meet_are_all_counted() {
    model(|| {
        let breaker = breaker(3, 1);
        let fail = |breaker: &Arc<Breaker>| admit(breaker, START).failed(START);
        let others = [start(&breaker, fail), start(&breaker, fail)];
        fail(&breaker);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(seen(&breaker, START), (BreakerPhase::Open, 3));
    });
}

#[test]
fn hang_ups_count_as_nothing_wherever_they_fall() {
    model(|| {
        let breaker = breaker(2, 1);
        let hang_up = |breaker: &Arc<Breaker>| drop(admit(breaker, START));
        let others = [start(&breaker, hang_up), start(&breaker, hang_up)];
        admit(&breaker, START).failed(START);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(seen(&breaker, START), (BreakerPhase::Closed, 1));
    });
}

#[test]
fn a_success_that_meets_a_failure_is_before_or_after_it() {
    model(|| {
        let breaker = breaker(2, 1);
        admit(&breaker, START).failed(START);
        let (good, bad) = (admit(&breaker, START), admit(&breaker, START));
        let other = start(&breaker, move |_| good.succeeded(START));
        bad.failed(START);
        other.join().unwrap();
        let seen = seen(&breaker, START);
        assert!([(BreakerPhase::Closed, 1), (BreakerPhase::Open, 2)].contains(&seen), "{seen:?}");
    });
}

#[test]
fn a_success_begins_the_row_anew_after_a_failure_of_another_thread() {
    model(|| {
        let breaker = breaker(2, 1);
        start(&breaker, |breaker| admit(breaker, START).failed(START)).join().unwrap();
        admit(&breaker, START).succeeded(START);
        assert_eq!(seen(&breaker, START), (BreakerPhase::Closed, 0));
    });
}

#[test]
fn nobody_is_admitted_who_knows_that_it_opened() {
    model(|| {
        let breaker = breaker(1, 1);
        let before = admit(&breaker, START);
        start(&breaker, |breaker| admit(breaker, START).failed(START)).join().unwrap();
        assert!(Breaker::admit(Arc::clone(&breaker), START).is_err());
        before.succeeded(START);
        assert_eq!(seen(&breaker, START), (BreakerPhase::Open, 1));
    });
}

#[test]
fn old_calls_decide_nothing_while_it_is_tried() {
    model(|| {
        let breaker = breaker(1, 1);
        let (old, older) = (admit(&breaker, START), admit(&breaker, START));
        admit(&breaker, START).failed(START);
        let ends = start(&breaker, move |_| {
            old.succeeded(TRIAL_TIME);
            older.failed(TRIAL_TIME);
        });
        let trial = admit(&breaker, TRIAL_TIME);
        assert_eq!(seen(&breaker, TRIAL_TIME), (BreakerPhase::HalfOpen, 1));
        trial.succeeded(TRIAL_TIME);
        ends.join().unwrap();
        assert_eq!(seen(&breaker, TRIAL_TIME), (BreakerPhase::Closed, 0));
    });
}
