//! Streams and what becomes of them, frame by frame.

/// Bodies that come.
mod receiving;
/// Heads and bodies that go.
mod sending;

use std::{cell::RefCell, pin::Pin, task::Poll};

use apigw_config::model::{Server, Upstream};
use apigw_engine::fields::Fields;
use apigw_transport::frames::{
    HEAD_BYTES, Head, flag,
    kind::{DATA, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::{
    super::{
        MAX_PENDING_RESETS,
        handle::{Held, Run, Shared, StreamHandle},
    },
    *,
};
use crate::{
    http1::read_buffer::ReadBuffer,
    http2::frame::{Ends, MAX_PAYLOAD_BYTES},
};

/// GET, http, `/`, and `a` as the host (RFC 7541 section 6).
const REQUEST: &[u8] = b"\x82\x86\x84\x01\x01a";
/// What stream 1 depends on: itself.
const CIRCULAR: &[u8] = &[0, 0, 0, 1, 9];
const ALL: u8 = flag::END_HEADERS | flag::END_STREAM;

/// A client's end of a connection without a socket.
struct Peer {
    state: Shared,
    read: ReadBuffer,
    now: Instant,
}

impl Peer {
    fn new() -> Self {
        let now = Instant::now();
        let state = Rc::new(RefCell::new(State::new(64 << 10, now)));
        let mut peer = Self { state, read: ReadBuffer::default(), now };
        peer.sends(SETTINGS, 0, 0, &[]).unwrap();
        peer.heard();
        peer
    }

    /// Sends a frame. What begins with it is opened, as the connection's task would.
    fn sends(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Option<usize>, Reason> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.read.extend(&[&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat());
        let mut state = self.state.borrow_mut();
        let Some(arrived) = state.read(&mut self.read, self.now)? else { return Ok(None) };
        let deadlines = Rc::new(Deadlines::new(&Server::default(), &Upstream::default(), self.now));
        Ok(Some(state.open(&arrived.opening, deadlines)))
    }

    fn asks(&mut self, stream: u32) -> StreamHandle {
        let place = self.sends(HEADERS, ALL, stream, REQUEST).unwrap().expect("a request");
        StreamHandle::new(&self.state, place, stream)
    }

    fn posts(&mut self, stream: u32) -> StreamHandle {
        let place = self.sends(HEADERS, flag::END_HEADERS, stream, REQUEST).unwrap().expect("a request");
        StreamHandle::new(&self.state, place, stream)
    }

    fn settles(&mut self, window_bytes: u32) {
        let setting = [&[0, 4][..], &window_bytes.to_be_bytes()].concat();
        self.sends(SETTINGS, 0, 0, &setting).unwrap();
    }

    fn widens(&mut self, stream: u32, bytes: u32) -> Result<Option<usize>, Reason> {
        self.sends(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    /// What has been written since it was last asked for.
    fn heard(&mut self) -> Vec<(Head, Vec<u8>)> {
        let mut state = self.state.borrow_mut();
        let (mut text, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
        assert!(state.write.poll_flush(Pin::new(&mut text), &mut context).is_ready());
        state.use_room();
        let (mut rest, mut frames) = (&text[..], Vec::new());
        while let Some((head, payload)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let head = Head::of(*head);
            let (payload, behind) = payload.split_at(head.length);
            frames.push((head, payload.to_vec()));
            rest = behind;
        }
        frames
    }

    /// The streams that were taken back, and why.
    fn resets(&mut self) -> Vec<(u32, Reason)> {
        let resets = self.heard().into_iter().filter(|(head, _)| head.kind == RST_STREAM);
        resets.map(|(head, code)| (head.stream, reason(&code))).collect()
    }

    /// By how much the window of a stream, or (0) of the connection, was opened each time.
    fn opened(&mut self, stream: u32) -> Vec<u32> {
        let opened =
            self.heard().into_iter().filter(|(head, _)| (head.kind, head.stream) == (WINDOW_UPDATE, stream));
        opened.map(|(_, bytes)| u32::from_be_bytes(bytes.try_into().unwrap())).collect()
    }

    /// How many bytes of bodies were written, by stream, in their order.
    fn pieces(&mut self) -> Vec<(u32, usize)> {
        let pieces = self.heard().into_iter().filter(|(head, _)| head.kind == DATA);
        pieces.map(|(head, payload)| (head.stream, payload.len())).collect()
    }
}

fn reason(code: &[u8]) -> Reason {
    u32::from_be_bytes(code.try_into().unwrap()).into()
}

fn begin(stream: &StreamHandle, ends: Ends) {
    stream.begin(StatusCode::OK, &Fields::new(), &HeaderValue::from_static("now"), ends);
}

#[test]
fn a_stream_ends_with_its_two_halves() {
    let mut peer = Peer::new();
    let [both, whole_answer, nothing, taken_back] =
        [1, 3, 5, 7].map(|id| if id == 1 { peer.asks(id) } else { peer.posts(id) });
    for stream in [&both, &whole_answer] {
        begin(stream, Ends::Here);
    }
    peer.sends(RST_STREAM, 0, 7, &[0; 4]).unwrap();
    peer.heard();
    assert_eq!(peer.state.borrow().streams.alive(), 3);
    for stream in [both, whole_answer, nothing, taken_back] {
        drop(Held::new(stream));
    }
    let resets = [(3, Reason::NO_ERROR), (5, Reason::INTERNAL_ERROR)];
    assert_eq!(peer.resets(), resets);
    assert!(peer.state.borrow().streams.is_empty());
}

#[test]
fn each_state_of_a_stream_takes_what_the_rfc_says() {
    // RFC 9113 section 5.1. What is called closed here has been ended by us, and the client does not know of it yet.
    type Beginning = fn(&mut Peer);
    let idle: Beginning = |_| {};
    let open: Beginning = |peer| drop(peer.posts(1));
    let half_closed: Beginning = |peer| drop(peer.asks(1));
    let reset: Beginning = |peer| {
        peer.posts(1);
        peer.sends(RST_STREAM, 0, 1, &[0; 4]).unwrap();
    };
    let closed: Beginning = |peer| drop(Held::new(peer.posts(1)));
    let passed_over: Beginning = |peer| drop(peer.posts(3));
    let protocol = Some(Err(Reason::PROTOCOL_ERROR));
    let stream_closed = Some(Err(Reason::STREAM_CLOSED));
    let of_the_stream = |reason| Some(Ok(reason));
    for (name, begins, kind, flags, payload, expected) in [
        ("idle", idle, DATA, 0, &b"a"[..], protocol),
        ("idle", idle, RST_STREAM, 0, &[0; 4], protocol),
        ("idle", idle, WINDOW_UPDATE, 0, &[0, 0, 0, 1], protocol),
        ("open", open, DATA, 0, b"a", None),
        ("open", open, HEADERS, ALL, b"\0\x01a\x01b", None),
        ("open", open, HEADERS, flag::END_HEADERS, b"\0\x01a\x01b", of_the_stream(Reason::PROTOCOL_ERROR)),
        ("open", open, HEADERS, ALL, b"\x84", of_the_stream(Reason::PROTOCOL_ERROR)),
        ("open", open, WINDOW_UPDATE, 0, &[0; 4], of_the_stream(Reason::PROTOCOL_ERROR)),
        ("open", open, WINDOW_UPDATE, 0, &[0x7f, 255, 255, 255], of_the_stream(Reason::FLOW_CONTROL_ERROR)),
        ("half-closed", half_closed, DATA, 0, b"a", stream_closed),
        ("half-closed", half_closed, HEADERS, ALL, REQUEST, stream_closed),
        ("half-closed", half_closed, WINDOW_UPDATE, 0, &[0, 0, 0, 1], None),
        ("reset", reset, DATA, 0, b"a", of_the_stream(Reason::STREAM_CLOSED)),
        ("reset", reset, HEADERS, ALL, REQUEST, stream_closed),
        ("reset", reset, WINDOW_UPDATE, 0, &[0, 0, 0, 1], None),
        ("reset", reset, RST_STREAM, 0, &[0; 4], None),
        ("closed", closed, DATA, 0, b"a", None),
        ("closed", closed, HEADERS, ALL, b"\0\x01a\x01b", None),
        ("closed", closed, WINDOW_UPDATE, 0, &[0; 4], None),
        ("closed", closed, RST_STREAM, 0, &[0; 4], None),
        ("passed over", passed_over, HEADERS, ALL, REQUEST, protocol),
        // What depends on itself (RFC 7540 section 5.3.1): nothing is said on a stream that is not there.
        ("idle", idle, PRIORITY, 0, CIRCULAR, protocol),
        ("idle", idle, HEADERS, ALL | flag::PRIORITY, CIRCULAR, of_the_stream(Reason::PROTOCOL_ERROR)),
        ("open", open, PRIORITY, 0, CIRCULAR, of_the_stream(Reason::PROTOCOL_ERROR)),
        ("half-closed", half_closed, PRIORITY, 0, CIRCULAR, of_the_stream(Reason::PROTOCOL_ERROR)),
        ("reset", reset, PRIORITY, 0, CIRCULAR, None),
        ("closed", closed, PRIORITY, 0, CIRCULAR, None),
        ("closed", closed, HEADERS, ALL | flag::PRIORITY, CIRCULAR, None),
        ("passed over", passed_over, PRIORITY, 0, CIRCULAR, None),
        ("passed over", passed_over, HEADERS, ALL | flag::PRIORITY, CIRCULAR, protocol),
    ] {
        let mut peer = Peer::new();
        begins(&mut peer);
        peer.heard();
        let found = match peer.sends(kind, flags, 1, payload) {
            Err(reason) => Some(Err(reason)),
            Ok(_) => peer.resets().first().map(|(_, reason)| Ok(*reason)),
        };
        assert_eq!(found, expected, "{name}: type {kind}, {payload:?}");
    }
}

#[test]
fn a_body_is_as_long_as_its_head_says() {
    let four = [REQUEST, b"\x0f\x0d\x014"].concat();
    for (pieces, is_whole) in [
        (&[(&b"abcd"[..], flag::END_STREAM)][..], true),
        (&[(b"ab", 0), (b"cd", 0), (b"", flag::END_STREAM)], true),
        (&[(b"abcde", 0)], false),
        (&[(b"abc", flag::END_STREAM)], false),
        (&[(b"abcd", 0), (b"e", 0)], false),
    ] {
        let mut peer = Peer::new();
        peer.sends(HEADERS, flag::END_HEADERS, 1, &four).unwrap();
        for (piece, flags) in pieces {
            peer.sends(DATA, *flags, 1, piece).unwrap();
        }
        let expected = if is_whole { vec![] } else { vec![(1, Reason::PROTOCOL_ERROR)] };
        assert_eq!(peer.resets(), expected, "{pieces:?}");
    }
}

#[test]
fn as_many_streams_are_taken_as_was_said() {
    let mut peer = Peer::new();
    let ids = (1..).step_by(2).take(MAX_STREAMS);
    let streams: Vec<_> = ids.map(|id| Held::new(peer.asks(id))).collect();
    let (next, further) = (2 * u32::try_from(MAX_STREAMS).unwrap() + 1, 1_001);
    assert_eq!(peer.sends(HEADERS, ALL, next, REQUEST), Ok(None));
    assert_eq!(peer.resets(), [(next, Reason::REFUSED_STREAM)]);
    begin(streams[0].handle(), Ends::Here);
    drop(streams.into_iter().next());
    peer.asks(further);
}

#[test]
fn what_is_taken_back_before_anybody_could_look_at_it_is_bounded() {
    let mut peer = Peer::new();
    let mut ids = (1..).step_by(2);
    let mut taken_back = |peer: &mut Peer| {
        let id = ids.next().unwrap();
        peer.asks(id);
        peer.sends(RST_STREAM, 0, id, &[0; 4])
    };
    for _ in 0..MAX_PENDING_RESETS {
        assert_eq!(taken_back(&mut peer), Ok(None));
    }
    assert_eq!(taken_back(&mut peer), Err(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn faults_of_streams_are_bounded() {
    let mut peer = Peer::new();
    let mut broken = (1..).step_by(2).map(|id| peer.sends(HEADERS, ALL, id, b"\x82"));
    assert!(broken.by_ref().take(MAX_PROTOCOL_ERRORS).all(|taken| taken == Ok(None)));
    assert_eq!(broken.next(), Some(Err(Reason::ENHANCE_YOUR_CALM)));
}

#[test]
fn what_was_taken_back_here_is_remembered_for_as_many_streams_as_is_said() {
    for (count, expected) in [(MOST_TAKEN_BACK, Ok(None)), (MOST_TAKEN_BACK + 1, Err(Reason::PROTOCOL_ERROR))]
    {
        let mut peer = Peer::new();
        (1..).step_by(2).take(count).for_each(|id| drop(Held::new(peer.posts(id))));
        assert_eq!(peer.sends(HEADERS, ALL, 1, b"\0\x01a\x01b"), expected, "{count}");
    }
}

#[test]
fn windows_of_bodies_are_kept_and_given_back() {
    let mut peer = Peer::new();
    let piece = [0; MAX_PAYLOAD_BYTES];
    let stream = Held::new(peer.posts(1));
    let fits = STREAM_WINDOW_BYTES as usize / piece.len();
    for _ in 0..fits {
        peer.sends(DATA, 0, 1, &piece).unwrap();
    }
    assert!(peer.heard().is_empty(), "nobody has taken any of it");
    peer.sends(DATA, 0, 1, b"a").unwrap();
    assert_eq!(peer.resets(), [(1, Reason::FLOW_CONTROL_ERROR)]);
    drop(stream);
    // All bodies together, of streams that keep to their windows.
    let rounds = CONNECTION_WINDOW_BYTES / STREAM_WINDOW_BYTES;
    let mut widened = 0;
    let streams: Vec<_> = (0..=rounds).map(|number| Held::new(peer.posts(3 + 2 * number))).collect();
    let mut overstepped = Ok(None);
    for number in 0..=rounds {
        for _ in 0..fits {
            overstepped = overstepped.and(peer.sends(DATA, 0, 3 + 2 * number, &piece));
        }
        widened += peer.opened(0).iter().sum::<u32>();
    }
    // What the first one had sent, and nothing else.
    assert_eq!((overstepped, widened), (Err(Reason::FLOW_CONTROL_ERROR), STREAM_WINDOW_BYTES + 1));
    drop(streams);
    let given_back = peer.opened(0).iter().sum::<u32>();
    assert!(given_back >= CONNECTION_WINDOW_BYTES / 2, "{given_back}");
}

#[test]
fn a_farewell_is_said_twice_and_what_comes_between_is_served() {
    let mut peer = Peer::new();
    let first = Held::new(peer.asks(1));
    peer.state.borrow_mut().leave();
    let farewell = peer.heard();
    assert_eq!(farewell.iter().map(|(head, _)| head.kind).collect::<Vec<_>>(), [GOAWAY, PING]);
    assert_eq!(farewell[0].1, [0x7f, 255, 255, 255, 0, 0, 0, 0]);
    let crossing = Held::new(peer.asks(3));
    peer.sends(PING, flag::ACK, 0, &farewell[1].1).unwrap();
    assert_eq!(peer.heard()[0].1, [0, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(peer.sends(HEADERS, flag::END_HEADERS, 5, REQUEST), Ok(None));
    assert_eq!(peer.sends(DATA, flag::END_STREAM, 5, b"a"), Ok(None));
    assert!(peer.heard().is_empty() && !peer.state.borrow().is_done());
    drop((first, crossing));
    assert!(peer.state.borrow().is_done());
}

#[tokio::test]
async fn a_panic_costs_its_own_stream_alone() {
    let mut peer = Peer::new();
    let (broken, other) = (peer.posts(1), peer.posts(3));
    let serving = async {
        let task = spawn_local(async {
            let _held = Held::new(broken);
            panic!("as a fault of the gateway would");
        });
        let _other = Held::new(other.clone());
        while !task.is_finished() {
            yield_now().await;
        }
        begin(&other, Ends::Later);
        assert_eq!(peer.state.borrow().streams.alive(), 1);
        assert_eq!(peer.resets(), [(1, Reason::INTERNAL_ERROR)]);
    };
    LocalSet::new().run_until(serving).await;
}
