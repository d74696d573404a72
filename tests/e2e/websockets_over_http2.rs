//! The WebSocket protocol in streams of HTTP/2 (RFC 8441) with upstreams of HTTP/1.1: how they open, what passes, how they end.

use apigw_tests::{
    configuration::Document,
    frames::{
        ACK, END_STREAM, Kind,
        peer::{FramePeer, Received, code, setting},
    },
    gate::Gate,
    gateway::{Gateway, gwctl_json},
    origin::{Origin, Peer, Request, ok},
    waiting::eventually,
    websocket::accepted,
};
use rustix::process::Signal;
use serde_json::json;

/// What a client says that wants one.
const OPENING: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/socket"),
    (":authority", "gateway.example"),
    ("sec-websocket-version", "13"),
];

fn agreement(request: &Request, fields: &str) -> String {
    let key = request.head.field("sec-websocket-key").expect("a key");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{fields}\r\n",
        accepted(key)
    )
}

fn agree(peer: &mut Peer, fields: &str) -> std::io::Result<()> {
    let request = peer.request()?;
    peer.send(agreement(&request, fields))
}

/// Says hello, sends back in capitals what comes until the client ends its side, and says goodbye.
fn echoing() -> Origin {
    Origin::scripted(|peer| {
        agree(peer, "Sec-WebSocket-Protocol: chat\r\n")?;
        peer.send("hello")?;
        loop {
            let said = peer.some_bytes()?;
            if said.is_empty() {
                return peer.send("bye");
            }
            peer.send(said.to_ascii_uppercase())?;
        }
    })
}

fn to(origin: &Origin) -> Document {
    Document::new().route("all", "/", origin.url())
}

/// Opens one in stream 1.
fn open(gateway: &Gateway, fields: &[(&str, &str)]) -> FramePeer {
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, 0, &[&OPENING, fields].concat());
    client
}

fn status(client: &mut FramePeer, stream: u32) -> Option<u16> {
    client.until(|received| received.is(Kind::Headers) && received.stream == stream).status()
}

/// Reads as much of what the upstream says in stream 1.
fn heard(client: &mut FramePeer, count: usize) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = client.until(|received| received.is(Kind::Data) && received.stream == 1);
        bytes.extend(piece.payload);
    }
    String::from_utf8(bytes).expect("text")
}

fn is_reset(client: &mut FramePeer) -> Option<u32> {
    client.until(|received| received.is(Kind::Reset)).error()
}

#[test]
fn a_stream_becomes_a_websocket_of_an_http11_upstream() {
    let origin = echoing();
    let gateway = Gateway::standalone(to(&origin));
    let mut client = open(&gateway, &[("x-request-id", "both"), ("origin", "http://page.example")]);
    assert_eq!(client.setting(setting::ENABLE_CONNECT_PROTOCOL), Some(1), "it is offered");
    let head = client.until(|received| received.is(Kind::Headers));
    assert_eq!((head.status(), head.has(END_STREAM)), (Some(200), false));
    assert_eq!(heard(&mut client, 5), "hello");
    client.frame(Kind::Data, 0, 1, b"");
    client.frame(Kind::Data, 0, 1, b"abc");
    assert_eq!(heard(&mut client, 3), "ABC");
    client.frame(Kind::Data, END_STREAM, 1, b"d");
    assert_eq!(heard(&mut client, 4), "Dbye");
    client.until_ended(1);
    let asked = origin.only_request();
    assert_eq!(asked.line(), "GET /socket");
    let field = |name| asked.head.field(name);
    assert_eq!((field("connection"), field("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!((field("sec-websocket-version"), field("origin")), (Some("13"), Some("http://page.example")));
    assert_eq!(field("x-forwarded-host"), Some("gateway.example"));
    let line = gateway.data_plane.access("both");
    assert_eq!((&line["status"], &line["why"], &line["bytes"]), (&json!(101), &json!("ok"), &json!(12)));
}

#[test]
fn nothing_passes_in_a_stream_before_the_upstream_has_agreed() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        let request = peer.request()?;
        passed.pass()?;
        assert!(!peer.has_input(), "a byte passed early");
        peer.send(agreement(&request, ""))?;
        let said = peer.some_bytes()?;
        peer.send(said.to_ascii_uppercase())
    });
    let gateway = Gateway::standalone(to(&origin));
    let mut client = open(&gateway, &[]);
    client.frame(Kind::Data, 0, 1, b"early");
    origin.await_request(0);
    gate.open();
    assert_eq!(status(&mut client, 1), Some(200));
    assert_eq!(heard(&mut client, 5), "EARLY");
}

