//! What every server must take (h2spec generic/1 to 4).

use apigw_tests::frames::{
    END_HEADERS, END_STREAM, Kind, PADDED, PRIORITY,
    peer::{block, code, setting},
};

use super::{Expected, GET, POST, Row, check};

/// Depends on nothing, with the least and the most weight; exclusively on a stream that nobody knows.
const PRIORITIES: [[u8; 5]; 3] = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 255], [0x80, 0, 0, 9, 15]];

const STATES: &[Row] = &[
    Row {
        name: "generic/2: PRIORITY on an idle stream",
        sends: |peer| peer.frame(Kind::Priority, 0, 1, &PRIORITIES[0]),
        expects: Expected::Pong,
    },
    Row {
        name: "generic/2: WINDOW_UPDATE on a half-closed (remote) stream",
        sends: |peer| {
            peer.settle(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
            peer.head(1, END_STREAM, GET);
            peer.widen(1, 1);
        },
        expects: Expected::Piece(1, 1),
    },
    Row {
        name: "generic/2: PRIORITY on a half-closed (remote) stream",
        sends: |peer| {
            peer.settle(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
            peer.head(1, END_STREAM, GET);
            peer.frame(Kind::Priority, 0, 1, &PRIORITIES[1]);
            peer.widen(1, 1);
        },
        expects: Expected::Piece(1, 1),
    },
    Row {
        name: "generic/2: RST_STREAM on a half-closed (remote) stream",
        sends: |peer| {
            peer.head(1, END_STREAM, GET);
            peer.reset(1, code::CANCEL);
        },
        expects: Expected::Pong,
    },
    Row {
        name: "generic/2: PRIORITY on a closed stream",
        sends: |peer| {
            peer.head(1, END_STREAM, GET);
            peer.until_ended(1);
            peer.frame(Kind::Priority, 0, 1, &PRIORITIES[1]);
        },
        expects: Expected::Pong,
    },
    Row {
        name: "WINDOW_UPDATE and RST_STREAM on a closed stream",
        sends: |peer| {
            peer.head(1, END_STREAM, GET);
            peer.until_ended(1);
            peer.widen(1, 1);
            peer.reset(1, code::NO_ERROR);
        },
        expects: Expected::Pong,
    },
];

#[test]
fn streams_take_what_every_state_allows() {
    check(STATES);
}

const TYPES: &[Row] = &[
    Row {
        name: "generic/3.1: DATA",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.1: several DATA, empty ones among them",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, 0, 1, b"test");
            peer.frame(Kind::Data, 0, 1, b"");
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.1: DATA with padding",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.frame(Kind::Data, PADDED | END_STREAM, 1, b"\x06testpadded");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.2: HEADERS",
        sends: |peer| peer.head(1, END_STREAM, GET),
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.2: HEADERS with padding",
        sends: |peer| {
            let payload = [&[6][..], &block(GET), b"padded"].concat();
            peer.frame(Kind::Headers, PADDED | END_STREAM | END_HEADERS, 1, &payload);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.2: HEADERS with a priority",
        sends: |peer| {
            let payload = [&PRIORITIES[1][..], &block(GET)].concat();
            peer.frame(Kind::Headers, PRIORITY | END_STREAM | END_HEADERS, 1, &payload);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.3: PRIORITY of each kind",
        sends: |peer| {
            for priority in PRIORITIES {
                peer.frame(Kind::Priority, 0, 1, &priority);
            }
            peer.head(1, END_STREAM, GET);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.4: RST_STREAM",
        sends: |peer| {
            peer.head(1, 0, POST);
            peer.reset(1, code::CANCEL);
        },
        expects: Expected::Pong,
    },
    Row {
        name: "generic/3.5: SETTINGS, known and unknown, are acknowledged",
        sends: |peer| {
            peer.settle_surely(&[(setting::MAX_CONCURRENT_STREAMS, 100)]);
            peer.settle_surely(&[(0x99, 7), (setting::ENABLE_PUSH, 0)]);
            peer.settle_surely(&[]);
        },
        expects: Expected::Pong,
    },
    Row { name: "generic/3.7: PING", sends: |_| {}, expects: Expected::Pong },
    Row {
        name: "generic/3.8: GOAWAY",
        sends: |peer| peer.frame(Kind::GoAway, 0, 0, b"\0\0\0\0\0\0\0\0bye"),
        expects: Expected::Closed,
    },
    Row {
        name: "generic/3.9: WINDOW_UPDATE on the connection, on a stream",
        sends: |peer| {
            peer.widen(0, 1);
            peer.head(1, 0, POST);
            peer.widen(1, 1);
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/3.10: CONTINUATION, one and several",
        sends: |peer| {
            let block = block(GET);
            peer.frame(Kind::Headers, END_STREAM, 1, &block[..9]);
            peer.frame(Kind::Continuation, 0, 1, &block[9..20]);
            peer.frame(Kind::Continuation, 0, 1, &[]);
            peer.frame(Kind::Continuation, END_HEADERS, 1, &block[20..]);
        },
        expects: Expected::Answer(1, 200),
    },
];

#[test]
fn frames_of_every_type_are_taken() {
    check(TYPES);
}

const SHAPES: &[Row] = &[
    Row {
        name: "generic/4: GET",
        sends: |peer| peer.head(1, END_STREAM, GET),
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/4: HEAD",
        sends: |peer| {
            let head = [&[(":method", "HEAD")], &GET[1..]].concat();
            peer.head(1, END_STREAM, &head);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/4: POST",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "4")]].concat());
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "generic/4: POST with trailers",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("trailer", "x-test")]].concat());
            peer.frame(Kind::Data, 0, 1, b"test");
            peer.head(1, END_STREAM, &[("x-test", "ok")]);
        },
        expects: Expected::Answer(1, 200),
    },
    Row {
        name: "GET with a body that is empty",
        sends: |peer| {
            peer.head(1, 0, GET);
            peer.frame(Kind::Data, END_STREAM, 1, b"");
        },
        expects: Expected::Answer(1, 200),
    },
];

#[test]
fn requests_of_every_shape_are_answered() {
    check(SHAPES);
}
