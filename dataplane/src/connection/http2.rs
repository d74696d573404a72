//! A client's connection that speaks HTTP/2 (RFC 9113): h2 knows the frames, and each stream is an exchange like any other,
//! in a task of its own. Ending the connection ends them all.
//!
//! Nothing here judges a request; see [`exchange`](crate::exchange).

/// The socket, timed and watched.
mod socket;
/// One request and its answer.
mod stream;
/// A request's head, as HTTP/1.1 would have it.
mod head;
/// A request's body.
pub(crate) mod body;
/// A WebSocket instead of one.
mod side;

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, server, server::SendResponse};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{Instant, timeout},
};

use self::socket::{ClientSocket, Incoming};
use super::{
    Client, End,
    deadlines::{Deadlines, Expired, Phase},
    drive,
};
use crate::worker::Worker;

/// What comes first of a client's preface (RFC 9113 section 3.4): to HTTP/1.1 it looks like a head.
pub(super) const PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The most requests of a connection at once.
const MAX_STREAMS: u32 = 100;
/// The most bytes of a request's head, counted as RFC 9113 section 6.5.2 does; a lower `server.max_header_bytes` counts.
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// The most requests that a client has begun and taken back before they were looked at (CVE-2023-44487, "rapid reset").
const MAX_PENDING_RESETS: usize = 20;
/// The most requests that end because the client breaks the protocol.
const MAX_PROTOCOL_ERRORS: usize = 20;
/// What a client may send ahead of what is passed on, of one body,
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// and of all bodies of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What may wait to be sent of one answer.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// How long the rest of the preface may take.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to go that was told to.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection to its end. `ahead` has come on it already.
pub(super) async fn serve<S>(worker: &Rc<Worker>, client: &Client, socket: S, ahead: Bytes)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let incoming = Rc::new(Incoming::new(client.deadlines.now()));
    let socket = ClientSocket::new(socket, ahead, Rc::clone(&incoming), Rc::clone(&client.deadlines));
    let handshake = protocol(worker).handshake(socket);
    let Ok(Ok(frames)) = timeout(PREFACE_TIMEOUT, handshake).await else { return };
    client.deadlines.response_complete();
    client.deadlines.flushed();
    let mut connection = Connection { frames, incoming, streams: JoinSet::new(), standing: Standing::Open };
    let end = drive(pin!(connection.serve_streams(worker, client)), client, || true).await;
    if let End::Expired(Expired::Phase(Phase::Idle)) = end {
        connection.frames.graceful_shutdown();
        // Whether it goes or not, it is gone then.
        let _ = timeout(FAREWELL_TIMEOUT, poll_fn(|context| connection.frames.poll_closed(context))).await;
    }
}

fn protocol(worker: &Worker) -> server::Builder {
    let max_header_bytes = worker.view().snapshot().settings().server.max_header_bytes.get();
    let max_head_bytes = u32::try_from(max_header_bytes.min(MAX_HEAD_BYTES)).unwrap_or(u32::MAX);
    let mut protocol = server::Builder::new();
    protocol
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(max_head_bytes)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_PROTOCOL_ERRORS))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .enable_connect_protocol();
    protocol
}

struct Connection<S> {
    frames: server::Connection<ClientSocket<S>, Bytes>,
    incoming: Rc<Incoming>,
    streams: JoinSet<()>,
    standing: Standing,
}

/// What a client has been told of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    /// No further request will be taken.
    Leaving,
    /// It ends for something that the client has done.
    Cut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Serves requests as they come, until the connection ends.
    async fn serve_streams(&mut self, worker: &Rc<Worker>, client: &Client) -> End {
        while let Some((request, responder)) = poll_fn(|context| self.poll_request(client, context)).await {
            client.deadlines.head_complete();
            let settings = worker.view();
            let settings = settings.snapshot().settings();
            let deadlines = Deadlines::new(&settings.server, &settings.upstream, Instant::now());
            let client = Client {
                peer: client.peer.clone(),
                deadlines: Rc::new(deadlines),
                control: Rc::clone(&client.control),
            };
            let incoming = Rc::clone(&self.incoming);
            let served = stream::serve(Rc::clone(worker), Rc::new(client), incoming, request, responder);
            // On the heap, since a task is moved several times while it is made and taken apart.
            self.streams.spawn_local(Box::pin(served));
        }
        End::Gone
    }

    /// The next request; none: the connection has ended.
    fn poll_request(
        &mut self,
        client: &Client,
        context: &mut Context<'_>,
    ) -> Poll<Option<(Request<RecvStream>, SendResponse<Bytes>)>> {
        client.control.register(context);
        if client.is_draining() && self.standing == Standing::Open {
            self.standing = Standing::Leaving;
            self.frames.graceful_shutdown();
        }
        while let Poll::Ready(Some(_ended)) = self.streams.poll_join_next(context) {
            if self.streams.is_empty() {
                client.deadlines.response_complete();
                client.deadlines.flushed();
            }
        }
        let mut accepted = self.frames.poll_accept(context);
        if let (Poll::Pending, Some(reason)) = (&accepted, self.incoming.fault())
            && self.standing != Standing::Cut
        {
            // What came before it has been read.
            self.standing = Standing::Cut;
            self.frames.abrupt_shutdown(reason);
            accepted = self.frames.poll_accept(context);
        }
        accepted.map(|accepted| accepted.and_then(Result::ok))
    }
}
