//! What a stream's task holds of its connection, and what the body of its request does. Each borrows the connection's state for
//! the length of one call.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll},
};

use apigw_engine::fields::Fields;
use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    state::{Standing, State},
    streams::{Fate, Half, Stream},
};
use crate::{
    connection::{
        client_io::{BodyBroken, BodyPiece},
        deadlines::Deadlines,
    },
    http2::frame::Ends,
};

/// A connection's state, shared by its task and those of its streams.
pub(super) type Shared = Rc<RefCell<State>>;

/// A stream of a connection.
#[derive(Clone)]
pub(super) struct StreamHandle {
    connection: Shared,
    place: usize,
    id: u32,
}

/// What a stream's task has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// To begin,
    First,
    /// or to go on.
    Further,
    /// Nothing: the stream is over.
    Needless,
}

/// A stream whose task runs. Dropped with the task, however that ends, it ends the stream.
pub(super) struct Held(StreamHandle);

impl StreamHandle {
    pub(super) fn new(connection: &Shared, place: usize, id: u32) -> Self {
        Self { connection: Rc::clone(connection), place, id }
    }

    /// Does something with the connection and the stream, if the stream is still one.
    fn with<T>(&self, does: impl FnOnce(&mut State, usize) -> T) -> Option<T> {
        let mut state = self.connection.borrow_mut();
        let stream = state.streams.at(self.place)?;
        let is_ours = stream.id == self.id && stream.fate == Fate::Alive;
        is_ours.then(|| does(&mut state, self.place))
    }

    /// The same, with the stream alone.
    fn with_stream<T>(&self, does: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.with(|state, place| state.streams.at(place).map(does)).flatten()
    }

    /// Whether all of the request has come.
    pub(super) fn has_come(&self) -> bool {
        self.with_stream(|stream| stream.request == Half::Ended).unwrap_or(false)
    }

    /// Whether all of the request's body has been taken.
    pub(super) fn is_read(&self) -> bool {
        self.with_stream(|stream| stream.is_read()).unwrap_or(false)
    }

    /// What comes next of the request's body; none: it has ended.
    pub(super) fn poll_piece(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        let polled = self.with(|state, place| {
            let stream = state.streams.at(place)?;
            let mut piece = stream.content.take().unwrap_or_default();
            if stream.awaits_end() && stream.content.is_empty() {
                stream.content.keep_last(&mut piece);
            }
            if !piece.is_empty() {
                // Whoever asks has room for it, so as much again may come.
                state.taken(place, piece.len());
                return Some(Poll::Ready(Some(Ok(BodyPiece::Content(piece)))));
            }
            if let Some(fields) = stream.trailers.take() {
                return Some(Poll::Ready(Some(Ok(BodyPiece::Trailers(fields)))));
            }
            if stream.is_read() {
                return Some(Poll::Ready(None));
            }
            register(stream, context);
            Some(Poll::Pending)
        });
        polled.flatten().unwrap_or(Poll::Ready(Some(Err(BodyBroken::Closed))))
    }

    /// Asks the client for the body.
    pub(super) fn invite(&self) {
        self.with(State::invite);
    }

    /// Ready when there is room for an answer's head.
    pub(super) fn poll_room(&self) -> Poll<()> {
        match self.with(State::may_begin) {
            Some(false) => Poll::Pending,
            Some(true) | None => Poll::Ready(()),
        }
    }

    /// Begins the answer.
    pub(super) fn begin(&self, status: StatusCode, fields: &Fields, date: &HeaderValue, ends: Ends) {
        self.with(|state, place| state.begin(place, (status, fields), date, ends));
    }

    /// Hands over as much of a piece as there is room for. `ends` is said of its end.
    pub(super) fn poll_send(&self, piece: &mut Bytes, ends: Ends) -> Poll<()> {
        let sent = self.with(|state, place| {
            let mut has_sent = false;
            while !piece.is_empty() {
                let bytes = state.admit(place, piece.len());
                if bytes == 0 {
                    break;
                }
                let ends = if bytes == piece.len() { ends } else { Ends::Later };
                let sent = if bytes == piece.len() { std::mem::take(piece) } else { piece.split_to(bytes) };
                state.piece(place, sent, ends);
                has_sent = true;
            }
            has_sent
        });
        if sent == Some(false) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Hands over as many of these bytes as there is room for, and tells how many; none: the stream is over.
    pub(super) fn poll_write(&self, bytes: &[u8]) -> Poll<Option<usize>> {
        let sent = self.with(|state, place| {
            let count = state.admit(place, bytes.len());
            if count > 0 {
                state.piece(place, Bytes::copy_from_slice(&bytes[..count]), Ends::Later);
            }
            count
        });
        if sent == Some(0) { Poll::Pending } else { Poll::Ready(sent) }
    }

    /// Does not want to send what it could not yet.
    pub(super) fn unwish(&self) {
        self.with(State::unwish);
    }

    /// Ends the answer.
    pub(super) fn finish(&self, trailers: Option<&HeaderMap>) {
        self.with(|state, place| state.finish(place, trailers));
    }

    /// Takes the stream back.
    pub(super) fn abandon(&self, reason: Reason) {
        self.with(|state, place| state.take_back(place, reason));
    }

    /// The stream's task is polled.
    pub(super) fn runs(&self, context: &Context<'_>) -> Run {
        let mut state = self.connection.borrow_mut();
        let is_over = state.standing == Standing::Over;
        let Some(stream) = state.streams.at(self.place) else { return Run::Needless };
        let is_first = stream.task.is_none();
        register(stream, context);
        match stream.fate {
            Fate::Alive if is_over => Run::Needless,
            Fate::Over => Run::Needless,
            Fate::Alive if is_first => Run::First,
            Fate::Alive => Run::Further,
        }
    }

    /// The stream's task waits until then at the latest.
    pub(super) fn waits(&self, deadlines: &Deadlines) {
        let Some(next) = deadlines.next() else { return };
        let mut state = self.connection.borrow_mut();
        if state.deadline.is_none_or(|deadline| next < deadline) {
            state.deadline = Some(next);
            state.wake();
        }
    }
}

fn register(stream: &mut Stream, context: &Context<'_>) {
    if !stream.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
        stream.task = Some(context.waker().clone());
    }
}

impl Held {
    pub(super) fn new(stream: StreamHandle) -> Self {
        Self(stream)
    }

    pub(super) fn handle(&self) -> &StreamHandle {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.connection.borrow_mut().release(self.0.place);
    }
}
