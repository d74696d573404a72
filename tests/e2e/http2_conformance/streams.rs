//! Beginnings, frames and streams (RFC 9113 sections 3 to 5; h2spec http2/3.5 to 5.5).

use apigw_tests::frames::{
    END_HEADERS, END_STREAM, Kind, PADDED, PRIORITY,
    peer::{FramePeer, block, code, setting},
};

use super::{Expected, GET, POST, Row, check};

/// A request, and its whole answer: the stream is closed.
fn closed(peer: &mut FramePeer) {
    peer.head(1, END_STREAM, GET);
    peer.until_ended(1);
}

/// A request whose answer cannot be sent: the stream is half-closed (remote) and stays it.
fn half_closed(peer: &mut FramePeer) {
    peer.settle(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.head(1, END_STREAM, POST);
}

const FRAMES: &[Row] = &[
    Row {
        name: "4.1: a frame of an unknown type",
        sends: |peer| peer.frame(Kind::Unknown, 0, 0, &[0; 8]),
        expects: Expected::Pong,
    },
    Row {
        name: "4.1: flags of no meaning",
        sends: |peer| peer.frame(Kind::Ping, 0x16, 0, &[1; 8]),
        expects: Expected::Pong,
    },
    Row {
        name: "4.1: the reserved bit of a stream's number",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, END_STREAM, 0x8000_0001, b"test");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "4.2: DATA of 16,384 bytes",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, END_STREAM, 1, &vec![b'x'; 16_384]);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "4.2: DATA larger than was settled on",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, END_STREAM, 1, &vec![b'x'; 16_385]);
        },
        expects: Expected::ConnectionError(code::FRAME_SIZE),
    },
    Row {
        name: "4.2: HEADERS larger than was settled on",
        sends: |peer| peer.head(1, END_STREAM, &[GET, &[("x", &"y".repeat(16_384))]].concat()),
        expects: Expected::ConnectionError(code::FRAME_SIZE),
    },
    Row {
        name: "4.3: PRIORITY between the frames of a head",
        sends: |peer| {
            peer.frame(Kind::Headers, 0, 1, &block(GET));
            peer.frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 255]);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "4.3: HEADERS of another stream between the frames of a head",
        sends: |peer| {
            peer.frame(Kind::Headers, 0, 1, &block(GET));
            peer.head(3, END_STREAM, GET);
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.5: a frame of an unknown type between the frames of a head",
        sends: |peer| {
            peer.frame(Kind::Headers, END_STREAM, 1, &block(GET));
            peer.frame(Kind::Unknown, 0, 0, &[0; 8]);
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
];

#[test]
fn frames_are_bounded_and_heads_are_not_interrupted() {
    check(FRAMES);
}

const IDLE: Expected = Expected::ConnectionError(code::PROTOCOL);

const DISALLOWED: &[Row] = &[
    Row {
        name: "5.1 idle: DATA",
        sends: |peer| peer.frame(Kind::Data, END_STREAM, 1, b"test"),
        expects: IDLE,
    },
    Row { name: "5.1 idle: RST_STREAM", sends: |peer| peer.reset(1, code::CANCEL), expects: IDLE },
    Row { name: "5.1 idle: WINDOW_UPDATE", sends: |peer| peer.widen(1, 100), expects: IDLE },
    Row {
        name: "5.1 idle: CONTINUATION",
        sends: |peer| peer.frame(Kind::Continuation, END_HEADERS, 1, &block(GET)),
        expects: IDLE,
    },
    Row {
        name: "5.1 half-closed (remote): DATA",
        sends: |peer| {
            half_closed(peer);
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::ConnectionError(code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 half-closed (remote): HEADERS",
        sends: |peer| {
            half_closed(peer);
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::ConnectionError(code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 half-closed (remote): CONTINUATION",
        sends: |peer| {
            half_closed(peer);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(GET));
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.1 closed by RST_STREAM: DATA",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.reset(1, code::CANCEL);
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::StreamError(1, code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 closed by RST_STREAM: HEADERS",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.reset(1, code::CANCEL);
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::ConnectionError(code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 closed by RST_STREAM: CONTINUATION",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.reset(1, code::CANCEL);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.1 closed: DATA",
        sends: |peer| {
            closed(peer);
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::ConnectionError(code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 closed: HEADERS",
        sends: |peer| {
            closed(peer);
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::ConnectionError(code::STREAM_CLOSED),
    },
    Row {
        name: "5.1 closed: CONTINUATION",
        sends: |peer| {
            closed(peer);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
];

#[test]
fn what_a_streams_state_does_not_allow_is_an_error() {
    check(DISALLOWED);
}

const NUMBERS: &[Row] = &[
    Row {
        name: "5.1.1: an even number",
        sends: |peer| peer.head(2, END_STREAM, GET),
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.1.1: a number smaller than one before",
        sends: |peer| {
            peer.head(5, END_STREAM, GET);
            peer.head(3, END_STREAM, GET);
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.1.1: the last number there is",
        sends: |peer| peer.head(0x7fff_ffff, END_STREAM, GET),
        expects: Expected::Answer(0x7fff_ffff, 200),
    },
    Row {
        name: "5.1.2: one more stream than was settled on",
        sends: |peer| {
            let most = peer.setting(setting::MAX_CONCURRENT_STREAMS).expect("a bound is told");
            peer.settle(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
            for number in 0..=most {
                peer.head(2 * number + 1, END_STREAM, GET);
            }
        },
        expects: Expected::StreamError(201, code::REFUSED_STREAM),
    },
    Row {
        name: "5.3.1: HEADERS of a stream that depends on itself",
        sends: |peer| {
            let payload = [&[0, 0, 0, 1, 255][..], &block(GET)].concat();
            peer.frame(Kind::Headers, PRIORITY | END_STREAM | END_HEADERS, 1, &payload);
        },
        expects: Expected::StreamError(1, code::PROTOCOL),
    },
    Row {
        // The stream has not begun, so it cannot be told.
        name: "5.3.1: PRIORITY of a stream that depends on itself",
        sends: |peer| peer.frame(Kind::Priority, 0, 1, &[0, 0, 0, 1, 255]),
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.4.1: a fault of the connection is told before it ends",
        sends: |peer| peer.frame(Kind::Ping, 0, 3, &[0; 8]),
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
    Row {
        name: "5.1: a body that is padded only, up to the end",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, PADDED | END_STREAM, 1, b"\x03\0\0\0");
        },
        expects: Expected::Answer(1, 200),
    },
];

#[test]
fn numbers_of_streams_go_up_and_are_counted() {
    check(NUMBERS);
}

#[test]
fn a_preface_that_is_none_ends_the_connection() {
    use apigw_tests::{configuration::Document, gateway::Gateway, origin::Origin};
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    for greeting in [
        &b"INVALID CONNECTION PREFACE\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x08\x06\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut peer = FramePeer::open(gateway.address());
        peer.send(greeting);
        // What is said in other words than frames is read as if it were some; the end is what counts.
        peer.drain_closed();
    }
    assert_eq!(origin.requests().len(), 0);
}
