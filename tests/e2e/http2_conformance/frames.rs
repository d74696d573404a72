//! Each type of frame, and codes (RFC 9113 sections 6 and 7; h2spec http2/6.1 to 7).

use apigw_tests::frames::{
    ACK, END_HEADERS, END_STREAM, Kind, PADDED,
    peer::{block, code, setting},
};

use super::{Expected, GET, POST, Row, check};

const PROTOCOL: Expected = Expected::ConnectionError(code::PROTOCOL);
const FRAME_SIZE: Expected = Expected::ConnectionError(code::FRAME_SIZE);
const FLOW_CONTROL: Expected = Expected::ConnectionError(code::FLOW_CONTROL);
const MOST: u32 = 0x7fff_ffff;

const BODIES_AND_HEADS: &[Row] = &[
    Row {
        name: "6.1: DATA of no stream",
        sends: |peer| peer.frame(Kind::Data, END_STREAM, 0, b"test"),
        expects: PROTOCOL,
    },
    Row {
        name: "6.1: DATA with more padding than there is",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "4")]].concat());
            peer.frame(Kind::Data, PADDED | END_STREAM, 1, b"\x06Test");
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.1: DATA without the length of its padding",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, PADDED | END_STREAM, 1, b"");
        },
        expects: FRAME_SIZE,
    },
    Row { name: "6.2: HEADERS of no stream", sends: |peer| peer.head(0, END_STREAM, GET), expects: PROTOCOL },
    Row {
        name: "6.2: HEADERS with more padding than there is",
        sends: |peer| {
            let block = block(GET);
            let padding = u8::try_from(block.len() + 2).unwrap_or(u8::MAX);
            let payload = [&[padding][..], &block].concat();
            peer.frame(Kind::Headers, PADDED | END_STREAM | END_HEADERS, 1, &payload);
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.3: PRIORITY of no stream",
        sends: |peer| peer.frame(Kind::Priority, 0, 0, &[0, 0, 0, 0, 255]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.3: PRIORITY of another size",
        sends: |peer| peer.frame(Kind::Priority, 0, 1, &[0, 0, 0, 0]),
        expects: FRAME_SIZE,
    },
    Row { name: "6.4: RST_STREAM of no stream", sends: |peer| peer.reset(0, 8), expects: PROTOCOL },
    Row {
        name: "6.4: RST_STREAM of another size",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Reset, 0, 1, &[0, 0, 0]);
        },
        expects: FRAME_SIZE,
    },
];

#[test]
fn bodies_and_heads_belong_to_a_stream_and_are_padded_within_bounds() {
    check(BODIES_AND_HEADS);
}

const SETTINGS_AND_PINGS: &[Row] = &[
    Row {
        name: "6.5: SETTINGS that acknowledge and say more",
        sends: |peer| peer.frame(Kind::Settings, ACK, 0, &[0]),
        expects: FRAME_SIZE,
    },
    Row {
        name: "6.5: SETTINGS of a stream",
        sends: |peer| peer.frame(Kind::Settings, 0, 1, &[0, 3, 0, 0, 0, 100]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.5: SETTINGS that are cut off",
        sends: |peer| peer.frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 2]),
        expects: FRAME_SIZE,
    },
    Row {
        name: "6.5.2: ENABLE_PUSH that is neither 0 nor 1",
        sends: |peer| peer.settle(&[(setting::ENABLE_PUSH, 2)]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.5.2: INITIAL_WINDOW_SIZE above what there is",
        sends: |peer| peer.settle(&[(setting::INITIAL_WINDOW_SIZE, MOST + 1)]),
        expects: FLOW_CONTROL,
    },
    Row {
        name: "6.5.2: MAX_FRAME_SIZE below what everybody takes",
        sends: |peer| peer.settle(&[(setting::MAX_FRAME_SIZE, 16_383)]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.5.2: MAX_FRAME_SIZE above what there is",
        sends: |peer| peer.settle(&[(setting::MAX_FRAME_SIZE, 1 << 24)]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.5.2: ENABLE_CONNECT_PROTOCOL that is neither 0 nor 1",
        sends: |peer| peer.settle(&[(setting::ENABLE_CONNECT_PROTOCOL, 2)]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.5.3: the last of several values holds",
        sends: |peer| {
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 100), (setting::INITIAL_WINDOW_SIZE, 1)]);
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::Piece(1, 1),
    },
    Row {
        name: "6.7: a PING that is an answer is not answered",
        sends: |peer| peer.frame(Kind::Ping, ACK, 0, b"invalid!"),
        expects: Expected::Pong,
    },
    Row {
        name: "6.7: PING of a stream",
        sends: |peer| peer.frame(Kind::Ping, 0, 1, &[0; 8]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.7: PING of another size",
        sends: |peer| peer.frame(Kind::Ping, 0, 0, &[0; 6]),
        expects: FRAME_SIZE,
    },
    Row {
        name: "6.8: GOAWAY of a stream",
        sends: |peer| peer.frame(Kind::GoAway, 0, 1, &[0; 8]),
        expects: PROTOCOL,
    },
    Row {
        name: "6.8: GOAWAY that is cut off",
        sends: |peer| peer.frame(Kind::GoAway, 0, 0, &[0; 7]),
        expects: FRAME_SIZE,
    },
    Row {
        name: "7: GOAWAY with an unknown code",
        sends: |peer| peer.frame(Kind::GoAway, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]),
        expects: Expected::Closed,
    },
    Row {
        name: "7: RST_STREAM with an unknown code",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.reset(1, 0xff);
        },
        expects: Expected::Pong,
    },
];

