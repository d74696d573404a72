//! What path an upstream sees of what a client sends.

use apigw_tests::{
    client::Connection,
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, ok},
};

fn echo() -> Origin {
    Origin::answering(|request| ok(request.line()))
}

/// The status, and where it is 200 the target that the upstream saw.
fn ask(gateway: &Gateway, target: &str) -> (u16, String) {
    let mut connection = Connection::open(gateway.address());
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: gw.example\r\n\r\n"));
    let answer = connection.response();
    let seen = answer.text();
    (answer.status(), seen.strip_prefix("GET ").unwrap_or("").to_owned())
}

fn check(gateway: &Gateway, cases: &[(&str, &str)]) {
    for (target, seen) in cases {
        assert_eq!(ask(gateway, target), (200, (*seen).to_owned()), "{target}");
    }
}

fn check_refused(gateway: &Gateway, targets: &[&str]) {
    for target in targets {
        assert_eq!(ask(gateway, target).0, 400, "{target}");
    }
}

#[test]
fn one_form_of_a_path_is_forwarded() {
    let origin = echo();
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    check(
        &gateway,
        &[
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/../../a", "/a"),
            ("//a///b", "/a/b"),
            ("/%61%7e", "/a~"),
            ("/%e4%bd%a0", "/%E4%BD%A0"),
            ("/a%20b", "/a%20b"),
            ("/a%252e%252e%252fb", "/a%252e%252e%252fb"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/a/;/../b", "/a/b"),
            ("/a%3fb%23c", "/a%3Fb%23c"),
            ("/a?", "/a?"),
            ("/a??b=/../c", "/a??b=/../c"),
            ("/a?%2f%00%zz", "/a?%2f%00%zz"),
            ("http://gw.example/a/../b?c", "/b?c"),
            ("http://gw.example", "/"),
            ("http://gw.example?c", "/?c"),
        ],
    );
}

#[test]
fn paths_that_programs_read_differently_are_refused() {
    let origin = echo();
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    check_refused(
        &gateway,
        &[
            "/a%2fb",
            "/a%2Fb",
            "/a/..%2fb",
            "/a%5cb",
            "/a/..%5Cb",
            "/a\\b",
            "/a/..\\b",
            "/a%00",
            "/a%0a",
            "/a%0d%0aX:y",
            "/a%7f",
            "/a%1b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%%32e",
            "/%u002e",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/.;/b",
            "/a/%2e%2e;/b",
            "/a/..%3b/b",
            "/%c0%ae%c0%ae/a",
            "/%f8%80%80%80%ae/a",
            "/%c0%2e%c0%2e/a",
            "/a%c0%afb",
            "/a%e0%80%afb",
            "/a#b",
            "a",
            "*",
            "?a",
            "ftp://gw.example/a",
            "http://other.example/a",
        ],
    );
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn no_spelling_of_a_path_leaves_its_route() {
    let (public, admin) = (echo(), Origin::saying("secret"));
    let gateway = Gateway::standalone(
        Document::new()
            .route("public", "/public", public.url())
            .with("strip_prefix: /public")
            .route("admin", "/admin", admin.url())
            .with("cidrs_mode: enforce")
            .with("deny_cidrs: [127.0.0.0/8]"),
    );
    for target in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2E/admin",
        "//admin",
        "/./admin",
        "/admin/",
        "/%61dmin",
        "/x/..//admin",
        "http://gw.example//admin",
    ] {
        assert_eq!(ask(&gateway, target).0, 403, "{target}");
    }
    check(
        &gateway,
        &[
            ("/public", "/"),
            ("/public/", "/"),
            ("/public//evil.example/x", "/evil.example/x"),
            ("/public/a/../../public/b", "/b"),
        ],
    );
    assert_eq!(ask(&gateway, "/publicx").0, 404);
    assert_eq!(ask(&gateway, "/Public").0, 404);
    assert_eq!(admin.requests().len(), 0);
}

#[test]
fn escaped_slashes_pass_as_the_file_says() {
    let origin = echo();
    let gateway = |word: &str| {
        let paths = format!("paths: {{ encoded_slash: {word} }}");
        Gateway::standalone(
            Document::new()
                .server(&paths)
                .route("all", "/", origin.url())
                .route("a", "/a", origin.url())
                .with("strip_prefix: /a"),
        )
    };
    let keep = gateway("keep");
    check(&keep, &[("/a%2fb", "/a%2Fb"), ("/a/b%2f%2fc", "/b%2F%2Fc"), ("/a/%2fb", "/%2Fb")]);
    check_refused(&keep, &["/a/..%2fb", "/a/%2e%2e%2fb", "/b%2f..%2fc", "/b%2f.", "/a%5cb"]);
    let decode = gateway("decode");
    check(&decode, &[("/a%2fb", "/b"), ("/a/..%2fb", "/b"), ("/a%2f%2fb", "/b"), ("/b%2fc", "/b/c")]);
    check_refused(&decode, &["/a%5cb", "/b%2f..;%2fc"]);
}

#[test]
fn empty_segments_pass_where_the_file_keeps_them() {
    let origin = echo();
    let gateway = Gateway::standalone(
        Document::new()
            .server("paths: { merge_slashes: false }")
            .route("all", "/", origin.url())
            .route("a", "/a", origin.url())
            .with("strip_prefix: /a"),
    );
    check(
        &gateway,
        &[
            ("/b//c", "/b//c"),
            ("/b//", "/b//"),
            ("/b//../c", "/b/c"),
            ("/a/b//c", "/b//c"),
            // What is left must not look like an authority.
            ("/a//evil.example/x", "/evil.example/x"),
        ],
    );
}
