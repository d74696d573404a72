//! An answer's body on its way to the client. It carries the record of its exchange: whatever ends the one, the last
//! byte or the client's disappearance, ends the other.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_engine::{fields::Fields, grpc::status::GRPC_STATUS};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    call::{self, Telling},
    compression::CompressedBody,
    grpc_web,
    record::{Ending, Record},
    timed_body::TimedBody,
    trailers,
};
use crate::upstream::{
    answer::{UpstreamBody, UpstreamBroken},
    connection::Wire,
};

/// What is sent to a client as a body.
pub(crate) struct ResponseBody {
    source: Source,
    record: Box<Record>,
    telling: Telling,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// The gateway's own words; empty once they are sent.
    Own(Bytes),
    /// An upstream.
    Upstream(UpstreamBody),
    /// An upstream that must not be silent for long.
    Timed(Box<TimedBody>),
    /// An upstream, in a coding that the client prefers.
    Compressed(Box<CompressedBody>),
}

impl ResponseBody {
    pub(super) fn new(source: Source, record: Box<Record>, telling: Telling) -> Self {
        Self { source, record, telling }
    }

    /// Whether no upstream has a part in it, and nobody reads what is left of the request.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// Whether what is left of it is not wanted any more, and its end is to be asked for at once.
    pub(crate) fn is_overdue(&self) -> bool {
        !self.is_own() && self.record.is_overdue()
    }

    /// Ends an answer that breaks off. The upstream's part of it is dropped, and so it is told.
    fn break_off(&mut self, broken: UpstreamBroken) -> Result<Frame<Bytes>, UpstreamBroken> {
        let (ending, rejection) = self.record.breach(&broken);
        let told = match self.telling {
            Telling::Breaking => Err(broken),
            Telling::Trailers => {
                self.source = Source::Own(Bytes::new());
                let fields = call::failure(&rejection, &rejection.answer(), &mut self.record);
                Ok(self.told(Frame::trailers(fields.into())))
            }
        };
        self.record.end(ending);
        told
    }

    /// A frame of the upstream's without what stops here.
    fn passed_on(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(fields) => {
                self.record.note_call_status(fields.get(GRPC_STATUS));
                let mut fields = Fields::from(fields);
                trailers::prepare_answer(&mut fields, self.record.changes_of_answer());
                Frame::trailers(fields.into())
            }
            Err(frame) => frame,
        }
    }

    /// A frame of the upstream's as the client is told it.
    fn told(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let Some(form) = self.record.web_form() else { return frame };
        match frame.trailers_ref() {
            Some(fields) => Frame::data(grpc_web::encode_trailers(form, fields)),
            None => frame.map_data(|piece| grpc_web::encode(form, piece)),
        }
    }

    /// Lets what the client still sends go on to the upstream while it does not accept the answer.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) {
        self.source.poll_upload(context);
    }

    /// The upstream's connection, when it speaks another protocol now, and the record of what passes.
    pub(crate) fn tunnel(&mut self) -> Option<(&mut Wire, &mut Record)> {
        let Source::Upstream(body) = &mut self.source else { return None };
        Some((body.wire()?, &mut self.record))
    }
}

impl Source {
    pub(super) fn poll_upload(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Own(_) => {}
            Self::Upstream(body) => body.poll_upload(context),
            Self::Timed(body) => body.poll_upload(context),
            Self::Compressed(body) => body.poll_upload(context),
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        match self {
            Self::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
            Self::Timed(body) => body.poll_frame(context),
            Self::Compressed(body) => body.poll_frame(context),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Timed(body) => body.inner().is_end_stream(),
            Self::Compressed(body) => body.is_end_stream(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = UpstreamBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        let this = self.get_mut();
        if this.is_overdue() {
            return Poll::Ready(Some(this.break_off(UpstreamBroken::Overdue)));
        }
        let next = match ready!(this.source.poll_frame(context)) {
            Some(Ok(frame)) => {
                let is_last = frame.is_trailers();
                let frame = this.passed_on(frame);
                let frame = this.told(frame);
                this.record.add_bytes(frame.data_ref().map_or(0, |chunk| chunk.len() as u64));
                if is_last {
                    // Nothing follows them, and nobody polls again to hear it.
                    this.record.end(Ending::Complete);
                }
                Some(Ok(frame))
            }
            Some(Err(broken)) => Some(this.break_off(broken)),
            None => {
                this.record.end(Ending::Complete);
                None
            }
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            source if self.record.web_form().is_some() && !source.is_end_stream() => SizeHint::default(),
            Source::Upstream(body) => body.size_hint(),
            Source::Timed(body) => body.inner().size_hint(),
            Source::Compressed(_) => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // An empty answer is never polled, and the last frame is not always followed by another poll.
        let ending = if self.source.is_end_stream() { Ending::Complete } else { Ending::ClientDisconnected };
        self.record.end(ending);
    }
}
