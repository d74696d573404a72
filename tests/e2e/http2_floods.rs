//! Floods of HTTP/2 against the traffic address, frame by frame: where each ends, and what the gateway has then.

use apigw_tests::{
    client,
    configuration::Document,
    frames::{
        ACK, END_HEADERS, END_STREAM, Kind, frame,
        peer::{FramePeer, Received, block, code, setting},
    },
    gate::Gate,
    gateway::Gateway,
    origin::{Origin, ok},
    waiting::eventually,
};

const REQUEST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "gateway.example")];

/// What a flood of a few seconds may leave behind.
const GROWTH_BYTES: u64 = 8 << 20;

/// Makes a frame of its number.
type Framing = fn(u32) -> Vec<u8>;

/// Frames that carry nothing, more of them than a client may send.
const FLOODS: &[(&str, Framing)] = &[
    ("settings (CVE-2019-9515)", |_| frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100])),
    ("empty settings", |_| frame(Kind::Settings, 0, 0, &[])),
    ("pings (CVE-2019-9512)", |_| frame(Kind::Ping, 0, 0, &[7; 8])),
    ("answers to pings", |_| frame(Kind::Ping, ACK, 0, &[7; 8])),
    ("priorities (CVE-2019-9513)", |number| frame(Kind::Priority, 0, 2 * number + 1, &[0, 0, 0, 0, 7])),
    ("windows opened by a byte", |_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1])),
    ("windows of a stream", |_| frame(Kind::WindowUpdate, 0, 1, &[0, 0, 0, 1])),
    ("resets of one stream", |_| frame(Kind::Reset, 0, 1, &[0, 0, 0, 8])),
    ("empty pieces of a body (CVE-2019-9518)", |_| frame(Kind::Data, 0, 1, &[])),
    ("frames of no meaning", |_| frame(Kind::Unknown, 0, 0, &[7; 8])),
];

#[test]
fn floods_of_frames_that_carry_nothing_are_cut_off() {
    let gate = Gate::new();
    let passed = gate.clone();
    let origin = Origin::scripted(move |peer| {
        let head = peer.head()?;
        if head.field("x-held").is_some() {
            return passed.pass();
        }
        peer.send(ok("served"))
    });
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let before = gateway.data_plane.resident_bytes();
    let mut broken = Vec::new();
    for (name, flood) in FLOODS {
        let mut peer = FramePeer::open(gateway.address()).greet();
        peer.head(1, 0, &[REQUEST, &[("x-held", "1")]].concat());
        for number in 0..50 {
            peer.send(flood(number).repeat(100));
        }
        let mut is_calmed = false;
        while let Ok(Some(received)) = peer.try_next() {
            is_calmed |= received.error() == Some(code::ENHANCE_YOUR_CALM);
        }
        if !is_calmed {
            broken.push(*name);
        }
        // Of 5,000 frames; each that is looked at, and none else, costs time.
        assert!(peer.seen().len() < 3_000, "{} answers to {name}", peer.seen().len());
        assert_eq!(client::get(gateway.address(), "/").text(), "served", "{name}");
    }
    assert!(broken.is_empty(), "not cut off: {broken:?}");
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES, "{grown} bytes more");
    gate.open();
}

#[test]
fn requests_that_are_begun_and_taken_back_without_end_are_cut_off() {
    const AT_ONCE: usize = 50;
    let origin = Origin::scripted(|peer| {
        peer.head()?;
        peer.until_closed()
    });
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut peer = FramePeer::open(gateway.address()).greet();
    let mut streams = (1..).step_by(2);
    let begun = (1..=100).find(|round| {
        let taken: Vec<u32> = streams.by_ref().take(AT_ONCE).collect();
        taken.iter().for_each(|stream| peer.head(*stream, END_STREAM, REQUEST));
        // Not before each has cost a connection to the upstream.
        eventually("the upstream has them", || (origin.connections() >= AT_ONCE * round).then_some(()));
        let resets = taken.iter().flat_map(|stream| frame(Kind::Reset, 0, *stream, &[0, 0, 0, 8]));
        peer.send(resets.collect::<Vec<_>>());
        peer.send(frame(Kind::Ping, 0, 0, &[7; 8]));
        peer.until(|received| received.is(Kind::Ping) || received.is(Kind::GoAway)).is(Kind::GoAway)
    });
    let farewell = peer.seen().iter().find(|received| received.is(Kind::GoAway));
    assert_eq!(farewell.and_then(Received::error), Some(code::ENHANCE_YOUR_CALM), "after {begun:?} rounds");
}

