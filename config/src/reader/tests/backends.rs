//! What `backends` means, and everything that can be wrong with it.

use super::{check, legal, problems};
use crate::{
    model::{Balance, Destination, Protocol},
    names::{BackendName, FilePath, UpstreamHost},
};

const USER: &str = "routes: [{name: a, match: {path_prefix: /}, backend: b}]";

/// Judges one backend, written in braces from line 1, column 13 on: `expected` holds column, key and message.
#[track_caller]
fn check_backend(backend: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:1:{problem}")).collect();
    let route = "routes: [{name: a, match: {path_prefix: /}, upstream: 'http://h'}]";
    assert_eq!(problems(&format!("backends: [ {backend} ]\n{route}\n")), expected, "{backend}");
}

#[test]
fn a_backend_means_what_it_says() {
    let config = legal(&format!(
        "backends:
  - name: b
    endpoints: [{{url: 'https://h1', weight: 3}}, {{url: 'https://h2:8443/'}}]
    balance: {{policy: round_robin}}
    http2: true
    tls: {{ca_file: ca.pem, cert_file: c.pem, key_file: c.key, server_name: Orders.internal}}
{USER}"
    ));
    let name = BackendName::new("b").unwrap();
    let backend = config.backends().find(&name).expect("it is there");
    let weights: Vec<_> = backend.endpoints().iter().map(|endpoint| endpoint.weight.get()).collect();
    assert_eq!((weights, &backend.balance), (vec![3, 1], &Balance::RoundRobin));
    assert_eq!(backend.protocol, Protocol::Http2);
    let tls = backend.tls().expect("it has some");
    assert_eq!(tls.ca_file.as_ref().map(FilePath::as_str), Some("ca.pem"));
    assert_eq!(tls.certificate.as_ref().map(|files| files.key_file.as_str()), Some("c.key"));
    assert_eq!(tls.server_name, Some(UpstreamHost::new("orders.internal").unwrap()));
    assert_eq!(config.route(0).map(|route| &route.destination), Some(&Destination::Backend(name)));
}

#[test]
fn a_backend_has_a_name_and_endpoints() {
    check_backend("{}", &["13 backends[0].name: missing", "13 backends[0].endpoints: missing"]);
    check_backend(
        "{name: a, endpoints: [{url: 'http://h'}], slow_start_seconds: -1}",
        &["75 backends[0].slow_start_seconds: must be from 0 to 86400 seconds"],
    );
    check_backend("x", &["13 backends[0]: expected a mapping, found the text \"x\""]);
    check_backend("{name: a, endpoints: []}", &["34 backends[0].endpoints: at least one endpoint is needed"]);
    check_backend(
        "{name: a b, endpoints: [{url: h, weight: 0}, {wieght: 1}]}",
        &[
            "20 backends[0].name: contains ' '; letters, digits and -_.:/@ are allowed",
            "43 backends[0].endpoints[0].url: not an absolute http or https URL: \"h\"",
            "54 backends[0].endpoints[0].weight: must be from 1 to 1000",
            "58 backends[0].endpoints[1].url: missing",
            "59 backends[0].endpoints[1].wieght: unknown key, did you mean \"weight\"?",
        ],
    );
    check_backend(
        "{name: a, endpoints: [{url: 'http://h', weight: 1001}], balance: {policy: random}}",
        &[
            "61 backends[0].endpoints[0].weight: must be from 1 to 1000",
            "87 backends[0].balance.policy: must be one of round_robin, least_requests, hash: \"random\"",
        ],
    );
}

#[test]
fn endpoints_are_judged_where_they_stand() {
    check_backend(
        "{name: a, endpoints: [{url: 'http://h/x'}, {url: 'http://h/x'}, {url: 'http://h:1'}]}",
        &[
            "56 backends[0].endpoints[1]: the same scheme, host and port as endpoints[0]; give that one a higher weight",
            "77 backends[0].endpoints[2]: has the path \"\", endpoints[0] has \"/x\": the endpoints of a backend have the same path",
        ],
    );
    check_backend(
        "{name: a, endpoints: [{url: 'http://h'}], tls: {}}",
        &["35 backends[0].endpoints[0]: must be an https URL, as the backend has tls"],
    );
}

