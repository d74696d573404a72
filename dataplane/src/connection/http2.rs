//! A client's connection that speaks HTTP/2 (RFC 9113). One task reads and writes for all; each stream is an exchange like any
//! other, in a task of its own. Ending the connection ends them all.
//!
//! The tasks share the connection's [`State`](state::State), each for the length of one call: a stream writes its frames straight into
//! the connection's buffer and wakes the connection's task, which runs behind all streams that were woken with it and writes what
//! they have gathered at once. One timer serves all of them.
//!
//! Nothing here judges a request; see [`exchange`](crate::exchange).

/// What the tasks share,
mod state;
/// with the frames that come
mod receiving;
/// and those that go.
mod sending;
/// The streams that are under way,
mod streams;
/// and what has come on each.
mod content;
/// What a stream's task holds of all that.
mod handle;
/// One request and its answer.
mod stream;
/// A request's body.
pub(crate) mod body;
/// A WebSocket instead of one.
mod side;

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use apigw_transport::frames::PREFACE;
use tokio::{
    task::spawn_local,
    time::{Instant, sleep_until, timeout},
};

use self::{
    handle::{Shared, StreamHandle},
    receiving::Arrived,
    state::{Standing, State},
    stream::Serving,
};
use super::{
    Client,
    alarm::Alarm,
    deadlines::{Deadlines, Expired, Phase},
    refusal,
};
use crate::{http1::read_buffer::ReadBuffer, socket::Socket, worker::Worker};

