//! What clients are told by routes that ask nobody, and what upstreams are asked for by routes that rewrite.

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::{ConfigFile, Document},
    gateway::{Gateway, gwctl, gwctl_json},
    origin::{Origin, ok},
    programs::Programs,
};
use serde_json::json;

/// Sends what a client of `host` would.
fn ask(gateway: &Gateway, method: &str, host: &str, target: &str, fields: &str) -> Response {
    let mut connection = Connection::open(gateway.address());
    connection.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    connection.response_to(method)
}

fn location(response: &Response) -> (u16, Option<String>) {
    (response.status(), response.field("location").map(str::to_owned))
}

fn gateway(keys: &str) -> Gateway {
    Gateway::standalone(format!(
        "server: {{ trusted_proxies: [127.0.0.1] }}\nroutes:\n  - name: a\n    {keys}\n"
    ))
}

#[test]
fn clients_are_sent_where_the_file_says() {
    let gateway = gateway(
        "match: { path_prefix: /old }\n    redirect: { status: 308, scheme: https, host: new.example, port: 8443, prefix: /new }",
    );
    let answer = ask(&gateway, "GET", "h", "/old/a/../b%7e?c=%2f", "");
    assert_eq!(location(&answer), (308, Some("https://new.example:8443/new/b~?c=%2f".into())));
    assert_eq!((answer.text().as_str(), answer.field("content-length")), ("", Some("0")));
}

#[test]
fn what_a_redirect_does_not_name_is_as_the_client_sees_it() {
    let gateway = gateway("match: { path_prefix: / }\n    redirect: { path: /x }");
    assert_eq!(location(&ask(&gateway, "GET", "h:81", "/", "")), (302, Some("http://h:81/x".into())));
    let behind_tls = ask(&gateway, "GET", "h", "/", "X-Forwarded-Proto: https\r\n");
    assert_eq!(location(&behind_tls), (302, Some("https://h/x".into())));
}

#[test]
fn nobody_can_be_sent_elsewhere_by_a_host_or_a_path() {
    let gateway = gateway("match: { path_prefix: /a }\n    redirect: { prefix: / }");
    assert_eq!(ask(&gateway, "GET", "good.example:80:@evil.example", "/a", "").status(), 400);
    for path in ["/a//evil.example", "/a///evil.example", "/a/.//evil.example"] {
        let answer = ask(&gateway, "GET", "good.example", path, "");
        assert_eq!(location(&answer), (302, Some("http://good.example/evil.example".into())), "{path}");
    }
}

#[test]
fn answers_are_as_the_file_words_them() {
    let gateway = gateway(
        "match: { path_prefix: / }\n    respond: { status: 503, content_type: text/html, body: '<p>später</p>' }\n    \
         response_headers: { set: { retry-after: '60' } }",
    );
    let answer = ask(&gateway, "GET", "h", "/", "");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "<p>später</p>"));
    assert_eq!((answer.field("content-type"), answer.field("retry-after")), (Some("text/html"), Some("60")));
    let head = ask(&gateway, "HEAD", "h", "/", "");
    assert_eq!((head.status(), head.field("content-length"), head.body.len()), (503, Some("14"), 0));
}

#[test]
fn connections_go_on_after_answers_without_a_body() {
    let gateway = gateway("match: { path_prefix: / }\n    respond: { status: 204 }");
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        let answer = connection.get("/");
        assert_eq!(
            (answer.status(), answer.field("content-length"), answer.field("connection")),
            (204, None, None)
        );
    }
}

#[test]
fn connections_go_on_behind_bodies_that_nobody_reads() {
    let gateway = gateway("match: { path_prefix: / }\n    respond: { body: done }");
    let mut connection = Connection::open(gateway.address());
    for _ in 0..2 {
        connection.ask("POST", "/", "Content-Length: 5\r\n");
        let answer = connection.response_to("POST");
        assert_eq!((answer.status(), answer.field("connection")), (200, None));
        connection.send("body!");
    }
}

#[test]
fn judgements_come_before_answers() {
    let gateway =
        gateway("match: { path_prefix: / }\n    respond: { body: secret }\n    deny_cidrs: [127.0.0.1]");
    assert_eq!(client::get(gateway.address(), "/").status(), 403);
}

