//! Which keys of a file require which features.

use super::*;

/// The features of a file with these top-level sections, one route and these keys in it.
fn required_by(sections: &str, keys: &str) -> Vec<&'static str> {
    let route = "routes:\n- name: a\n  match: { path_prefix: / }\n  upstream: http://127.0.0.1:1\n";
    of_file(format!("{sections}\n{route}{keys}\n").as_bytes())
}

fn of_file(text: &[u8]) -> Vec<&'static str> {
    let config = crate::read("gateway.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    required(&config).into_iter().map(Feature::name).collect()
}

#[test]
fn what_every_build_enforces_requires_nothing() {
    let sections =
        "server: { max_body_bytes: 5, trusted_proxies: [127.0.0.1/32] }\nadmin: { addr: 127.0.0.1:9 }
rate_limit: { backend: memory, memory: { max_keys: 1000 } }";
    assert!(required_by(sections, "  strip_prefix: /a").is_empty());
    assert!(of_file(include_bytes!("../../../examples/minimal.yaml")).is_empty());
}

#[test]
fn each_policy_requires_its_feature() {
    let hmac = "auth: { mode: hmac, hmac_secret: 0123456789abcdef0123456789abcdef }";
    let breaker = "enabled: true, failure_threshold: 5, open_seconds: 1, half_open_max_in_flight: 1";
    let breaker_by_share = format!("  circuit_breaker: {{ {breaker}, failure_percent: 50 }}");
    let breaker = format!("  circuit_breaker: {{ {breaker} }}");
    let cases: [(&str, &str, &[&str]); 27] = [
        (hmac, "  auth_required: true", &["auth.providers"]),
        (hmac, "  auth_required: true\n  auth: { required_scopes: [a] }", &["auth.providers", "route.auth"]),
        ("auth: { api_keys: { file: k } }", "", &["auth.api_keys"]),
        (
            "auth: { basic: { file: u } }",
            "  auth_required: true\n  auth: { all: [basic] }",
            &["auth.basic", "route.auth", "route.auth.methods"],
        ),
        ("", "  rate_limit: { enabled: true, rps: 1, burst: 1, scope: user }", &["rate_limit"]),
        (
            "",
            "  rate_limit: { enabled: true, rps: 1, burst: 1, scope: route }",
            &["rate_limit", "rate_limit.scope"],
        ),
        (
            "rate_limit: { backend: redis, redis: { addr: h:1, password: p, db: 1 } }",
            "",
            &["rate_limit.redis"],
        ),
        (
            "rate_limit: { backend: redis, redis: { addr: h:1, on_failure: deny } }",
            "",
            &["rate_limit.redis", "rate_limit.redis_options"],
        ),
        ("", "  concurrency: { max_in_flight: 1 }", &["concurrency"]),
        ("", &breaker, &["circuit_breaker"]),
        ("", &breaker_by_share, &["circuit_breaker", "circuit_breaker.failure_rate"]),
        ("server: { deny_cidrs: [192.0.2.7] }", "", &["address_lists"]),
        ("tracing: { otlp_endpoint: 'http://h:4317' }", "", &["tracing"]),
        ("server: { proxy_protocol: { trusted: [192.0.2.7] } }", "", &["server.proxy_protocol"]),
        (
            "",
            "  auth_required: true\n  auth: { any: [external], external: { url: http://a } }",
            &["route.auth", "route.auth.methods", "route.auth.external"],
        ),
        (
            "server: { tls: { certificates: [{ cert_file: c, key_file: k }], client_auth: { mode: optional, ca_file: a } } }",
            "  auth_required: true\n  auth: { any: [mtls], mtls: { dns_names: [a] } }",
            &["route.auth", "route.auth.methods", "route.auth.mtls", "server.tls"],
        ),
        ("", "  allow_cidrs: [10.0.0.0/8]", &["address_lists"]),
        ("", "  request_headers: { remove: [x-a] }", &["route.headers"]),
        ("", "  response_headers: { set: { x-a: b } }", &["route.headers"]),
        ("", "  response_headers: { preset: security }", &["route.response_headers.preset"]),
        ("", "  compression: { enabled: true }", &["route.compression"]),
        ("", "  compression: { enabled: false }", &[]),
        ("", "  timeouts: { idle_seconds: 1 }", &["route.timeouts"]),
        ("", "  retry: { methods: [POST] }", &["route.retry"]),
        ("", "  rewrite: { prefix: /b }", &["route.rewrite"]),
        ("", "  cors: { allow_origins: [\"*\"] }", &["cors"]),
        ("", "  max_header_bytes: 1000\n  max_body_bytes: 1000", &["max_header_bytes", "max_body_bytes"]),
    ];
    for (sections, keys, expected) in cases {
        assert_eq!(required_by(sections, keys), expected, "{sections} {keys}");
    }
}

