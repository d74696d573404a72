//! Address lists, sizes, limits, breakers, CORS and their modes.

use super::{check, check_route, legal};
use crate::{
    model::{GatewayConfig, RateLimitBackend, RedisBackend, RedisTransport, Route},
    names::{ByteCount, HeaderName, MethodName, OriginPattern, PolicyMode},
};

/// A route with these keys, which begin in column 68.
fn route(keys: &str) -> String {
    format!("{{name: a, match: {{path_prefix: /}}, upstream: 'http://h', {keys}}}")
}

fn with(keys: &str) -> Route {
    legal(&format!("routes: [ {} ]", route(keys))).into_parts().2.remove(0)
}

fn sections(text: &str) -> GatewayConfig {
    legal(&format!("{text}\nroutes: [ {} ]", route("")))
}

#[test]
fn every_policy_has_its_own_mode() {
    let modes = |route: &Route| {
        let auth = route.auth.as_ref().map(|auth| auth.mode);
        let limit = route.rate_limit.as_ref().map(|limit| limit.mode());
        let breaker = route.circuit_breaker.as_ref().map(|breaker| breaker.mode());
        let cors = route.cors.as_ref().map(|cors| cors.mode);
        let lists = Some(route.address_lists.mode);
        [auth, limit, breaker, cors, lists, Some(route.concurrency.mode)]
    };
    let keys = [
        "auth: {M}",
        "rate_limit: {M}",
        "circuit_breaker: {M}",
        "cors: {allow_origins: ['*'], M}",
        "cidrs_mode: X",
        "concurrency: {M}",
    ];
    let all = |mode: &str| keys.join(", ").replace('M', &format!("mode: {mode}")).replace('X', mode);
    assert_eq!(modes(&with(&all(""))), [Some(PolicyMode::Enforce); 6]);
    for (place, key) in keys.iter().enumerate() {
        let changed = all("enforce").replace(
            &key.replace('M', "mode: enforce").replace('X', "enforce"),
            &key.replace('M', "mode: shadow").replace('X', "shadow"),
        );
        let mut expected = [Some(PolicyMode::Enforce); 6];
        expected[place] = Some(PolicyMode::Shadow);
        assert_eq!(modes(&with(&changed)), expected, "{changed}");
    }
    assert_eq!(sections("server: {cidrs_mode: off}").settings().server.address_lists.mode, PolicyMode::Off);
}

#[test]
fn a_mode_is_one_of_three_words() {
    let refused = |path: &str| format!("routes[0].{path}: must be one of enforce, shadow, off: \"on\"");
    check_route(&route("cidrs_mode: on"), &[&format!("80 {}", refused("cidrs_mode"))]);
    check_route(&route("auth: {mode: on}"), &[&format!("81 {}", refused("auth.mode"))]);
    check_route(&route("rate_limit: {mode: on}"), &[&format!("87 {}", refused("rate_limit.mode"))]);
    check_route(&route("concurrency: {mode: on}"), &[&format!("88 {}", refused("concurrency.mode"))]);
    check_route(&route("circuit_breaker: {mode: on}"), &[&format!("92 {}", refused("circuit_breaker.mode"))]);
    check_route(
        &route("cors: {mode: on}"),
        &["74 routes[0].cors.allow_origins: missing", &format!("81 {}", refused("cors.mode"))],
    );
    let expected = "g.yaml:1:22 server.cidrs_mode: must be one of enforce, shadow, off: \"false\"";
    check("server: {cidrs_mode: 'false'}", &[expected]);
}

#[test]
fn a_server_and_a_route_have_address_lists() {
    let lists = &with("allow_cidrs: [10.0.0.0/8, '::1'], deny_cidrs: [10.0.0.1]").address_lists;
    assert_eq!(lists.allow, ["10.0.0.0/8", "::1"].map(|text| text.parse().unwrap()));
    assert_eq!(lists.deny, ["10.0.0.1".parse().unwrap()]);
    let server = &sections("server: {allow_cidrs: [10.0.0.0/8], deny_cidrs: ['::/0']}");
    let lists = &server.settings().server.address_lists;
    assert_eq!((lists.allow.len(), lists.deny.len(), lists.mode), (1, 1, PolicyMode::Enforce));
    check_route(
        &route("allow_cidrs: 10.0.0.0/8, deny_cidrs: [10.0.0.0/8, x]"),
        &[
            "81 routes[0].allow_cidrs: expected a list, found the text \"10.0.0.0/8\"",
            r#"118 routes[0].deny_cidrs[1]: not an address range such as "10.0.0.0/8": "x""#,
        ],
    );
}

