//! A request's body on its way to the upstream: counted against the limit and timed, never gathered.

use std::{
    cell::Cell,
    error::Error as _,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use apigw_engine::{access::VouchedHeaders, rejection::Rejection};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::forwarding;
use crate::connection::deadlines::Deadlines;

/// What is sent to an upstream as a body.
pub(crate) enum RequestBody {
    /// The request has none.
    Empty,
    /// It is passed on as it comes.
    Streamed(Streamed),
}

/// A body that comes from the client.
pub(crate) struct Streamed {
    incoming: Incoming,
    max_bytes: u64,
    bytes: u64,
    /// Header fields that no client may send, in trailers either.
    vouched: Arc<VouchedHeaders>,
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
        incoming: Incoming,
        max_bytes: u64,
        vouched: &Arc<VouchedHeaders>,
        deadlines: &Rc<Deadlines>,
        fault: &Rc<BodyFault>,
    ) -> Result<Self, BodyError> {
        if incoming.is_end_stream() {
            return Ok(Self::Empty);
        }
        if incoming.size_hint().lower() > max_bytes {
            return Err(BodyError::TooLarge { max_bytes });
        }
        let (deadlines, fault) = (Rc::clone(deadlines), Rc::clone(fault));
        deadlines.body_begins();
        let vouched = Arc::clone(vouched);
        Ok(Self::Streamed(Streamed { incoming, max_bytes, bytes: 0, vouched, deadlines, fault }))
    }
}

impl Streamed {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) else {
            self.deadlines.body_awaited();
            return Poll::Pending;
        };
        let checked = frame.map(|frame| {
            let mut frame = frame.map_err(|error| BodyError::of(&error))?;
            if let Some(trailers) = frame.trailers_mut() {
                forwarding::prepare_trailers(trailers);
                self.vouched.strip(trailers);
            }
            let bytes = frame.data_ref().map_or(0, |chunk| chunk.len() as u64);
            self.bytes += bytes;
            self.deadlines.body_bytes_read(bytes);
            if self.bytes > self.max_bytes {
                return Err(BodyError::TooLarge { max_bytes: self.max_bytes });
            }
            Ok(frame)
        });
        match &checked {
            Some(Err(error)) => self.fault.0.set(Some(*error)),
            Some(Ok(_)) => {}
            None => self.deadlines.body_ends(),
        }
        Poll::Ready(checked)
    }
}

impl BodyError {
    fn of(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() || has_left(error) {
            Self::Incomplete
        } else {
            Self::Malformed
        }
    }
}

/// Whether the client's side of the connection ended, in order or not. hyper tells a body that ends too early as a fault of
/// reading it.
fn has_left(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        )
    })
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}
