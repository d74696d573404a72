//! What is told of requests that were never sent.

use std::time::Duration;

use apigw_config::wire::{Resource, Revision, root_hash};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::*;
use crate::jwt::time::UnixTime;

const ROUTES: &str = r#"
auth: {mode: hmac, hmac_secret: "0123456789abcdef0123456789abcdef"}
routes:
  - {name: all, match: {path_prefix: /}, upstream: "http://h:1"}
  - name: users
    match: {path_prefix: /api/users/}
    upstream: "http://h:2/base"
    strip_prefix: /api
    auth_required: true
    auth: {required_scopes: [read]}
    rate_limit: {enabled: true, rps: 1, burst: 2, scope: user}
    concurrency: {max_in_flight: 3}
    circuit_breaker: {enabled: true, failure_threshold: 1, open_seconds: 1, half_open_max_in_flight: 1}
    timeouts: {total_seconds: 2.5, idle_seconds: 30}
  - {name: twin, match: {path_prefix: /api/users/}, upstream: "http://h:3"}
  - {name: shadowed, match: {path_prefix: /shadow}, upstream: "http://h:4", deny_cidrs: ["::/0", "0.0.0.0/0"], cidrs_mode: shadow}
  - {name: denied, match: {path_prefix: /denied}, upstream: "http://h:4", deny_cidrs: ["192.0.2.0/24"]}
"#;

fn snapshot() -> Snapshot {
    snapshot_of(ROUTES)
}

fn snapshot_of(text: &str) -> Snapshot {
    let config = apigw_config::read("test.yaml", text.as_bytes()).unwrap();
    let resources = apigw_config::wire::encode(&config).unwrap();
    let root_hash = root_hash(resources.iter().map(Resource::entry));
    Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, None).unwrap()
}

fn question(target: &str, claims: Option<Value>) -> Question {
    let request = Request::get(target).header("host", "h").body(()).unwrap();
    let caller = match claims {
        Some(claims) => Caller::Supposed {
            provider: "default".into(),
            claims: Claims::new(claims.as_object().unwrap().clone()),
        },
        None => Caller::Presented,
    };
    Question { head: request.into_parts().0.into(), client: [192, 0, 2, 1].into(), caller }
}

fn at_rest(snapshot: &Snapshot) -> AtRest {
    AtRest::new(snapshot.settings(), UnixTime::new(Duration::ZERO))
}

fn verdicts(explanation: &Explanation) -> Vec<(&str, Verdict)> {
    explanation.steps.iter().map(|step| (step.policy, step.verdict)).collect()
}

#[test]
fn a_request_that_would_be_sent_shows_its_way() {
    let snapshot = snapshot();
    let claims = json!({"sub": "alice", "scope": "read"});
    let explained = explain(&snapshot, &question("/api/users/7?x=1", Some(claims)), &at_rest(&snapshot));
    assert_eq!(explained.refusal, None);
    assert_eq!((explained.route, explained.target.as_deref()), (Some(1), Some("/base/users/7?x=1")));
    let expected = [
        ("request", Verdict::Allow),
        ("path", Verdict::Allow),
        ("addresses", Verdict::Skip),
        ("route", Verdict::Allow),
        ("addresses", Verdict::Skip),
        ("cors", Verdict::Skip),
        ("head size", Verdict::Allow),
        ("auth", Verdict::Allow),
        ("rate_limit", Verdict::Allow),
        ("concurrency", Verdict::Allow),
        ("circuit_breaker", Verdict::Allow),
        ("timeouts", Verdict::Allow),
        ("retry", Verdict::Skip),
    ];
    assert_eq!(verdicts(&explained), expected);
    let limit = &explained.steps[8];
    assert_eq!(
        (limit.detail.as_str(), limit.path.as_str()),
        ("counted by user, 1 left after it, with a full bucket", "routes[1].rate_limit")
    );
}

#[test]
fn the_first_refusal_is_what_happens_and_the_others_are_told() {
    let snapshot = snapshot();
    let refused = |target: &str, claims: Option<Value>| {
        let explained = explain(&snapshot, &question(target, claims), &at_rest(&snapshot));
        explained.refusal
    };
    assert_eq!(refused("/api/users/7", None), Some((401, "jwt_missing")));
    assert_eq!(refused("/api/users/7", Some(json!({"sub": "a"}))), Some((403, "scope_missing")));
    assert_eq!(refused("/a%2fb", None), Some((400, "path_escaped_separator")));
    assert_eq!(refused("/denied/x", None), Some((403, "address_denied")));
}