#[test]
fn limits_count_by_more_than_address_and_user() {
    let scope = |scope: &str| {
        let route = with(&format!("rate_limit: {{enabled: true, rps: 1, burst: 1, scope: '{scope}'}}"));
        route.rate_limit.unwrap().scope().unwrap().to_string()
    };
    for text in ["ip", "user", "route", "header:x-api-key", "claim:tenant", "claim:https://a.example/x"] {
        assert_eq!(scope(text), text);
    }
    assert_eq!(scope("header:X-Api-Key"), "header:x-api-key");
    let refused = |scope: &str, problem: &str| {
        check_route(
            &route(&format!("rate_limit: {{scope: '{scope}'}}")),
            &[&format!("88 routes[0].rate_limit.scope: {problem}")],
        );
    };
    refused("header:", "must not be empty");
    refused("header:a b", "not the name of a header: \"a b\"");
    refused("claim:", "must not be empty");
    refused("claim:a b", "contains ' '; only visible ASCII characters are allowed");
    refused("cookie:a", "must be one of ip, user, route, header:NAME, claim:NAME: \"cookie:a\"");
    refused("header", "must be one of ip, user, route, header:NAME, claim:NAME: \"header\"");
    refused("IP", "must be one of ip, user, route, header:NAME, claim:NAME: \"IP\"");
}

#[test]
fn a_breaker_may_judge_by_the_share_of_failures() {
    let enabled = "enabled: true, failure_threshold: 5, open_seconds: 1, half_open_max_in_flight: 1";
    let rate = |keys: &str| {
        let breaker = with(&format!("circuit_breaker: {{{enabled}, {keys}}}")).circuit_breaker.unwrap();
        breaker
            .failure_rate()
            .map(|rate| (rate.percent.get(), rate.window.micros(), rate.minimum_requests.get()))
    };
    assert_eq!(rate("failure_percent: 12.5"), Some((12.5, 10_000_000, 20)));
    assert_eq!(
        rate("failure_percent: 100, window_seconds: 0.5, minimum_requests: 1"),
        Some((100.0, 500_000, 1))
    );
    assert_eq!(rate("window_seconds: 5, minimum_requests: 7"), None);
    check_route(
        &route("circuit_breaker: {failure_percent: 0, window_seconds: 0, minimum_requests: 0}"),
        &[
            "103 routes[0].circuit_breaker.failure_percent: must be above 0 and at most 100",
            "122 routes[0].circuit_breaker.window_seconds: must be above 0 and at most 86400 seconds",
            "143 routes[0].circuit_breaker.minimum_requests: must be from 1 to 4294967295",
        ],
    );
    check_route(
        &route("circuit_breaker: {failure_percent: 100.5, minimum_requests: 4294967296}"),
        &[
            "103 routes[0].circuit_breaker.failure_percent: must be above 0 and at most 100",
            "128 routes[0].circuit_breaker.minimum_requests: must be from 1 to 4294967295",
        ],
    );
}

