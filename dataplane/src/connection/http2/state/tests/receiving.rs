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
