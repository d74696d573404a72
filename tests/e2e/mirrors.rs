//! Copies of requests for another backend, as clients, upstreams and operators see them.

use std::net::SocketAddr;

use apigw_tests::{
    client::{self, Connection},
    gateway::{Gateway, gwctl, gwctl_json},
    load::{Load, Reuse},
    origin::{Origin, Peer, ok, refusing},
    waiting::eventually,
};

/// A file whose one route goes to `live`, with copies to `shown` as `mirror` says beside the backend.
fn document(live: &Origin, shown: SocketAddr, mirror: &str, route: &str) -> String {
    let (live, shown) = (live.url(), format!("http://{shown}/copies"));
    format!(
        "backends:\n  - {{name: live, endpoints: [{{url: \"{live}\"}}]}}\n  - {{name: shown, endpoints: [{{url: \"{shown}\"}}]}}\n\
         routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: live, mirror: {{backend: shown{mirror}}}{route}}}\n"
    )
}

/// How many copies came to this end.
fn copies(gateway: &Gateway, outcome: &str) -> u64 {
    let labels = [("route", "all"), ("outcome", outcome)];
    gateway.data_plane.metrics().count("apigw_mirrored_requests_total", &labels)
}

#[test]
fn the_other_backend_is_sent_the_same_and_its_answer_goes_nowhere() {
    let live = Origin::saying("live");
    let shown = Origin::answering(|_| "HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nshown".into());
    let route = ", strip_prefix: /api, request_headers: {set: {x-added: \"yes\"}}";
    let gateway = Gateway::standalone(document(&live, shown.address(), "", route));
    let mut connection = Connection::open(gateway.address());
    let fields = "Host: a\r\nX-Request-Id: copied\r\nX-Own: 1\r\n";
    connection.send(format!("POST /api/x?y=1 HTTP/1.1\r\n{fields}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(connection.response().text(), "live");
    connection.send(format!(
        "PUT /api/z HTTP/1.1\r\n{fields}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    ));
    assert_eq!(connection.response().text(), "live");
    assert_eq!(connection.get("/api/none").text(), "live");
    shown.await_request(2);
    eventually("they are answered", || (copies(&gateway, "answered") == 3).then_some(()));
    // In whatever order they came.
    let mut lines: Vec<_> = (0..3).map(|index| shown.request(index)).collect();
    lines.sort_by_key(|request| request.line().to_owned());
    let told = lines.iter().map(|request| (request.line(), request.body.as_slice()));
    let expected =
        [("GET /copies/none", &b""[..]), ("POST /copies/x?y=1", b"hello"), ("PUT /copies/z", b"abcde")];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    for (name, value) in [("x-added", "yes"), ("x-own", "1"), ("x-request-id", "copied")] {
        assert_eq!(lines[1].head.field(name), Some(value), "{name}");
        assert_eq!(live.request(0).head.field(name), Some(value), "{name}");
    }
    assert_eq!(lines[1].head.field("host"), Some(shown.address().to_string().as_str()));
    assert_eq!(live.request(0).line(), "POST /x?y=1");
}

#[test]
fn a_backend_that_is_silent_or_gone_changes_nothing_for_clients() {
    let live = Origin::saying("live");
    let silent = Origin::scripted(Peer::until_closed);
    let gateway = Gateway::standalone(document(&live, silent.address(), "", ""));
    let load = Load::start(gateway.address(), "/x", 8, Reuse::MustSucceed, |answer| {
        if answer.text() == "live" { Ok(()) } else { Err(answer.text()) }
    });
    // One past the bound of whichever worker is not sent.
    eventually("there is no room for more", || (copies(&gateway, "no_room") > 0).then_some(()));
    let before = load.answered();
    eventually("requests go on", || (load.answered() > before + 500).then_some(()));
    eventually("places of those that were not answered are free again", || {
        (copies(&gateway, "overdue") > 0).then_some(())
    });
    gateway.file.save(document(&live, refusing(), "", ""));
    eventually("they cannot be sent", || (copies(&gateway, "failed") > 0).then_some(()));
    load.stop().is_flawless();
}

#[test]
fn clients_that_are_slow_to_send_keep_nobody_else_s_copies_back() {
    let (live, shown) = (Origin::saying("live"), Origin::saying("shown"));
    let gateway = Gateway::standalone(document(&live, shown.address(), "", ""));
    // More than may be under way of a route, in however many workers.
    let slow: Vec<_> = (0..300)
        .map(|_| {
            let mut connection = Connection::open(gateway.address());
            connection.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh");
            connection
        })
        .collect();
    eventually("they wait", || (live.connections() >= slow.len()).then_some(()));
    assert_eq!(client::get(gateway.address(), "/quick").text(), "live");
    eventually("it is copied", || (copies(&gateway, "answered") == 1).then_some(()));
    assert_eq!(shown.request(0).line(), "GET /copies/quick");
    drop(slow);
    eventually("none of the others is", || (copies(&gateway, "body_incomplete") > 0).then_some(()));
}

#[test]
fn a_body_is_copied_up_to_the_bound_and_only_when_it_came_whole() {
    let live = Origin::saying("live");
    let shown = Origin::saying("shown");
    // The limit is there for its gauge, which shows what is under way.
    let limit = ", concurrency: {max_in_flight: 9}";
    let gateway = Gateway::standalone(document(&live, shown.address(), "", limit));
    let mut connection = Connection::open(gateway.address());
    let mut send = |bytes: usize| {
        connection.send(format!("POST /{bytes} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n"));
        connection.send(vec![b'x'; bytes]);
        assert_eq!(connection.response().text(), "live");
    };
    send(65_536);
    send(65_537);
    let mut chunked = Connection::open(gateway.address());
    let (head, piece) =
        ("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "x".repeat(65_537));
    chunked.send(format!("{head}10001\r\n{piece}\r\n0\r\n\r\n"));
    assert_eq!(chunked.response().text(), "live");
    eventually("both are too large", || (copies(&gateway, "body_too_large") == 2).then_some(()));
    let mut broken = Connection::open(gateway.address());
    broken.send("POST /broken HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    let in_flight = || gateway.data_plane.metrics().count("apigw_in_flight_requests", &[("route", "all")]);
    eventually("it is under way", || (in_flight() == 1).then_some(()));
    drop(broken);
    eventually("it is given up", || (copies(&gateway, "body_incomplete") == 1).then_some(()));
    eventually("one is answered", || (copies(&gateway, "answered") == 1).then_some(()));
    let whole = shown.only_request();
    assert_eq!((whole.line(), whole.body.len()), ("POST /copies/65536", 65_536));
}

#[test]
fn a_part_of_the_requests_is_copied_and_none_that_is_refused() {
    let live = Origin::saying("live");
    let shown = Origin::saying("shown");
    let gateway = Gateway::standalone(document(
        &live,
        shown.address(),
        ", percent: 20",
        ", max_body_bytes: 10, request_headers: {remove: [x-a]}",
    ));
    let mut connection = Connection::open(gateway.address());
    for _ in 0..1_000 {
        assert_eq!(connection.get("/x").status(), 200);
    }
    // A thousand throws with a fifth: outside of these once in a million times.
    eventually("they are answered", || {
        (copies(&gateway, "answered") == shown.requests().len() as u64).then_some(())
    });
    let count = shown.requests().len();
    assert!((130..=270).contains(&count), "{count}");
    for _ in 0..50 {
        let refused = client::request(gateway.address(), "POST", "/x", "Content-Length: 11\r\n");
        assert_eq!(refused.status(), 413);
    }
    assert_eq!(shown.requests().len(), count);
}

#[test]
fn retries_are_copied_once() {
    let live = Origin::answering(|request| {
        if request.head.field("x-fail").is_some() {
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".into()
        } else {
            ok("live")
        }
    });
    let shown = Origin::saying("shown");
    let retry = ", retry: {attempts: 2, on: [\"503\"], methods: [POST]}";
    let gateway = Gateway::standalone(document(&live, shown.address(), "", retry));
    let mut connection = Connection::open(gateway.address());
    connection.send("POST /x HTTP/1.1\r\nHost: a\r\nX-Fail: 1\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(connection.response().status(), 503);
    assert_eq!(live.requests().len(), 3);
    eventually("it is answered", || (copies(&gateway, "answered") == 1).then_some(()));
    assert_eq!(shown.only_request().body, b"abc");
}

#[test]
fn operators_are_told_who_is_sent_copies() {
    let live = Origin::saying("live");
    let gateway = Gateway::standalone(document(&live, refusing(), ", percent: 12.5", ""));
    let told = gwctl_json(gateway.data_plane.admin(), &["explain", "GET", "/x"]);
    let policies = told["policies"].as_array().expect("there are some");
    let step = policies.iter().find(|step| step["policy"] == "mirror").expect("it is told");
    assert_eq!(
        (&step["detail"], step["source"]["line"].as_u64()),
        (&"12.5% copied to shown".into(), Some(5))
    );
    let table = gwctl(gateway.data_plane.admin(), &["routes"]).stdout;
    assert!(table.contains("live, 12.5% copied to shown"), "{table}");
    let routes = gwctl_json(gateway.data_plane.admin(), &["routes"]);
    assert_eq!(routes[0]["mirror"], serde_json::json!({ "backend": "shown", "percent": 12.5 }));
}