#[test]
fn a_share_of_failures_needs_no_threshold() {
    let enabled = "enabled: true, open_seconds: 1, half_open_max_in_flight: 1";
    let breaker =
        with(&format!("circuit_breaker: {{{enabled}, failure_percent: 50}}")).circuit_breaker.unwrap();
    assert_eq!((breaker.failure_threshold(), breaker.failure_rate().is_some()), (0, true));
    check_route(
        &route("circuit_breaker: {enabled: true, failure_percent: 50}"),
        &[
            "85 routes[0].circuit_breaker.open_seconds: must be above 0 and at most 86400 seconds while the breaker is enabled",
            "85 routes[0].circuit_breaker.half_open_max_in_flight: must be above 0 while the breaker is enabled",
        ],
    );
    check_route(
        &route(&format!("circuit_breaker: {{{enabled}, failure_percent: 0}}")),
        &["163 routes[0].circuit_breaker.failure_percent: must be above 0 and at most 100"],
    );
    check_route(
        &route(&format!("circuit_breaker: {{{enabled}, window_seconds: 0}}")),
        &[
            "85 routes[0].circuit_breaker.failure_threshold: must be above 0 while the breaker is enabled",
            "162 routes[0].circuit_breaker.window_seconds: must be above 0 and at most 86400 seconds",
        ],
    );
}

