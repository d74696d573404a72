//! Concurrency limits: exact, and held until the last byte or the client's disappearance.

use std::io;

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gate::Gate,
    gateway::Gateway,
    load::at_once,
    origin::{Origin, Peer, ok},
    waiting::eventually,
};
use serde_json::json;

fn limited(origin: &Origin, max_in_flight: usize) -> Document {
    let limit = format!("concurrency: {{ max_in_flight: {max_in_flight} }}");
    Document::new().route("all", "/", origin.url()).with(&limit)
}

/// An upstream that answers when the gate opens.
fn slow(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::scripted(move |peer| {
        loop {
            peer.request()?;
            gate.pass()?;
            peer.send(ok("done"))?;
        }
    })
}

/// An upstream whose answers, but for those of `/whole`, begin at once and end when the gate opens.
fn trickling(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::scripted(move |peer: &mut Peer| -> io::Result<()> {
        loop {
            if peer.request()?.line() == "GET /whole" {
                peer.send(ok("whole"))?;
                continue;
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            gate.pass()?;
            peer.send("done")?;
        }
    })
}

fn in_flight(gateway: &Gateway) -> u64 {
    gateway.data_plane.metrics().count("apigw_in_flight_requests", &[("route", "all")])
}

/// Sends a GET and does not wait.
fn begun(gateway: &Gateway) -> Connection {
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "");
    connection
}

#[test]
fn as_many_as_allowed_are_under_way_and_one_more_is_told_so() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let gateway = Gateway::with_key(limited(&origin, 3));
    let mut under_way: Vec<_> = (0..3).map(|_| begun(&gateway)).collect();
    origin.await_request(2);
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: fourth\r\n");
    assert_eq!((answer.status(), answer.field("content-type")), (503, Some("application/json")));
    assert_eq!(
        answer.text(),
        "{\"error\":\"too_busy\",\"message\":\"route is at max concurrency\",\"route\":\"all\",\"max_in_flight\":3,\"request_id\":\"fourth\"}"
    );
    assert_eq!(gateway.data_plane.access("fourth")["why"], "too_busy");
    let row = gateway.data_plane.limits("all");
    assert_eq!(row["concurrency"], json!({"max_in_flight": 3, "in_flight": 3, "mode": "enforce"}));
    assert_eq!(in_flight(&gateway), 3);
    gate.open();
    for connection in &mut under_way {
        assert_eq!(connection.response().text(), "done");
    }
    eventually("all places are free", || (in_flight(&gateway) == 0).then_some(()));
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
    assert_eq!(origin.requests().len(), 4, "the refused one reached the upstream");
}

#[test]
fn clients_at_once_never_take_more_places_than_there_are() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let gateway = Gateway::standalone(limited(&origin, 7));
    // Those who are refused open the gate for those who are not.
    let refused = std::sync::atomic::AtomicUsize::new(0);
    let statuses = at_once(40, |_| {
        let status = client::get(gateway.address(), "/").status();
        if status == 503 && refused.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 32 {
            gate.open();
        }
        status
    });
    let count = |status| statuses.iter().filter(|&&other| other == status).count();
    assert_eq!((count(200), count(503)), (7, 33), "{statuses:?}");
    assert_eq!(origin.requests().len(), 7);
}

#[test]
fn place_is_free_after_the_last_byte_and_not_before() {
    let gate = Gate::new();
    let origin = trickling(&gate);
    let gateway = Gateway::standalone(limited(&origin, 1));
    let mut connection = begun(&gateway);
    let head = connection.head();
    assert_eq!(head.status(), 200);
    assert_eq!(client::get(gateway.address(), "/whole").status(), 503, "the answer has not ended");
    gate.open();
    let mut body = Vec::new();
    connection.read_body(&head, "GET", &mut body).expect("the answer ends");
    assert_eq!(body, b"halfdone");
    eventually("the place is free", || {
        (client::get(gateway.address(), "/whole").status() == 200).then_some(())
    });
}

#[test]
fn client_that_hangs_up_frees_his_place() {
    let gate = Gate::new();
    for origin in [slow(&gate), trickling(&gate)] {
        let gateway = Gateway::standalone(limited(&origin, 64));
        let clients: Vec<_> = (0..64).map(|_| begun(&gateway)).collect();
        origin.await_request(63);
        assert_eq!(in_flight(&gateway), 64);
        assert_eq!(client::get(gateway.address(), "/").status(), 503);
        drop(clients);
        eventually("all places are free", || (in_flight(&gateway) == 0).then_some(()));
    }
    gate.open();
}