#[test]
fn upstreams_are_asked_for_what_the_file_makes_of_paths_and_hosts() {
    let origin = Origin::answering(|request| {
        ok(&format!("{} {}", request.line(), request.head.field("host").unwrap_or_default()))
    });
    let url = format!("{}/base", origin.url());
    let gateway = Gateway::standalone(
        Document::new()
            .route("prefix", "/a", &url)
            .with("rewrite: { prefix: /b/, host: b.example }")
            .route("whole", "/whole", &url)
            .with("rewrite: { path: /one, host: '${host}' }")
            .route("regex", "/users", &url)
            .with("rewrite: { regex: '/users/([0-9]+)(/.*)?', with: '/u/${1}${2}' }"),
    );
    let own = origin.address();
    for (target, expected) in [
        ("/a/x?y=/a", "GET /base/b/x?y=/a b.example".to_owned()),
        ("/a", "GET /base/b/ b.example".to_owned()),
        ("/whole/of/it?q", "GET /base/one?q shop.example:81".to_owned()),
        ("/users/7", format!("GET /base/u/7 {own}")),
        ("/users/7/x%20y?z", format!("GET /base/u/7/x%20y?z {own}")),
        ("/users/me", format!("GET /base/users/me {own}")),
    ] {
        assert_eq!(ask(&gateway, "GET", "shop.example:81", target, "").text(), expected, "{target}");
    }
    for request in origin.requests() {
        assert_eq!(request.head.field("x-forwarded-host"), Some("shop.example:81"));
    }
}

#[test]
fn no_path_leaves_the_place_that_a_rewrite_names() {
    let origin = Origin::saying("ok");
    let document = Document::new().route("all", "/", origin.url());
    let gateway =
        Gateway::standalone(document.with("rewrite: { regex: '/(..)x(.*)', with: '/base/${1}/${2}' }"));
    let answer = ask(&gateway, "GET", "h", "/..xadmin", "");
    assert_eq!((answer.status(), answer.json()["error"].as_str()), (400, Some("bad_path")));
    assert_eq!(ask(&gateway, "GET", "h", "/abxadmin", "").status(), 200);
    assert_eq!(origin.only_request().line(), "GET /base/ab/admin");
}

#[test]
fn operators_see_who_answers_and_what_would_be_said() {
    let gateway = gateway(
        "match: { path_prefix: /a }\n    redirect: { scheme: https, regex: '/a/(.*)', with: '/b/${1}' }",
    );
    let admin = gateway.data_plane.admin();
    let explained = gwctl_json(admin, &["explain", "GET", "http://h.example/a/1"]);
    assert_eq!(explained["outcome"], json!({ "status": 302, "reason": null }));
    assert_eq!(explained["upstream"], json!(null));
    let policies = explained["policies"].as_array().expect("policies");
    let last = policies.last().expect("a judgement");
    assert_eq!(
        (&last["policy"], &last["detail"]),
        (&json!("redirect"), &json!("302 to https://h.example/b/1"))
    );
    assert_eq!(last["source"]["line"], json!(5));
    assert_eq!(gwctl(admin, &["explain", "GET", "/a/1"]).code, Some(0));
    let routes = gwctl(admin, &["routes"]).stdout;
    assert!(routes.contains("302 to https:///a/(.*) -> /b/${1}"), "{routes}");
    let listed = gwctl_json(admin, &["routes"]);
    let redirect = json!({ "status": 302, "scheme": "https", "regex": "/a/(.*)", "with": "/b/${1}" });
    assert_eq!((&listed[0]["redirect"], &listed[0]["upstream"]), (&redirect, &json!("")));
}

#[test]
fn keys_that_would_have_no_effect_or_do_not_go_together_are_refused() {
    for (keys, line) in [
        ("redirect: { scheme: https }\n    strip_prefix: /a", "6:19 routes[0].strip_prefix: has no effect"),
        (
            "respond: { body: x }\n    concurrency: { max_in_flight: 1 }",
            "6:18 routes[0].concurrency: has no effect",
        ),
        ("respond: { body: x }\n    upstream: http://h", "5:14 routes[0].respond: a route has exactly one"),
        ("respond: { status: 204, body: x }", "5:35 routes[0].respond.body: must be empty"),
        ("respond: { status: 100 }", "5:24 routes[0].respond.status: must be from 200"),
        ("respond: { content_type: text }", "5:30 routes[0].respond.content_type: not a media type"),
        ("redirect: { status: 304 }", "5:25 routes[0].redirect.status: must be 301"),
        ("redirect: {}", "5:15 routes[0].redirect: must not be empty"),
        ("redirect: { host: '*.a' }", "5:23 routes[0].redirect.host: not an address or a DNS name"),
        ("redirect: { path: /a, prefix: /b }", "5:35 routes[0].redirect.prefix: has several"),
        ("upstream: http://h\n    rewrite: { regex: a }", "6:23 routes[0].rewrite.regex: regex and with"),
        (
            "upstream: http://h\n    rewrite: { regex: '(a)', with: '/${2}' }",
            "6:36 routes[0].rewrite.with: the expression",
        ),
        (
            "upstream: http://h\n    rewrite: { prefix: /b }\n    strip_prefix: /a",
            "6:14 routes[0].rewrite: not beside",
        ),
    ] {
        let file = ConfigFile::new(format!(
            "server:\nroutes:\n  - name: a\n    match: {{ path_prefix: /a }}\n    {keys}\n"
        ));
        let validated = Programs::built().output("gwctl", &["validate", &file.path().display().to_string()]);
        assert_eq!(validated.code, Some(1), "{keys}: {validated:?}");
        assert!(validated.stdout.contains(&format!(":{line}")), "{keys}: {validated:?}");
    }
}