#[test]
fn settings_and_pings_are_of_the_connection_and_of_their_size() {
    check(SETTINGS_AND_PINGS);
}

const WINDOWS: &[Row] = &[
    Row { name: "6.9: the connection's window by 0", sends: |peer| peer.widen(0, 0), expects: PROTOCOL },
    Row {
        name: "6.9: a stream's window by 0",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.widen(1, 0);
        },
        expects: Expected::StreamError(1, code::PROTOCOL),
    },
    Row {
        name: "6.9: WINDOW_UPDATE of another size",
        sends: |peer| peer.frame(Kind::WindowUpdate, 0, 0, &[0, 0, 1]),
        expects: FRAME_SIZE,
    },
    Row {
        name: "6.9.1: a window of one byte",
        sends: |peer| {
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::Piece(1, 1),
    },
    Row {
        name: "6.9.1: the connection's window above what there is",
        sends: |peer| {
            peer.widen(0, MOST);
            peer.widen(0, MOST);
        },
        expects: FLOW_CONTROL,
    },
    Row {
        name: "6.9.1: a stream's window above what there is",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.widen(1, MOST);
            peer.widen(1, MOST);
        },
        expects: Expected::StreamError(1, code::FLOW_CONTROL),
    },
    Row {
        name: "6.9.2: the windows of open streams follow the setting",
        sends: |peer| {
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
            peer.head(1, END_STREAM, GET);
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
        },
        expects: Expected::Piece(1, 1),
    },
    Row {
        name: "6.9.2: a window below zero",
        sends: |peer| {
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 3)]);
            peer.head(1, END_STREAM, GET);
            peer.until(|received| received.is(Kind::Data));
            peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 2)]);
            peer.widen(1, 2);
        },
        expects: Expected::Piece(1, 1),
    },
];

#[test]
fn windows_are_kept_and_bounded() {
    check(WINDOWS);
}

const CONTINUATIONS: &[Row] = &[
    Row {
        name: "6.10: CONTINUATION, and then DATA before the end of the head",
        sends: |peer| {
            peer.frame(Kind::Headers, 0, 1, &block(POST));
            peer.frame(Kind::Continuation, 0, 1, &block(&[("x", "y")]));
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.10: CONTINUATION of no stream",
        sends: |peer| {
            peer.frame(Kind::Headers, END_STREAM, 1, &block(GET));
            peer.frame(Kind::Continuation, END_HEADERS, 0, &block(&[("x", "y")]));
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.10: CONTINUATION of another stream",
        sends: |peer| {
            peer.frame(Kind::Headers, END_STREAM, 1, &block(GET));
            peer.frame(Kind::Continuation, END_HEADERS, 3, &block(&[("x", "y")]));
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.10: CONTINUATION behind the end of a head",
        sends: |peer| {
            peer.head(1, END_STREAM, GET);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.10: CONTINUATION behind a CONTINUATION that was the last",
        sends: |peer| {
            peer.frame(Kind::Headers, END_STREAM, 1, &block(GET));
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: PROTOCOL,
    },
    Row {
        name: "6.10: CONTINUATION behind DATA",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, 0, 1, b"test");
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block(&[("x", "y")]));
        },
        expects: PROTOCOL,
    },
];

#[test]
fn heads_go_on_in_frames_of_their_own_and_nowhere_else() {
    check(CONTINUATIONS);
}
