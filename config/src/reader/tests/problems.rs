//! Every check, with the place and the words of its problem; and that no input is a problem for the reader itself.

use proptest::prelude::*;

use super::{EXAMPLE, ROUTE, check, check_route, problems};
use crate::{problem::Problems, read};

#[test]
fn a_configuration_has_routes() {
    for text in ["", "# nothing", "server: {}"] {
        assert_eq!(problems(text), ["g.yaml:1:1 routes: at least one route is needed"], "{text}");
    }
    assert_eq!(problems("routes: []"), ["g.yaml:1:9 routes: at least one route is needed"]);
    assert_eq!(problems("routes: x"), ["g.yaml:1:9 routes: expected a list, found the text \"x\""]);
    assert_eq!(problems("[]"), ["g.yaml:1:1: expected a mapping, found a list"]);
    check_route("x", &["11 routes[0]: expected a mapping, found the text \"x\""]);
    check_route("", &["9 routes: at least one route is needed"]);
}

#[test]
fn a_route_has_a_name_a_prefix_and_an_upstream() {
    check_route(
        "{}",
        &[
            "11 routes[0].name: missing",
            "11 routes[0].match: missing",
            "11 routes[0].upstream: missing: a route has one of upstream, backend, split, redirect and respond",
        ],
    );
    check_route(
        "{name: '', match: {}, upstream: }",
        &[
            "18 routes[0].name: must not be empty",
            "29 routes[0].match.path_prefix: missing",
            "41 routes[0].upstream: missing: a route has one of upstream, backend, split, redirect and respond",
        ],
    );
    check_route(
        "{name: a b, match: {path_prefix: a}, upstream: 'locahost:9001', strip_prefix: b}",
        &[
            "18 routes[0].name: contains ' '; letters, digits and -_.:/@ are allowed",
            r#"44 routes[0].match.path_prefix: must start with "/": "a""#,
            r#"58 routes[0].upstream: not an absolute http or https URL: "locahost:9001""#,
            r#"89 routes[0].strip_prefix: must start with "/": "b""#,
        ],
    );
}

#[test]
fn traces_are_sent_to_a_collector_and_sampled_by_a_share() {
    check("tracing: {}", &["g.yaml:1:10 tracing.otlp_endpoint: missing"]);
    check(
        "tracing: {otlp_endpoint: 'c:4317', sample_ratio: 1.5}",
        &[
            r#"g.yaml:1:26 tracing.otlp_endpoint: not an absolute http or https URL: "c:4317""#,
            "g.yaml:1:50 tracing.sample_ratio: must be from 0 to 1",
        ],
    );
    check(
        "tracing: {otlp_endpoint: 'http://c:4318/v1/traces'}",
        &[
            r#"g.yaml:1:26 tracing.otlp_endpoint: must not have a path (OTLP over gRPC has its own): "http://c:4318/v1/traces""#,
        ],
    );
}

#[test]
fn names_are_unique() {
    let other = ROUTE.replace("/a", "/b");
    let expected =
        "g.yaml:3:12 routes[1].name: the name \"a\" is already taken by routes[0] in line 2, column 12";
    assert_eq!(problems(&format!("routes:\n  {ROUTE}\n  {other}\n")), [expected]);
}

