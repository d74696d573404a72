//! Upstreams whose frames are written by hand: farewells, interim answers, pings, and upgrades that HTTP/2 does
//! not have.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use apigw_tests::{
    client::{self, Connection},
    frames::{
        ACK, END_HEADERS, END_STREAM, Kind,
        peer::{FramePeer, Received, block, code},
    },
    gateway::Gateway,
};

use super::document;

/// An upstream that gives each of its connections, numbered from 1, to the script.
fn scripted(script: impl Fn(FramePeer, usize) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address: SocketAddr = listener.local_addr().expect("a listener has an address");
    let script = Arc::new(script);
    thread::spawn(move || {
        for number in 1.. {
            let Some(peer) = FramePeer::accept(&listener) else { continue };
            let script = Arc::clone(&script);
            thread::spawn(move || script(peer, number));
        }
    });
    format!("http://{address}")
}

fn is_head(received: &Received) -> bool {
    received.is(Kind::Headers)
}

/// Waits until all of a request has come.
fn request(peer: &mut FramePeer, stream: u32) {
    peer.until_ended(stream);
}

fn answer(peer: &mut FramePeer, stream: u32, status: &str) {
    peer.head(stream, END_STREAM, &[(":status", status)]);
}

/// Says goodbye, `last` being the last stream that was looked at, and closes.
fn leave(mut peer: FramePeer, last: u32) {
    let farewell = [last.to_be_bytes(), code::NO_ERROR.to_be_bytes()].concat();
    peer.frame(Kind::GoAway, 0, 0, &farewell);
}

/// What becomes of a request on stream 3 that gets a farewell, or on stream 1.
struct Case {
    method: &'static str,
    body: &'static str,
    /// The stream it is on.
    stream: u32,
    /// The last stream that the farewell counts.
    last: u32,
    expected: u16,
}

#[test]
fn a_farewell_repeats_what_it_does_not_count_and_what_may_be_repeated() {
    let case = |method, body, stream, last, expected| Case { method, body, stream, last, expected };
    for case in [
        // Nobody has looked at it (RFC 9113 section 6.8).
        case("GET", "", 1, 0, 204),
        case("POST", "hello", 1, 0, 204),
        case("GET", "", 3, 1, 204),
        case("POST", "hello", 3, 1, 204),
        // Somebody may have; the connection worked before, and an idempotent request may be repeated.
        case("GET", "", 3, 3, 204),
        case("POST", "hello", 3, 3, 502),
        // On a connection that has never worked, the fault is the upstream's.
        case("GET", "", 1, 1, 502),
    ] {
        let Case { method, body, stream, last, expected } = case;
        let url = scripted(move |mut peer, number| {
            if number > 1 {
                request(&mut peer, 1);
                answer(&mut peer, 1, "204");
                return peer.until_closed();
            }
            if stream > 1 {
                request(&mut peer, 1);
                answer(&mut peer, 1, "200");
            }
            request(&mut peer, stream);
            leave(peer, last);
        });
        let gateway = Gateway::standalone(document(&url));
        // One connection, so that both requests are with one worker.
        let mut connection = Connection::open(gateway.address());
        if stream > 1 {
            connection.ask("GET", "/", "");
            assert_eq!(connection.response().status(), 200);
        }
        let length = body.len();
        connection.send(format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"));
        let told = format!("{method} on stream {stream}, {last} being the last");
        assert_eq!(connection.response().status(), expected, "{told}");
        let repetitions = gateway.data_plane.metrics().count("apigw_upstream_repetitions_total", &[]);
        assert_eq!(repetitions, u64::from(expected == 204), "{told}");
    }
}

#[test]
fn a_hundred_interim_answers_are_passed_over_and_one_more_is_malformed() {
    for (count, expected) in [(100, 204), (101, 502)] {
        let url = scripted(move |mut peer, _| {
            request(&mut peer, 1);
            for _ in 0..count {
                peer.frame(Kind::Headers, END_HEADERS, 1, &block(&[(":status", "103")]));
            }
            answer(&mut peer, 1, "204");
            peer.until_closed();
        });
        let gateway = Gateway::standalone(document(&url));
        let answered = client::get_with(gateway.address(), "/", "X-Request-Id: interim\r\n");
        assert_eq!(answered.status(), expected, "{count}");
        let why = if expected == 204 { "ok" } else { "upstream_malformed" };
        assert_eq!(gateway.data_plane.access("interim")["why"], why, "{count}");
    }
}

#[test]
fn pings_are_answered_on_both_sides() {
    let url = scripted(|mut peer, _| {
        request(&mut peer, 1);
        peer.frame(Kind::Ping, 0, 0, b"upstream");
        peer.until(|received| {
            received.is(Kind::Ping) && received.has(ACK) && received.payload == b"upstream"
        });
        answer(&mut peer, 1, "204");
        peer.until_closed();
    });
    let gateway = Gateway::standalone(document(&url));
    let mut client = FramePeer::open(gateway.address()).greet();
    client.frame(Kind::Ping, 0, 0, b"a client");
    client.until(|received| received.is(Kind::Ping) && received.has(ACK) && received.payload == b"a client");
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h")];
    client.head(1, END_STREAM, &fields);
    assert_eq!(client.until(is_head).status(), Some(204));
}

#[test]
fn a_websocket_is_not_asked_of_an_upstream_that_speaks_http2() {
    let url = scripted(|mut peer, _| {
        for stream in [1, 3] {
            request(&mut peer, stream);
            answer(&mut peer, stream, "200");
        }
        peer.until_closed();
    });
    let gateway = Gateway::standalone(document(&url));
    let mut connection = Connection::open(gateway.address());
    connection.send(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(connection.response().status(), 200, "it is a request like any other");
    let gateway = Gateway::standalone(document(&url));
    let mut client = FramePeer::open(gateway.address()).greet();
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "h"),
        ("sec-websocket-version", "13"),
        ("x-request-id", "declined"),
    ];
    client.head(1, 0, &fields);
    assert_eq!(client.until(is_head).status(), Some(502), "a success would be a tunnel");
    assert_eq!(gateway.data_plane.access("declined")["why"], "websocket_declined");
}
