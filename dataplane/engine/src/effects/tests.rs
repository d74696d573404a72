//! What is told of a change beforehand, held against what compiling it does.

use std::sync::Arc;

use apigw_config::wire::{self, Resource, Revision};

use super::{summary::openings, *};
use crate::Snapshot;

const BASE: &str = "\
auth: { providers: [ { name: staff, jwks: { url: \"http://127.0.0.1:9/keys\" } } ] }
routes:
  - { name: users, match: { path_prefix: /users }, upstream: \"http://127.0.0.1:1\", auth_required: true,
      circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 } }
  - { name: orders, match: { path_prefix: /orders }, upstream: \"http://127.0.0.1:2\", auth_required: true,
      rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip }, concurrency: { max_in_flight: 3 } }
";

fn config(text: &str) -> GatewayConfig {
    apigw_config::read("g.yaml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn edited(from: &str, to: &str) -> Effects {
    assert!(BASE.contains(from), "{from:?}");
    effects(&config(BASE), &config(&BASE.replace(from, to)))
}

fn check_resets(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(edited(from, to).resets, expected, "{from:?} -> {to:?}");
}

fn check_warnings(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(edited(from, to).warnings, expected, "{from:?} -> {to:?}");
}

#[test]
fn a_quota_or_a_scope_that_changes_fills_buckets() {
    let full = ["route orders: rate limit, every caller starts with a full burst"];
    check_resets("rps: 5", "rps: 50", &full);
    check_resets("burst: 10", "burst: 11", &full);
    check_resets("scope: ip", "scope: user", &full);
    check_resets("scope: ip", "scope: ip, mode: shadow", &[]);
    check_resets("/orders", "/o", &[]);
    check_resets("max_in_flight: 3", "max_in_flight: 4", &[]);
}

#[test]
fn where_limits_are_counted_matters_to_all() {
    let all = ["all rate limits: every caller starts with a full burst"];
    let with = |section: &str| format!("rate_limit: {section}\n{BASE}");
    let moved = |before: &str, after: &str| effects(&config(&with(before)), &config(&with(after))).resets;
    assert_eq!(moved("{}", "{ memory: { max_keys: 5000 } }"), all);
    assert_eq!(moved("{}", "{ memory: { ttl_seconds: 7 } }"), Vec::<String>::new());
    let redis = "{ backend: redis, redis: { addr: \"h:1\" } }";
    assert_eq!(moved("{}", redis), all);
    assert_eq!(moved(redis, "{ backend: redis, redis: { addr: \"h:2\" } }"), all);
    assert_eq!(moved(redis, "{ backend: redis, redis: { addr: \"h:1\", db: 3 } }"), all);
    assert_eq!(
        moved(redis, "{ backend: redis, redis: { addr: \"h:1\", on_failure: deny } }"),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_no_longer_demanded_of_callers_is_told() {
    let route = |demands: &str| {
        config(&format!(
            "auth: {{mode: hmac, hmac_secret: \"0123456789abcdef0123456789abcdef\"}}\nroutes:\n  - {{name: r, match: \
             {{path_prefix: /}}, upstream: http://h, auth_required: true, auth: {{{demands}}}}}\n"
        ))
    };
    let warned = |before: &str, after: &str| effects(&route(before), &route(after)).warnings;
    let strict = "required_scopes: [a, b], required_claims: {tier: gold}";
    let told = ["route r does not demand any more: the scope b, the claim tier as it was"];
    assert_eq!(warned(strict, "required_scopes: [a]"), told);
    assert_eq!(warned(strict, "required_scopes: [a], required_claims: {tier: tin}"), told);
    for stricter in [strict, "required_scopes: [b, c, a], required_claims: {tier: gold, x: y}"] {
        assert_eq!(warned(strict, stricter), Vec::<String>::new());
    }
}

#[test]
fn a_renamed_route_loses_all_its_state_and_is_not_removed() {
    let renamed = edited("name: users", "name: people");
    assert_eq!(renamed.resets, ["route users is now people: its limits, breaker and counters begin anew"]);
    assert_eq!(renamed.warnings, Vec::<String>::new());
}

#[test]
fn keys_are_fetched_anew_from_a_changed_provider() {
    check_resets("/keys", "/jwks", &["provider staff: its keys are fetched anew"]);
    check_resets("keys\" }", "keys\", issuers: [i] }", &[]);
}

#[test]
fn what_protects_less_is_warned_of() {
    check_warnings("1\", auth_required: true", "1\"", &["route users loses its auth"]);
    let shadow = "auth_required: true, auth: { mode: shadow },\n      rate";
    check_warnings(
        "auth_required: true,\n      rate",
        shadow,
        &["route orders: auth goes from enforce to shadow"],
    );
    check_warnings("{ enabled: true, rps", "{ enabled: false, rps", &["route orders loses its rate limit"]);
    check_warnings("max_in_flight: 3", "max_in_flight: 0", &["route orders loses its concurrency limit"]);
    check_warnings("rps: 5", "rps: 50", &[]);
    let gone = BASE.split("  - { name: orders").next().unwrap();
    assert_eq!(effects(&config(BASE), &config(gone)).warnings, ["route orders is removed"]);
}

#[test]
fn callers_who_were_not_let_in_before_are_warned_of() {
    let with = |auth: &str| {
        let files = "auth: { api_keys: { file: k }, basic: { file: u }, providers: [";
        let route = BASE.replace("auth: { providers: [", files);
        config(&route.replacen("auth_required: true", &format!("auth_required: true, auth: {{ {auth} }}"), 1))
    };
    let check = |before: &str, after: &str, expected: Option<&str>| {
        let warnings = effects(&with(before), &with(after)).warnings;
        let expected = expected.map(|ways| format!("route users takes callers by {ways}"));
        assert_eq!(warnings, Vec::from_iter(expected), "{before:?} -> {after:?}");
    };
    check("", "any: [jwt, api_key]", Some("any of jwt, api_key, before by jwt"));
    check("any: [jwt, api_key]", "", None);
    check("any: [jwt, api_key]", "all: [api_key, jwt]", None);
    check(
        "all: [api_key, jwt]",
        "any: [jwt, api_key]",
        Some("any of jwt, api_key, before by all of api_key, jwt"),
    );
    check("all: [api_key, jwt]", "all: [api_key]", Some("api_key, before by all of api_key, jwt"));
    check("any: [basic]", "all: [api_key, jwt]", Some("all of api_key, jwt, before by basic"));
    check("all: [basic]", "any: [basic]", None);
    check("any: [jwt], mode: shadow", "any: [api_key], mode: shadow", None);
    let service = "external: { url: http://a }";
    check("", &format!("any: [jwt, external], {service}"), Some("any of jwt, external, before by jwt"));
    check("", service, None);
    check(service, "", Some("jwt, before by jwt, then external"));
    check(&format!("all: [jwt, external], {service}"), service, None);
    check(service, &format!("all: [jwt, external], {service}"), None);
}

#[test]
fn certificates_that_were_not_let_in_before_are_warned_of() {
    let with = |more: &str, names: &str| {
        let auth = format!("auth: {{ any: [mtls], mtls: {{ {names} }}{more} }}");
        let tls = "server: { tls: { certificates: [{ cert_file: c, key_file: k }], \
                   client_auth: { mode: optional, ca_file: a } } }\n";
        let route = BASE.replacen("auth_required: true", &format!("auth_required: true, {auth}"), 1);
        config(&format!("{tls}{route}"))
    };
    let check = |before: &str, after: &str, expected: Option<&str>| {
        let warnings = effects(&with("", before), &with("", after)).warnings;
        let told = |names| format!("route users serves certificates that it did not: {names}");
        assert_eq!(warnings, Vec::from_iter(expected.map(told)), "{before:?} -> {after:?}");
    };
    check("dns_names: [a.b]", "dns_names: [a.b, c.b]", Some("c.b"));
    check("dns_names: [a.b]", "dns_names: [\"*.b\"]", Some("*.b"));
    check("dns_names: [\"*.b\"]", "dns_names: [a.b, \"*.c.b\"]", None);
    check("dns_names: [a.b, c.b]", "dns_names: [c.b]", None);
    check(
        "dns_names: [a.b]",
        "uris: [\"spiffe://a/*\"], common_names: [till]",
        Some("spiffe://a/* and 1 more"),
    );
    check("emails: [a@b]", "emails: [\"*@b\"]", Some("*@b"));
    let shadow = |names| with(", mode: shadow", names);
    assert!(effects(&shadow("dns_names: [a.b]"), &shadow("dns_names: [c.b]")).warnings.is_empty());
}

#[test]
fn sessions_are_forgotten_with_the_secret_or_the_name_of_their_cookie() {
    let with = |cookie: &str| {
        let backend = "backends: [{ name: pool, endpoints: [{ url: \"http://127.0.0.1:3\" }]";
        config(&format!("{backend}{cookie} }}]\n{BASE}"))
    };
    let cookie = |more: &str| with(&format!(", session_cookie: {{ {more} }}"));
    let usual = cookie("name: a, secret: 0123456789abcdef");
    let forgotten = ["backend pool: all sessions are forgotten"];
    let resets = |after: &GatewayConfig| effects(&usual, after).resets;
    assert_eq!(resets(&cookie("name: a, secret: 0123456789abcdeg")), forgotten);
    assert_eq!(resets(&cookie("name: b, secret: 0123456789abcdef")), forgotten);
    assert_eq!(resets(&with("")), forgotten);
    let none = Vec::<String>::new();
    assert_eq!(resets(&cookie("name: a, secret: 0123456789abcdef, ttl_seconds: 9")), none);
    assert_eq!(
        resets(&with(", session_cookie: { name: a, secret: 0123456789abcdef }, slow_start_seconds: 3")),
        none
    );
    assert_eq!(effects(&with(""), &usual).resets, none);
    assert!(!effects(&usual, &cookie("name: a, secret: 0123456789abcdeg")).resets[0].contains("0123456789"));
}

#[test]
fn requests_that_pass_unasked_are_warned_of() {
    let with = |on_failure: &str| {
        let auth = format!("auth: {{ external: {{ url: http://a, on_failure: {on_failure} }} }}");
        config(&BASE.replacen("auth_required: true", &format!("auth_required: true, {auth}"), 1))
    };
    let (denying, allowing) = (with("deny"), with("allow"));
    let told = "route users lets requests pass that the service says nothing of";
    assert_eq!(effects(&denying, &allowing).warnings, [told]);
    assert!(effects(&allowing, &denying).warnings.is_empty());
    assert!(effects(&allowing, &allowing).warnings.is_empty());
}

#[test]
fn breakers_that_start_closed_are_those_that_compiling_replaces() {
    for (from, to) in [
        ("failure_threshold: 5", "failure_threshold: 6"),
        ("open_seconds: 10", "open_seconds: 11"),
        ("half_open_max_in_flight: 1", "half_open_max_in_flight: 2"),
        ("half_open_max_in_flight: 1", "half_open_max_in_flight: 1, mode: shadow"),
        ("half_open_max_in_flight: 1", "half_open_max_in_flight: 1, failure_percent: 50"),
        ("path_prefix: /users", "path_prefix: /u"),
        ("127.0.0.1:1", "127.0.0.1:7"),
        ("rps: 5", "rps: 6"),
    ] {
        let (before, after) = (config(BASE), config(&BASE.replace(from, to)));
        let told = effects(&before, &after).resets.iter().any(|reset| reset.contains("starts closed"));
        let before = compile(before, None);
        let after = compile(after, Some(&before));
        let breaker = |snapshot: &Snapshot| {
            Arc::clone(
                snapshot
                    .routes()
                    .next()
                    .expect("there is a route")
                    .policies
                    .breaker
                    .as_ref()
                    .expect("there is one")
                    .rules(),
            )
        };
        let is_kept = Arc::ptr_eq(&breaker(&before), &breaker(&after));
        assert_eq!(told, !is_kept, "{from:?} -> {to:?}");
    }
}

fn compile(config: GatewayConfig, previous: Option<&Snapshot>) -> Snapshot {
    let resources = wire::encode(&config).unwrap();
    let root_hash = wire::root_hash(resources.iter().map(Resource::entry));
    Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, previous).unwrap()
}

fn summarised(after: &str) -> String {
    summary(Some(&config(BASE)), &config(after))
}

#[test]
fn a_small_change_is_its_own_summary() {
    assert_eq!(
        summarised(&BASE.replace("rps: 5", "rps: 50")),
        "route orders: rate_limit.rps 5 -> 50; 1 route's rate limit is loosened"
    );
    assert_eq!(summarised(BASE), "nothing");
    assert_eq!(summary(None, &config(BASE)), "first configuration, 2 routes");
}

#[test]
fn a_large_change_is_told_by_its_amount_and_what_it_opens() {
    let after = BASE.replace(", auth_required: true", "").replace("rps: 5, burst: 10", "rps: 50, burst: 100");
    let more = "  - { name: new, match: { path_prefix: /new }, upstream: \"http://127.0.0.1:3\" }\n";
    assert_eq!(
        summarised(&format!("{after}{more}")),
        "1 route added; 2 routes changed; 2 routes lose auth; 1 route's rate limit is loosened"
    );
}

#[test]
fn a_summary_is_one_short_line() {
    let long = BASE.replace("/users", &format!("/{}", "u".repeat(300)));
    let summary = summary(Some(&config(BASE)), &config(&long));
    assert_eq!(summary.chars().count(), 240);
    assert!(summary.ends_with("..."), "{summary}");
}

#[test]
fn what_is_tightened_opens_nothing() {
    let tighter = BASE.replace("rps: 5", "rps: 1").replace("max_in_flight: 3", "max_in_flight: 1");
    assert_eq!(openings(&config(BASE), &config(&tighter)), Vec::<String>::new());
}