#[test]
fn endpoints_drain_and_never_all_of_them() {
    let with = |second: &str| {
        format!("{{name: a, endpoints: [{{url: 'http://h', drain: true}}, {{url: 'http://i'{second}}}]}}")
    };
    check_backend(&with(""), &[]);
    check_backend(&with(", drain: false"), &[]);
    let all = "34 backends[0].endpoints: every endpoint drains, at least one must take requests";
    check_backend(&with(", drain: true"), &[all]);
    check_backend("{name: a, endpoints: [{url: 'http://h', drain: true}]}", &[all]);
    check_backend(
        &with(", drain: soon"),
        &["92 backends[0].endpoints[1].drain: expected true or false, found the text \"soon\""],
    );
}

#[test]
fn only_a_name_has_many_addresses() {
    let with = |url: &str| format!("{{name: a, endpoints: [{{url: '{url}', each_address: true}}]}}");
    check_backend(&with("http://orders.internal:81/x"), &[]);
    for url in ["http://10.0.0.1", "https://[::1]:81", "unix:/run/a.sock"] {
        check_backend(&with(url), &["35 backends[0].endpoints[0]: each_address needs a URL with a name"]);
    }
}

#[test]
fn endpoints_are_found_by_one_thing() {
    let with =
        |balance: &str| format!("{{name: a, endpoints: [{{url: 'http://h'}}], balance: {{{balance}}}}}");
    for legal in [
        "policy: least_requests",
        "policy: hash, header: x-user",
        "policy: hash, cookie: s",
        "policy: hash, ip: true",
    ] {
        check_backend(&with(legal), &[]);
    }
    let one = "73 backends[0].balance.policy: hash needs one of header, cookie and ip: true";
    for none_or_two in ["policy: hash", "policy: hash, ip: true, cookie: a", "policy: hash, ip: false"] {
        check_backend(&with(none_or_two), &[one]);
    }
    let none = "73 backends[0].balance.policy: header, cookie and ip are for the policy hash";
    check_backend(&with("policy: least_requests, ip: true"), &[none]);
    check_backend(
        &with("policy: hash, cookie: 'a b'"),
        &["87 backends[0].balance.cookie: not the name of a cookie: \"a b\""],
    );
}

#[test]
fn a_session_cookie_has_a_name_and_a_secret_that_nobody_finds() {
    let with =
        |cookie: &str| format!("{{name: a, endpoints: [{{url: 'http://h'}}], session_cookie: {{{cookie}}}}}");
    check_backend(&with("name: s, secret: 0123456789abcdef"), &[]);
    check_backend(&with("name: s, secret: 0123456789abcdef, ttl_seconds: 34560000"), &[]);
    check_backend(
        &with(""),
        &["71 backends[0].session_cookie.name: missing", "71 backends[0].session_cookie.secret: missing"],
    );
    let short = "89 backends[0].session_cookie.secret: shorter than 16 bytes";
    check_backend(&with("name: s, secret: 0123456789abcde"), &[short]);
    let long = "89 backends[0].session_cookie.secret: longer than 256 bytes";
    check_backend(&with(&format!("name: s, secret: {}", "x".repeat(257))), &[long]);
    let range = "backends[0].session_cookie.ttl_seconds: must be from 1 to 34560000 whole seconds";
    for seconds in ["0", "34560001", "-1", "99999999999999999999"] {
        let text = format!("name: s, secret: 0123456789abcdef, ttl_seconds: {seconds}");
        check_backend(&with(&text), &[&format!("120 {range}")]);
    }
}

