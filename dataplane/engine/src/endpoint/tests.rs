//! What is known of an endpoint, and what part of its weight follows.

use apigw_config::{
    model::Probe,
    names::{CheckCount, Percent, Period},
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
            Some(Change::Ejected(_)) => 'E',
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

#[test]
fn one_that_drains_leaves_the_others_alone_and_returns_unjudged() {
    let backend = Arc::<BackendState>::default();
    let [leaving, staying] = [(); 2].map(|()| Arc::new(EndpointState::new(Arc::clone(&backend))));
    let rules = rules(2, 50.0);
    for state in [&leaving, &staying] {
        state.judge_requests(Some(&rules.settings), at(0));
    }
    let round = leaving.begin_checks(at(0));
    let _ = leaving.checked(round, REFUSED, &check(1, 1), at(1));
    let mut under_way = leaving.begin(Some(rules));
    leaving.drain(Watch::Ends, at(2));
    let seen = leaving.seen();
    assert_eq!((seen.standing, seen.since), (Standing::Draining(DrainedBy::File), Some(at(2))));
    assert!(backend.is_whole(), "the choice of the others is as it was");
    assert_eq!(leaving.checked(round, REFUSED, &check(1, 1), at(3)), None, "it was under way");
    assert_eq!(under_way.failed(at(3)), None);
    assert_eq!(leaving.tick(at(4)), None);
    assert_eq!(leaving.in_flight(), 1);
    leaving.drain(Watch::Ends, at(5));
    assert_eq!(leaving.seen().since, Some(at(2)), "nothing has changed");
    assert_eq!(staying.begin(Some(rules)).failed(at(6)), Some(Change::Ejected(at(10))), "nobody is out");
    leaving.judge_requests(Some(&rules.settings), at(7));
    assert_eq!((leaving.seen().standing, leaving.share()), (Standing::Healthy, WHOLE));
}

#[test]
fn one_that_drains_is_well_until_a_check_that_goes_on_says_otherwise() {
    let state = EndpointState::new(Arc::default());
    let round = state.begin_checks(at(0));
    state.drain(Watch::GoesOn, at(1));
    assert_eq!((state.is_well(), state.seen().standing), (true, Standing::Draining(DrainedBy::File)));
    assert!(state.checked(round, REFUSED, &check(1, 1), at(2)).is_some());
    assert_eq!((state.is_well(), state.seen().standing), (false, Standing::Draining(DrainedBy::File)));
    state.drain(Watch::GoesOn, at(3));
    assert!(!state.is_well(), "another configuration says nothing new of it");
    state.judge_requests(None, at(4));
    assert!(matches!(state.seen().standing, Standing::Unhealthy(_)));
    state.drain(Watch::Ends, at(5));
    assert!(state.is_well(), "nobody knows any more");
}

#[test]
fn one_that_an_operator_drains_takes_nothing_until_he_says_otherwise() {
    let backend = Arc::<BackendState>::default();
    let [leaving, staying] = [(); 2].map(|()| EndpointState::new(Arc::clone(&backend)));
    leaving.begin_drain(2, at(1)).unwrap();
    let seen = leaving.seen();
    assert_eq!((seen.standing, seen.since), (Standing::Draining(DrainedBy::Operator), Some(at(1))));
    assert_eq!((leaving.share(), leaving.last_resort(), leaving.is_well()), (0, 0, true));
    assert_eq!(staying.begin_drain(2, at(2)), Err(LastEndpoint));
    assert_eq!(leaving.begin_drain(2, at(3)), Ok(()), "it does already");
    assert_eq!(leaving.seen().since, Some(at(1)));
    leaving.judge_requests(None, at(4));
    assert_eq!(leaving.share(), 0, "another configuration takes nothing back");
    leaving.drain(Watch::Ends, at(5));
    assert_eq!(leaving.seen().standing, Standing::Draining(DrainedBy::File));
    leaving.end_drain(at(6));
    assert_eq!(leaving.seen().standing, Standing::Draining(DrainedBy::File), "the file says so, too");
    leaving.judge_requests(None, at(7));
    assert_eq!((leaving.share(), backend.is_whole()), (WHOLE, true));
    staying.begin_drain(2, at(8)).unwrap();
    drop(staying);
    assert!(backend.is_whole(), "it has left");
    assert_eq!(leaving.begin_drain(1, at(9)), Err(LastEndpoint));
}

#[test]
fn what_a_file_drains_counts_when_an_operator_drains_another() {
    let backend = Arc::<BackendState>::default();
    let [by_file, by_operator] = [(); 2].map(|()| EndpointState::new(Arc::clone(&backend)));
    by_file.drain(Watch::Ends, at(1));
    assert_eq!(by_operator.begin_drain(2, at(2)), Err(LastEndpoint));
    assert_eq!(by_operator.begin_drain(3, at(2)), Ok(()));
}

fn rules(endpoints: usize, percent: f64) -> OutlierRules {
    let (ejection, most) = (Period::seconds(10), Percent::new(percent).unwrap());
    OutlierRules { settings: Outlier::new(1, None, ejection, most).unwrap(), endpoints }
}

/// How many of so many endpoints are left out when all fail.
fn ejected(endpoints: usize, percent: f64, unwell: usize) -> usize {
    let (backend, rules) = (Arc::<BackendState>::default(), rules(endpoints, percent));
    let states: Vec<_> = (0..endpoints).map(|_| Arc::new(EndpointState::new(Arc::clone(&backend)))).collect();
    for state in &states {
        state.judge_requests(Some(&rules.settings), at(0));
    }
    for state in states.iter().take(unwell) {
        let _ = state.checked(CheckRound::default(), REFUSED, &check(1, 1), at(0));
    }
    let ejected = |state: &&Arc<EndpointState>| {
        matches!(state.begin(Some(rules)).failed(at(1)), Some(Change::Ejected(_)))
    };
    states.iter().rev().filter(ejected).count()
}

#[test]
fn no_more_are_ejected_than_may_be_and_never_the_last() {
    for (endpoints, percent, unwell, expected) in [
        (1, 100.0, 0, 0),
        (2, 50.0, 0, 1),
        (2, 49.0, 0, 0),
        (2, 100.0, 0, 1),
        (3, 50.0, 0, 1),
        (4, 50.0, 0, 2),
        (10, 100.0, 0, 9),
        (4, 100.0, 3, 0),
        (4, 100.0, 2, 1),
    ] {
        let found = ejected(endpoints, percent, unwell);
        assert_eq!(found, expected, "{endpoints} endpoints, {percent}%, {unwell} unwell");
    }
}

#[test]
fn the_last_resort_is_one_that_no_check_speaks_against() {
    let rules = rules(2, 100.0);
    let state = Arc::new(EndpointState::new(Arc::default()));
    state.judge_requests(Some(&rules.settings), at(0));
    assert!(matches!(state.begin(Some(rules)).failed(at(1)), Some(Change::Ejected(_))));
    assert_eq!((state.share(), state.last_resort()), (0, WHOLE));
    state.checked(CheckRound::default(), REFUSED, &check(1, 1), at(2));
    assert_eq!((state.share(), state.last_resort()), (0, 0));
}

#[test]
fn an_ejected_endpoint_returns_when_it_is_time() {
    let backend = Arc::<BackendState>::default();
    let state = Arc::new(EndpointState::new(Arc::clone(&backend)));
    let rules = rules(2, 50.0);
    state.judge_requests(Some(&rules.settings), at(0));
    assert_eq!(state.begin(Some(rules)).failed(at(5)), Some(Change::Ejected(at(10))));
    assert_eq!((state.share(), state.seen().standing), (0, Standing::Ejected(at(15))));
    assert_eq!(state.begin(Some(rules)).failed(at(6)), None, "it was under way");
    assert_eq!(state.tick(at(14)), None);
    assert_eq!(state.tick(at(15)), Some(Change::BecameHealthy));
    assert_eq!((state.share(), backend.is_whole()), (WHOLE, true));
    assert_eq!(state.seen().ejections, 1);
}

#[test]
fn only_the_first_end_of_a_request_counts() {
    let state = Arc::new(EndpointState::new(Arc::default()));
    let rules = rules(2, 50.0);
    state.judge_requests(Some(&rules.settings), at(0));
    let mut silent = state.begin(Some(rules));
    silent.says_nothing();
    assert_eq!(silent.failed(at(1)), None);
    let mut well = state.begin(Some(rules));
    well.succeeded(at(1));
    assert_eq!(well.failed(at(1)), None);
}

#[test]
fn other_rules_forget_and_those_of_before_have_no_consequences() {
    let state = Arc::new(EndpointState::new(Arc::default()));
    let (former, other) = (rules(2, 50.0), rules(2, 100.0));
    state.judge_requests(Some(&former.settings), at(0));
    let _ = state.begin(Some(former)).failed(at(1));
    state.judge_requests(Some(&former.settings), at(2));
    assert_eq!(state.share(), 0, "they are the same");
    state.judge_requests(Some(&other.settings), at(2));
    assert_eq!(state.share(), WHOLE);
    assert_eq!(state.begin(Some(former)).failed(at(3)), None);
    state.judge_requests(None, at(4));
    assert_eq!(state.begin(Some(other)).failed(at(5)), None);
    assert_eq!(state.share(), WHOLE);
}

#[test]
fn an_endpoint_that_returns_or_joins_takes_its_share_slowly() {
    let backend = Arc::<BackendState>::default();
    let state = EndpointState::new(Arc::clone(&backend));
    state.start_slowly(at(9), at(0));
    assert_eq!((state.share(), backend.is_whole()), (WHOLE, true), "it was among the first");
    let round = state.begin_checks(at(0));
    let _ = state.checked(round, REFUSED, &check(1, 1), at(1));
    assert_eq!((state.share(), state.last_resort()), (0, 0));
    assert_eq!(state.checked(round, Ok(()), &check(1, 1), at(10)), Some(Change::BecameHealthy));
    assert_eq!((state.share(), state.seen().standing, backend.is_whole()), (100, Standing::Healthy, false));
    assert_eq!((state.tick(at(14)), state.share(), state.seen().since), (None, 500, Some(at(10))));
    let _ = state.checked(round, REFUSED, &check(1, 1), at(15));
    let _ = state.checked(round, Ok(()), &check(1, 1), at(20));
    assert_eq!(state.share(), 100, "it begins anew");
    assert_eq!((state.tick(at(29)), state.share(), backend.is_whole()), (None, WHOLE, true));

    let joining = EndpointState::joining(Arc::clone(&backend));
    assert_eq!(joining.share(), WHOLE);
    joining.start_slowly(at(9), at(40));
    assert_eq!(joining.share(), 100);
    joining.start_slowly(at(9), at(41));
    assert_eq!(joining.share(), 200, "another change does not hold it up");
    drop(joining);
    assert!(backend.is_whole());
    let at_once = EndpointState::joining(Arc::clone(&backend));
    at_once.start_slowly(Duration::ZERO, at(50));
    assert_eq!((at_once.share(), backend.is_whole()), (WHOLE, true));
}

#[test]
fn an_endpoint_that_was_ejected_takes_its_share_slowly() {
    let state = Arc::new(EndpointState::new(Arc::default()));
    let rules = rules(2, 50.0);
    state.start_slowly(at(9), at(0));
    state.judge_requests(Some(&rules.settings), at(0));
    assert_eq!(state.begin(Some(rules)).failed(at(5)), Some(Change::Ejected(at(10))));
    assert_eq!((state.tick(at(15)), state.share()), (Some(Change::BecameHealthy), 100));
    assert_eq!((state.tick(at(23)), state.share()), (None, 900));
}