#[test]
fn callers_can_be_known_only_with_an_auth_section() {
    let expected = "needs an auth section: nothing says how callers are known";
    let route = ROUTE.replace("'http://h'}", "'http://h', auth_required: true}");
    assert_eq!(
        problems(&format!("routes:\n  {route}\n")),
        [format!("g.yaml:2:78 routes[0].auth_required: {expected}")]
    );
    let bad_auth = format!("auth: {{mode: x}}\nroutes:\n  {route}\n");
    assert_eq!(problems(&bad_auth), [r#"g.yaml:1:14 auth.mode: must be one of jwks, hmac: "x""#]);
}

#[test]
fn enabled_policies_have_their_numbers() {
    let route =
        |policies: &str| format!("{{name: a, match: {{path_prefix: /}}, upstream: 'http://h', {policies}}}");
    let range = "must be above 0 and at most 1000000000 while the limit is enabled";
    check_route(
        &route("rate_limit: {enabled: true}"),
        &[
            &format!("80 routes[0].rate_limit.rps: {range}"),
            &format!("80 routes[0].rate_limit.burst: {range}"),
            "80 routes[0].rate_limit.scope: missing",
        ],
    );
    check_route(
        &route("rate_limit: {enabled: true, rps: x, burst: -1, scope: all}"),
        &[
            "101 routes[0].rate_limit.rps: expected a number, found the text \"x\"",
            &format!("111 routes[0].rate_limit.burst: {range}"),
            "122 routes[0].rate_limit.scope: must be one of ip, user, route, header:NAME, claim:NAME: \"all\"",
        ],
    );
    let above = "must be above 0 while the breaker is enabled";
    check_route(
        &route("circuit_breaker: {enabled: true}"),
        &[
            &format!("85 routes[0].circuit_breaker.failure_threshold: {above}"),
            "85 routes[0].circuit_breaker.open_seconds: must be above 0 and at most 86400 seconds while the breaker is enabled",
            &format!("85 routes[0].circuit_breaker.half_open_max_in_flight: {above}"),
        ],
    );
    check_route(
        &route("concurrency: {max_in_flight: -1}"),
        &["97 routes[0].concurrency.max_in_flight: must be from 0 to 4294967295"],
    );
    for bounds in ["min: 0", "min: 3, max: 2", "min: 1001"] {
        check_route(
            &route(&format!("concurrency: {{adaptive: {{{bounds}}}}}")),
            &["92 routes[0].concurrency.adaptive: must be min at least 1, max at least min"],
        );
    }
    check_route(
        &route("concurrency: {max_in_flight: 1, adaptive: {}}"),
        &["81 routes[0].concurrency: has both max_in_flight and adaptive: a limit is either given or found"],
    );
}

#[test]
fn a_mode_and_a_backend_need_their_section() {
    let choice = "must be one of";
    check("auth: {}", &["g.yaml:1:7 auth.mode: missing"]);
    check("auth: {mode: jwt}", &[&format!("g.yaml:1:14 auth.mode: {choice} jwks, hmac: \"jwt\"")]);
    check("auth: {mode: jwks}", &["g.yaml:1:7 auth.jwks.url: missing, but the mode is \"jwks\""]);
    check(
        "auth: {mode: jwks, jwks: {url: ''}}",
        &["g.yaml:1:26 auth.jwks.url: missing, but the mode is \"jwks\""],
    );
    check("auth: {mode: hmac}", &["g.yaml:1:7 auth.hmac_secret: missing, but the mode is \"hmac\""]);
    check(
        "rate_limit: {backend: disk}",
        &[&format!("g.yaml:1:23 rate_limit.backend: {choice} memory, redis: \"disk\"")],
    );
    check(
        "rate_limit: {backend: redis}",
        &["g.yaml:1:13 rate_limit.redis.addr: missing, but the backend is \"redis\""],
    );
    check(
        "rate_limit: {backend: redis, redis: {addr: ''}}",
        &["g.yaml:1:37 rate_limit.redis.addr: missing, but the backend is \"redis\""],
    );
    check(
        "auth: {mode: jwks, jwks: {url: 'http://h', algorithms: []}}",
        &["g.yaml:1:56 auth.jwks.algorithms: must not be empty"],
    );
}

#[test]
fn a_section_that_is_not_chosen_is_judged_all_the_same() {
    check(
        "rate_limit: {redis: {addr: x, db: -1}}",
        &[
            r#"g.yaml:1:28 rate_limit.redis.addr: not an address to connect to ("HOST:PORT" or "[IPV6]:PORT"): "x""#,
            "g.yaml:1:35 rate_limit.redis.db: must be from 0 to 4294967295",
        ],
    );
}

#[test]
fn values_have_their_kind() {
    let wrong = |value: &str, found: &str| {
        let expected = format!("g.yaml:1:32 server.read_timeout_seconds: expected a number, found {found}");
        check(&format!("server: {{read_timeout_seconds: {value}}}"), &[&expected]);
    };
    wrong("'5'", "the text \"5\"");
    wrong("5s", "the text \"5s\"");
    wrong("true", "true");
    wrong("[]", "a list");
    wrong("{}", "a mapping");
    check(
        "server: {trusted_proxies: 10.0.0.0/8}",
        &["g.yaml:1:27 server.trusted_proxies: expected a list, found the text \"10.0.0.0/8\""],
    );
    check(
        "server: {max_body_bytes: 1.5, addr: 80}",
        &[
            "g.yaml:1:26 server.max_body_bytes: expected a whole number, found the number 1.5",
            "g.yaml:1:37 server.addr: expected a text (in quotes, as it looks like something else), found the number 80",
        ],
    );
    check_route(
        "{name: 5, match: [], upstream: 'http://h', auth_required: yes}",
        &[
            "18 routes[0].name: expected a text (in quotes, as it looks like something else), found the number 5",
            "28 routes[0].match: expected a mapping, found a list",
            "69 routes[0].auth_required: expected true or false (since YAML 1.2 other words for them are texts), found the text \"yes\"",
        ],
    );
}

#[test]
fn values_have_their_range() {
    let period = "must be above 0 and at most 86400 seconds";
    for value in ["0", "-1", "86401", "1e300", ".nan", ".inf", "0.0000001"] {
        let expected = format!("g.yaml:1:32 server.read_timeout_seconds: {period}");
        check(&format!("server: {{read_timeout_seconds: {value}}}"), &[&expected]);
    }
    for value in ["0", "-1", "9007199254740993", "99999999999999999999999"] {
        let expected = "g.yaml:1:26 server.max_body_bytes: must be from 1 to 9007199254740992 bytes";
        check(&format!("server: {{max_body_bytes: {value}}}"), &[expected]);
    }
    check(
        "server: {addr: []}\nupstream: {max_idle_conns: 4294967296}",
        &[
            "g.yaml:1:16 server.addr: must not be empty",
            "g.yaml:2:28 upstream.max_idle_conns: must be from 0 to 4294967295",
        ],
    );
    check(
        "server: {addr: [':80', ':x'], trusted_proxies: [10.0.0.0/33]}",
        &[
            r#"g.yaml:1:24 server.addr[1]: not an address to listen on ("HOST:PORT", "[IPV6]:PORT", ":PORT" or "unix:/PATH"): ":x""#,
            r#"g.yaml:1:49 server.trusted_proxies[0]: not an address range such as "10.0.0.0/8": "10.0.0.0/33""#,
        ],
    );
    check(
        "server: {addr: 'unix:here', proxy_protocol: {trusted: []}, tls: {client_auth: {forward: all}}}",
        &[
            r#"g.yaml:1:16 server.addr: the path of a socket file must start with "/": "unix:here""#,
            "g.yaml:1:55 server.proxy_protocol.trusted: must not be empty",
            "g.yaml:1:65 server.tls.certificates: missing",
            r#"g.yaml:1:89 server.tls.client_auth.forward: must be one of none, certificate, chain: "all""#,
        ],
    );
}

#[test]
fn unknown_keys_are_problems_with_advice() {
    check("sever: {}", &["g.yaml:1:1 sever: unknown key, did you mean \"server\"?"]);
    // There is a key `route` elsewhere, but that is not what was meant.
    check("route: []", &["g.yaml:1:1 route: unknown key, did you mean \"routes\"?"]);
    check(
        "server: {max_body_byte: 1}",
        &["g.yaml:1:10 server.max_body_byte: unknown key, did you mean \"max_body_bytes\"?"],
    );
    check("admin: {zzz: 1}", &["g.yaml:1:9 admin.zzz: unknown key, there are: addr"]);
    check(
        "tracing: {zzz: 1, otlp_endpoint: 'http://c'}",
        &["g.yaml:1:11 tracing.zzz: unknown key, there are: otlp_endpoint, sample_ratio"],
    );
    check("jwks: {}", &["g.yaml:1:1 jwks: unknown key here, it belongs in auth or in auth.providers[]"]);
    check(
        "server: {routes: []}",
        &["g.yaml:1:10 server.routes: unknown key here, it belongs at the top level"],
    );
    check_route(
        "{name: a, path_prefix: /, match: {path_prefix: /, upstream: 'http://h'}, upstream: 'http://h', rps: 5, enabled: true}",
        &[
            "21 routes[0].path_prefix: unknown key here, it belongs in routes[].match",
            "61 routes[0].match.upstream: unknown key here, it belongs in routes[]",
            "106 routes[0].rps: unknown key here, it belongs in routes[].rate_limit",
            "114 routes[0].enabled: unknown key here, it belongs in routes[].circuit_breaker or in routes[].compression or in routes[].rate_limit",
        ],
    );
}

#[test]
fn lists_are_bounded() {
    let text = format!("routes: [{}]", "x,".repeat(1_000_000));
    assert_eq!(problems(&text), ["g.yaml:1:9 routes: 1000000 entries, more than 999999"]);
}

#[test]
fn a_key_is_written_once() {
    check(
        "server: {addr: ':80', addr: ':81'}\nserver: {}",
        &[
            "g.yaml:1:23 server.addr: written twice, first in line 1, column 10",
            "g.yaml:2:1 server: written twice, first in line 1, column 1",
        ],
    );
}

#[test]
fn secrets_are_not_repeated_in_problems() {
    let cookie = "session_cookie: {name: s, secret: 12345}";
    let text = format!(
        "auth: {{mode: hmac, hmac_secret: 12345}}\nrate_limit: {{redis: {{password: [12345]}}}}\n\
         backends: [{{name: b, endpoints: [{{url: 'http://h'}}], {cookie}}}]\n"
    );
    let found = problems(&format!(
        "{text}routes: [{{name: a, match: {{path_prefix: /}}, upstream: 'http://u:12345@h'}}]"
    ));
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(!found.concat().contains("12345"), "{found:?}");
}

#[test]
fn a_bad_value_neither_hides_other_problems_nor_causes_more() {
    let broken = EXAMPLE
        .replace("addr: \":8080\"", "addr: 8080")
        .replace("mode: \"jwks\"", "mode: \"jwt\"")
        .replace("auth_required: false", "auth_required: no")
        .replace("burst: 40", "burst: lots");
    let paths: Vec<_> = read("g.yaml", broken.as_bytes()).unwrap_err().into_iter().map(|p| p.path).collect();
    assert_eq!(paths, ["server.addr", "auth.mode", "routes[1].auth_required", "routes[1].rate_limit.burst"]);
}

#[test]
fn problems_are_bounded_in_number_and_size() {
    let routes: String = (0..Problems::MAX).map(|_| "  - {}\n").collect();
    let all = problems(&format!("routes:\n{routes}"));
    assert_eq!(all.len(), Problems::MAX + 1);
    assert_eq!(all[Problems::MAX], format!("g.yaml: {} more problems are not shown", 2 * Problems::MAX));

    let long = problems(&format!("routes: [{}]", "x".repeat(1 << 20)));
    assert!(long[0].len() < 2 * Problems::MAX_TEXT_BYTES, "{}", long[0].len());
}

#[test]
fn text_that_is_not_yaml_is_one_problem_where_it_breaks() {
    let all = problems("server:\n  addr: ':80'\n   max: 1\n");
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].starts_with("g.yaml:3:") && all[0].contains("not readable as YAML"), "{all:?}");
}

/// Reads whatever it is and looks at the form of the outcome.
fn survives(content: &[u8]) {
    if let Err(problems) = read("g.yaml", content) {
        assert!(!problems.is_empty(), "no reason for a refusal");
        assert!(problems.len() <= Problems::MAX + 1, "{} problems", problems.len());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&content);
    }

    #[test]
    fn arbitrary_punctuation_is_read_or_refused(text in "[-a-c0-9 :,?!&*#|>@`'\"%{}\\[\\]\n\t~<]{0,120}") {
        survives(text.as_bytes());
    }

    #[test]
    fn a_damaged_example_is_read_or_refused(
        place in any::<prop::sample::Index>(),
        length in 0_usize..20,
        insertion in "[-a :,&*|>'\"{}\\[\\]\n\t0]{0,8}",
    ) {
        let start = place.index(EXAMPLE.len());
        let end = (start + length).min(EXAMPLE.len());
        survives([&EXAMPLE.as_bytes()[..start], insertion.as_bytes(), &EXAMPLE.as_bytes()[end..]].concat().as_slice());
    }
}
