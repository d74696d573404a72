//! Differences as people and scripts see them, and the property that none is missed.

use apigw_proto::v1;
use proptest::prelude::*;

use super::*;
use crate::{
    model::Route,
    samples::any_config,
    wire::{Resource, encode, root_hash},
};

const BASE: &str = "\
auth: { mode: hmac, hmac_secret: first }
routes:
  - { name: users, match: { path_prefix: /users }, upstream: \"http://127.0.0.1:1\", auth_required: true }
  - { name: orders, match: { path_prefix: /orders }, upstream: \"http://127.0.0.1:2\",
      rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip } }
";

fn config(text: &str) -> GatewayConfig {
    crate::read("g.yaml", text.as_bytes()).unwrap()
}

fn differences(before: &str, after: &str) -> Vec<String> {
    changes(&config(before), &config(after)).iter().map(ToString::to_string).collect()
}

/// What an edit of the base changes.
fn edited(from: &str, to: &str) -> Vec<String> {
    assert!(BASE.contains(from), "{from:?}");
    differences(BASE, &BASE.replace(from, to))
}

#[test]
fn each_change_is_told_by_its_key() {
    for (from, to, expected) in [
        ("rps: 5", "rps: 50", "route orders: rate_limit.rps 5 -> 50"),
        ("scope: ip", "scope: ip, mode: shadow", "route orders: rate_limit.mode enforce -> shadow"),
        (", auth_required: true", "", "route users: auth_required true -> false"),
        ("path_prefix: /users", "path_prefix: /u", "route users: match.path_prefix /users -> /u"),
        ("127.0.0.1:2", "127.0.0.1:3", "route orders: upstream http://127.0.0.1:2 -> http://127.0.0.1:3"),
        (
            "required: true",
            "required: true, concurrency: { max_in_flight: 3 }",
            "route users: concurrency added (max_in_flight 3, mode enforce)",
        ),
        ("routes:", "server: { max_body_bytes: 7 }\nroutes:", "server.max_body_bytes 1048576 -> 7"),
        ("routes:", "admin: { addr: \"127.0.0.1:1\" }\nroutes:", "admin added (addr 127.0.0.1:1)"),
        (
            "routes:",
            "tracing: { otlp_endpoint: \"http://c:4317\" }\nroutes:",
            "tracing added (otlp_endpoint http://c:4317, sample_ratio 1)",
        ),
    ] {
        assert_eq!(edited(from, to), [expected]);
    }
}

#[test]
fn a_section_that_goes_is_one_change() {
    let limit = ",\n      rate_limit: { enabled: true, rps: 5, burst: 10, scope: ip }";
    assert_eq!(edited(limit, ""), ["route orders: rate_limit removed"]);
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let (before, after) = (config(BASE), config(&BASE.replace("first", "second")));
    let changes = changes(&before, &after);
    assert_eq!(changes[0].to_string(), "provider default: hmac_secret (secret) changed");
    let json = serde_json::to_string(&changes).unwrap();
    assert_eq!(
        json,
        r#"[{"kind":"provider","name":"default","path":"hmac_secret","from":"(secret)","to":"(secret)"}]"#
    );
    assert!(!format!("{changes:?}").contains("second"));
}

#[test]
fn routes_come_and_go_as_a_whole() {
    let other = "  - { name: other, match: { path_prefix: /o }, upstream: \"http://h\" }\n";
    let added = "route other added (auth_required false, match.path_prefix /o, upstream http://h)";
    assert_eq!(differences(BASE, &format!("{BASE}{other}")), [added]);
    assert_eq!(differences(&format!("{BASE}{other}"), BASE), ["route other removed"]);
}

#[test]
fn a_new_order_is_one_change_of_those_that_moved() {
    let file = |names: &[&str]| {
        let route = |name: &&str| {
            format!("- {{ name: {name}, match: {{ path_prefix: / }}, upstream: \"http://h\" }}\n")
        };
        format!("routes:\n{}", names.iter().map(route).collect::<String>())
    };
    assert_eq!(
        differences(&file(&["a", "b", "c", "d"]), &file(&["a", "c", "b", "d"])),
        ["order of routes: [b, c] -> [c, b]"]
    );
    assert_eq!(differences(&file(&["a", "b"]), &file(&["b"])), ["route a removed"]);
    let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = file(&names);
    names.rotate_left(1);
    let told = differences(&before, &file(&names));
    assert!(told[0].contains("12 more"), "{told:?}");
}

fn hash(config: &GatewayConfig) -> crate::wire::Hash {
    let resources = encode(config).unwrap();
    root_hash(resources.iter().map(Resource::entry))
}

/// The settings of one and the routes of the other, where that is legal.
fn mixed(settings: &GatewayConfig, routes: &GatewayConfig) -> Option<GatewayConfig> {
    let backends = routes.backends().iter().map(|backend| crate::model::Backend::clone(backend)).collect();
    GatewayConfig::with_backends(settings.settings().clone(), backends, routes.routes().cloned().collect())
        .ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn there_is_a_difference_exactly_where_the_hashes_differ(a in any_config(), b in any_config()) {
        for other in [Some(a.clone()), Some(b.clone()), mixed(&a, &b), mixed(&b, &a)] {
            let Some(other) = other else { continue };
            prop_assert_eq!(changes(&a, &other).is_empty(), hash(&a) == hash(&other));
        }
    }

    #[test]
    fn what_differs_in_one_part_only_has_a_key_of_its_own(a in any_config(), b in any_config()) {
        for (one, other) in a.routes().zip(b.routes()) {
            for part in 0..ROUTE_PARTS {
                let mixed = with_part_of(one, other, part);
                let keys_differ = Keys::from(one).into_map() != Keys::from(&mixed).into_map();
                prop_assert_eq!(keys_differ, v1::Route::from(one) != v1::Route::from(&mixed), "part {}", part);
            }
        }
    }
}

const ROUTE_PARTS: usize = 13;

/// A route with one part of another.
fn with_part_of(one: &Route, other: &Route, part: usize) -> Route {
    let (mut route, other) = (one.clone(), other.clone());
    match part {
        0 => route.matches = other.matches,
        1 => route.destination = other.destination,
        2 => route.path_change = other.path_change,
        3 => route.address_lists = other.address_lists,
        4 => route.auth_required = other.auth_required,
        5 => route.auth = other.auth,
        6 => route.rate_limit = other.rate_limit,
        7 => route.concurrency = other.concurrency,
        8 => route.circuit_breaker = other.circuit_breaker,
        10 => route.request_headers = other.request_headers,
        11 => route.response_headers = other.response_headers,
        9 => route.cors = other.cors,
        _ => (route.max_header_bytes, route.max_body_bytes) = (other.max_header_bytes, other.max_body_bytes),
    }
    route
}
