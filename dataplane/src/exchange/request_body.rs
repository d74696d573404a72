//! A request's body on its way to the upstream: counted against the limit and timed, never gathered.

/// Where it may be sent more than once.
pub(super) mod replay;
/// Where it is copied while it passes.
mod copied;

use std::{
    cell::Cell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use apigw_engine::{rejection::Rejection, snapshot::Slot};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use self::{copied::CopiedBody, replay::Replay};
use super::{
    grpc_web::{Base64, NotBase64},
    mirroring::WaitingCopy,
    trailers,
};
use crate::connection::{
    client_io::{BodyBroken, BodyPiece, ClientIo},
    deadlines::Deadlines,
    http2::body::StreamBody,
};
use crate::worker::View;

/// The body of a client's request, before anybody has judged it. Small, since it goes from hand to hand.
pub(crate) enum ClientBody {
    /// That of the connection's present request.
    Http1(Rc<ClientIo>),
    /// Of a stream.
    Http2(Box<StreamBody>),
    /// There is none: the stream opens a WebSocket, and what the client says is for that.
    Opening,
    /// There is none.
    Empty,
    /// All of it has come.
    Whole(Box<Bytes>),
    /// It is copied while it passes.
    Copied(Box<CopiedBody>),
}

impl ClientBody {
    /// Whether nothing is left of it.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.has_body_ended(),
            Self::Http2(stream) => stream.has_ended(),
            Self::Opening | Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Copied(body) => body.has_ended(),
        }
    }

    /// How many bytes are to come, where that is known.
    fn remaining(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) => connection.remaining_body(),
            Self::Http2(stream) => stream.remaining(),
            Self::Opening | Self::Empty => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Copied(body) => body.remaining(),
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<BodyPiece, BodyBroken>>> {
        match self {
            Self::Http1(connection) => connection.poll_body(context),
            Self::Http2(stream) => stream.poll_piece(context),
            Self::Opening | Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(&mut **bytes);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(BodyPiece::Content(bytes))))
            }
            Self::Copied(body) => body.poll_piece(context),
        }
    }
}

/// What is sent to an upstream as a body. Small, since it goes from hand to hand, and most requests have none.
pub(crate) enum RequestBody {
    /// The request has none.
    Empty,
    /// It is passed on as it comes.
    Streamed(Box<Streamed>),
    /// It may be sent more than once.
    Replay(Box<Replay>),
}

/// A body that comes from the client.
pub(crate) struct Streamed {
    incoming: ClientBody,
    /// What was taken before, and is to be taken again.
    again: VecDeque<Frame<Bytes>>,
    /// None: it is passed on as it comes.
    base64: Option<Base64>,
    max_bytes: u64,
    bytes: u64,
    /// What its trailers may say.
    route: (Rc<View>, Slot),
    deadlines: Rc<Deadlines>,
    fault: Rc<BodyFault>,
}

/// What was wrong with a body that did not end well; the upstream's connection only tells that it broke.
#[derive(Debug, Default)]
pub(crate) struct BodyFault(Cell<Option<BodyError>>);

/// Why a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// More came than is allowed.
    #[error("the body is larger than {max_bytes} bytes")]
    TooLarge {
        /// The most that is allowed.
        max_bytes: u64,
    },
    /// Its framing is broken.
    #[error("the body is malformed")]
    Malformed,
    /// The client went away, or stopped in the middle.
    #[error("the body ended early")]
    Incomplete,
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { max_bytes } => Self::BodyTooLarge { max_bytes },
            BodyError::Malformed => Self::BodyMalformed,
            BodyError::Incomplete => Self::BodyIncomplete,
        }
    }
}

impl BodyFault {
    /// The fault found so far.
    pub(crate) fn found(&self) -> Option<BodyError> {
        self.0.get()
    }
}

impl RequestBody {
    /// Takes a client's body.
    ///
    /// # Errors
    /// When its announced length is over the limit already.
    pub(crate) fn new(
        incoming: ClientBody,
        max_bytes: u64,
        (view, route): (&Rc<View>, Slot),
        deadlines: &Rc<Deadlines>,
    ) -> Result<Self, BodyError> {
        if incoming.has_ended() {
            return Ok(Self::Empty);
        }
        if incoming.remaining().is_some_and(|bytes| bytes > max_bytes) {
            return Err(BodyError::TooLarge { max_bytes });
        }
        let deadlines = Rc::clone(deadlines);
        deadlines.body_begins();
        Ok(Self::Streamed(Box::new(Streamed {
            incoming,
            again: VecDeque::new(),
            base64: None,
            max_bytes,
            bytes: 0,
            route: (Rc::clone(view), route),
            deadlines,
            fault: Rc::default(),
        })))
    }

