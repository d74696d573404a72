//! An answer's body on its way to the client. It carries the record of its exchange: whatever ends the one, the last
//! byte or the client's disappearance, ends the other.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::record::{Ending, Record};
use crate::upstream::connection::{UpstreamBody, UpstreamBroken, Wire};

/// What is sent to a client as a body.
pub(crate) struct ResponseBody {
    source: Source,
    record: Record,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// The gateway's own words; empty once they are sent.
    Own(Bytes),
    /// An upstream.
    Upstream(UpstreamBody),
}

impl ResponseBody {
    pub(crate) fn new(source: Source, record: Record) -> Self {
        Self { source, record }
    }

    /// Lets what the client still sends go on to the upstream while it does not accept the answer.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) {
        if let Source::Upstream(body) = &mut self.source {
            body.poll_upload(context);
        }
    }

    /// The upstream's connection, when it speaks another protocol now, and the record of what passes.
    pub(crate) fn tunnel(&mut self) -> Option<(&mut Wire, &mut Record)> {
        let Source::Upstream(body) = &mut self.source else { return None };
        Some((body.wire()?, &mut self.record))
    }
}

impl Source {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        match self {
            Self::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
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
        let polled = this.source.poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.record.add_bytes(frame.data_ref().map_or(0, |chunk| chunk.len() as u64));
                if frame.is_trailers() {
                    // Nothing follows them, and nobody polls again to hear it.
                    this.record.end(Ending::Complete);
                }
            }
            Poll::Ready(Some(Err(_))) => this.record.end(Ending::UpstreamTruncated),
            Poll::Ready(None) => this.record.end(Ending::Complete),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.size_hint(),
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
