//! Requests and answers (RFC 9113 section 8; h2spec http2/8.1 and 8.2).

use apigw_tests::frames::{
    END_HEADERS, END_STREAM, Kind,
    peer::{FramePeer, block, code},
};

use super::{Expected, GET, POST, Row, check};

const MALFORMED: Expected = Expected::StreamError(1, code::PROTOCOL);

/// A request with further fields.
fn with(peer: &mut FramePeer, fields: &[(&str, &str)]) {
    peer.head(1, END_STREAM, &[GET, fields].concat());
}

/// A request without one of its four fields.
fn without(peer: &mut FramePeer, left_out: &str) {
    let fields: Vec<_> = GET.iter().copied().filter(|(name, _)| *name != left_out).collect();
    peer.head(1, END_STREAM, &fields);
}

/// A request with a body and with fields behind it.
fn trailed(peer: &mut FramePeer, flags: u8, trailers: &[(&str, &str)]) {
    peer.head(1, 0, POST);
    peer.frame(Kind::Data, 0, 1, b"test");
    peer.head(1, flags, trailers);
}

const FIELDS: &[Row] = &[
    Row {
        name: "8.1.2: a name in capitals",
        sends: |peer| with(peer, &[("X-TEST", "ok")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.1: an unknown pseudo-header",
        sends: |peer| with(peer, &[(":test", "ok")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.1: a pseudo-header of answers",
        sends: |peer| with(peer, &[(":status", "200")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.1: a pseudo-header in trailers",
        sends: |peer| trailed(peer, 0, &[(":method", "POST")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.1: a pseudo-header behind a field",
        sends: |peer| peer.head(1, END_STREAM, &[&[("x-test", "ok")], GET].concat()),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: connection",
        sends: |peer| with(peer, &[("connection", "keep-alive")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: keep-alive",
        sends: |peer| with(peer, &[("keep-alive", "timeout=5")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: proxy-connection",
        sends: |peer| with(peer, &[("proxy-connection", "keep-alive")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: transfer-encoding",
        sends: |peer| with(peer, &[("transfer-encoding", "chunked")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: upgrade",
        sends: |peer| with(peer, &[("upgrade", "websocket")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: te that wants more than trailers",
        sends: |peer| with(peer, &[("trailers", "test"), ("te", "trailers, deflate")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.2: te: trailers",
        sends: |peer| with(peer, &[("te", "trailers")]),
        expects: Expected::Answer(1, 200),
    },
];

#[test]
fn fields_that_http2_does_not_have_are_refused() {
    check(FIELDS);
}

const REQUESTS: &[Row] = &[
    Row {
        name: "8.1.2.3: an empty :path",
        sends: |peer| peer.head(1, END_STREAM, &[&GET[..2], &[(":path", "")], &GET[3..]].concat()),
        expects: MALFORMED,
    },
    Row { name: "8.1.2.3: no :method", sends: |peer| without(peer, ":method"), expects: MALFORMED },
    Row { name: "8.1.2.3: no :scheme", sends: |peer| without(peer, ":scheme"), expects: MALFORMED },
    Row { name: "8.1.2.3: no :path", sends: |peer| without(peer, ":path"), expects: MALFORMED },
    Row {
        name: "8.1.2.3: :method twice",
        sends: |peer| with(peer, &[(":method", "GET")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.3: :scheme twice",
        sends: |peer| with(peer, &[(":scheme", "http")]),
        expects: MALFORMED,
    },
    Row { name: "8.1.2.3: :path twice", sends: |peer| with(peer, &[(":path", "/")]), expects: MALFORMED },
    Row {
        name: "8.1.2.3: :authority twice",
        sends: |peer| with(peer, &[(":authority", "gateway.example")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1: a second head that does not end the stream",
        sends: |peer| trailed(peer, 0, &[("x-test", "ok")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.6: a length that is not the body's",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "1")]].concat());
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.6: a length that is not that of the body's pieces",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "1")]].concat());
            peer.frame(Kind::Data, 0, 1, b"test");
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.6: a length that the body does not reach",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "9")]].concat());
            peer.frame(Kind::Data, END_STREAM, 1, b"test");
        },
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.6: a length, and no body",
        sends: |peer| with(peer, &[("content-length", "4")]),
        expects: MALFORMED,
    },
    Row {
        name: "8.1.2.6: a length that the trailers come before",
        sends: |peer| {
            peer.head(1, 0, &[POST, &[("content-length", "9")]].concat());
            peer.frame(Kind::Data, 0, 1, b"test");
            peer.head(1, END_STREAM, &[("x-test", "ok")]);
        },
        expects: MALFORMED,
    },
    Row {
        name: "8.2: PUSH_PROMISE of a client",
        sends: |peer| {
            let payload = [&[0, 0, 0, 2][..], &block(GET)].concat();
            peer.frame(Kind::PushPromise, END_HEADERS, 1, &payload);
        },
        expects: Expected::ConnectionError(code::PROTOCOL),
    },
];

#[test]
fn requests_say_once_what_they_want() {
    check(REQUESTS);
}
