//! What streams send, in turn and within their bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Wake,
};

use super::*;

#[test]
fn streams_send_in_turn_and_what_waits_to_be_written_is_bounded() {
    let mut peer = Peer::new();
    peer.settles(1 << 30);
    peer.widens(0, 1 << 30).unwrap();
    let streams = [1, 3, 5, 7, 9, 11].map(|id| peer.asks(id));
    let mut bodies = streams.map(|stream| (stream, Bytes::from(vec![0; 3 * MAX_PAYLOAD_BYTES])));
    peer.heard();
    let mut pieces = Vec::new();
    while pieces.len() < 18 {
        for (stream, body) in &mut bodies {
            let _ = stream.poll_send(body, Ends::Later);
        }
        let waiting = peer.state.borrow().write.len();
        assert!((1..=4 * (HEAD_BYTES + MAX_PAYLOAD_BYTES)).contains(&waiting), "{waiting}");
        pieces.extend(peer.pieces());
    }
    assert!(pieces.iter().all(|(_, length)| *length == MAX_PAYLOAD_BYTES));
    // The first finds room for all; from then on each has its turn. Four at a time are written, in the order of their polls.
    let order: Vec<_> = pieces.iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [1, 1, 1, 3, 3, 5, 7, 9, 3, 5, 7, 11, 5, 7, 9, 11, 9, 11]);
}

#[test]
fn a_window_of_a_stream_stops_that_stream_alone() {
    let mut peer = Peer::new();
    peer.settles(10);
    let (first, second) = (peer.asks(1), peer.asks(3));
    let body = || Bytes::from(vec![0; 100]);
    let (mut of_first, mut of_second) = (body(), body());
    assert_eq!(first.poll_send(&mut of_first, Ends::Here), Poll::Ready(()));
    assert_eq!(first.poll_send(&mut of_first, Ends::Here), Poll::Pending);
    assert_eq!(second.poll_send(&mut of_second, Ends::Here), Poll::Ready(()));
    assert_eq!(peer.pieces(), [(1, 10), (3, 10)]);
    // Below 0, and back (RFC 9113 section 6.9.2).
    peer.settles(4);
    peer.widens(1, 6).unwrap();
    assert_eq!(first.poll_send(&mut of_first, Ends::Here), Poll::Pending);
    peer.widens(1, 80).unwrap();
    assert_eq!(first.poll_send(&mut of_first, Ends::Here), Poll::Ready(()));
    assert_eq!(peer.pieces(), [(1, 80)]);
    peer.settles(14);
    assert_eq!(first.poll_send(&mut of_first, Ends::Here), Poll::Ready(()));
    assert_eq!((of_first.len(), peer.pieces()), (0, vec![(1, 10)]));
}

#[test]
fn what_is_granted_twice_before_it_is_taken_is_not_lost() {
    let mut peer = Peer::new();
    peer.settles(0);
    let stream = peer.asks(1);
    let mut body = Bytes::from(vec![0; 1_000]);
    assert_eq!(stream.poll_send(&mut body, Ends::Later), Poll::Pending);
    peer.widens(1, 10).unwrap();
    peer.widens(1, 20).unwrap();
    peer.settles(3);
    while stream.poll_send(&mut body, Ends::Later).is_ready() {}
    let sent: usize = peer.pieces().iter().map(|(_, bytes)| bytes).sum();
    let state = peer.state.borrow();
    assert_eq!((sent, body.len(), state.promised), (33, 967, 0));
    assert_eq!(state.send.room(), FIRST_WINDOW_BYTES as usize - 33);
}

#[test]
fn what_was_granted_is_taken_back_when_settings_leave_no_room_for_it() {
    let mut peer = Peer::new();
    peer.settles(0);
    let [first, second] = [1, 3].map(|id| peer.asks(id));
    let mut bodies = [(&first, Bytes::from(vec![0; 1_000])), (&second, Bytes::from(vec![0; 1_000]))];
    let send = |bodies: &mut [(&StreamHandle, Bytes)], peer: &mut Peer| {
        for (stream, body) in bodies {
            let _ = stream.poll_send(body, Ends::Later);
        }
        peer.pieces()
    };
    assert_eq!(send(&mut bodies, &mut peer), []);
    peer.settles(100);
    assert!(peer.state.borrow().promised > 200, "both have been granted all of their windows");
    peer.settles(0);
    assert_eq!(send(&mut bodies, &mut peer), [], "behind the answer to that");
    assert_eq!(peer.state.borrow().promised, 0);
    assert_eq!(peer.state.borrow().send.room(), FIRST_WINDOW_BYTES as usize);
    // Smaller, and still some room.
    peer.settles(100);
    peer.widens(3, 50).unwrap();
    peer.settles(40);
    assert_eq!(send(&mut bodies, &mut peer), [(1, 40), (3, 90)]);
    // More room leaves what was granted as it is.
    peer.settles(45);
    peer.settles(50);
    assert_eq!(send(&mut bodies, &mut peer), [(1, 5), (1, 5), (3, 5), (3, 5)]);
    assert_eq!(peer.state.borrow().send.room(), FIRST_WINDOW_BYTES as usize - 150);
}

