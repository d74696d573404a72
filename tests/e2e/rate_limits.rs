//! Rate limits, counted by one data plane. The rates are so low that no token comes back while a test runs.

use std::time::Duration;

use apigw_tests::{
    client::{self, Response},
    configuration::Document,
    gateway::Gateway,
    issuer::bearer,
    load::at_once,
    origin::Origin,
    tokens::{Claims, hs256, hs256_of, unix_seconds},
};
use serde_json::json;

const SECRET: &str = "a secret of thirty-two bytes, or more";

/// A file that believes X-Forwarded-For and knows callers by tokens.
fn document() -> Document {
    Document::new()
        .server("trusted_proxies: [\"127.0.0.1/32\"]")
        .auth("mode: hmac")
        .auth(&format!("hmac_secret: \"{SECRET}\""))
}

fn limit(burst: u32, scope: &str) -> String {
    format!("rate_limit: {{ enabled: true, rps: 0.01, burst: {burst}, scope: \"{scope}\" }}")
}

/// A gateway with one route under a limit.
fn limited(origin: &Origin, burst: u32, scope: &str) -> Gateway {
    Gateway::with_key(document().route("all", "/", origin.url()).with(&limit(burst, scope)))
}

fn user(subject: &str) -> String {
    let lifetime = Duration::from_mins(10);
    bearer(&hs256(SECRET, Claims { subject, issuer: None, audience: None, lifetime }))
}

fn ask(gateway: &Gateway, path: &str, fields: &str) -> Response {
    client::get_with(gateway.address(), path, fields)
}

/// How many requests with these fields are admitted until one is refused.
fn admitted(gateway: &Gateway, path: &str, fields: &str) -> usize {
    (0..100).take_while(|_| ask(gateway, path, fields).status() == 200).count()
}

#[test]
fn burst_passes_and_the_next_request_is_told_when_to_come_again() {
    let origin = Origin::saying("in");
    let gateway = limited(&origin, 3, "ip");
    for remaining in [Some("2"), Some("1"), None] {
        let answer = ask(&gateway, "/", "");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.field("x-ratelimit-route"), Some("all"));
        assert_eq!(answer.field("x-ratelimit-scope"), Some("ip"));
        assert_eq!(answer.field("x-ratelimit-limit-rps"), Some("0.01"));
        assert_eq!(answer.field("x-ratelimit-burst"), Some("3"));
        assert_eq!(answer.field("x-ratelimit-remaining"), remaining);
        assert_eq!(answer.field("x-ratelimit-reset"), None);
        assert_eq!(answer.field("retry-after"), None);
        assert_eq!(answer.field("ratelimit-policy"), Some("\"all\";q=3;w=300"));
        let left = format!("\"all\";r={};", remaining.unwrap_or("0"));
        assert!(answer.field("ratelimit").is_some_and(|field| field.starts_with(&left)), "{answer:?}");
    }
    let answer = ask(&gateway, "/", "X-Request-Id: fourth\r\n");
    assert_eq!((answer.status(), answer.field("content-type")), (429, Some("application/json")));
    let seconds: u64 = answer.field("retry-after").and_then(|text| text.parse().ok()).expect("a Retry-After");
    assert!((1..=100).contains(&seconds), "a token comes every 100 s, not after {seconds}");
    let body = format!(
        "{{\"error\":\"rate_limited\",\"route\":\"all\",\"scope\":\"ip\",\"retry_after_seconds\":{seconds},\"request_id\":\"fourth\"}}"
    );
    assert_eq!(answer.text(), body);
    let reset: u64 = answer.field("x-ratelimit-reset").and_then(|text| text.parse().ok()).expect("a reset");
    assert!(reset.abs_diff(unix_seconds() + seconds) <= 60, "{reset} is not {seconds} s from now");
    assert_eq!(answer.field("x-ratelimit-remaining"), None);
    assert_eq!(gateway.data_plane.access("fourth")["why"], "rate_limited");
    assert_eq!(origin.requests().len(), 3, "the fourth reached the upstream");
    let metrics = gateway.data_plane.metrics();
    let refused = metrics.count("apigw_rejections_total", &[("route", "all"), ("reason", "rate_limited")]);
    assert_eq!((refused, metrics.count("apigw_rate_limit_keys", &[])), (1, 1));
}