    /// Where it is known what was wrong with it, once the body is gone; none: there is none that could fail.
    pub(super) fn fault(&self) -> Option<Rc<BodyFault>> {
        match self {
            Self::Streamed(streamed) => Some(Rc::clone(&streamed.fault)),
            Self::Empty | Self::Replay(_) => None,
        }
    }

    /// The bytes of a body that comes in base64.
    pub(super) fn decoded(mut self) -> Self {
        if let Self::Streamed(streamed) = &mut self {
            streamed.base64 = Some(Base64::default());
        }
        self
    }

    /// The body, which is copied while it passes.
    pub(super) fn copied(self, copy: WaitingCopy) -> Self {
        match self {
            Self::Empty => {
                copy.begin(Bytes::new());
                Self::Empty
            }
            Self::Streamed(mut streamed) => {
                streamed.copy(copy);
                Self::Streamed(streamed)
            }
            // It may have been read already.
            Self::Replay(replay) => Self::Replay(replay),
        }
    }

    /// The body with what was taken of it in front again, which is all that was taken so far.
    pub(crate) fn again(self, taken: Vec<Frame<Bytes>>) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Streamed(mut streamed) => {
                streamed.again = taken.into();
                Self::Streamed(streamed)
            }
            // It has them itself.
            Self::Replay(mut replay) => {
                replay.rewind();
                Self::Replay(replay)
            }
        }
    }
}

impl Streamed {
    fn copy(&mut self, mut copy: WaitingCopy) {
        if self.base64.is_some() {
            copy.decode();
        }
        let incoming = std::mem::replace(&mut self.incoming, ClientBody::Opening);
        self.incoming = CopiedBody::begin(incoming, self.max_bytes, copy);
    }

    /// How many bytes are to come, where that is known.
    fn size_hint(&self) -> SizeHint {
        match self.incoming.remaining() {
            Some(bytes) if self.again.is_empty() && self.base64.is_none() => SizeHint::with_exact(bytes),
            _ => SizeHint::default(),
        }
    }

    fn has_ended(&self) -> bool {
        let has_rest = self.base64.as_ref().is_some_and(|base64| !base64.is_even());
        self.again.is_empty() && !has_rest && self.incoming.has_ended()
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.again.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let Poll::Ready(piece) = self.incoming.poll_piece(context) else {
            self.deadlines.body_awaited();
            return Poll::Pending;
        };
        let checked = piece.map(|piece| match piece.map_err(BodyError::from)? {
            BodyPiece::Content(bytes) => {
                let length = bytes.len() as u64;
                self.bytes += length;
                self.deadlines.body_bytes_read(length);
                if self.bytes > self.max_bytes {
                    return Err(BodyError::TooLarge { max_bytes: self.max_bytes });
                }
                let decoded = self.base64.as_mut().map(|base64| base64.decode(&bytes));
                Ok(Frame::data(decoded.unwrap_or(Ok(bytes)).map_err(|NotBase64| BodyError::Malformed)?))
            }
            BodyPiece::Trailers(mut fields) => {
                let (view, route) = &self.route;
                let snapshot = view.snapshot();
                let changes = &snapshot.route_at(*route).config.request_headers;
                trailers::prepare_request(&mut fields, snapshot.vouched(), changes);
                Ok(Frame::trailers(fields.into()))
            }
        });
        let is_cut_off = self.base64.as_ref().is_some_and(|base64| !base64.is_even());
        let checked = checked.or_else(|| is_cut_off.then_some(Err(BodyError::Malformed)));
        match &checked {
            Some(Err(error)) => self.fault.0.set(Some(*error)),
            Some(Ok(_)) => {}
            None => self.deadlines.body_ends(),
        }
        Poll::Ready(checked)
    }
}

impl From<BodyBroken> for BodyError {
    fn from(broken: BodyBroken) -> Self {
        match broken {
            BodyBroken::Malformed(_) => Self::Malformed,
            BodyBroken::Closed => Self::Incomplete,
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.deadlines.body_ends();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll_frame(context),
            Self::Replay(replay) => replay.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(streamed) => streamed.has_ended(),
            Self::Replay(replay) => replay.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(streamed) => streamed.size_hint(),
            Self::Replay(replay) => replay.size_hint(),
        }
    }
}