#[test]
fn refusals_and_failures_hold_no_place() {
    let file = Document::new()
        .server("max_body_bytes: 4")
        .route("all", "/", "http://127.0.0.1:9")
        .with("concurrency: { max_in_flight: 1 }");
    let gateway = Gateway::standalone(file);
    for _ in 0..5 {
        assert_eq!(client::get(gateway.address(), "/").status(), 502);
        let mut connection = Connection::open(gateway.address());
        connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(connection.response().status(), 413);
    }
    eventually("all places are free", || (in_flight(&gateway) == 0).then_some(()));
}

#[test]
fn lowered_limit_waits_for_those_under_way() {
    let gate = Gate::new();
    let (origin, quick) = (slow(&gate), Origin::saying("in"));
    let gateway = Gateway::standalone(limited(&origin, 3));
    let under_way: Vec<_> = (0..3).map(|_| begun(&gateway)).collect();
    origin.await_request(2);
    gateway.edit(&limited(&quick, 2), &quick);
    assert_eq!(client::get(gateway.address(), "/").status(), 503, "three are under way, and two are allowed");
    drop(under_way);
    eventually("a place is free", || (client::get(gateway.address(), "/").status() == 200).then_some(()));
    gate.open();
}

#[test]
fn shadowed_limit_counts_and_lets_pass() {
    for limit in ["max_in_flight: 1", "adaptive: { min: 1, max: 1 }"] {
        let gate = Gate::new();
        let origin = slow(&gate);
        let shadowed = format!("concurrency: {{ {limit}, mode: shadow }}");
        let gateway = Gateway::with_key(Document::new().route("all", "/", origin.url()).with(&shadowed));
        let mut first = begun(&gateway);
        origin.await_request(0);
        let mut second = Connection::open(gateway.address());
        second.ask("GET", "/", "X-Request-Id: second\r\n");
        origin.await_request(1);
        assert_eq!(in_flight(&gateway), 2, "one is under way beyond {limit}");
        assert_eq!(gateway.data_plane.limits("all")["concurrency"]["in_flight"], 2, "{limit}");
        gate.open();
        assert_eq!((first.response().status(), second.response().status()), (200, 200));
        let line = gateway.data_plane.access("second");
        assert_eq!((&line["why"], &line["shadow"]), (&"ok".into(), &"too_busy".into()));
        let labels = [("route", "all"), ("reason", "too_busy")];
        assert_eq!(gateway.data_plane.metrics().count("apigw_shadow_rejections_total", &labels), 1);
        eventually("all places are free", || (in_flight(&gateway) == 0).then_some(()));
    }
}

#[test]
fn thousands_of_cancelled_requests_leave_every_gauge_at_zero() {
    const CLIENTS: usize = 12;
    const REQUESTS: usize = 250;
    let gate = Gate::new();
    let origin = trickling(&gate);
    let file = limited(&origin, 40)
        .with("circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 60, half_open_max_in_flight: 1 }");
    let gateway = Gateway::with_key(file);
    at_once(CLIENTS, |client| {
        for request in 0..REQUESTS {
            let mut connection = Connection::open(gateway.address());
            // Each goes at another moment: within the head, after it, within the body, and in the middle of the answer.
            match (client + request) % 4 {
                0 => connection.send("GET / HTTP/1.1\r\nHost: h\r\n"),
                1 => connection.ask("GET", "/", ""),
                2 => connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"),
                _ => {
                    connection.ask("GET", "/", "");
                    assert!(matches!(connection.head().status(), 200 | 503));
                }
            }
        }
    });
    eventually("every gauge reads zero", || {
        let metrics = gateway.data_plane.metrics();
        let gauges = ["apigw_in_flight_requests", "apigw_circuit_breaker_state", "apigw_client_connections"];
        gauges.iter().all(|name| metrics.value(name, &[]).is_some_and(|value| value == 0.0)).then_some(())
    });
    let row = gateway.data_plane.limits("all");
    assert_eq!(
        (&row["concurrency"]["in_flight"], &row["circuit_breaker"]["state"]),
        (&json!(0), &json!("closed"))
    );
    assert_eq!(client::get(gateway.address(), "/whole").text(), "whole");
    gate.open();
}

#[test]
fn a_client_that_leaves_behind_more_than_is_taken_ahead_leaves_its_place() {
    let gate = Gate::new();
    let origin = slow(&gate);
    // Without a look at the client, the place would be held for as long as the upstream may take.
    let file = limited(&origin, 1).upstream("response_header_timeout_seconds: 600");
    let gateway = Gateway::standalone(file);
    let mut gone = begun(&gateway);
    origin.await_request(0);
    gone.send("GET /ahead HTTP/1.1\r\nHost: h\r\n\r\n".repeat(5_000));
    drop(gone);
    eventually("the place is free", || (in_flight(&gateway) == 0).then_some(()));
    gate.open();
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
}