#[test]
fn clients_at_once_get_what_one_would() {
    let origin = Origin::saying("in");
    let gateway = limited(&origin, 50, "ip");
    let statuses = at_once(10, |_| {
        let mut connection = client::Connection::open(gateway.address());
        [(); 20].map(|()| connection.get("/").status())
    });
    let statuses = statuses.concat();
    let count = |status| statuses.iter().filter(|&&other| other == status).count();
    assert_eq!((count(200), count(429)), (50, 150));
}

#[test]
fn those_whom_the_scope_tells_apart_do_not_share() {
    let origin = Origin::saying("in");
    let tenant = |tenant: &str| {
        let claims = json!({"sub": "alice", "tenant": tenant, "exp": unix_seconds() + 600});
        bearer(&hs256_of(SECRET.as_bytes(), &json!({"alg": "HS256"}), &claims))
    };
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    // A scope, one caller, the same caller in another guise, and another caller.
    let check = |scope: &str, one: String, guise: String, other: String| {
        let file = document().route("all", "/", origin.url()).with(&limit(2, scope));
        let with_tokens = scope == "user" || scope.starts_with("claim:");
        let gateway = Gateway::standalone(if with_tokens { file.with("auth_required: true") } else { file });
        assert_eq!(ask(&gateway, "/", &one).field("x-ratelimit-scope"), Some(scope));
        assert_eq!(admitted(&gateway, "/", &guise), 1, "{scope}: the same caller has a second bucket");
        assert_eq!(admitted(&gateway, "/", &other), 2, "{scope}: another caller shares the bucket");
        assert_eq!(admitted(&gateway, "/", &one), 0, "{scope}");
    };
    check("ip", from("1.2.3.4"), from("6.6.6.6, 1.2.3.4"), from("1.2.3.5"));
    check("ip", from("2001:db8:1:2::1"), from("2001:db8:1:2:ffff::9"), from("2001:db8:1:3::1"));
    check(
        "user",
        from("1.2.3.4") + &user("alice"),
        from("1.2.3.5") + &user("alice"),
        from("1.2.3.4") + &user("bob"),
    );
    check(
        "header:x-api-key",
        "X-Api-Key: a\r\n".into(),
        "x-api-key: a\r\n".into(),
        "X-Api-Key: b\r\n".into(),
    );
    check("claim:tenant", tenant("a"), from("9.9.9.9") + &tenant("a"), tenant("b"));
}

#[test]
fn all_callers_of_a_route_share_where_the_scope_is_the_route() {
    let origin = Origin::saying("in");
    let gateway = limited(&origin, 4, "route");
    let from = |number: usize| format!("X-Forwarded-For: 1.2.3.{number}\r\n");
    let statuses: Vec<_> = (0..6).map(|number| ask(&gateway, "/", &from(number)).status()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    assert_eq!(ask(&gateway, "/", "").field("x-ratelimit-scope"), Some("route"));
}

#[test]
fn caller_without_what_the_scope_asks_for_is_known_by_his_address() {
    let origin = Origin::saying("in");
    for scope in ["user", "header:x-api-key", "claim:tenant"] {
        let gateway = limited(&origin, 1, scope);
        let answer = ask(&gateway, "/", "X-Forwarded-For: 1.2.3.4\r\n");
        assert_eq!((answer.status(), answer.field("x-ratelimit-scope")), (200, Some("ip")), "{scope}");
        let refused = ask(&gateway, "/", "X-Forwarded-For: 1.2.3.4\r\n");
        assert_eq!((refused.status(), &refused.json()["scope"]), (429, &json!("ip")), "{scope}");
        assert_eq!(ask(&gateway, "/", "X-Forwarded-For: 1.2.3.5\r\n").status(), 200, "{scope}");
    }
}

#[test]
fn refusals_before_the_limiter_tell_the_limit_and_use_nothing() {
    let origin = Origin::saying("in");
    let file = document().route("all", "/", origin.url()).with("auth_required: true").with(&limit(2, "user"));
    let gateway = Gateway::standalone(file);
    for fields in ["", "Authorization: Bearer forged.token.x\r\n", ""] {
        let answer = ask(&gateway, "/", fields);
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.field("x-ratelimit-route"), Some("all"));
        assert_eq!(answer.field("x-ratelimit-burst"), Some("2"));
        assert_eq!(answer.field("x-ratelimit-limit-rps"), Some("0.01"));
        assert_eq!(answer.field("x-ratelimit-remaining"), None);
        assert_eq!(answer.field("retry-after"), None);
    }
    assert_eq!(admitted(&gateway, "/", &user("alice")), 2);
}