#[test]
fn who_leaves_gives_back_what_was_granted() {
    let mut peer = Peer::new();
    peer.settles(1 << 20);
    let (first, second) = (peer.asks(1), peer.asks(3));
    let mut all = Bytes::from(vec![0; FIRST_WINDOW_BYTES as usize]);
    assert_eq!(first.poll_send(&mut all, Ends::Later), Poll::Ready(()));
    peer.heard();
    let mut rest = all;
    while !rest.is_empty() {
        let _ = first.poll_send(&mut rest, Ends::Later);
        peer.heard();
    }
    let (mut of_first, mut of_second) = (Bytes::from_static(b"ab"), Bytes::from_static(b"cd"));
    assert_eq!(first.poll_send(&mut of_first, Ends::Later), Poll::Pending, "the connection's window is shut");
    assert_eq!(second.poll_send(&mut of_second, Ends::Later), Poll::Pending);
    peer.widens(0, 2).unwrap();
    // It is the first one's turn, which has been granted both bytes.
    assert_eq!(second.poll_send(&mut of_second, Ends::Later), Poll::Pending);
    first.unwish();
    assert_eq!(second.poll_send(&mut of_second, Ends::Later), Poll::Ready(()));
    assert_eq!(peer.pieces(), [(3, 2)]);
}

/// Streams with endless bodies.
fn downloads<const COUNT: usize>(peer: &mut Peer) -> [(StreamHandle, Bytes); COUNT] {
    peer.settles(1 << 30);
    peer.widens(0, 1 << 30).unwrap();
    let mut ids = (1..).step_by(2);
    [(); COUNT].map(|()| (peer.asks(ids.next().unwrap()), Bytes::from(vec![0; 64 * MAX_PAYLOAD_BYTES])))
}

#[test]
fn a_head_waits_for_the_client_to_read_and_for_no_body() {
    let mut peer = Peer::new();
    let mut bodies = downloads::<12>(&mut peer);
    let head = peer.asks(101);
    peer.heard();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert_eq!(head.runs(&Context::from_waker(&waker)), Run::First);
    for (stream, body) in &mut bodies {
        let _ = stream.poll_send(body, Ends::Later);
    }
    assert_eq!(head.poll_room(), Poll::Pending, "nothing has been read");
    peer.heard();
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1, "all has been read");
    assert!(peer.state.borrow().promised >= 4 * MAX_PAYLOAD_BYTES, "all room is promised to bodies");
    assert_eq!(head.poll_room(), Poll::Ready(()));
    begin(&head, Ends::Here);
    for (stream, body) in &mut bodies {
        let _ = stream.poll_send(body, Ends::Later);
    }
    let frames = peer.heard();
    assert_eq!((frames[0].0.kind, frames[0].0.stream), (HEADERS, 101), "before all bodies");
    assert_eq!(frames.len(), 5, "bodies go on all the same");
}

#[test]
fn heads_that_wait_run_before_the_bodies_that_were_granted_room_with_them() {
    let mut peer = Peer::new();
    let mut bodies = downloads::<6>(&mut peer);
    let order = Arc::new(AtomicU32::new(0));
    let head = peer.asks(101);
    peer.heard();
    let turn = |stream: &StreamHandle| {
        let turn = Arc::new(Turn { at: AtomicU32::new(0), order: Arc::clone(&order) });
        stream.runs(&Context::from_waker(&Waker::from(Arc::clone(&turn))));
        turn
    };
    let of_bodies = bodies.each_ref().map(|(stream, _)| turn(stream));
    let of_head = turn(&head);
    for (stream, body) in &mut bodies {
        let _ = stream.poll_send(body, Ends::Later);
    }
    assert_eq!(head.poll_room(), Poll::Pending);
    order.store(0, Ordering::Relaxed);
    peer.heard();
    assert_eq!(of_head.at.load(Ordering::Relaxed), 1);
    assert_eq!(of_bodies.iter().filter(|turn| turn.at.load(Ordering::Relaxed) > 1).count(), 4);
}

#[test]
fn heads_wait_while_as_much_as_may_is_unread() {
    let mut peer = Peer::new();
    let streams: Vec<_> = (1..).step_by(2).take(MAX_STREAMS).map(|id| peer.asks(id)).collect();
    peer.heard();
    let large = HeaderValue::from_bytes(&[b'a'; MAX_PAYLOAD_BYTES]).unwrap();
    let mut fields = Fields::new();
    fields.append(http::header::VIA, large);
    let ready = streams.iter().filter(|stream| {
        let may_begin = stream.poll_room().is_ready();
        if may_begin {
            stream.begin(StatusCode::OK, &fields, &HeaderValue::from_static("now"), Ends::Here);
        }
        may_begin
    });
    assert_eq!(ready.count(), 4);
    assert_eq!(peer.state.borrow().heads.len(), MAX_STREAMS - 4);
}

/// How often a task was woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// When a task was woken, among others.
struct Turn {
    at: AtomicU32,
    order: Arc<AtomicU32>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.at.store(self.order.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}
