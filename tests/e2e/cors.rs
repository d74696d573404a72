//! What pages of other origins may do, as their browsers are told.

use apigw_tests::{
    client::{self, Response},
    configuration::Document,
    gateway::Gateway,
    message::Head,
    origin::{Origin, Request, ok},
};

const APP: &str = "Origin: https://app.example.com\r\n";
const STRANGER: &str = "Origin: https://evil.example\r\n";
const SECRET: &str = "a secret of thirty-two bytes, or more";

/// A route that a page of the app may use with a token.
fn shared(origin: &Origin, cors: &str) -> Document {
    Document::new()
        .auth("mode: hmac")
        .auth(&format!("hmac_secret: \"{SECRET}\""))
        .route("all", "/", origin.url())
        .with(&format!("cors: {{ {cors} }}"))
}

const FOR_THE_APP: &str = "allow_origins: [\"https://app.example.com\"], allow_methods: [PUT], allow_headers: [Authorization, X-Tenant], max_age_seconds: 600";

fn preflight(gateway: &Gateway, origin: &str, method: &str, headers: &str) -> Response {
    let fields = format!(
        "{origin}Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: {headers}\r\nX-Request-Id: preflight\r\n"
    );
    client::request(gateway.address(), "OPTIONS", "/x", &fields)
}

