//! Requests that a second endpoint is asked as well, because the first is slow: who answers, who is given up, and what is never
//! sent twice.

use std::time::Duration;

use apigw_tests::{
    client::{self, Connection},
    gateway::{Gateway, gwctl_json},
    load::{Load, Reuse, at_once},
    origin::{Origin, ok, refusing},
    waiting::eventually,
};
use serde_json::{Value, json};

/// How long the first has for its answer. Nothing here asks how long anything took.
const HEDGE: &str = "hedge: {after_seconds: 0.05}";

/// A route with these further keys to a backend of these endpoints, each of which is left out after one failure.
fn gateway(endpoints: &[&Origin], keys: &str) -> Gateway {
    let endpoints: Vec<_> = endpoints.iter().map(|origin| format!("{{url: \"{}\"}}", origin.url())).collect();
    let endpoints = endpoints.join(", ");
    Gateway::standalone(format!(
        "backends:\n  - name: pool\n    endpoints: [{endpoints}]\n    \
         health: {{outlier: {{consecutive_failures: 1, ejection_seconds: 60, max_ejected_percent: 100}}}}\n\
         routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: pool, {keys}}}\n"
    ))
}

/// Takes requests and never answers.
fn silent() -> Origin {
    Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    })
}

fn failing_after(delay: Duration) -> Origin {
    Origin::answering_after(delay, |_| "HTTP/1.1 503 Unwell\r\nContent-Length: 6\r\n\r\nunwell".into())
}

/// Asks until two endpoints were asked at once; gives the answer's text and the line in the log.
fn hedged(gateway: &Gateway, status: u16) -> (String, Value) {
    for number in 0..20 {
        let answer = client::get_with(gateway.address(), "/", &format!("X-Request-Id: {number}\r\n"));
        assert_eq!(answer.status(), status, "{answer:?}");
        let line = gateway.data_plane.access(&number.to_string());
        if line.get("attempts").is_some() {
            return (answer.text(), line);
        }
    }
    panic!("nobody else was asked");
}

fn hedges(gateway: &Gateway) -> u64 {
    let labels = [("route", "all"), ("reason", "hedge")];
    gateway.data_plane.metrics().count("apigw_upstream_retries_total", &labels)
}

#[test]
fn who_is_slow_is_overtaken_and_given_up() {
    let (silent, well) = (silent(), Origin::saying("well"));
    let gateway = gateway(&[&silent, &well], HEDGE);
    let (text, line) = hedged(&gateway, 200);
    assert_eq!((text.as_str(), &line["attempts"]), ("well", &json!(2)));
    assert_eq!(line["upstream"], well.address().to_string());
    let given_up = json!([{ "upstream": silent.address().to_string(), "why": "given_up" }]);
    assert_eq!(line["failed_attempts"], given_up);
    let requests = well.requests();
    assert!(requests.iter().all(|request| request.head.field("host") == Some(&well.address().to_string())));
    eventually("the slow one is told", || (silent.ended() > 0).then_some(()));
    assert!(hedges(&gateway) > 0);
    let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
    assert_eq!([&rows[0]["health"], &rows[1]["health"]], ["healthy"; 2], "being slow is no failure: {rows}");
    assert_eq!([&rows[0]["in_flight"], &rows[1]["in_flight"]], [&json!(0); 2], "{rows}");
}

#[test]
fn who_answers_in_time_is_asked_alone() {
    let origins = ["a", "b"].map(Origin::saying);
    let gateway = gateway(&origins.each_ref(), "hedge: {after_seconds: 60}");
    for _ in 0..20 {
        assert_eq!(client::get(gateway.address(), "/").status(), 200);
    }
    assert_eq!(origins.iter().map(|origin| origin.requests().len()).sum::<usize>(), 20);
    assert_eq!(hedges(&gateway), 0);
}

#[test]
fn what_may_change_something_is_asked_once() {
    let (silent, well) = (silent(), Origin::saying("well"));
    let gateway = gateway(&[&silent, &well], &format!("{HEDGE}, timeouts: {{first_byte_seconds: 0.5}}"));
    let asked = |method: &str, framing: &str, body: &str| {
        let mut connection = Connection::open(gateway.address());
        connection.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n{framing}\r\n{body}"));
        connection.response().status()
    };
    let cases = [
        ("POST", "Content-Length: 0\r\n", ""),
        ("PUT", "", ""),
        ("DELETE", "", ""),
        ("GET", "Content-Length: 4\r\n", "body"),
        (
            "GET",
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "",
        ),
    ];
    for (method, framing, body) in cases {
        let before = silent.requests().len() + well.requests().len();
        let status = asked(method, framing, body);
        assert!([200, 504, 502].contains(&status), "{method} {framing}: {status}");
        assert_eq!(silent.requests().len() + well.requests().len(), before + 1, "{method} {framing}");
    }
    assert_eq!(hedges(&gateway), 0);
}