#[test]
fn a_client_that_opens_its_windows_byte_by_byte_is_served() {
    let origin = Origin::saying("a text of some bytes");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut peer = FramePeer::open(gateway.address()).greet();
    peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
    // More windows than may be opened at once for nothing.
    for stream in (1..).step_by(2).take(150) {
        peer.head(stream, END_STREAM, REQUEST);
        for _ in 0..20 {
            peer.until(|received| received.is(Kind::Data) && received.stream == stream);
            peer.widen(0, 1);
            peer.widen(stream, 1);
        }
    }
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
}

#[test]
fn a_client_that_reads_little_by_little_is_served() {
    const BYTES: usize = 4 << 20;
    const READ_BYTES: u32 = 1 << 10;
    let answer = ok(&"x".repeat(BYTES));
    let origin = Origin::answering(move |_| answer.clone());
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut peer = FramePeer::open(gateway.address()).greet();
    peer.settle_surely(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    peer.head(1, END_STREAM, REQUEST);
    let (mut came, mut read) = (0, 0);
    while came < BYTES {
        came += peer.until(|received| received.is(Kind::Data)).payload.len();
        while read < came {
            // Both windows for each read, however large the pieces were that it was read from.
            peer.widen(0, READ_BYTES);
            peer.widen(1, READ_BYTES);
            read += usize::try_from(READ_BYTES).expect("a small number");
        }
    }
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
}

#[test]
fn streams_that_are_begun_and_left_end_in_time() {
    const STREAMS: u32 = 100;
    let origin = Origin::saying("served");
    let text = Document::new().server("read_timeout_seconds: 1").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let mut peer = FramePeer::open(gateway.address()).greet();
    for number in 0..STREAMS {
        peer.head(2 * number + 1, 0, REQUEST);
        peer.frame(Kind::Data, 0, 2 * number + 1, b"x");
    }
    for _ in 0..STREAMS {
        let answer = peer.until(|received| received.is(Kind::Headers));
        assert_eq!(answer.status(), Some(408));
    }
    let metrics = gateway.data_plane.metrics();
    let ended = metrics.count("apigw_rejections_total", &[("route", "all"), ("reason", "body_timeout")]);
    assert_eq!(ended, u64::from(STREAMS));
    assert_eq!(client::get(gateway.address(), "/").text(), "served");
}

#[test]
fn a_head_that_never_ends_holds_its_connection_for_as_long_as_an_idle_one() {
    let origin = Origin::saying("served");
    let text = Document::new().server("idle_timeout_seconds: 1").route("all", "/", origin.url());
    let gateway = Gateway::standalone(text);
    let mut peer = FramePeer::open(gateway.address()).greet();
    peer.frame(Kind::Headers, END_STREAM, 1, &block(REQUEST)[..7]);
    peer.frame(Kind::Continuation, 0, 1, &block(REQUEST)[7..8]);
    peer.until_closed();
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_head_in_more_pieces_than_it_needs_ends_the_connection() {
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut peer = FramePeer::open(gateway.address()).greet();
    peer.frame(Kind::Headers, END_STREAM, 1, &[]);
    for piece in block(REQUEST).chunks(1) {
        peer.frame(Kind::Continuation, 0, 1, piece);
    }
    peer.frame(Kind::Continuation, END_HEADERS, 1, &[]);
    let farewell = peer.until(|received| received.is(Kind::GoAway));
    assert_eq!(farewell.error(), Some(code::ENHANCE_YOUR_CALM));
}

#[test]
fn a_head_that_unpacks_to_more_than_is_allowed_is_not_unpacked() {
    // RFC 7541 section 7.1.3: one byte for a field of 3,000.
    let origin = Origin::saying("served");
    let gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let before = gateway.data_plane.resident_bytes();
    let mut peer = FramePeer::open(gateway.address()).greet();
    let mut bomb = block(REQUEST);
    bomb.extend(apigw_tests::frames::remembered_field("x", &"y".repeat(3_000)));
    bomb.extend([apigw_tests::frames::REMEMBERED; 10_000]);
    for stream in (1..).step_by(2).take(50) {
        peer.frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &bomb);
    }
    peer.drain_closed();
    let grown = gateway.data_plane.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES, "{grown} bytes more");
    assert_eq!(origin.requests().len(), 0);
    eventually("others are served", || {
        client::try_get(gateway.address(), "/").ok().filter(|answer| answer.status() == 200)
    });
}
