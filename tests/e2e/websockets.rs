//! The WebSocket protocol over HTTP/1.1: when a tunnel opens, what passes through it, how it ends, and what it occupies until then; and
//! streams of events, which are answers that take their time.

use std::io::Read as _;

use apigw_tests::{
    client::{self, Connection},
    configuration::Document,
    gate::Gate,
    gateway::{Gateway, gwctl_json},
    origin::{Origin, Peer},
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::json;

const OPENING: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// Agrees, with these bytes right behind the head.
fn agree(peer: &mut Peer, first: &str) -> std::io::Result<()> {
    peer.request()?;
    peer.send(format!("{AGREED}\r\n{first}"))
}

/// Sends back what comes, in capitals, until the client ends its side; then a farewell.
fn echo(peer: &mut Peer) -> std::io::Result<()> {
    loop {
        let said = peer.some_bytes()?;
        if said.is_empty() {
            return peer.send("bye");
        }
        peer.send(said.to_ascii_uppercase())?;
    }
}

fn echoing() -> Origin {
    Origin::scripted(|peer| {
        agree(peer, "hello")?;
        echo(peer)
    })
}

fn open(gateway: &Gateway, fields: &str) -> Connection {
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/socket", &format!("{OPENING}{fields}"));
    connection
}

/// Reads so many bytes of what the upstream says.
fn heard(connection: &mut Connection, count: u64) -> String {
    let mut bytes = Vec::new();
    let read = connection.stream().take(count).read_to_end(&mut bytes).expect("the tunnel is open");
    assert_eq!(read as u64, count, "it ended after {:?}", String::from_utf8_lossy(&bytes));
    String::from_utf8(bytes).expect("text")
}

fn is_agreed(connection: &mut Connection) {
    let head = connection.head();
    assert_eq!(head.status(), 101);
    assert!(head.lists("connection", "upgrade") && head.lists("upgrade", "websocket"), "{head:?}");
    assert_eq!(head.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn bytes_pass_both_ways_until_both_sides_have_ended() {
    let origin = echoing();
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = open(&gateway, "X-Request-Id: both\r\n");
    is_agreed(&mut connection);
    assert_eq!(heard(&mut connection, 5), "hello");
    connection.send("abc");
    assert_eq!(heard(&mut connection, 3), "ABC");
    let asked = origin.only_request().head;
    assert_eq!((asked.field("connection"), asked.field("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(asked.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    connection.finish_sending();
    assert_eq!(connection.until_closed(), b"bye");
    let line = gateway.data_plane.access("both");
    assert_eq!((&line["status"], &line["why"], &line["bytes"]), (&json!(101), &json!("ok"), &json!(11)));
}

#[test]
fn nothing_passes_before_the_upstream_has_agreed() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        passed.pass()?;
        assert!(!peer.has_input(), "a byte passed early");
        peer.send(format!("{AGREED}\r\n"))?;
        echo(peer)
    });
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = open(&gateway, "");
    connection.send("early");
    origin.await_request(0);
    gate.open();
    is_agreed(&mut connection);
    assert_eq!(heard(&mut connection, 5), "EARLY");
}

#[test]
fn an_upstream_that_refuses_is_heard() {
    let origin =
        Origin::answering(|_| "HTTP/1.1 426 X\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nno".into());
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = open(&gateway, "");
    let answer = connection.response();
    assert_eq!((answer.status(), answer.text().as_str(), answer.field("upgrade")), (426, "no", None));
    assert_eq!(connection.get("/").status(), 426, "the connection goes on");
}

#[test]
fn other_upgrades_do_not_reach_the_upstream() {
    let origin = Origin::saying("plain");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let keyless = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for fields in [keyless, h2c] {
        assert_eq!(client::get_with(gateway.address(), "/", fields).text(), "plain");
    }
    assert_eq!(client::request(gateway.address(), "PUT", "/", OPENING).text(), "plain");
    for request in origin.requests() {
        let asked = (request.head.field("connection"), request.head.field("upgrade"));
        assert_eq!(asked, (None, None), "{request:?}");
    }
}

#[test]
fn an_agreement_that_is_none_is_502() {
    let origin =
        Origin::answering(|_| "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".into());
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = open(&gateway, "X-Request-Id: none\r\n");
    assert_eq!(connection.response().status(), 502);
    assert_eq!(gateway.data_plane.access("none")["why"], "upstream_malformed");
}

#[test]
fn a_place_is_held_until_the_tunnel_ends_and_a_reload_does_not_end_it() {
    let origin = echoing();
    let text = || {
        let limited = Document::new().route("socket", "/socket", origin.url());
        limited.with("concurrency: { max_in_flight: 1 }")
    };
    let gateway = Gateway::standalone(text());
    let mut connection = open(&gateway, "");
    is_agreed(&mut connection);
    assert_eq!(open(&gateway, "").response().status(), 503, "its place is taken");
    gateway.edit(&text(), &Origin::saying("other"));
    connection.send("abc");
    assert_eq!(heard(&mut connection, 8), "helloABC");
    drop(connection);
    let admin = gateway.data_plane.admin();
    eventually("the place is given back", || {
        let rows = gwctl_json(admin, &["limits"]);
        (rows[0]["concurrency"]["in_flight"] == json!(0)).then_some(())
    });
}

#[test]
fn a_silent_tunnel_is_cut() {
    let origin = echoing();
    let text = Document::new().server("websocket_idle_timeout_seconds: 0.3").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let mut connection = open(&gateway, "X-Request-Id: silent\r\n");
    is_agreed(&mut connection);
    assert_eq!(connection.until_closed(), b"hello");
    assert_eq!(gateway.data_plane.access("silent")["why"], "websocket_idle");
}

#[test]
fn what_the_client_does_not_take_is_not_gathered() {
    static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
    let origin = Origin::scripted(|peer| {
        agree(peer, "")?;
        loop {
            peer.send(PIECE)?;
        }
    });
    let text = Document::new().server("write_timeout_seconds: 0.5").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let before = gateway.data_plane.resident_bytes();
    let mut connections = Vec::new();
    for number in 0..20 {
        let mut connection = open(&gateway, &format!("X-Request-Id: full-{number}\r\n"));
        is_agreed(&mut connection);
        connections.push(connection);
    }
    for number in 0..20 {
        assert_eq!(gateway.data_plane.access(&format!("full-{number}"))["why"], "write_timeout");
    }
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 clients that take nothing");
}

#[test]
fn events_are_passed_on_as_they_come_across_a_reload() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")?;
        passed.pass()?;
        peer.send("data: 2\n\n")
    });
    let text = || Document::new().route("all", "/events", origin.url());
    let other = Origin::saying("other");
    let gateway = Gateway::standalone(text());
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/events", "");
    assert_eq!(connection.head().field("content-type"), Some("text/event-stream"));
    let first = "9\r\ndata: 1\n\n\r\n";
    assert_eq!(heard(&mut connection, first.len() as u64), first);
    gateway.edit(&text(), &other);
    gate.open();
    let rest = "9\r\ndata: 2\n\n\r\n0\r\n\r\n";
    assert_eq!(heard(&mut connection, rest.len() as u64), rest);
}

#[test]
fn a_tunnel_does_not_outlive_the_end_of_its_gateway() {
    let origin = echoing();
    let mut gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut connection = open(&gateway, "X-Request-Id: cut\r\n");
    is_agreed(&mut connection);
    gateway.data_plane.program().signal(Signal::TERM);
    let is_draining = |line: &str| line.contains("listener closing").then_some(());
    assert!(gateway.data_plane.program().stderr().first(is_draining).is_some());
    connection.send("abc");
    assert_eq!(heard(&mut connection, 8), "helloABC", "while there is time, it goes on");
    // The second signal is the end of that time.
    gateway.data_plane.program().signal(Signal::TERM);
    assert_eq!(connection.until_closed(), b"");
    let line = gateway.data_plane.access("cut");
    assert_eq!(
        (&line["status"], &line["why"], &line["bytes"]),
        (&json!(101), &json!("drain_timeout"), &json!(8))
    );
    assert!(gateway.data_plane.program_mut().ended().success());
}