#[test]
fn checks_ask_for_a_path_or_connect() {
    let with = |check: &str| {
        format!("{{name: a, endpoints: [{{url: 'http://h'}}], health: {{active: {{{check}}}}}}}")
    };
    for legal in ["path: /healthz?full=1", "tcp: true", "tcp: false, path: /, interval_seconds: 0.1"] {
        check_backend(&with(legal), &[]);
    }
    let at = "backends[0].health.active";
    let neither = format!("72 {at}.path: missing; a path is asked for by HTTP, \"tcp: true\" only connects");
    check_backend(&with(""), &[&neither]);
    check_backend(&with("path: /, tcp: true"), &[&format!("87 {at}.tcp: must not be true beside a path")]);
    check_backend(
        &with("path: healthz, interval_seconds: 0.09, healthy_threshold: 0, unhealthy_threshold: 101"),
        &[
            &format!("79 {at}.path: must start with \"/\": \"healthz\""),
            &format!("106 {at}.interval_seconds: must be from 0.1 to 86400 seconds"),
            &format!("131 {at}.healthy_threshold: must be from 1 to 100"),
            &format!("155 {at}.unhealthy_threshold: must be from 1 to 100"),
        ],
    );
    let target = "not a path, and perhaps a query, in visible ASCII";
    check_backend(&with("path: '/a b'"), &[&format!("79 {at}.path: {target}: \"/a b\"")]);
}

#[test]
fn endpoints_are_left_out_for_what_can_happen() {
    let with = |outlier: &str| {
        format!("{{name: a, endpoints: [{{url: 'http://h'}}], health: {{outlier: {{{outlier}}}}}}}")
    };
    for legal in ["", "consecutive_failures: 0, failure_percent: 50", "ejection_seconds: 0.5"] {
        check_backend(&with(legal), &[]);
    }
    let at = "backends[0].health.outlier";
    check_backend(
        &with("consecutive_failures: 0"),
        &[&format!("96 {at}.consecutive_failures: must be above 0 without a failure_percent")],
    );
    check_backend(
        &with("max_ejected_percent: 0, ejection_seconds: 0"),
        &[
            &format!("95 {at}.max_ejected_percent: must be above 0 and at most 100"),
            &format!("116 {at}.ejection_seconds: must be above 0 and at most 86400 seconds"),
        ],
    );
}

#[test]
fn certificates_come_with_their_keys() {
    let with = |tls: &str| format!("{{name: a, endpoints: [{{url: 'https://h'}}], tls: {{{tls}}}}}");
    check_backend(&with("cert_file: a"), &["61 backends[0].tls.key_file: missing, as there is a cert_file"]);
    check_backend(&with("key_file: a"), &["61 backends[0].tls.cert_file: missing, as there is a key_file"]);
    check_backend(
        &with("server_name: 'a b', ca_file: ''"),
        &[
            "75 backends[0].tls.server_name: not an address or a DNS name: \"a b\"",
            "91 backends[0].tls.ca_file: must not be empty",
        ],
    );
}

#[test]
fn names_of_backends_are_unique() {
    let backend = "{name: a, endpoints: [{url: 'http://h'}]}";
    check(
        &format!("backends:\n- {backend}\n- {backend}"),
        &[
            "g.yaml:3:10 backends[1].name: the name \"a\" is already taken by backends[0] in line 2, column 10",
        ],
    );
}

#[test]
fn a_route_goes_to_one_place_that_is_there() {
    let unknown = "g.yaml:1:54 routes[0].backend: there is no backend named \"b\"";
    assert_eq!(problems(USER), [unknown]);
    // It may be the one that could not be read.
    let unread = "backends: [{name: 7, endpoints: [{url: 'http://h'}]}]\n";
    let told = problems(&format!("{unread}{USER}"));
    assert_eq!(told.len(), 1, "{told:?}");
    // One that is wrong elsewhere is there all the same.
    let faulty = "backends: [{name: b, endpoints: []}]\n";
    let told = problems(&format!("{faulty}{USER}"));
    assert_eq!(told, ["g.yaml:1:33 backends[0].endpoints: at least one endpoint is needed"]);
    let both = USER.replace("backend: b", "backend: b, upstream: 'http://h'");
    let several = "g.yaml:1:54 routes[0].backend: a route has exactly one of upstream, backend, split, redirect and respond";
    assert_eq!(problems(&both), [several]);
}

