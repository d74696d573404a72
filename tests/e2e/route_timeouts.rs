//! The timeouts of a route: each is provoked alone, beside a route without it. What is asserted is how it ends, never how
//! long it took.

use std::time::Duration;

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gate::Gate,
    gateway::Gateway,
    grpc::caller::call_by_hand,
    origin::{Origin, Peer, Unreachable, ok},
    waiting::eventually,
};
use serde_json::json;

const BREAKER: &str =
    "circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 600, half_open_max_in_flight: 1 }";

/// A route with these timeouts.
fn timed(upstream: &str, timeouts: &str) -> Document {
    Document::new().route("timed", "/", upstream).with(&format!("timeouts: {{ {timeouts} }}"))
}

/// An upstream that takes requests and says nothing.
fn silent() -> Origin {
    Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    })
}

/// An upstream that begins to answer and stops there.
fn stuck() -> Origin {
    Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
        peer.until_closed()
    })
}

fn why(gateway: &Gateway, id: &str) -> serde_json::Value {
    gateway.data_plane.access(id)["why"].clone()
}

/// Asks, and is told this status for this reason.
fn is_refused(gateway: &Gateway, id: &str, status: u16, reason: &str) {
    let answer = client::get_with(gateway.address(), "/", &format!("X-Request-Id: {id}\r\n"));
    assert_eq!((answer.status(), &answer.json()["error"]), (status, &json!("gateway_timeout")));
    assert_eq!(why(gateway, id), reason);
}

/// Asks for an answer that is cut off for this reason.
fn is_cut_off(gateway: &Gateway, id: &str, reason: &str) {
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", &format!("X-Request-Id: {id}\r\n"));
    connection.try_response_to("GET").expect_err("the answer has no end");
    assert_eq!(why(gateway, id), reason);
}

#[test]
fn a_total_ends_a_request_that_is_not_answered() {
    let origin = silent();
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 0.3").with(BREAKER));
    is_refused(&gateway, "late", 504, "total_timeout");
    eventually("the upstream is told", || (origin.ended() == 1).then_some(()));
    assert_eq!(
        client::get(gateway.address(), "/").json()["error"],
        "circuit_open",
        "the upstream has failed"
    );
}

#[test]
fn a_total_ends_an_answer_that_has_begun() {
    let origin = stuck();
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 0.3").with(BREAKER));
    is_cut_off(&gateway, "first", "total_timeout");
    is_cut_off(&gateway, "second", "total_timeout");
    eventually("the upstream is told", || (origin.ended() == 2).then_some(()));
}

#[test]
fn a_total_that_a_client_uses_up_says_nothing_about_the_upstream() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 0.5").with(BREAKER));
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: slow\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!(connection.response().status(), 504);
    assert_eq!(why(&gateway, "slow"), "total_timeout");
    assert_eq!(client::get(gateway.address(), "/").text(), "ok");
}

#[test]
fn a_total_holds_although_the_client_takes_nothing() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let piece = format!("10000\r\n{}\r\n", "a".repeat(65_536));
        loop {
            peer.send(&piece)?;
        }
    });
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 1"));
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "X-Request-Id: asleep\r\n");
    assert_eq!(why(&gateway, "asleep"), "total_timeout");
    connection.try_response_to("GET").expect_err("the answer has no end");
}

#[test]
fn a_route_has_its_own_time_to_connect() {
    let upstream = Unreachable::new();
    let url = format!("http://{}", upstream.address());
    let far = timed(&url, "connect_seconds: 0.3").upstream("dial_timeout_seconds: 3600");
    is_refused(&Gateway::standalone(far), "dialled", 504, "upstream_connect_timeout");
}

#[test]
fn a_route_has_its_own_time_for_tls() {
    let origin = Origin::scripted(Peer::until_closed);
    let url = origin.url().replace("http:", "https:");
    let far = timed(&url, "connect_seconds: 0.3").upstream("tls_handshake_timeout_seconds: 3600");
    is_refused(&Gateway::standalone(far), "shaken", 504, "upstream_connect_timeout");
}

