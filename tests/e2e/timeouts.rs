//! Timeouts: each is provoked alone, with a small value, while all others are far away. What is asserted is how it ends,
//! never how long it took.

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, Unreachable},
};
use serde_json::Value;

const FAR: &str = "3600";
const NEAR: &str = "0.3";

/// A gateway all of whose timeouts are far away except one of the section `server`.
fn with_server_timeout(near: &str, upstream: &str) -> Gateway {
    let mut document = Document::new().server("max_body_bytes: 1073741824");
    for name in [
        "read_header_timeout_seconds",
        "read_timeout_seconds",
        "write_timeout_seconds",
        "idle_timeout_seconds",
    ] {
        let value = if name == near { NEAR } else { FAR };
        document = document.server(&format!("{name}: {value}"));
    }
    Gateway::standalone(document.route("all", "/", upstream))
}

/// A gateway with one near timeout in the section `upstream`.
fn with_upstream_timeout(near: &str, upstream: &str) -> Gateway {
    let mut document = Document::new();
    for name in ["dial_timeout_seconds", "response_header_timeout_seconds"] {
        let value = if name == near { NEAR } else { FAR };
        document = document.upstream(&format!("{name}: {value}"));
    }
    Gateway::standalone(document.route("all", "/", upstream))
}

/// The reason in the access log for the request with this id.
fn reason(gateway: &Gateway, request_id: &str) -> Value {
    gateway.data_plane.access(request_id)["why"].clone()
}

fn is_answer_of_the_gateway(answer: &Response, status: u16, request_id: &str, upstream_port: u16) {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["request_id"], request_id);
    assert!(body["error"].is_string(), "{body}");
    assert!(!answer.text().contains(&upstream_port.to_string()), "an address leaks: {body}");
}

#[test]
fn dial_timeout_is_504() {
    let upstream = Unreachable::new();
    let gateway = with_upstream_timeout("dial_timeout_seconds", &format!("http://{}", upstream.address()));
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: dial\r\n");
    is_answer_of_the_gateway(&answer, 504, "dial", upstream.address().port());
    assert_eq!(reason(&gateway, "dial"), "upstream_connect_timeout");
}

#[test]
fn response_header_timeout_is_504() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let gateway = with_upstream_timeout("response_header_timeout_seconds", &origin.url());
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: slow\r\n");
    is_answer_of_the_gateway(&answer, 504, "slow", origin.address().port());
    assert_eq!(reason(&gateway, "slow"), "upstream_timeout");
    assert_eq!(origin.requests().len(), 1, "a request that may be under way is not sent again");
}

#[test]
fn upload_is_not_counted_against_the_response_header_timeout() {
    let origin = Origin::saying("ok");
    let gateway = with_upstream_timeout("response_header_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        std::thread::sleep(std::time::Duration::from_millis(60));
        connection.send("a");
    }
    assert_eq!(connection.response().text(), "ok");
}

#[test]
fn half_a_head_is_408() {
    let origin = Origin::saying("");
    let gateway = with_server_timeout("read_header_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.1\r\nHost: h\r\n");
    let answer = connection.response();
    assert_eq!(answer.status(), 408);
    assert!(answer.head.lists("connection", "close"));
    assert_eq!(connection.until_closed(), b"");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn head_that_drips_is_408_all_the_same() {
    let origin = Origin::saying("");
    let gateway = with_server_timeout("read_header_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.1\r\n");
    // A byte now and then does not buy more time.
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if connection.try_send("X-A: b\r\n").is_err() || connection.has_input() {
            break;
        }
    }
    assert_eq!(connection.response().status(), 408);
}

#[test]
fn body_that_stops_is_408() {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.body(&head, &mut std::io::sink()).map(|_| ())
    });
    let gateway = with_server_timeout("read_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: stuck\r\nContent-Length: 10\r\n\r\nhalf");
    let answer = connection.response();
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.json()["request_id"], "stuck");
    assert_eq!(connection.until_closed(), b"");
    assert_eq!(reason(&gateway, "stuck"), "body_timeout");
}

#[test]
fn client_that_takes_no_bytes_is_cut_off() {
    let origin = Origin::scripted(|peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let block = vec![b'a'; 65_536];
        loop {
            peer.send("10000\r\n")?;
            peer.send(&block)?;
            peer.send("\r\n")?;
        }
    });
    let gateway = with_server_timeout("write_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    connection.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: asleep\r\n\r\n");
    // The line is written once the exchange is over, although the client still has its end open.
    assert_eq!(reason(&gateway, "asleep"), "write_timeout");
    // What it gets is visibly cut off.
    connection.try_response_to("GET").expect_err("the response has no end");
}

#[test]
fn idle_connection_is_closed_silently() {
    let origin = Origin::saying("ok");
    let gateway = with_server_timeout("idle_timeout_seconds", &origin.url());
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.get("/").text(), "ok");
    assert_eq!(connection.until_closed(), b"");
}

#[test]
fn connection_that_never_speaks_is_closed_silently() {
    let origin = Origin::saying("ok");
    let gateway = with_server_timeout("idle_timeout_seconds", &origin.url());
    assert_eq!(Connection::open(gateway.address()).until_closed(), b"");
}

#[test]
fn slow_but_steady_bodies_live_longer_than_every_timeout() {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.body(&head, &mut std::io::sink())?;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..10 {
            std::thread::sleep(std::time::Duration::from_millis(60));
            peer.send("1\r\na\r\n")?;
        }
        peer.send("0\r\n\r\n")
    });
    let gateway = with_server_timeout("write_timeout_seconds", &origin.url());
    assert_eq!(client::get(gateway.address(), "/").text(), "aaaaaaaaaa");
}

#[test]
fn idle_upstream_connections_are_given_up() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::standalone(Document::new().upstream("idle_conn_timeout_seconds: 0.2").route(
        "all",
        "/",
        origin.url(),
    ));
    let mut connection = Connection::open(gateway.address());
    assert_eq!(connection.get("/").text(), "ok");
    apigw_tests::waiting::eventually("a new upstream connection is made", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(connection.get("/").text(), "ok");
        (origin.connections() > 1).then_some(())
    });
}