/// Judges what a route says of where its requests go, from line 2, column 45 on: `expected` holds column, key and message.
#[track_caller]
fn check_route(keys: &str, expected: &[&str]) {
    let backends =
        "backends: [{name: b, endpoints: [{url: 'http://h'}]}, {name: c, endpoints: [{url: 'http://i'}]}]";
    let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:2:{problem}")).collect();
    let text = format!("{backends}\nroutes: [{{name: a, match: {{path_prefix: /}}, {keys}}}]\n");
    assert_eq!(problems(&text), expected, "{keys}");
}

#[test]
fn backends_share_a_route_by_weights() {
    for legal in [
        "split: [{backend: b}]",
        "split: [{backend: b, weight: 0}, {backend: c, weight: 1000}]",
        "split: [{backend: b}, {backend: c}], split_by: {cookie: session}",
        "split: [{backend: b}, {backend: c}], split_by: {ip: true}",
    ] {
        check_route(legal, &[]);
    }
    check_route("split: []", &["52 routes[0].split: at least one backend is needed"]);
    check_route(
        "split: [{backend: b, weight: 0}, {backend: b, weight: 0}]",
        &[
            "52 routes[0].split: every weight is 0, at least one backend must take requests",
            "88 routes[0].split[1]: the same backend as split[0]; give that one a higher weight",
        ],
    );
    check_route(
        "split: [{backend: d, weight: 1}, {weight: 1001}, {backend: c, wait: 1}]",
        &[
            "78 routes[0].split[1].backend: missing",
            "87 routes[0].split[1].weight: must be from 0 to 1000",
            "107 routes[0].split[2].wait: unknown key, did you mean \"weight\"?",
        ],
    );
    check_route(
        "split: [{backend: b}, {backend: d}]",
        &["77 routes[0].split[1].backend: there is no backend named \"d\""],
    );
}

#[test]
fn callers_are_kept_by_one_thing_and_with_a_split_only() {
    let one = "78 routes[0].split_by: needs one of header, cookie and ip: true";
    for none_or_two in ["{}", "{ip: false}", "{ip: true, header: x-user}"] {
        check_route(&format!("split: [{{backend: b}}], split_by: {none_or_two}"), &[one]);
    }
    check_route(
        "backend: b, split_by: {ip: true}",
        &["67 routes[0].split_by: has no effect without a split"],
    );
    let several = "a route has exactly one of upstream, backend, split, redirect and respond";
    check_route("backend: b, split: [{backend: c}]", &[&format!("64 routes[0].split: {several}")]);
}

#[test]
fn a_backend_is_sent_copies_of_what_is_forwarded() {
    check_route("backend: b, mirror: {backend: c}", &[]);
    check_route("upstream: 'http://h', mirror: {backend: b, percent: 0.5}", &[]);
    check_route("backend: b, mirror: {percent: 10}", &["65 routes[0].mirror.backend: missing"]);
    check_route(
        "backend: b, mirror: {backend: d, percent: 0}",
        &["87 routes[0].mirror.percent: must be above 0 and at most 100"],
    );
    check_route(
        "backend: b, mirror: {backend: d}",
        &["75 routes[0].mirror.backend: there is no backend named \"d\""],
    );
    check_route(
        "respond: {status: 204}, mirror: {backend: b}",
        &["77 routes[0].mirror: has no effect: the gateway answers this route's requests itself"],
    );
}