#[test]
fn a_failure_is_not_the_answer_while_there_may_be_a_better_one() {
    let (failing, late) = (
        failing_after(Duration::from_secs(1)),
        Origin::answering_after(Duration::from_secs(3), |_| ok("late")),
    );
    let gateway = gateway(&[&failing, &late], HEDGE);
    let (text, line) = hedged(&gateway, 200);
    assert_eq!(text, "late", "{line}");
    let failed = json!([{ "upstream": failing.address().to_string(), "why": "status", "status": 503 }]);
    assert_eq!(line["failed_attempts"], failed);
    let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
    let standing = |origin: &Origin| {
        let rows = rows.as_array().expect("a list");
        let row = rows.iter().find(|row| row["url"] == origin.url()).expect("it is one of them");
        row["health"].clone()
    };
    assert_eq!([standing(&failing), standing(&late)], ["ejected", "healthy"], "{rows}");
}

#[test]
fn two_failures_are_the_last_of_them_and_a_reason_for_a_retry() {
    let failing = [1_000, 1_500].map(|millis| failing_after(Duration::from_millis(millis)));
    let alone = gateway(&failing.each_ref(), HEDGE);
    let (text, line) = hedged(&alone, 503);
    assert_eq!((text.as_str(), &line["failed_attempts"][0]["status"]), ("unwell", &json!(503)));
    assert_eq!(line["attempts"], 2);

    let well = Origin::answering_after(Duration::from_millis(2_500), |_| ok("well"));
    let [first, second] = &failing;
    let keys = format!("{HEDGE}, retry: {{attempts: 1, on: [503]}}");
    let retrying = gateway(&[first, second, &well], &keys);
    let (text, line) = hedged(&retrying, 200);
    assert_eq!(text, "well", "{line}");
    let upstream = well.address().to_string();
    assert_eq!(line["upstream"], upstream.as_str());
    assert!(well.requests().iter().all(|request| request.head.field("host") == Some(&upstream)));
}

#[test]
fn who_cannot_be_reached_takes_no_time_from_who_is_waited_for() {
    let silent = silent();
    let keys = format!("backend: pool, {HEDGE}, timeouts: {{first_byte_seconds: 0.5}}");
    let gateway = Gateway::standalone(format!(
        "backends:\n  - name: pool\n    endpoints: [{{url: \"{}\"}}, {{url: \"http://{}\"}}]\n\
         routes:\n  - {{name: all, match: {{path_prefix: /}}, {keys}}}\n",
        silent.url(),
        refusing()
    ));
    let statuses: Vec<_> = (0..4).map(|_| client::get(gateway.address(), "/").status()).collect();
    assert!(
        statuses.contains(&504) && statuses.iter().all(|status| [502, 504].contains(status)),
        "{statuses:?}"
    );
    assert!(hedges(&gateway) > 0);
}

#[test]
fn slowness_everywhere_is_not_doubled() {
    let slow: [Origin; 2] =
        std::array::from_fn(|_| Origin::answering_after(Duration::from_millis(200), |_| ok("slow")));
    let gateway = gateway(&slow.each_ref(), HEDGE);
    let answers = at_once(20, |_| {
        let mut connection = Connection::open(gateway.address());
        (0..20).filter(|_| connection.get("/").status() == 200).count()
    });
    assert_eq!(answers.iter().sum::<usize>(), 400);
    let requests: usize = slow.iter().map(|origin| origin.requests().len()).sum();
    // A fifth; or, if that took several windows of ten seconds, a little more. Unbounded, there would be 800.
    assert!((401..600).contains(&requests), "{requests}");
    let refused = [("route", "all")];
    assert!(gateway.data_plane.metrics().count("apigw_upstream_retries_refused_total", &refused) > 0);
    let row = gwctl_json(gateway.data_plane.admin(), &["limits"])[0].clone();
    assert!(row["retry"]["refused"].as_u64() > Some(0), "{row}");
}

#[test]
fn a_client_that_leaves_ends_both() {
    let silent: [Origin; 2] = std::array::from_fn(|_| silent());
    let gateway = gateway(&silent.each_ref(), &format!("{HEDGE}, concurrency: {{max_in_flight: 1}}"));
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "X-Request-Id: gone\r\n");
    silent.iter().for_each(|origin| origin.await_request(0));
    drop(connection);
    let line = gateway.data_plane.access("gone");
    assert_eq!((&line["status"], &line["why"]), (&json!(499), &json!("client_disconnected")));
    eventually("both are told", || silent.iter().all(|origin| origin.ended() > 0).then_some(()));
    let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
    assert_eq!([&rows[0]["in_flight"], &rows[1]["in_flight"]], [&json!(0); 2], "{rows}");
}

#[test]
fn an_endpoint_that_hangs_under_load_costs_no_request() {
    let (hanging, well) = (silent(), Origin::saying("well"));
    let gateway = gateway(&[&hanging, &well], &format!("{HEDGE}, retry: {{budget_percent: 100}}"));
    let load = Load::start(gateway.address(), "/", 4, Reuse::MustSucceed, |_| Ok(()));
    eventually("there is traffic", || (load.answered() > 60).then_some(()));
    load.stop().is_flawless();
    assert!(hedges(&gateway) > 0);
}
