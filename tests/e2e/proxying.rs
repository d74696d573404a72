//! Which upstream a request reaches, and under which path.

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, ok},
};
use serde_json::json;

/// An upstream that answers with the request line it saw.
fn mirror() -> Origin {
    Origin::answering(|request| ok(request.line()))
}

/// What the upstream saw of `GET target`, or the status of the gateway's own answer.
fn arrives(gateway: &Gateway, target: &str) -> Result<String, u16> {
    let answer = client::get(gateway.address(), target);
    if answer.status() == 200 { Ok(answer.text()) } else { Err(answer.status()) }
}

#[test]
fn longest_prefix_wins_on_segment_borders() {
    let (short, long, beneath) = (Origin::saying("short"), Origin::saying("long"), Origin::saying("beneath"));
    let gateway = Gateway::standalone(
        Document::new()
            .route("short", "/public", short.url())
            .route("long", "/public/images", long.url())
            .route("beneath", "/files/", beneath.url()),
    );
    let check = |target: &str, expected: Result<&str, u16>| {
        assert_eq!(arrives(&gateway, target).as_deref().map_err(|status| *status), expected, "{target}");
    };
    check("/public", Ok("short"));
    check("/public/", Ok("short"));
    check("/public/x", Ok("short"));
    check("/public?x=/public/images", Ok("short"));
    check("/public/imagesque", Ok("short"));
    check("/public/images", Ok("long"));
    check("/public/images/1", Ok("long"));
    check("/publicity", Err(404));
    check("/files/x", Ok("beneath"));
    check("/files/", Ok("beneath"));
    check("/files", Err(404));
    check("/", Err(404));
}

#[test]
fn path_sent_is_base_path_and_what_the_strip_prefix_leaves() {
    let origin = mirror();
    let gateway = Gateway::standalone(
        Document::new()
            .route("plain", "/plain", origin.url())
            .route("stripped", "/api/users/", origin.url())
            .with("strip_prefix: /api")
            .route("whole", "/whole", origin.url())
            .with("strip_prefix: /whole")
            .route("based", "/based", format!("{}/base", origin.url()))
            .route("both", "/both", format!("{}/base/", origin.url()))
            .with("strip_prefix: /both"),
    );
    let check = |target: &str, sent: &str| {
        assert_eq!(arrives(&gateway, target), Ok(format!("GET {sent}")), "{target}");
    };
    check("/plain/x", "/plain/x");
    check("/plain", "/plain");
    check("/api/users/1", "/users/1");
    check("/whole", "/");
    check("/whole/", "/");
    check("/whole/x", "/x");
    check("/based/x", "/base/based/x");
    check("/both/x", "/base/x");
    check("/both/x/", "/base/x/");
}

#[test]
fn query_travels_untouched() {
    let origin = mirror();
    let gateway = Gateway::standalone(
        Document::new().route("all", "/a", format!("{}/base", origin.url())).with("strip_prefix: /a"),
    );
    let queries =
        ["?", "?a=1&a=2", "?a=b+c%20d%2F..%2f", "?x=/../y&z=//", "?a=%zz&;=", "?q=http://h/?x", "?[]{}|"];
    for query in queries {
        assert_eq!(arrives(&gateway, &format!("/a/x{query}")), Ok(format!("GET /base/x{query}")), "{query}");
    }
}

