//! One connection to an upstream, which many requests share. A task of its own moves its bytes, for as long as the pool or a
//! request holds it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use apigw_engine::rejection::UpstreamFailure;
use bytes::Bytes;
use h2::client::{self, Connection, SendRequest};
use tokio::{
    task::spawn_local,
    time::{Instant, timeout},
};

use super::{
    keepalive::Keepalive,
    watched::{Reads, Watched},
};
use crate::socket::Socket;

/// The most requests of a connection at once; an upstream may allow fewer.
const MAX_STREAMS: usize = 100;
/// The most bytes of an answer's head, counted as RFC 9113 section 6.5.2 does.
const MAX_HEAD_BYTES: u32 = 64 << 10;
/// What an upstream may send ahead of what its client takes, of one answer,
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// and of all: so much that clients who take nothing never hold up others.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * 100;
/// What may wait to be sent of one request.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// The most answers that end because the upstream breaks the protocol.
const MAX_PROTOCOL_ERRORS: usize = 20;

/// A connection.
pub(in crate::upstream) struct Link {
    requests: RefCell<SendRequest<Bytes>>,
    state: Rc<State>,
}

/// What the connection's task and its requests tell each other.
struct State {
    /// How many requests are under way.
    streams: Cell<usize>,
    /// Whether a request has been answered on it.
    is_proven: Cell<bool>,
    /// When it was made, or its last request ended.
    last_used: Cell<Instant>,
    is_closed: Cell<bool>,
}

/// A request's place on a connection; free again when it is dropped.
pub(in crate::upstream) struct Place {
    link: Rc<Link>,
}

impl Link {
    /// Begins to speak HTTP/2 on a socket, and waits until the upstream has said what it allows.
    ///
    /// # Errors
    /// When it speaks something else, or says nothing.
    pub(in crate::upstream) async fn begin(socket: Socket, limit: Duration) -> Result<Self, UpstreamFailure> {
        let (socket, reads) = Watched::new(socket);
        let handshake = async {
            let greeted = protocol().handshake(socket).await;
            let (requests, mut connection) = greeted.map_err(|_broken| UpstreamFailure::Reset)?;
            poll_fn(|context| poll_greeting(&mut connection, &reads, context)).await?;
            Ok((requests, connection))
        };
        let greeted = timeout(limit, handshake).await;
        let (requests, connection) = greeted.unwrap_or(Err(UpstreamFailure::ConnectTimeout))?;
        let state = Rc::new(State {
            streams: Cell::new(0),
            is_proven: Cell::new(false),
            last_used: Cell::new(Instant::now()),
            is_closed: Cell::new(false),
        });
        spawn_local(drive(connection, reads, Rc::clone(&state)));
        Ok(Self { requests: RefCell::new(requests), state })
    }

    /// Whether further requests can be sent. The upstream may have said that it will take none.
    pub(super) fn is_open(&self) -> bool {
        // Nobody waits: the handle that stays here has never sent a request, so it is ready or useless.
        let mut context = Context::from_waker(Waker::noop());
        !self.state.is_closed.get()
            && !matches!(self.requests.borrow_mut().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Takes a place, if there is one.
    pub(super) fn take_place(self: &Rc<Self>) -> Option<Place> {
        let most = self.requests.borrow().current_max_send_streams().min(MAX_STREAMS);
        let streams = self.state.streams.get();
        if streams >= most {
            return None;
        }
        self.state.streams.set(streams + 1);
        Some(Place { link: Rc::clone(self) })
    }

    /// For how long no request has used it; none: one does.
    pub(super) fn unused_for(&self, now: Instant) -> Option<Duration> {
        (self.state.streams.get() == 0).then(|| now.saturating_duration_since(self.state.last_used.get()))
    }
}

impl Place {
    /// What sends one request.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.link.requests.borrow().clone()
    }

    /// Whether a request has been answered on this connection: then it may be about to be closed.
    pub(super) fn is_proven(&self) -> bool {
        self.link.state.is_proven.get()
    }

    /// Notes that a request was answered.
    pub(super) fn prove(&self) {
        self.link.state.is_proven.set(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = &self.link.state;
        state.streams.set(state.streams.get() - 1);
        state.last_used.set(Instant::now());
    }
}

fn protocol() -> client::Builder {
    let mut protocol = client::Builder::new();
    protocol
        .enable_push(false)
        .max_header_list_size(MAX_HEAD_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(Some(MAX_PROTOCOL_ERRORS));
    protocol
}

type Frames = Connection<Watched, Bytes>;

/// Ready when the upstream has said something; its first words are what it allows (RFC 9113 section 3.4).
fn poll_greeting(
    connection: &mut Frames,
    reads: &Reads,
    context: &mut Context<'_>,
) -> Poll<Result<(), UpstreamFailure>> {
    match Pin::new(connection).poll(context) {
        Poll::Ready(Err(error)) if error.is_io() => Poll::Ready(Err(UpstreamFailure::Reset)),
        Poll::Ready(_) => Poll::Ready(Err(UpstreamFailure::NotHttp2)),
        Poll::Pending if reads.get() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    }
}

/// Moves a connection's bytes until it has ended or nobody is there. Then its requests fail.
async fn drive(mut connection: Frames, reads: Reads, state: Rc<State>) {
    let mut keepalive = connection.ping_pong().map(Keepalive::new);
    poll_fn(|context| {
        if Pin::new(&mut connection).poll(context).is_ready() {
            return Poll::Ready(());
        }
        let has_requests = || state.streams.get() > 0;
        let polled = keepalive.as_mut().map(|keepalive| keepalive.poll(reads.get(), has_requests, context));
        if polled.is_some_and(|polled| polled.is_ready()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    state.is_closed.set(true);
}