#[test]
fn answers_behind_the_limiter_tell_what_remains() {
    let file = document().route("all", "/", "http://127.0.0.1:9").with(&limit(5, "ip"));
    let gateway = Gateway::standalone(file);
    let answer = ask(&gateway, "/", "");
    assert_eq!((answer.status(), answer.field("x-ratelimit-remaining")), (502, Some("4")));
}

#[test]
fn routes_do_not_share() {
    let origin = Origin::saying("in");
    let file = document()
        .route("one", "/one", origin.url())
        .with(&limit(2, "ip"))
        .route("two", "/two", origin.url())
        .with(&limit(3, "ip"))
        .route("free", "/free", origin.url());
    let gateway = Gateway::standalone(file);
    assert_eq!((admitted(&gateway, "/one", ""), admitted(&gateway, "/two", "")), (2, 3));
    assert_eq!(ask(&gateway, "/free", "").field("x-ratelimit-route"), None);
}

#[test]
fn what_was_used_stays_used_unless_the_limit_itself_is_edited() {
    let (origin, another) = (Origin::saying("in"), Origin::saying("in"));
    let gateway = limited(&origin, 2, "ip");
    assert_eq!(admitted(&gateway, "/", ""), 2);
    gateway.edit(&document().route("all", "/", origin.url()).with(&limit(2, "ip")), &another);
    assert_eq!(admitted(&gateway, "/", ""), 0, "another route was edited");
    gateway.edit(&document().route("all", "/", another.url()).with(&limit(2, "ip")), &another);
    assert_eq!(admitted(&gateway, "/", ""), 0, "the route's upstream was edited");
    gateway.edit(&document().route("all", "/", another.url()).with(&limit(3, "ip")), &another);
    assert_eq!(admitted(&gateway, "/", ""), 3, "the limit was edited");
}

#[test]
fn shadowed_limit_counts_and_lets_pass() {
    let origin = Origin::saying("in");
    let shadow = "rate_limit: { enabled: true, rps: 0.01, burst: 2, scope: ip, mode: shadow }";
    let gateway = Gateway::standalone(document().route("all", "/", origin.url()).with(shadow));
    for number in 0..5 {
        let id = format!("shadow-{number}");
        assert_eq!(ask(&gateway, "/", &format!("X-Request-Id: {id}\r\n")).status(), 200);
        let line = gateway.data_plane.access(&id);
        let told = line.get("shadow").and_then(|shadow| shadow.as_str());
        assert_eq!(told, (number >= 2).then_some("rate_limited"), "{line}");
    }
    let labels = [("route", "all"), ("reason", "rate_limited")];
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.count("apigw_shadow_rejections_total", &labels), 3);
    assert_eq!(metrics.count("apigw_rejections_total", &labels), 0);
}

#[test]
fn limit_that_is_off_counts_nothing() {
    let origin = Origin::saying("in");
    for off in [
        "enabled: false, rps: 0.01, burst: 1, scope: ip",
        "enabled: true, rps: 0.01, burst: 1, scope: ip, mode: \"off\"",
    ] {
        let file = document().route("all", "/", origin.url()).with(&format!("rate_limit: {{ {off} }}"));
        let gateway = Gateway::standalone(file);
        assert_eq!([(); 3].map(|()| ask(&gateway, "/", "").status()), [200; 3], "{off}");
        assert_eq!(ask(&gateway, "/", "").field("x-ratelimit-route"), None, "{off}");
    }
}
