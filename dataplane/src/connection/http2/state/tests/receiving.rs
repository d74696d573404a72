//! What comes on streams: windows, and what is taken back.

use super::*;
use crate::{connection::client_io::BodyPiece, http2::window::Exceeded};

const PIECE: [u8; MAX_PAYLOAD_BYTES] = [0; MAX_PAYLOAD_BYTES];

impl Peer {
    /// A body as long as a stream's window.
    fn fills(&mut self, stream: u32) {
        for _ in 0..STREAM_WINDOW_BYTES as usize / PIECE.len() {
            self.sends(DATA, 0, stream, &PIECE).unwrap();
        }
    }
}

/// Takes all that has come, and tells how much that was.
fn take(stream: &StreamHandle) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while let Poll::Ready(Some(Ok(BodyPiece::Content(piece)))) = stream.poll_piece(&mut context) {
        taken += piece.len();
    }
    taken
}

#[test]
fn bodies_that_nobody_takes_do_not_hold_back_what_was_taken_of_others() {
    let mut peer = Peer::new();
    let read = peer.posts(1);
    peer.fills(1);
    assert_eq!(take(&read), STREAM_WINDOW_BYTES as usize);
    assert_eq!(peer.opened(0), [0; 0], "more is left than was taken");
    for stream in [3, 5, 7] {
        peer.posts(stream);
        peer.fills(stream);
    }
    assert_eq!(peer.opened(0), [STREAM_WINDOW_BYTES], "now less is left");
}

#[test]
fn the_last_byte_of_a_body_is_for_nobody_before_its_end_is_said() {
    let four = [REQUEST, b"\x0f\x0d\x014"].concat();
    for (pieces, taken) in [
        (&[&b"ab"[..], b"c", b"d", b""][..], &[2, 1, 0, 1][..]),
        (&[b"abcd", b""], &[3, 1]),
        (&[b"abc", b"d"], &[3, 1]),
    ] {
        let mut peer = Peer::new();
        let place = peer.sends(HEADERS, flag::END_HEADERS, 1, &four).unwrap().unwrap();
        let stream = StreamHandle::new(&peer.state, place, 1);
        for (number, (piece, taken)) in (1..).zip(pieces.iter().zip(taken)) {
            assert!(!stream.is_read());
            let flags = if number == pieces.len() { flag::END_STREAM } else { 0 };
            peer.sends(DATA, flags, 1, piece).unwrap();
            assert_eq!(take(&stream), *taken, "{piece:?} of {pieces:?}");
        }
        assert!(stream.is_read());
    }
}

#[test]
fn bodies_whose_end_is_not_said_keep_no_room_from_others() {
    let bytes = STREAM_WINDOW_BYTES.to_string();
    let length = [b"\x0f\x0d", &[u8::try_from(bytes.len()).unwrap()][..], bytes.as_bytes()].concat();
    let mut peer = Peer::new();
    for stream in (1..).step_by(2).take(2 * (CONNECTION_WINDOW_BYTES / STREAM_WINDOW_BYTES) as usize) {
        let head = [REQUEST, &length].concat();
        let place = peer.sends(HEADERS, flag::END_HEADERS, stream, &head).unwrap().unwrap();
        peer.fills(stream);
        assert_eq!(take(&StreamHandle::new(&peer.state, place, stream)), STREAM_WINDOW_BYTES as usize - 1);
    }
}

#[test]
fn no_window_is_opened_by_nothing() {
    let mut peer = Peer::new();
    for stream in [1, 3, 5, 7] {
        peer.posts(stream);
        peer.fills(stream);
    }
    assert_eq!(peer.state.borrow_mut().receive.receive(1), Err(Exceeded), "nothing is left");
    drop(Held::new(peer.posts(9)));
    peer.sends(DATA, flag::END_STREAM, 9, b"").unwrap();
    peer.posts(11);
    peer.sends(DATA, 0, 11, b"").unwrap();
    let one = [REQUEST, b"\x0f\x0d\x011"].concat();
    peer.sends(HEADERS, flag::END_HEADERS, 13, &one).unwrap();
    peer.sends(DATA, flag::END_STREAM, 13, b"").unwrap();
    let heard = peer.heard();
    assert!(heard.iter().any(|(head, _)| (head.kind, head.stream) == (RST_STREAM, 13)), "a body too short");
    assert!(heard.iter().all(|(head, _)| head.kind != WINDOW_UPDATE), "{heard:?}");
}

#[test]
fn requests_above_what_is_taken_cost_themselves_alone_however_many_they_are() {
    const REFUSED: usize = 10 * MOST_TAKEN_BACK;
    let mut peer = Peer::new();
    let mut ids = (1..).step_by(2);
    let served: Vec<_> = ids.by_ref().take(MAX_STREAMS).map(|id| Held::new(peer.posts(id))).collect();
    let refused: Vec<_> = ids.take(REFUSED).collect();
    // All of this is on its way before the client hears how many it may begin.
    for &id in &refused {
        assert_eq!(peer.sends(HEADERS, flag::END_HEADERS, id, REQUEST), Ok(None));
    }
    for &id in &refused {
        assert_eq!(peer.sends(DATA, 0, id, &[0; 1_000]), Ok(None));
        assert_eq!(peer.sends(HEADERS, ALL, id, b"\0\x01a\x01b"), Ok(None));
    }
    let heard = peer.heard();
    let resets = heard.iter().filter(|(head, _)| head.kind == RST_STREAM);
    let resets: Vec<_> = resets.map(|(head, code)| (head.stream, reason(code))).collect();
    let expected: Vec<_> = refused.iter().map(|&id| (id, Reason::REFUSED_STREAM)).collect();
    assert!(resets == expected, "each once");
    let opened = heard.iter().filter(|(head, _)| (head.kind, head.stream) == (WINDOW_UPDATE, 0)).count();
    assert!(opened >= 3, "what came with them is given back");
    assert_eq!(peer.state.borrow().streams.alive(), MAX_STREAMS);
    drop(served);
    // The next ones are judged as ever.
    let (next, idle) = (2 * u32::try_from(MAX_STREAMS + REFUSED).unwrap() + 1, 1_000_001);
    peer.sends(HEADERS, ALL, next, REQUEST).unwrap().expect("a request");
    assert_eq!(peer.sends(DATA, 0, idle, b"a"), Err(Reason::PROTOCOL_ERROR));
}

#[test]
fn what_comes_behind_the_second_farewell_is_passed_over_however_much_it_is() {
    let mut peer = Peer::new();
    let _held = Held::new(peer.posts(1));
    peer.state.borrow_mut().leave();
    peer.state.borrow_mut().leave();
    peer.heard();
    for id in (3..).step_by(2).take(10 * MOST_TAKEN_BACK) {
        assert_eq!(peer.sends(HEADERS, flag::END_HEADERS, id, REQUEST), Ok(None));
    }
    for id in (3..).step_by(2).take(10 * MOST_TAKEN_BACK) {
        assert_eq!(peer.sends(DATA, flag::END_STREAM, id, b""), Ok(None));
    }
    let circular = [&[0, 0, 0x27, 0x11, 9], REQUEST].concat();
    assert_eq!(peer.sends(HEADERS, ALL | flag::PRIORITY, 10_001, &circular), Ok(None));
    assert!(peer.heard().is_empty());
    assert_eq!(peer.state.borrow().last_served, 1, "the farewell has said so");
}