#[test]
fn a_route_has_its_own_time_to_the_first_byte() {
    let origin = silent();
    let far =
        timed(&origin.url(), "first_byte_seconds: 0.3").upstream("response_header_timeout_seconds: 3600");
    is_refused(&Gateway::standalone(far), "slow", 504, "upstream_timeout");
}

#[test]
fn a_route_may_wait_longer_than_others() {
    let origin = Origin::answering_after(Duration::from_millis(600), |_| ok("at last"));
    let file = timed(&origin.url(), "first_byte_seconds: 3600")
        .route("other", "/other", origin.url())
        .upstream("response_header_timeout_seconds: 0.2");
    let gateway = Gateway::standalone(file);
    assert_eq!(client::get(gateway.address(), "/other").status(), 504);
    assert_eq!(client::get(gateway.address(), "/").text(), "at last");
}

#[test]
fn silence_in_an_answer_is_the_upstreams_failure() {
    let origin = stuck();
    let gateway = Gateway::standalone(timed(&origin.url(), "idle_seconds: 0.3").with(BREAKER));
    is_cut_off(&gateway, "idle", "upstream_idle");
    eventually("the upstream is told", || (origin.ended() == 1).then_some(()));
    assert_eq!(client::get(gateway.address(), "/").json()["error"], "circuit_open");
}

#[test]
fn an_answer_that_goes_on_is_not_idle() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..30 {
            std::thread::sleep(Duration::from_millis(100));
            peer.send("1\r\na\r\n")?;
        }
        peer.send("0\r\n\r\n")
    });
    let gateway = Gateway::standalone(timed(&origin.url(), "idle_seconds: 2"));
    assert_eq!(client::get(gateway.address(), "/").text(), "a".repeat(30));
}

#[test]
fn a_body_that_still_comes_keeps_an_answer_from_being_idle() {
    let gate = Gate::new();
    let origin = Origin::scripted({
        let gate = gate.clone();
        move |peer: &mut Peer| {
            let head = peer.head()?;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")?;
            gate.open();
            peer.body(&head, &mut std::io::sink())?;
            peer.send("done")
        }
    });
    let gateway = Gateway::standalone(timed(&origin.url(), "idle_seconds: 2"));
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n");
    gate.pass().expect("the answer has begun");
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        connection.send("a");
    }
    assert_eq!(connection.response().text(), "done");
}

#[test]
fn a_websocket_outlives_the_total_and_ends_by_silence() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(200));
            peer.send("a")?;
        }
        peer.until_closed()
    });
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 1, idle_seconds: 1.5"));
    let mut connection = Connection::open(gateway.address());
    connection.ask(
        "GET",
        "/",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Request-Id: tunnel\r\n",
    );
    assert_eq!(connection.head().status(), 101);
    assert_eq!(connection.until_closed(), b"aaaaaaaaaa");
    assert_eq!(why(&gateway, "tunnel"), "websocket_idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_total_and_a_deadline_the_nearer_holds() {
    let origin = silent();
    for (total, deadline, reason) in
        [("0.3", "3600S", "total_timeout"), ("3600", "300m", "deadline_exceeded")]
    {
        let gateway = Gateway::standalone(timed(&origin.url(), &format!("total_seconds: {total}")));
        let fields = format!("grpc-timeout: {deadline}\r\nx-request-id: {total}\r\n");
        let answered = call_by_hand(gateway.address(), "hello", &fields).await;
        assert_eq!((answered.status(), answered.field("grpc-status")), (200, Some("4")), "{reason}");
        assert_eq!(why(&gateway, total), reason);
    }
    let told = origin.request(0).head.field("grpc-timeout").map(str::to_owned).expect("it is told");
    let left = told.strip_suffix('u').and_then(|left| left.parse::<u64>().ok());
    assert!(left.is_some_and(|left| left <= 300_000), "what is left of the nearer is told: {told}");
}

#[test]
fn only_calls_are_told_what_is_left() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::standalone(timed(&origin.url(), "total_seconds: 3600"));
    assert_eq!(client::get(gateway.address(), "/").text(), "ok");
    assert_eq!(origin.only_request().head.field("grpc-timeout"), None);
}