#[test]
fn that_no_keys_are_fetched_here_is_told_as_no_fault_of_the_issuer() {
    let snapshot = snapshot_of(
        r#"
auth: {mode: jwks, jwks: {url: "http://i/keys", issuers: ["http://i"], audiences: [a], algorithms: [RS256]}}
routes:
  - {name: all, match: {path_prefix: /}, upstream: "http://h:1", auth_required: true}
"#,
    );
    let mut question = question("/", None);
    let claims = r#"{"iss":"http://i","aud":"a","sub":"x","exp":9999999999}"#;
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let token =
        format!("{}.{}.{}", part(br#"{"alg":"RS256","kid":"k"}"#), part(claims.as_bytes()), part(&[7; 256]));
    question.head.headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let explained = explain(&snapshot, &question, &at_rest(&snapshot));
    assert_eq!(explained.refusal, Some((401, "jwt_keys_unavailable")));
    let detail = &explained.steps[7].detail;
    assert!(
        detail.starts_with("only data planes fetch keys, so nothing is known of this token here"),
        "{detail}"
    );
}

#[test]
fn a_shadow_is_told_and_refuses_nothing() {
    let snapshot = snapshot();
    let explained = explain(&snapshot, &question("/shadow", None), &at_rest(&snapshot));
    assert_eq!(explained.refusal, None);
    assert!(verdicts(&explained).contains(&("addresses", Verdict::Deny("address_denied"))));
}

#[test]
fn routes_that_lose_are_named_with_their_reason() {
    let snapshot = snapshot();
    let misses = |target: &str| {
        let explained = explain(&snapshot, &question(target, None), &at_rest(&snapshot));
        explained.near_misses.into_iter().map(|miss| miss.route + ": " + &miss.reason).collect::<Vec<_>>()
    };
    assert_eq!(
        misses("/api/users/7"),
        [
            "all: its prefix / matches; that of users is longer",
            "twin: users has the same prefix and stands before it in the file",
        ]
    );
    assert_eq!(
        misses("/api/users"),
        [
            "users: its prefix /api/users/ matches only what is beneath it; /api/users ends before the slash",
            "twin: its prefix /api/users/ matches only what is beneath it; /api/users ends before the slash",
        ]
    );
    assert_eq!(misses("/Denied"), ["denied: its prefix /denied differs in upper and lower case"]);
    assert_eq!(misses("/shadows"), ["shadowed: its prefix /shadow ends within a segment of the path"]);
}

#[test]
fn the_state_of_what_runs_decides_where_it_is_known() {
    struct Busy;
    impl Live for Busy {
        fn verify(&self, _: &Snapshot, _: &str, _: &Accepted) -> Result<Verified, JwtError> {
            Err(JwtError::KeysUnavailable)
        }
        fn find_key(&self, _: &[u8]) -> Option<Result<Arc<Vouched>, ApiKeyError>> {
            None
        }
        fn find_user(&self, _: basic::Credentials) -> Option<Result<Arc<Vouched>, BasicError>> {
            None
        }
        fn count(&self, key: &BucketKey<'_>) -> Option<Decision> {
            let drawn = (0..2).fold(crate::rate_limit::Tat::default(), |tat, _| {
                key.quota.decide(tat, Duration::ZERO).new_tat
            });
            Some(key.quota.decide(drawn, Duration::ZERO))
        }
        fn in_flight(&self, _: &Route<'_>) -> Option<u64> {
            Some(3)
        }
        fn breaker(&self, route: &Route<'_>) -> Option<BreakerState> {
            let breaker = route.policies.breaker.as_ref()?.rules();
            crate::policies::admit_call(breaker, Duration::ZERO).ok()?.failed(Duration::ZERO);
            Some(breaker.state(Duration::ZERO))
        }
    }
    let claims = json!({"sub": "alice", "scope": "read"});
    let explained = explain(&snapshot(), &question("/api/users/7", Some(claims)), &Busy);
    assert_eq!(explained.refusal, Some((429, "rate_limited")));
    let denied = verdicts(&explained).into_iter().filter_map(|(policy, verdict)| match verdict {
        Verdict::Deny(reason) => Some((policy, reason)),
        _ => None,
    });
    let expected =
        [("rate_limit", "rate_limited"), ("concurrency", "too_busy"), ("circuit_breaker", "breaker_open")];
    assert_eq!(denied.collect::<Vec<_>>(), expected);
}

#[test]
fn a_token_of_a_shared_secret_is_judged_without_a_server() {
    let snapshot = snapshot();
    let refusal = |secret: &[u8], expires: u64| {
        let claims = json!({"sub": "alice", "scope": "read", "exp": expires});
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
        let mut question = question("/api/users/7", None);
        question.head.headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let live = AtRest::new(snapshot.settings(), UnixTime::new(Duration::from_secs(1_000)));
        explain(&snapshot, &question, &live).refusal
    };
    let secret = b"0123456789abcdef0123456789abcdef";
    assert_eq!(refusal(secret, 2_000), None);
    assert_eq!(refusal(secret, 900), Some((401, "jwt_expired")));
    assert_eq!(refusal(b"another secret, of thirty-two bytes", 2_000), Some((401, "jwt_signature")));
}
