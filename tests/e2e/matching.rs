//! Which route serves a request, seen from outside: by its answer, in explanations and in what operators are told.

use apigw_tests::{
    client::Connection,
    configuration::ConfigFile,
    gateway::{Gateway, gwctl_json},
    origin::{Origin, ok},
    programs::Programs,
};
use serde_json::json;

/// Routes, each as what stands in its `match`; the upstream says which of them it was.
fn file(matches: &[(&str, &str)], origin: &Origin) -> String {
    let route = |(name, criteria): &(&str, &str)| {
        format!("- {{name: {name}, match: {{{criteria}}}, upstream: \"{}/{name}\"}}\n", origin.url())
    };
    "routes:\n".to_owned() + &matches.iter().map(route).collect::<String>()
}

fn echo() -> Origin {
    Origin::answering(|request| ok(request.line()))
}

/// The route that serves a request; a number: it is refused with this status.
fn route(gateway: &Gateway, method: &str, host: &str, target: &str, fields: &str) -> String {
    let mut connection = Connection::open(gateway.address());
    connection.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    let answer = connection.response();
    let text = answer.text();
    let first = text.split('/').nth(1).unwrap_or_default().to_owned();
    if answer.status() == 200 { first } else { answer.status().to_string() }
}

#[test]
fn a_host_that_two_readers_could_read_differently_finds_no_route() {
    let origin = echo();
    let matches =
        [("wide", "hosts: ['*.b.example']"), ("narrow", "hosts: [a.example]"), ("rest", "path_prefix: /")];
    let gateway = Gateway::standalone(file(&matches, &origin));
    for (host, expected) in [
        ("a.example.", "narrow"),
        ("A.Example:80", "narrow"),
        ("x.y.b.example", "wide"),
        ("b.example", "rest"),
        ("[::1]:80", "rest"),
        ("a.example:x.b.example", "400"),
        ("a.example:80:90", "400"),
        ("a.example..", "400"),
        ("x..b.example", "400"),
        (".b.example", "400"),
        ("%61.example", "400"),
        ("[::1", "400"),
        ("[fe80::1%25eth0]", "400"),
    ] {
        assert_eq!(route(&gateway, "GET", host, "/", ""), expected, "{host}");
    }
}

#[test]
fn a_target_of_http_1_0_names_the_host_that_no_field_names() {
    let origin = echo();
    let matches = [("named", "hosts: [a.example]"), ("rest", "path_prefix: /")];
    let gateway = Gateway::standalone(file(&matches, &origin));
    for (target, expected) in [("http://a.example/", "GET /named/"), ("/", "GET /rest/")] {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        assert_eq!(connection.response().text(), expected);
    }
    let mut connection = Connection::open(gateway.address());
    connection.send("GET http://user@a.example/ HTTP/1.0\r\n\r\n");
    assert_eq!(connection.response().status(), 400);
}

const MATCHES: [(&str, &str); 8] = [
    ("everything", "path_prefix: /, hosts: ['*.example.com']"),
    ("api", "hosts: [api.example.com]"),
    ("exact", "hosts: [api.example.com], path: /orders/new"),
    ("regex", "hosts: [api.example.com], path_regex: '/orders/[0-9]+'"),
    ("orders", "hosts: [api.example.com], path_prefix: /orders"),
    ("writing", "hosts: [api.example.com], path_prefix: /orders, methods: [POST, PUT]"),
    ("gold", "hosts: [api.example.com], path_prefix: /orders, headers: [{name: X-Tier, exact: gold}]"),
    ("beta", "hosts: [api.example.com], path_prefix: /orders, query: [{name: beta, present: true}]"),
];

#[test]
fn the_most_specific_route_serves() {
    let origin = echo();
    let gateway = Gateway::standalone(file(&MATCHES, &origin));
    let ask = |method, host, target, fields: &str| route(&gateway, method, host, target, fields);
    assert_eq!(ask("GET", "api.example.com", "/x", ""), "api");
    assert_eq!(ask("GET", "API.Example.COM.:8080", "/x", ""), "api");
    assert_eq!(ask("GET", "www.example.com", "/orders/new", ""), "everything");
    assert_eq!(ask("GET", "a.b.example.com", "/", ""), "everything");
    assert_eq!(ask("GET", "example.com", "/", ""), "404");
    assert_eq!(ask("GET", "api.example.com", "/orders/new", ""), "exact");
    assert_eq!(ask("GET", "api.example.com", "/orders/./x/../new", ""), "exact");
    assert_eq!(ask("GET", "api.example.com", "/orders/17", ""), "regex");
    assert_eq!(ask("GET", "api.example.com", "/orders/17/x", ""), "orders");
    assert_eq!(
        ask("PUT", "api.example.com", "/orders/x", "X-Tier: gold\r\nContent-Length: 0\r\n"),
        "writing"
    );
    assert_eq!(ask("GET", "api.example.com", "/orders/x?beta", "X-Tier: gold\r\n"), "gold");
    assert_eq!(ask("GET", "api.example.com", "/orders/x?a=1&bet%61=2", "X-Tier: golden\r\n"), "beta");
    assert_eq!(ask("GET", "api.example.com", "/orders/x?a=beta", ""), "orders");
}

#[test]
fn an_explanation_says_what_each_route_lost_by() {
    let origin = echo();
    let gateway = Gateway::standalone(file(&MATCHES, &origin));
    let explained = gwctl_json(
        gateway.data_plane.admin(),
        &["explain", "GET", "http://api.example.com/orders/x", "-H", "x-tier: gold"],
    );
    assert_eq!(explained["route"], "gold", "{explained}");
    let reason = |route: &str| {
        let misses = explained["near_misses"].as_array().expect("near misses");
        misses.iter().find(|miss| miss["route"] == route).map(|miss| miss["reason"].clone())
    };
    assert_eq!(reason("everything"), Some(json!("its host matches; that of gold is more specific")));
    assert_eq!(reason("orders"), Some(json!("gold has the same path and asks for more")));
    assert_eq!(reason("writing"), Some(json!("its path matches, its methods do not: POST, PUT")));
    assert_eq!(reason("beta"), Some(json!("the parameter beta is absent")));
    assert_eq!(reason("api"), Some(json!("its prefix / matches; that of gold is longer")));
}

#[test]
fn operators_see_what_routes_ask_for() {
    let origin = echo();
    let gateway = Gateway::standalone(file(&MATCHES, &origin));
    let routes = gwctl_json(gateway.data_plane.admin(), &["routes"]);
    assert_eq!(routes[2]["match"], json!({ "hosts": ["api.example.com"], "path": "/orders/new" }));
    assert_eq!(routes[6]["match"]["headers"], json!([{ "name": "x-tier", "exact": "gold" }]));
    assert_eq!(routes[6]["path_prefix"], "/orders");
}

#[test]
fn a_route_that_serves_nothing_is_a_warning_of_the_checker() {
    let origin = echo();
    let text = file(&[("a", "hosts: [a.example]"), ("b", "hosts: [a.example]")], &origin);
    let file = ConfigFile::new(text);
    let path = file.path().display().to_string();
    let validated = Programs::built().output("gwctl", &["validate", &path]);
    assert_eq!(validated.code, Some(0), "{validated:?}");
    let expected = ":3:13 routes[1].match: b serves nothing: a wins wherever it matches";
    assert!(validated.stdout.contains(expected), "{validated:?}");
}
