//! Server-sent events: answers that take their time, over both versions, across reloads, up to the end of a drain.

use std::io::Read as _;

use apigw_tests::{
    client::Connection,
    configuration::Document,
    frames::{
        END_STREAM, Kind,
        peer::{FramePeer, code},
    },
    gate::Gate,
    gateway::Gateway,
    origin::Origin,
};
use rustix::process::Signal;
use serde_json::json;

const EVENTS: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/events"),
    (":authority", "gateway.example"),
    ("x-request-id", "stream"),
];

/// Tells one event, and another when it is let.
fn telling(gate: &Gate) -> Origin {
    let passed = gate.clone();
    Origin::scripted(move |peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")?;
        passed.pass()?;
        peer.send("data: 2\n\n")
    })
}

fn event(client: &mut FramePeer) -> Vec<u8> {
    client.until(|received| received.is(Kind::Data)).payload
}

#[test]
fn events_reach_a_stream_as_they_come_across_a_reload() {
    let gate = Gate::new();
    let origin = telling(&gate);
    let text = || Document::new().route("all", "/events", origin.url());
    let gateway = Gateway::standalone(text());
    let mut client = FramePeer::open(gateway.address()).greet();
    client.head(1, END_STREAM, EVENTS);
    assert_eq!(event(&mut client), b"data: 1\n\n", "before there is a second one");
    gateway.edit(&text(), &Origin::saying("other"));
    gate.open();
    assert_eq!(event(&mut client), b"data: 2\n\n");
    client.until_ended(1);
    assert_eq!(gateway.data_plane.access("stream")["why"], "ok");
}

#[test]
fn events_end_with_the_drain_and_each_stream_of_them_is_logged() {
    let gate = Gate::new();
    let origin = telling(&gate);
    let text = Document::new().server("drain_timeout_seconds: 2").route("all", "/events", origin.url());
    let mut gateway = Gateway::standalone(text);
    let mut stream = FramePeer::open(gateway.address()).greet();
    stream.head(1, END_STREAM, EVENTS);
    assert_eq!(event(&mut stream), b"data: 1\n\n");
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/events", "X-Request-Id: connection\r\n");
    assert_eq!(connection.head().status(), 200);
    let mut first = [0; 14];
    connection.stream().read_exact(&mut first).expect("an event");
    assert_eq!(&first, b"9\r\ndata: 1\n\n\r\n");
    gateway.data_plane.program().signal(Signal::TERM);
    let farewell = stream.until(|received| received.is(Kind::GoAway));
    assert_eq!(farewell.error(), Some(code::NO_ERROR));
    stream.until_closed();
    assert_eq!(connection.until_closed(), b"", "its end is no end of the events");
    for id in ["stream", "connection"] {
        let line = gateway.data_plane.access(id);
        let seen = (&line["status"], &line["why"], &line["bytes"]);
        assert_eq!(seen, (&json!(200), &json!("drain_timeout"), &json!(9)), "{id}");
    }
    assert!(gateway.data_plane.program_mut().ended().success());
    gate.open();
}