#[test]
fn a_refusal_reaches_the_client_and_another_success_does_not() {
    let origin = Origin::answering(|request| match request.line() {
        "GET /refused" => "HTTP/1.1 426 X\r\nContent-Length: 2\r\n\r\nno".into(),
        _ => ok("no tunnel"),
    });
    let gateway = Gateway::standalone(to(&origin));
    let mut client = FramePeer::open(gateway.address()).greet();
    for (stream, path, expected) in
        [(1, "/refused", 426), (3, "/plain", 502), (5, "/healthz", 502), (7, "/a%2fb", 400)]
    {
        let mut fields = OPENING.to_vec();
        fields[3].1 = path;
        fields.push(("x-request-id", path));
        client.head(stream, 0, &fields);
        assert_eq!(status(&mut client, stream), Some(expected), "{path}");
    }
    assert_eq!(gateway.data_plane.access("/plain")["why"], "websocket_declined");
    assert_eq!(gateway.data_plane.access("/healthz")["why"], "websocket_declined");
}

#[test]
fn an_agreement_for_another_key_is_502() {
    let sample = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let origin = Origin::answering(move |_| sample.into());
    let gateway = Gateway::standalone(to(&origin));
    // A key of the client's has no meaning here.
    let mut client = open(&gateway, &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
    assert_eq!(status(&mut client, 1), Some(502));
    let key = origin.only_request().head.field("sec-websocket-key").map(str::to_owned);
    assert_ne!(key.as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn other_tunnels_are_refused() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(to(&origin));
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, 0, &[(":method", "CONNECT"), (":authority", "gateway.example:443")]);
    assert_eq!(status(&mut client, 1), Some(405));
    for (stream, protocol) in [(3, "connect-udp"), (5, "h2c"), (7, "")] {
        let mut fields = OPENING;
        fields[1].1 = protocol;
        client.head(stream, 0, &fields);
        assert_eq!(status(&mut client, stream), Some(501), "{protocol}");
    }
    for (stream, method) in [(9, "GET"), (11, "POST")] {
        let mut fields = OPENING;
        fields[0].1 = method;
        client.head(stream, 0, &fields);
        let is_reset = |received: &Received| received.is(Kind::Reset) && received.stream == stream;
        assert_eq!(client.until(is_reset).error(), Some(code::PROTOCOL), "{method}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_place_is_held_until_the_stream_ends_and_a_reload_does_not_end_it() {
    let origin = echoing();
    let text = || to(&origin).with("concurrency: { max_in_flight: 1 }");
    let gateway = Gateway::standalone(text());
    let mut client = open(&gateway, &[("x-request-id", "left")]);
    assert_eq!(status(&mut client, 1), Some(200));
    assert_eq!(heard(&mut client, 5), "hello");
    client.head(3, 0, &OPENING);
    assert_eq!(status(&mut client, 3), Some(503), "its place is taken");
    gateway.edit(&text(), &Origin::saying("other"));
    client.frame(Kind::Data, 0, 1, b"abc");
    assert_eq!(heard(&mut client, 3), "ABC");
    client.reset(1, code::CANCEL);
    assert_eq!(gateway.data_plane.access("left")["why"], "client_disconnected");
    let admin = gateway.data_plane.admin();
    eventually("the place is given back", || {
        (gwctl_json(admin, &["limits"])[0]["concurrency"]["in_flight"] == json!(0)).then_some(())
    });
    eventually("the upstream's connection is closed", || (origin.ended() > 0).then_some(()));
}

#[test]
fn a_client_that_has_said_all_can_still_take_its_stream_back() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        agree(peer, "")?;
        passed.pass()
    });
    let gateway = Gateway::standalone(to(&origin));
    let mut client = open(&gateway, &[("x-request-id", "over")]);
    assert_eq!(status(&mut client, 1), Some(200));
    client.frame(Kind::Data, END_STREAM, 1, b"");
    client.reset(1, code::CANCEL);
    assert_eq!(gateway.data_plane.access("over")["why"], "client_disconnected");
    gate.open();
}

