//! A request's body that may be sent more than once: what was taken of it is kept, up to a bound. Past the bound nothing is kept,
//! and the body passes as any other.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use apigw_engine::retry::KeptBody;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{BodyError, RequestBody, Streamed};

/// What is kept of a body.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// A body to be sent from its beginning, as often as it is whole.
pub(in crate::exchange) enum Repeatable {
    /// The request has none.
    Empty,
    Kept(Rc<RefCell<Source>>),
}

/// The body, and what has been taken of it.
pub(crate) struct Source {
    body: Box<Streamed>,
    length: Length,
    /// None: more was taken than is kept, or it is not needed any more.
    kept: Option<Kept>,
}

/// What was known of a body's length at its beginning: every attempt tells the upstream the same, although more is known then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known,
    Unknown,
}

/// Copied: a piece may be one byte, and hold a buffer of thousands.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// One attempt's reading of the body.
pub(crate) struct Replay {
    source: Rc<RefCell<Source>>,
    /// How many of the kept bytes this attempt has sent.
    position: usize,
    trailers: Trailers,
}

/// Whether this attempt has sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trailers {
    ToCome,
    Sent,
}

impl Repeatable {
    /// Keeps what will be taken of a body.
    pub(in crate::exchange) fn new(body: RequestBody) -> Self {
        match body {
            RequestBody::Streamed(body) => {
                let is_known = body.size_hint().exact().is_some();
                let length = if is_known { Length::Known } else { Length::Unknown };
                Self::Kept(Rc::new(RefCell::new(Source { body, length, kept: Some(Kept::default()) })))
            }
            RequestBody::Empty | RequestBody::Replay(_) => Self::Empty,
        }
    }

    /// The body for the next attempt.
    pub(in crate::exchange) fn begin(&self) -> RequestBody {
        match self {
            Self::Empty => RequestBody::Empty,
            Self::Kept(source) => RequestBody::Replay(Box::new(Replay {
                source: Rc::clone(source),
                position: 0,
                trailers: Trailers::ToCome,
            })),
        }
    }

    /// Whether it can be sent from its beginning.
    pub(in crate::exchange) fn state(&self) -> KeptBody {
        match self {
            Self::Kept(source) if source.borrow().kept.is_none() => KeptBody::Lost,
            Self::Empty | Self::Kept(_) => KeptBody::Whole,
        }
    }
}

impl Source {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(kept) = &mut self.kept else { return };
        if let Some(bytes) = frame.data_ref() {
            if kept.bytes.len() + bytes.len() > MAX_KEPT_BYTES {
                self.kept = None;
                return;
            }
            kept.bytes.extend_from_slice(bytes);
        }
        if let Some(fields) = frame.trailers_ref() {
            kept.trailers = Some(fields.clone());
        }
    }
}

impl Replay {
    /// Begins again.
    pub(super) fn rewind(&mut self) {
        (self.position, self.trailers) = (0, Trailers::ToCome);
    }

    /// What was kept first, then what comes.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let source = &mut *self.source.borrow_mut();
        if let Some(kept) = &source.kept {
            if let Some(rest) = kept.bytes.get(self.position..).filter(|rest| !rest.is_empty()) {
                self.position = kept.bytes.len();
                return Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(rest)))));
            }
            if let (Some(fields), Trailers::ToCome) = (&kept.trailers, self.trailers) {
                self.trailers = Trailers::Sent;
                return Poll::Ready(Some(Ok(Frame::trailers(fields.clone()))));
            }
        }
        let frame = ready!(source.body.poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            source.keep(frame);
            self.position = source.kept.as_ref().map_or(0, |kept| kept.bytes.len());
            if frame.is_trailers() {
                self.trailers = Trailers::Sent;
            }
        }
        Poll::Ready(frame)
    }

    pub(super) fn has_ended(&self) -> bool {
        let source = self.source.borrow();
        let is_sent = source.kept.as_ref().is_none_or(|kept| {
            let are_sent = kept.trailers.is_none() || self.trailers == Trailers::Sent;
            self.position == kept.bytes.len() && are_sent
        });
        is_sent && source.body.has_ended()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let source = self.source.borrow();
        let unsent = source.kept.as_ref().map_or(0, |kept| kept.bytes.len() - self.position);
        match (source.length, source.body.size_hint().exact()) {
            (Length::Known, Some(bytes)) => SizeHint::with_exact(bytes + unsent as u64),
            (Length::Known | Length::Unknown, _) => SizeHint::default(),
        }
    }
}