/// What comes first of a client's preface (RFC 9113 section 3.4): to HTTP/1.1 it looks like a head.
pub(super) const PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The most requests of a connection at once.
const MAX_STREAMS: usize = 100;
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
/// How long the rest of the preface may take.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to hear a farewell.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection to its end. The head of its preface has come, and what is in `read`.
pub(super) async fn serve(worker: Rc<Worker>, client: Rc<Client>, socket: Socket, read: ReadBuffer) {
    let mut wire = Wire { socket, read };
    if !matches!(timeout(PREFACE_TIMEOUT, poll_fn(|context| wire.poll_preface(context))).await, Ok(Ok(()))) {
        return;
    }
    client.deadlines.response_complete();
    client.deadlines.flushed();
    let max_header_bytes = worker.view().snapshot().settings().server.max_header_bytes.get();
    let max_head_bytes = u32::try_from(max_header_bytes.min(MAX_HEAD_BYTES)).unwrap_or(u32::MAX);
    let state = Rc::new(RefCell::new(State::new(max_head_bytes, client.deadlines.now())));
    let ending = Ending(Rc::clone(&state));
    let mut connection = Connection { wire, state, worker, client, is_busy: false, farewell: None };
    let end = {
        let timer = pin!(sleep_until(connection.client.deadlines.next().unwrap_or_else(Instant::now)));
        let mut alarm = Alarm::new(timer);
        poll_fn(|context| connection.poll(&mut alarm, context)).await
    };
    drop(ending);
    if let End::Told = end {
        // It hears why, if it wants to.
        let flushed = poll_fn(|context| connection.poll_flush(context));
        if let Ok(Ok(())) = timeout(FAREWELL_TIMEOUT, flushed).await {
            refusal::linger(connection.wire.socket).await;
        }
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How a connection ended.
enum End {
    /// The client is told, and may still send.
    Told,
    /// There is nobody to tell.
    Gone,
}

/// The socket, and what has come on it.
struct Wire {
    socket: Socket,
    read: ReadBuffer,
}

struct Connection {
    wire: Wire,
    state: Shared,
    worker: Rc<Worker>,
    client: Rc<Client>,
    /// Whether there is a stream.
    is_busy: bool,
    /// When the client must have heard the first farewell.
    farewell: Option<Instant>,
}

impl Wire {
    /// Reads the rest of the preface.
    fn poll_preface(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NoPreface>> {
        let rest = &PREFACE[PREFACE_HEAD.len()..];
        loop {
            let came = &self.read.as_slice()[..rest.len().min(self.read.len())];
            if !rest.starts_with(came) {
                return Poll::Ready(Err(NoPreface));
            }
            if came.len() == rest.len() {
                self.read.discard(rest.len());
                return Poll::Ready(Ok(()));
            }
            match ready!(self.socket.poll_fill(&mut self.read, context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(NoPreface)),
            }
        }
    }
}

/// Something else has come.
struct NoPreface;

impl Connection {
    /// Reads, has served and writes until the connection ends, or a deadline has passed that ends it.
    fn poll(&mut self, alarm: &mut Alarm<'_>, context: &mut Context<'_>) -> Poll<End> {
        self.client.control.register(context);
        loop {
            let deadlines = &self.client.deadlines;
            deadlines.wake(Instant::now());
            if self.client.is_draining() {
                self.leave();
            }
            if let Poll::Ready(end) = self.poll_streams(context) {
                return Poll::Ready(end);
            }
            ready!(alarm.poll(self.next_deadline(), context));
            if let Some(end) = self.check_deadlines() {
                return Poll::Ready(end);
            }
            alarm.set(self.next_deadline(), self.client.deadlines.now());
        }
    }

    /// The earliest deadline, of the connection or of any stream.
    fn next_deadline(&self) -> Option<Instant> {
        let of_streams = self.state.borrow().deadline;
        earliest(earliest(self.client.deadlines.next(), of_streams), self.farewell)
    }

    fn check_deadlines(&mut self) -> Option<End> {
        let deadlines = &self.client.deadlines;
        let now = deadlines.now();
        match deadlines.check(now) {
            // Until it has heard that, it may still ask.
            Some(Expired::Phase(Phase::Idle)) => self.leave(),
            Some(Expired::Write) => return Some(End::Gone),
            Some(Expired::Phase(_) | Expired::Exchange(_) | Expired::Body | Expired::Look) | None => {}
        }
        if self.farewell.is_some_and(|farewell| farewell <= now) {
            self.farewell = None;
            self.state.borrow_mut().leave();
        }
        self.state.borrow_mut().check_deadlines(now);
        None
    }

    /// Says farewell.
    fn leave(&mut self) {
        let mut state = self.state.borrow_mut();
        if state.standing == Standing::Open {
            state.leave();
            self.farewell = Some(self.client.deadlines.now() + FAREWELL_TIMEOUT);
        }
    }

    fn poll_streams(&mut self, context: &mut Context<'_>) -> Poll<End> {
        self.state.borrow_mut().run_by(context);
        loop {
            if self.read(context).is_ready() {
                return Poll::Ready(End::Gone);
            }
            let was_stuffed = self.state.borrow().is_stuffed();
            let flushed = self.poll_flush(context);
            if let Poll::Ready(Err(_gone)) = flushed {
                return Poll::Ready(End::Gone);
            }
            let state = self.state.borrow();
            if state.standing == Standing::Over || state.is_done() && flushed.is_ready() {
                return Poll::Ready(End::Told);
            }
            // What was left unread for want of room is read now, since nobody else will say that there is some.
            if !was_stuffed || state.is_stuffed() {
                break;
            }
        }
        let is_empty = self.state.borrow().streams.is_empty();
        if is_empty && std::mem::take(&mut self.is_busy) {
            self.client.deadlines.response_complete();
            self.client.deadlines.flushed();
        }
        Poll::Pending
    }

    /// Reads what there is, and begins to serve the requests among it. Ready when the client has gone.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.client.deadlines.now();
            loop {
                let arrived = self.state.borrow_mut().read(&mut self.wire.read, now);
                match arrived {
                    Ok(Some(arrived)) => self.begin(arrived),
                    Ok(None) => break,
                    Err(reason) => {
                        self.state.borrow_mut().cut(reason);
                        return Poll::Pending;
                    }
                }
            }
            if self.state.borrow().is_stuffed() {
                return Poll::Pending;
            }
            match ready!(self.wire.socket.poll_fill(&mut self.wire.read, context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Begins to serve a request.
    fn begin(&mut self, arrived: Arrived) {
        if !std::mem::replace(&mut self.is_busy, true) {
            self.client.deadlines.head_complete();
        }
        let view = self.worker.view();
        let settings = view.snapshot().settings();
        let deadlines = Deadlines::new(&settings.server, &settings.upstream, self.client.deadlines.now());
        let client = Rc::new(Client {
            peer: self.client.peer.clone(),
            deadlines: Rc::new(deadlines),
            control: Rc::clone(&self.client.control),
        });
        let id = arrived.opening.id;
        let place = self.state.borrow_mut().open(&arrived.opening, Rc::clone(&client.deadlines));
        let stream = StreamHandle::new(&self.state, place, id);
        spawn_local(Serving::new(Rc::clone(&self.worker), client, stream, arrived));
    }

    /// Writes what has gathered.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let before = state.write.len();
        let deadlines = &self.client.deadlines;
        if before == 0 && !deadlines.is_write_blocked() {
            return Poll::Ready(Ok(()));
        }
        let flushed = state.write.poll_flush(Pin::new(&mut self.wire.socket), context);
        // In TLS the last bytes wait below, where they cannot be seen to go.
        if state.write.len() < before || flushed.is_ready() && deadlines.is_write_blocked() {
            deadlines.write_progressed();
            state.use_room();
        }
        if flushed.is_pending() {
            deadlines.write_blocked();
        }
        flushed
    }
}

/// Ends all streams of a connection that ends, however it does.
struct Ending(Shared);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.borrow_mut().end();
    }
}