/// The names of all fields that grant something.
fn grants(head: &Head) -> Vec<String> {
    let names = head.fields.iter().map(|(name, _)| name.to_ascii_lowercase());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[track_caller]
fn is_granted(answer: &Response) {
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example.com"), "{answer:?}");
    assert!(
        answer.head.lists("vary", "origin"),
        "a cache would give this answer to other origins: {answer:?}"
    );
}

#[test]
fn preflight_is_answered_by_the_gateway_before_anybody_asks_for_a_token() {
    let origin = Origin::saying("in");
    let gateway = Gateway::standalone(shared(&origin, FOR_THE_APP).with("auth_required: true"));
    let answer = preflight(&gateway, APP, "PUT", "authorization, x-tenant");
    assert_eq!((answer.status(), answer.text().as_str()), (204, ""), "{answer:?}");
    is_granted(&answer);
    assert_eq!(answer.field("access-control-allow-methods"), Some("PUT"));
    let headers = answer.field("access-control-allow-headers").map(str::to_ascii_lowercase);
    assert_eq!(headers.as_deref(), Some("authorization, x-tenant"));
    assert_eq!(answer.field("access-control-max-age"), Some("600"));
    assert_eq!(answer.field("access-control-allow-credentials"), None);
    assert_eq!(origin.requests().len(), 0, "the upstream was asked");
    assert_eq!(gateway.data_plane.access("preflight")["route"], "all");
}

#[test]
fn preflight_uses_nothing_of_a_limit() {
    let origin = Origin::saying("in");
    let limit = "rate_limit: { enabled: true, rps: 0.01, burst: 1, scope: ip }";
    let gateway = Gateway::standalone(shared(&origin, FOR_THE_APP).with(limit));
    let preflights = [(); 5].map(|()| preflight(&gateway, APP, "PUT", "x-tenant").status());
    assert_eq!(preflights, [204; 5]);
    assert_eq!(client::get_with(gateway.address(), "/x", APP).status(), 200);
}

#[test]
fn preflight_of_what_is_not_allowed_is_refused() {
    let origin = Origin::saying("in");
    let check = |from: &str, method: &str, headers: &str, reason: &str| {
        let gateway = Gateway::standalone(shared(&origin, FOR_THE_APP));
        let answer = preflight(&gateway, from, method, headers);
        assert_eq!(
            (answer.status(), answer.text()),
            (403, "{\"error\":\"forbidden\",\"request_id\":\"preflight\"}".into())
        );
        assert_eq!(gateway.data_plane.access("preflight")["why"], reason);
        let labels = [("route", "all"), ("reason", reason)];
        assert_eq!(gateway.data_plane.metrics().count("apigw_rejections_total", &labels), 1);
        assert_eq!(answer.field("access-control-allow-methods"), None);
        answer
    };
    assert_eq!(grants(&check(STRANGER, "PUT", "x-tenant", "cors_origin").head), Vec::<String>::new());
    is_granted(&check(APP, "DELETE", "x-tenant", "cors_method"));
    is_granted(&check(APP, "PUT", "x-other", "cors_header"));
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn actual_answer_carries_the_gateways_grant_and_not_the_upstreams() {
    let origin = Origin::answering(|_: &Request| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nVary: Accept\r\n\r\nin".into()
    });
    let gateway = Gateway::standalone(shared(&origin, FOR_THE_APP));
    let answer = client::get_with(gateway.address(), "/x", APP);
    is_granted(&answer);
    assert_eq!(grants(&answer.head), ["access-control-allow-origin"]);
    assert!(answer.head.lists("vary", "accept"), "{answer:?}");
    // The browser keeps the page from reading this; the request itself is none that needs permission.
    let answer = client::get_with(gateway.address(), "/x", STRANGER);
    assert_eq!((answer.status(), grants(&answer.head)), (200, Vec::new()));
    assert!(answer.head.lists("vary", "origin"), "{answer:?}");
}

#[test]
fn refusals_and_failures_carry_the_grant() {
    let file = shared(&Origin::saying("in"), FOR_THE_APP)
        .with("auth_required: true")
        .route("gone", "/gone", "http://127.0.0.1:9")
        .with(&format!("cors: {{ {FOR_THE_APP} }}"))
        .with("rate_limit: { enabled: true, rps: 0.01, burst: 1, scope: ip }");
    let gateway = Gateway::standalone(file);
    for (path, status) in [("/x", 401), ("/gone", 502), ("/gone", 429)] {
        let answer = client::get_with(gateway.address(), path, APP);
        assert_eq!(answer.status(), status);
        is_granted(&answer);
    }
    let mut connection = client::Connection::open(gateway.address());
    connection.send(format!("POST /gone HTTP/1.1\r\nHost: h\r\n{APP}Content-Length: 99999999\r\n\r\n"));
    is_granted(&connection.response());
}

#[test]
fn any_origin_needs_no_name() {
    let origin = Origin::saying("in");
    let gateway = Gateway::standalone(shared(&origin, "allow_origins: [\"*\"], allow_methods: [PUT]"));
    for from in [APP, STRANGER, "Origin: null\r\n"] {
        assert_eq!(preflight(&gateway, from, "PUT", "").status(), 204);
        let answer = client::get_with(gateway.address(), "/x", from);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn options_that_is_no_preflight_goes_to_the_upstream() {
    let origin = Origin::answering(|request| ok(request.line()));
    let gateway = Gateway::standalone(shared(&origin, FOR_THE_APP));
    let answer = client::request(gateway.address(), "OPTIONS", "/x", APP);
    assert_eq!(answer.text(), "OPTIONS /x");
    let answer =
        client::request(gateway.address(), "OPTIONS", "/x", "Access-Control-Request-Method: PUT\r\n");
    assert_eq!(answer.text(), "OPTIONS /x");
}

#[test]
fn shadowed_refusal_is_told_and_the_preflight_passes() {
    let origin = Origin::saying("in");
    let gateway = Gateway::standalone(shared(&origin, &format!("{FOR_THE_APP}, mode: shadow")));
    let answer = preflight(&gateway, APP, "DELETE", "x-tenant");
    assert!((200..300).contains(&answer.status()), "{answer:?}");
    assert_eq!(gateway.data_plane.access("preflight")["shadow"], "cors_method");
    let labels = [("route", "all"), ("reason", "cors_method")];
    assert_eq!(gateway.data_plane.metrics().count("apigw_shadow_rejections_total", &labels), 1);
}
