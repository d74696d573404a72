//! Bounds, times and keys of what is remembered.

use std::sync::Arc;

use apigw_config::{
    model::{ExternalAuth, ServiceFailure},
    names::{ForwardedHeader, Period, UpstreamUrl},
};
use http::StatusCode;

use super::*;
use crate::snapshot::Upstream;

const NO_LIMIT: CacheLimits = CacheLimits { entries: usize::MAX, bytes: usize::MAX };
const NOW: Duration = Duration::from_secs(100);
const LATER: Duration = Duration::from_secs(110);
const JUST_BEFORE: Duration = Duration::new(109, 999_999_999);

fn service(answers: u64, ignore: &[&str]) -> Service {
    let url = UpstreamUrl::new("http://auth/check").unwrap();
    let ignore = ignore.iter().map(|word| word.parse().unwrap()).collect();
    let config = ExternalAuth {
        timeout: ExternalAuth::DEFAULT_TIMEOUT,
        request_headers: ExternalAuth::default_request_headers(),
        forward_headers: vec![ForwardedHeader::new("x-group").unwrap()],
        user_header: Some("x-user".parse().unwrap()),
        on_failure: ServiceFailure::Deny,
        cache: Some(ServiceCache { ttl: Period::seconds(10), ignore }),
        url,
    };
    let upstream = Arc::new(Upstream::of(&config.url));
    Service::new(&config, upstream, AnswersId(answers))
}

fn fields(fields: &[(&str, &str)]) -> Fields {
    let parse = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
    fields.iter().map(parse).collect()
}

fn answers(limits: CacheLimits) -> ServiceAnswers {
    ServiceAnswers::new(limits, Some(hmac::Key::new(hmac::HMAC_SHA256, b"a key of this process")))
}

fn approval(name: &str, group: &str) -> Approval {
    service(1, &[]).judge(StatusCode::OK, &fields(&[("x-user", name), ("x-group", group)])).unwrap()
}

fn question(number: u16) -> QuestionKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_le_bytes());
    QuestionKey(bytes)
}

/// Those of so many questions that are remembered.
fn remembered(answers: &ServiceAnswers, count: u16) -> Vec<u16> {
    (0..count).filter(|number| answers.recall(question(*number), NOW).is_some()).collect()
}