#[test]
fn a_silent_stream_is_reset() {
    let origin = echoing();
    let gateway = Gateway::standalone(to(&origin).server("websocket_idle_timeout_seconds: 0.5"));
    let mut client = open(&gateway, &[("x-request-id", "silent")]);
    assert_eq!(is_reset(&mut client), Some(code::CANCEL));
    assert_eq!(gateway.data_plane.access("silent")["why"], "websocket_idle");
}

#[test]
fn what_a_stream_does_not_take_is_not_gathered() {
    static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
    let origin = Origin::scripted(|peer| {
        agree(peer, "")?;
        loop {
            peer.send(PIECE)?;
        }
    });
    let text = to(&origin).server("write_timeout_seconds: 1");
    let gateway = Gateway::standalone(text);
    let before = gateway.data_plane.resident_bytes();
    let mut client = FramePeer::open(gateway.address()).greet();
    for number in 0..20 {
        let id = format!("full-{number}");
        client.head(2 * number + 1, 0, &[&OPENING[..], &[("x-request-id", &id)]].concat());
    }
    for number in 0..20 {
        assert_eq!(gateway.data_plane.access(&format!("full-{number}"))["why"], "write_timeout");
    }
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 streams that take nothing");
}

#[test]
fn a_stream_that_ends_in_the_drain_is_whole_and_the_gateway_ends() {
    let origin = echoing();
    let text = to(&origin).server("drain_timeout_seconds: 3600");
    let mut gateway = Gateway::standalone(text);
    let mut client = open(&gateway, &[("x-request-id", "whole")]);
    assert_eq!(heard(&mut client, 5), "hello");
    gateway.data_plane.program().signal(Signal::TERM);
    // The gateway asks whether the client has heard of it; then nothing new can be on its way.
    let asked = client.until(|received| received.is(Kind::Ping));
    client.frame(Kind::Ping, ACK, 0, &asked.payload);
    client.frame(Kind::Data, END_STREAM, 1, b"abc");
    assert_eq!(heard(&mut client, 6), "ABCbye");
    client.until_closed();
    let line = gateway.data_plane.access("whole");
    assert_eq!((&line["why"], &line["bytes"]), (&json!("ok"), &json!(11)));
    assert!(gateway.data_plane.program_mut().ended().success());
}

#[test]
fn what_is_cut_off_at_the_end_of_the_drain_is_logged() {
    let origin = echoing();
    let text = to(&origin).server("drain_timeout_seconds: 3");
    let mut gateway = Gateway::standalone(text);
    let mut client = open(&gateway, &[("x-request-id", "stream")]);
    assert_eq!(heard(&mut client, 5), "hello");
    gateway.data_plane.program().signal(Signal::TERM);
    let farewell = client.until(|received| received.is(Kind::GoAway));
    assert_eq!(farewell.error(), Some(code::NO_ERROR));
    client.frame(Kind::Data, 0, 1, b"abc");
    assert_eq!(heard(&mut client, 3), "ABC", "while there is time, it goes on");
    client.until_closed();
    let line = gateway.data_plane.access("stream");
    assert_eq!(
        (&line["status"], &line["why"], &line["bytes"]),
        (&json!(101), &json!("drain_timeout"), &json!(8))
    );
    assert!(line["duration"].as_f64().is_some_and(|seconds| seconds > 0.5), "{line}");
    assert!(gateway.data_plane.program_mut().ended().success());
}