#[test]
fn method_travels_untouched() {
    let origin = mirror();
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = Connection::open(gateway.address());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"] {
        connection
            .send(format!("{method} /x HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(connection.response().text(), format!("{method} /x"));
    }
}

#[test]
fn no_route_is_404_in_json() {
    let origin = mirror();
    let gateway = Gateway::standalone(Document::new().route("only", "/only", origin.url()));
    let answer = client::get_with(gateway.address(), "/other", "X-Request-Id: lost-1\r\n");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"error": "no_route", "request_id": "lost-1"}));
    assert!(answer.text().starts_with(r#"{"error":"no_route""#), "`error` comes first: {}", answer.text());
    assert_eq!(answer.field("x-request-id"), Some("lost-1"));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn dot_segments_and_their_disguises_never_cross_into_another_route() {
    let (public, admin) = (mirror(), Origin::saying("admin"));
    let gateway = Gateway::standalone(Document::new().route("public", "/public", public.url()).route(
        "admin",
        "/admin",
        admin.url(),
    ));
    for target in [
        "/public/../admin",
        "/public/./../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "/public/..%2fadmin",
        "/public/..%5cadmin",
        "/public/..\\admin",
        "//admin",
        "/public//../admin",
        "/public/x/../../admin",
        "/public/%252e%252e/admin",
        "/public/..;/admin",
    ] {
        // Resolved and routed to admin, refused, or public's own; but never sent to public as a way out of it.
        match arrives(&gateway, target).as_deref() {
            Ok("admin") | Err(400 | 404) => {}
            Ok(sent) => {
                let path = sent.trim_start_matches("GET ");
                let is_way_out = path.split(['/', '\\']).any(|segment| {
                    let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
                    matches!(decoded.as_str(), "." | "..")
                        || decoded.contains("..%2f")
                        || decoded.contains("..%5c")
                });
                assert!(path.starts_with("/public") && !is_way_out, "{target} was sent as {sent}");
            }
            Err(status) => panic!("{target} was answered {status}"),
        }
    }
}

#[test]
fn absolute_form_targets_are_accepted_where_the_host_agrees() {
    let origin = mirror();
    let gateway = Gateway::standalone(Document::new().route("all", "/a", origin.url()));
    let mut connection = Connection::open(gateway.address());
    connection.send("GET http://gateway.example/a/b?c HTTP/1.1\r\nHost: Gateway.example\r\n\r\n");
    assert_eq!(connection.response().text(), "GET /a/b?c");
    connection.send("GET http://elsewhere.example/a/b?c HTTP/1.1\r\nHost: gateway.example\r\n\r\n");
    assert_eq!(connection.response().status(), 400);
}

#[test]
fn upstream_names_are_resolved() {
    let origin = mirror();
    let port = origin.address().port();
    let gateway =
        Gateway::standalone(Document::new().route("named", "/", format!("http://localhost:{port}")));
    let _ = gateway.data_plane.serves("/x");
    assert_eq!(origin.request(0).head.field("host"), Some(format!("localhost:{port}").as_str()));
}

#[test]
fn admin_endpoints_of_the_model_answer_beside_the_routes() {
    let origin = mirror();
    let gateway = Gateway::standalone(Document::new().route("all", "/app", origin.url()));
    for address in [gateway.address(), gateway.data_plane.admin()] {
        let health = client::get(address, "/healthz");
        assert_eq!((health.status(), health.text().trim()), (200, "ok"));
        let metrics = client::get(address, "/metrics");
        assert_eq!(metrics.status(), 200);
        assert_eq!(client::get(address, "/-/routes").status(), 404, "without a key there is no such place");
    }
    let _ = client::get(gateway.address(), "/app");
    let metrics = client::get(gateway.data_plane.admin(), "/metrics").text();
    let counted = r#"apigw_http_requests_total{route="all",method="GET",code="200"} 1"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

#[test]
fn address_lists_and_sizes_of_a_route_are_enforced() {
    let origin = mirror();
    let document = Document::new()
        .server("trusted_proxies: [127.0.0.0/8]")
        .route("all", "/", origin.url())
        .with("deny_cidrs: [192.0.2.0/24]")
        .with("max_body_bytes: 4")
        .with("max_header_bytes: 200");
    let gateway = Gateway::standalone(document);
    let get = |field: &str| client::get_with(gateway.address(), "/x", field).status();
    assert_eq!(get(""), 200);
    assert_eq!(get("X-Forwarded-For: 192.0.2.9\r\n"), 403);
    assert_eq!(get("X-Forwarded-For: 198.51.100.9\r\n"), 200);
    assert_eq!(get(&format!("X-Long: {}\r\n", "x".repeat(200))), 431);
    let mut connection = Connection::open(gateway.address());
    connection.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    let refused = connection.response();
    assert_eq!(refused.status(), 413);
    assert!(refused.text().contains(r#""max_bytes":4"#), "{}", refused.text());
}