const ASKED: [(&str, &str); 8] = [
    ("host", "auth"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-host", "api.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-method", "GET"),
    ("x-forwarded-uri", "/a?b=c"),
    ("authorization", "Bearer a"),
    ("cookie", "a=b"),
];

fn key(service: &Service, changed: &[(&str, &str)]) -> QuestionKey {
    let value = |name, value| changed.iter().find(|(other, _)| *other == name).map_or(value, |other| other.1);
    let mut told: Vec<_> = ASKED.iter().map(|(name, old)| (*name, value(*name, *old))).collect();
    told.extend(changed.iter().filter(|(name, _)| ASKED.iter().all(|(other, _)| other != name)));
    answers(NO_LIMIT).key_of(service, &fields(&told)).unwrap()
}

#[test]
fn whatever_a_service_is_told_tells_questions_apart() {
    let usual = key(&service(1, &[]), &[]);
    for changed in [
        ("x-forwarded-for", "192.0.2.2"),
        ("x-forwarded-host", "other.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/a?b=d"),
        ("x-forwarded-uri", "/ab=c"),
        ("x-forwarded-uri", "/a"),
        ("authorization", "Bearer b"),
        ("cookie", "a=c"),
        ("x-more", ""),
    ] {
        assert_ne!(key(&service(1, &[]), &[changed]), usual, "{changed:?}");
    }
    assert_ne!(key(&service(2, &[]), &[]), usual, "of another route, or of another service");
    for same in [("x-request-id", "a"), ("traceparent", "b"), ("tracestate", "c"), ("host", "d")] {
        assert_eq!(key(&service(1, &[]), &[same]), usual, "{same:?}");
    }
    let mut turned = ASKED;
    turned.reverse();
    assert_eq!(answers(NO_LIMIT).key_of(&service(1, &[]), &fields(&turned)), Some(usual));
    assert_eq!(format!("{usual:?}"), "[question]");
}

#[test]
fn what_the_file_ignores_tells_nothing_apart_and_nothing_else_is_ignored() {
    for (word, changed) in [
        ("method", ("x-forwarded-method", "POST")),
        ("host", ("x-forwarded-host", "other.example")),
        ("path", ("x-forwarded-uri", "/d?b=c")),
        ("query", ("x-forwarded-uri", "/a?b=d")),
        ("client_ip", ("x-forwarded-for", "192.0.2.2")),
    ] {
        for part in QuestionPart::ALL {
            let service = service(1, &[part.as_str()]);
            let is_same = key(&service, &[changed]) == key(&service, &[]);
            assert_eq!(is_same, part.as_str() == word, "{part:?} {changed:?}");
        }
    }
}

#[test]
fn without_a_key_of_the_process_nothing_is_remembered() {
    let answers = ServiceAnswers::new(NO_LIMIT, None);
    assert_eq!(answers.key_of(&service(1, &[]), &fields(&ASKED)), None);
}

#[test]
fn a_yes_holds_until_its_time_is_over() {
    let mut answers = answers(NO_LIMIT);
    answers.remember(question(1), &approval("alice", "a"), LATER);
    let known = answers.recall(question(1), JUST_BEFORE).unwrap();
    assert_eq!(known.caller.claims().subject(), Some("alice"));
    assert_eq!(Fields::from_iter(known.told), fields(&[("x-group", "a")]));
    assert!(answers.recall(question(1), LATER).is_none());
    assert!(answers.recall(question(2), NOW).is_none());
}

#[test]
fn one_answer_more_than_may_be_is_remembered_in_place_of_the_oldest() {
    let mut answers = answers(CacheLimits { entries: 3, ..NO_LIMIT });
    for number in 0..3 {
        answers.remember(question(number), &approval("a", "a"), LATER);
    }
    assert_eq!(remembered(&answers, 5), [0, 1, 2]);
    // What is given anew is the youngest.
    answers.remember(question(0), &approval("a", "a"), LATER);
    assert_eq!(remembered(&answers, 5), [0, 1, 2]);
    answers.remember(question(3), &approval("a", "a"), LATER);
    assert_eq!(remembered(&answers, 5), [0, 2, 3]);
    answers.remember(question(4), &approval("a", "a"), LATER);
    assert_eq!((remembered(&answers, 5), answers.in_order.len()), (vec![0, 3, 4], 3));
}

#[test]
fn one_byte_more_than_may_be_costs_the_oldest() {
    let small = approval("a", "a");
    let mut answers = answers(NO_LIMIT);
    answers.remember(question(0), &small, LATER);
    let bytes = answers.bytes;
    answers.limits.bytes = 2 * bytes;
    answers.remember(question(1), &small, LATER);
    assert_eq!((remembered(&answers, 3), answers.bytes), (vec![0, 1], 2 * bytes));
    answers.remember(question(1), &approval("a", "aa"), LATER);
    assert_eq!((remembered(&answers, 3), answers.bytes), (vec![1], bytes + 1));
    // One that finds no room alone pushes out nobody.
    answers.remember(question(2), &approval("a", &"a".repeat(2 * bytes)), LATER);
    assert_eq!((remembered(&answers, 3), answers.bytes), (vec![1], bytes + 1));
}

#[test]
fn a_service_may_say_that_its_yes_holds_shorter() {
    let lifetime = |value: &str| {
        let lifetime = service(1, &[]).lifetime(&fields(&[("cache-control", value)]));
        lifetime.map(|lifetime| lifetime.as_secs())
    };
    assert_eq!(service(1, &[]).lifetime(&Fields::new()), Some(Duration::from_secs(10)));
    for (value, expected) in [
        ("private", Some(10)),
        ("max-age=60", Some(10)),
        ("max-age=99999999999999999999", Some(10)),
        ("private, Max-Age=3", Some(3)),
        ("max-age=\"4\", s-maxage=2", Some(2)),
        ("max-age=0", None),
        ("max-age", None),
        ("max-age=soon", None),
        ("private, no-store", None),
        ("No-Cache", None),
        ("no-cache=\"set-cookie\"", None),
    ] {
        assert_eq!(lifetime(value), expected, "{value}");
    }
}
