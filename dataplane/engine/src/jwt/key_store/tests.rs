//! When keys are fetched. Sequences as they happen, and what no sequence may break.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::jwt::{
    algorithm::Algorithm,
    samples::{key, set_of},
};

const LIFETIME: Duration = Duration::from_secs(300);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn keys(kids: &[&str]) -> KeySet {
    let jwks: Vec<Value> = kids.iter().map(|kid| key(Algorithm::EdDsa).jwk(kid)).collect();
    set_of(&jwks)
}

fn begin(store: &mut KeyStore, now: u64) -> FetchNumber {
    match store.due(at(now)) {
        Due::Now(number) => number,
        other => panic!("no fetch is due at {now} s: {other:?}"),
    }
}

/// A store whose first fetch ended at 0 s.
fn fetched() -> KeyStore {
    let mut store = KeyStore::new(LIFETIME);
    begin(&mut store, 0);
    store.succeeded(&keys(&["a"]), at(0));
    store
}

#[test]
fn keys_are_fetched_at_once_and_again_before_they_are_stale() {
    let mut store = KeyStore::new(LIFETIME);
    assert!(store.is_stale(at(0)));
    assert_eq!(store.due(at(0)), Due::Now(FetchNumber(1)));
    assert_eq!(store.due(at(1)), Due::AfterFetch);
    store.succeeded(&keys(&["a"]), at(2));
    assert_eq!(store.due(at(2)), Due::At(at(242)));
    assert_eq!(store.due(at(241)), Due::At(at(242)));
    assert!(!store.is_stale(at(301)));
    assert!(store.is_stale(at(302)));
    assert_eq!(store.due(at(242)), Due::Now(FetchNumber(2)));
}

#[test]
fn a_failing_provider_is_asked_less_and_less_and_its_keys_are_kept() {
    let mut store = fetched();
    let mut now = 240;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        begin(&mut store, now);
        store.failed("the provider did not answer in time".into(), at(now));
        assert_eq!(store.due(at(now)), Due::At(at(now + wait)));
        now += wait;
    }
    let standing = store.standing();
    assert_eq!(standing.fetched_at, Some(at(0)));
    assert_eq!(standing.failing_since, Some(at(240)));
    assert_eq!(standing.last_error.as_deref(), Some("the provider did not answer in time"));
    assert_eq!((standing.successes, standing.failures), (1, 9));
    assert!(store.is_stale(at(now)));
    begin(&mut store, now);
    store.succeeded(&keys(&["a"]), at(now));
    assert_eq!((store.standing().failing_since, store.standing().last_error.clone()), (None, None));
    assert_eq!(store.due(at(now)), Due::At(at(now + 240)));
    begin(&mut store, now + 240);
    store.failed("again".into(), at(now + 240));
    assert_eq!(store.due(at(now + 240)), Due::At(at(now + 241)), "after a success the waits begin anew");
}

#[test]
fn failures_without_end_do_not_overflow() {
    let mut store = KeyStore::new(LIFETIME);
    let mut now = 0;
    for _ in 0..1_000 {
        begin(&mut store, now);
        store.failed("x".into(), at(now));
        now += 60;
    }
    let mut last = KeyStore::new(Duration::MAX);
    assert!(matches!(last.due(Duration::MAX), Due::Now(_)));
    last.succeeded(&keys(&[]), Duration::MAX);
    assert_eq!(last.standing().fresh_until, Some(Duration::MAX));
}

#[test]
fn all_who_ask_for_unknown_names_share_one_fetch() {
    let mut store = fetched();
    let second = FetchNumber(2);
    assert_eq!(store.unknown_kid("b", at(20)), UnknownKid::Await(second));
    assert_eq!(store.unknown_kid("c", at(20)), UnknownKid::Await(second));
    assert_eq!(begin(&mut store, 20), second);
    assert_eq!(store.unknown_kid("b", at(21)), UnknownKid::Await(second));
    store.succeeded(&keys(&["a", "b"]), at(22));
    assert_eq!(store.due(at(22)), Due::At(at(262)), "no further fetch is due");
}

#[test]
fn a_name_that_a_fetch_did_not_bring_is_unknown_for_a_minute() {
    let mut store = fetched();
    store.unknown_kid("ghost", at(20));
    begin(&mut store, 20);
    store.succeeded(&keys(&["a"]), at(21));
    for now in [21, 31, 80] {
        assert_eq!(store.unknown_kid("ghost", at(now)), UnknownKid::Refuse, "at {now} s");
    }
    assert_eq!(store.unknown_kid("ghost", at(81)), UnknownKid::Await(FetchNumber(3)));
}

#[test]
fn a_name_asked_for_during_a_fetch_may_have_come_too_late_for_it() {
    let mut store = fetched();
    begin(&mut store, 240);
    assert_eq!(store.unknown_kid("new", at(241)), UnknownKid::Await(FetchNumber(2)));
    store.succeeded(&keys(&["a"]), at(242));
    assert_eq!(
        store.unknown_kid("new", at(242)),
        UnknownKid::Await(FetchNumber(3)),
        "it is not known to be unknown"
    );
}