#[test]
fn cors_says_whose_pages_may_do_what() {
    let cors = with(
        "cors: {allow_origins: ['https://a.example', 'http://localhost:3000'], allow_methods: [PUT], \
         allow_headers: [X-A, authorization], max_age_seconds: 600}",
    );
    let cors = cors.cors.unwrap();
    let origins: Vec<_> = cors.allow_origins.as_slice().iter().map(OriginPattern::as_str).collect();
    assert_eq!(origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(cors.allow_methods.iter().map(MethodName::as_str).collect::<Vec<_>>(), ["PUT"]);
    assert_eq!(
        cors.allow_headers.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
        ["x-a", "authorization"]
    );
    assert_eq!(cors.max_age.micros(), 600_000_000);

    let least = with("cors: {allow_origins: ['*']}").cors.unwrap();
    assert_eq!((least.allow_methods.len(), least.allow_headers.len()), (0, 0));
    assert_eq!(least.max_age.micros(), 5_000_000);

    check_route(
        &route("cors: {allow_origins: [], allow_methods: [put], allow_headers: ['*'], max_age_seconds: -1}"),
        &[
            "90 routes[0].cors.allow_origins: must not be empty",
            "110 routes[0].cors.allow_methods[0]: not a method in capital letters: \"put\"",
            "132 routes[0].cors.allow_headers[0]: not the name of a header: \"*\"",
            "155 routes[0].cors.max_age_seconds: must be from 0 to 86400 seconds",
        ],
    );
    check_route(
        &route("cors: {allow_origins: ['*', 'https://a']}"),
        &["90 routes[0].cors.allow_origins: \"*\" allows every origin and stands alone"],
    );
}

#[test]
fn a_route_may_have_sizes_of_its_own() {
    let sizes = |keys: &str| {
        let route = with(keys);
        (route.max_header_bytes.map(ByteCount::get), route.max_body_bytes.map(ByteCount::get))
    };
    assert_eq!(
        sizes("max_header_bytes: 1048576, max_body_bytes: 9000000000"),
        (Some(1 << 20), Some(9_000_000_000))
    );
    assert_eq!(sizes(""), (None, None));
    let above = "routes[0].max_header_bytes: must not be above server.max_header_bytes, which is";
    check_route(&route("max_header_bytes: 1048577"), &[&format!("86 {above} 1048576")]);
    check_route(
        &route("max_header_bytes: 0, max_body_bytes: 0"),
        &[
            "86 routes[0].max_header_bytes: must be from 1 to 9007199254740992 bytes",
            "105 routes[0].max_body_bytes: must be from 1 to 9007199254740992 bytes",
        ],
    );
    let small = |server: &str| {
        super::problems(&format!(
            "server: {{max_header_bytes: {server}}}\nroutes: [ {} ]",
            route("max_header_bytes: 101")
        ))
    };
    assert_eq!(small("100"), [format!("g.yaml:2:86 {above} 100")]);
    assert_eq!(small("101"), [""; 0]);
    // What the server allows is not known then.
    assert_eq!(small("x").len(), 1);
}

#[test]
fn the_memory_of_limits_is_bounded() {
    let keys = |text: &str| match &sections(text).settings().rate_limit {
        RateLimitBackend::Memory(memory) => memory.max_keys.get(),
        RateLimitBackend::Redis(_) => panic!("memory is the default"),
    };
    assert_eq!(keys("rate_limit: {memory: {max_keys: 1000}}"), 1_000);
    assert_eq!(keys("rate_limit: {memory: {max_keys: 100000000}}"), 100_000_000);
    for keys in ["999", "100000001", "-1", "4294968296"] {
        let text = format!("rate_limit: {{memory: {{max_keys: {keys}}}}}");
        check(&text, &["g.yaml:1:33 rate_limit.memory.max_keys: must be from 1000 to 100000000"]);
    }
}

fn redis(keys: &str) -> RedisBackend {
    match &sections(&format!("rate_limit: {{backend: redis, redis: {{{keys}}}}}")).settings().rate_limit {
        RateLimitBackend::Redis(redis) => redis.clone(),
        RateLimitBackend::Memory(_) => panic!("it is redis"),
    }
}

#[test]
fn redis_is_one_server_or_a_cluster() {
    let addresses = |redis: &RedisBackend| {
        redis.servers.addresses().iter().map(|address| address.as_str().to_owned()).collect::<Vec<_>>()
    };
    let single = redis("addr: 'h:1', db: 3");
    assert_eq!(
        (addresses(&single), single.servers.database(), single.servers.is_cluster()),
        (vec!["h:1".into()], 3, false)
    );
    let listed = redis("addr: ['h:1']");
    assert!(!listed.servers.is_cluster());
    let cluster = redis("addr: ['h:1', 'h:2'], cluster: true");
    assert_eq!(addresses(&cluster), ["h:1", "h:2"]);
    assert_eq!((cluster.servers.database(), cluster.servers.is_cluster()), (0, true));
    assert!(redis("addr: 'h:1', cluster: true").servers.is_cluster());

    let refused = |keys: &str, expected: &str| {
        check(
            &format!("rate_limit: {{backend: redis, redis: {{{keys}}}}}"),
            &[&format!("g.yaml:1:{expected}")],
        );
    };
    refused(
        "addr: ['h:1', 'h:2']",
        "44 rate_limit.redis.addr: has several addresses, which needs \"cluster: true\"",
    );
    refused("addr: []", "44 rate_limit.redis.addr: must not be empty");
    refused("addr: [], cluster: true", "44 rate_limit.redis.addr: must not be empty");
    refused(
        "addr: 'h:1', cluster: true, db: 1",
        "70 rate_limit.redis.db: must be 0 with a cluster, which has no other",
    );
}

#[test]
fn with_redis_the_memory_is_for_when_it_fails() {
    let config = sections("rate_limit: {backend: redis, redis: {addr: 'h:1'}, memory: {max_keys: 5000}}");
    let RateLimitBackend::Redis(redis) = &config.settings().rate_limit else { panic!("it is redis") };
    assert_eq!(redis.local_max_keys.get(), 5_000);
}

#[test]
fn redis_has_credentials_transport_and_a_deadline() {
    let redis = redis(
        "addr: 'h:1', username: u, password: p, tls: true, timeout_seconds: 0.02, on_failure: deny, key_prefix: 'a:b'",
    );
    let credentials = redis.credentials.unwrap();
    assert_eq!((credentials.username.as_deref(), credentials.password.reveal()), (Some("u"), "p"));
    assert_eq!((redis.transport, redis.timeout.micros()), (RedisTransport::Tls, 20_000));
    assert_eq!((redis.on_failure.as_str(), redis.key_prefix.as_str()), ("deny", "a:b"));
    check(
        "rate_limit: {redis: {addr: 'h:1', username: u, timeout_seconds: 0, on_failure: retry, key_prefix: '{a}', tls: 1}}",
        &[
            "g.yaml:1:21 rate_limit.redis.password: missing",
            "g.yaml:1:65 rate_limit.redis.timeout_seconds: must be above 0 and at most 86400 seconds",
            "g.yaml:1:80 rate_limit.redis.on_failure: must be one of allow, deny, local: \"retry\"",
            "g.yaml:1:99 rate_limit.redis.key_prefix: contains '{'; letters, digits and -_.:/@ are allowed",
            "g.yaml:1:111 rate_limit.redis.tls: expected true or false, found the number 1",
        ],
    );
}