#[test]
fn answers_of_the_gateways_own_require_their_feature() {
    for key in ["redirect: { scheme: https }", "respond: { status: 204 }"] {
        let text = format!("routes: [{{ name: a, match: {{ path_prefix: / }}, {key} }}]");
        assert_eq!(of_file(text.as_bytes()), ["route.answers"], "{key}");
    }
}

#[test]
fn backends_require_their_features_used_or_not() {
    let backends = |keys: &str| format!("backends: [{{name: b, endpoints: [{{url: 'http://h'}}]{keys}}}]");
    assert_eq!(required_by(&backends(""), ""), ["backends"]);
    assert_eq!(required_by(&backends(", http2: true"), ""), ["backends", "backends.http2"]);
    let health = ", health: {active: {tcp: true}}";
    assert_eq!(required_by(&backends(health), ""), ["backends", "backends.health"]);
    let outlier = ", health: {outlier: {}}";
    assert_eq!(required_by(&backends(outlier), ""), ["backends", "backends.health.outlier"]);
    assert_eq!(required_by(&backends(", health: {}"), ""), ["backends"]);
    let drain = |drain: &str| {
        let other = format!("[{{url: 'http://other', drain: {drain}}}, {{url:");
        required_by(&backends("").replace("[{url:", &other), "")
    };
    assert_eq!(drain("true"), ["backends", "backends.endpoints.drain"]);
    assert_eq!(drain("false"), ["backends"]);
    let each = backends("").replace("'http://h'", "'http://h', each_address: true");
    assert_eq!(required_by(&each, ""), ["backends", "backends.endpoints.each_address"]);
    let slow_start = |seconds| required_by(&backends(&format!(", slow_start_seconds: {seconds}")), "");
    assert_eq!(slow_start("0.5"), ["backends", "backends.slow_start"]);
    assert_eq!(slow_start("0"), ["backends"]);
    let cookie = ", session_cookie: {name: s, secret: 0123456789abcdef}";
    assert_eq!(required_by(&backends(cookie), ""), ["backends", "backends.session_cookie"]);
}

#[test]
fn a_route_that_backends_share_requires_that_a_build_shares_it() {
    let route = "routes: [{ name: a, match: { path_prefix: / }, split: [{ backend: b }] }]";
    let text = format!("backends: [{{ name: b, endpoints: [{{ url: 'http://h' }}] }}]\n{route}");
    assert_eq!(of_file(text.as_bytes()), ["backends", "route.split"]);
    let mirrored = text.replace("split: [{ backend: b }]", "backend: b, mirror: { backend: b }");
    assert_eq!(of_file(mirrored.as_bytes()), ["backends", "route.mirror"]);
}

#[test]
fn each_option_of_redis_requires_its_feature() {
    let options = [
        "username: u, password: p",
        "cluster: true",
        "tls: true",
        "timeout_seconds: 1",
        "on_failure: allow",
        "key_prefix: other",
    ];
    for option in options {
        let section = format!("rate_limit: {{ backend: redis, redis: {{ addr: h:1, {option} }} }}");
        let required = required_by(&section, "");
        assert!(required.contains(&"rate_limit.redis_options"), "{option}: {required:?}");
    }
}