#[test]
fn unknown_names_bring_one_fetch_in_ten_seconds() {
    let mut store = fetched();
    let mut fetches = Vec::new();
    for now in 1..=60 {
        // Each second another name, as a forger would.
        let verdict = store.unknown_kid(&format!("forged-{now}"), at(now));
        if let Due::Now(number) = store.due(at(now)) {
            assert_eq!(verdict, UnknownKid::Await(number));
            store.succeeded(&keys(&["a"]), at(now));
            fetches.push(now);
        } else {
            assert_eq!(verdict, UnknownKid::Refuse);
        }
    }
    assert_eq!(fetches, [1, 11, 21, 31, 41, 51]);
}

#[test]
fn unknown_names_are_looked_for_while_the_provider_is_left_alone() {
    let mut store = fetched();
    for now in [240, 241, 243, 247, 255, 271, 303] {
        begin(&mut store, now);
        store.failed("x".into(), at(now));
    }
    assert_eq!(store.due(at(304)), Due::At(at(363)));
    assert_eq!(store.unknown_kid("b", at(304)), UnknownKid::Await(FetchNumber(9)));
    assert_eq!(begin(&mut store, 304), FetchNumber(9));
    store.failed("x".into(), at(304));
    assert_eq!(store.unknown_kid("b", at(305)), UnknownKid::Refuse, "it was asked just now");
    assert_eq!(store.unknown_kid("b", at(314)), UnknownKid::Await(FetchNumber(10)), "but nothing was learnt");
}

#[test]
fn names_that_no_key_can_have_bring_no_fetch() {
    let mut store = fetched();
    assert_eq!(store.unknown_kid(&"k".repeat(MAX_KID_BYTES + 1), at(20)), UnknownKid::Refuse);
    assert_eq!(store.due(at(20)), Due::At(at(240)));
}

#[test]
fn unknown_names_are_remembered_within_bounds() {
    let mut names = UnknownNames::default();
    for number in 0..=MAX_UNKNOWN {
        names.remember(number.to_string().into(), at(60));
    }
    assert_eq!((names.names.len(), names.ends.len()), (MAX_UNKNOWN, MAX_UNKNOWN));
    assert!(!names.contains("0", at(0)), "the oldest goes first");
    assert!(names.contains("1", at(0)) && names.contains(&MAX_UNKNOWN.to_string(), at(59)));
    assert!(!names.contains("1", at(60)));
    assert_eq!((names.names.len(), names.ends.len()), (0, 0));
    let mut store = fetched();
    for number in 0..10 * MAX_ASKED {
        store.unknown_kid(&number.to_string(), at(20));
    }
    assert_eq!(store.asked.len(), MAX_ASKED);
}

#[test]
fn a_rotated_key_is_found_on_its_first_use() {
    let mut store = fetched();
    let UnknownKid::Await(number) = store.unknown_kid("b", at(100)) else { panic!("not looked for") };
    assert_eq!(begin(&mut store, 100), number);
    store.succeeded(&keys(&["a", "b"]), at(101));
    assert_eq!(store.standing().fetched_at, Some(at(101)));
    assert!(store.unknown.names.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    Due,
    Succeed,
    Fail,
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..5u8).prop_map(Step::Ask),
        3 => Just(Step::Due),
        1 => Just(Step::Succeed),
        1 => Just(Step::Fail),
        2 => (1..30u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn no_sequence_brings_more_fetches_than_promised(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut store = KeyStore::new(LIFETIME);
        let (mut now, mut is_fetching, mut planned) = (0, false, Some(0));
        let mut out_of_turn: Vec<u64> = Vec::new();
        let mut begun = FetchNumber(0);
        for step in steps {
            match step {
                Step::Ask(kid) => {
                    if let UnknownKid::Await(number) = store.unknown_kid(&kid.to_string(), at(now)) {
                        // Whoever waits is told of the end of this fetch or of the next one, and that one begins at once.
                        prop_assert!(number == begun && is_fetching || number == FetchNumber(begun.0 + 1) && !is_fetching);
                        prop_assert!(is_fetching || store.is_forced || planned.is_some_and(|at| at <= now));
                    }
                }
                Step::Due => match store.due(at(now)) {
                    Due::Now(number) => {
                        prop_assert!(!is_fetching);
                        prop_assert_eq!(number, FetchNumber(begun.0 + 1));
                        if planned.is_none_or(|at| now < at) {
                            out_of_turn.push(store.forced_at.unwrap().as_secs());
                        }
                        (begun, is_fetching) = (number, true);
                    }
                    Due::At(next) => { prop_assert!(!is_fetching && next > at(now)); planned = Some(next.as_secs()); }
                    Due::AfterFetch => prop_assert!(is_fetching),
                },
                Step::Succeed if is_fetching => { store.succeeded(&keys(&["0"]), at(now)); is_fetching = false; planned = Some(now + 240); }
                Step::Fail if is_fetching => { store.failed("x".into(), at(now)); is_fetching = false; planned = Some(store.next_at.as_secs()); }
                Step::Succeed | Step::Fail => {}
                Step::Wait(seconds) => now += seconds,
            }
        }
        prop_assert!(out_of_turn.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{:?}", out_of_turn);
    }
}