#[test]
fn a_route_that_is_chosen_by_more_than_a_prefix_requires_that_a_build_knows_it() {
    for text in
        ["hosts: [a]", "path: /a", "path_regex: /a", "path_prefix: /, query: [{name: a, absent: true}]"]
    {
        let file = format!("routes: [{{ name: a, upstream: http://h, match: {{ {text} }} }}]");
        assert_eq!(of_file(file.as_bytes()), ["route.match"], "{text}");
    }
}

#[test]
fn a_policy_that_is_off_requires_only_that_a_build_knows_modes() {
    let limit = |mode: &str| {
        let keys = format!(
            "  rate_limit: {{ enabled: true, rps: 1, burst: 1, scope: route, mode: {mode} }}\n  \
             concurrency: {{ max_in_flight: 1, mode: {mode} }}"
        );
        required_by("", &keys)
    };
    assert_eq!(limit("enforce"), ["rate_limit", "rate_limit.scope", "concurrency"]);
    assert_eq!(limit("shadow"), ["rate_limit", "rate_limit.scope", "concurrency", "policy_mode"]);
    assert_eq!(limit("off"), ["policy_mode"]);
}

#[test]
fn a_yes_that_is_remembered_requires_that_a_build_remembers_it() {
    let keys = "  auth_required: true
  auth: { any: [external], external: { url: http://a, cache: { ttl_seconds: 1 } } }";
    let expected = ["route.auth", "route.auth.methods", "route.auth.external", "route.auth.external.cache"];
    assert_eq!(required_by("", keys), expected);
}

#[test]
fn what_is_disabled_requires_nothing() {
    let disabled = "  rate_limit: { enabled: false, scope: route, mode: shadow }
  concurrency: { max_in_flight: 0, mode: shadow }
  circuit_breaker: { enabled: false, failure_percent: 50, mode: off }
  cidrs_mode: shadow";
    assert!(required_by("", disabled).is_empty());
}

#[test]
fn the_names_are_an_interface_and_this_build_knows_them_all() {
    let names = KNOWN.map(Feature::name);
    let expected = [
        "auth.providers",
        "auth.api_keys",
        "auth.basic",
        "route.auth",
        "route.auth.methods",
        "route.auth.external",
        "route.auth.external.cache",
        "route.auth.mtls",
        "rate_limit",
        "rate_limit.scope",
        "rate_limit.redis",
        "rate_limit.redis_options",
        "concurrency",
        "concurrency.adaptive",
        "circuit_breaker",
        "circuit_breaker.failure_rate",
        "address_lists",
        "cors",
        "max_header_bytes",
        "max_body_bytes",
        "server.tls",
        "server.tls.client_auth.forward",
        "server.proxy_protocol",
        "backends",
        "backends.http2",
        "backends.health",
        "backends.health.outlier",
        "backends.endpoints.drain",
        "backends.slow_start",
        "backends.endpoints.each_address",
        "backends.session_cookie",
        "route.split",
        "route.mirror",
        "policy_mode",
        "route.match",
        "route.headers",
        "route.response_headers.preset",
        "route.compression",
        "route.timeouts",
        "route.retry",
        "route.hedge",
        "route.answers",
        "route.rewrite",
        "tracing",
    ];
    assert_eq!(names, expected);
    assert!(names.into_iter().all(is_known));
    assert!(!is_known("time-travel"));
    for example in [
        &include_bytes!("../../../examples/everything.yaml")[..],
        include_bytes!("../../../examples/providers.yaml"),
        include_bytes!("../../../examples/config.example.yaml"),
    ] {
        assert!(of_file(example).into_iter().all(is_known));
    }
}
