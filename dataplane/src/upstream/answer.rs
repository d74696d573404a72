//! An upstream's answer, or why there is none, in whatever protocol it comes.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use apigw_engine::rejection::UpstreamFailure;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    connection::{Http1Body, Wire},
    http2::stream::Http2Body,
};
use crate::{exchange::request_body::RequestBody, http1::decoder::DecodeError};

/// Why a request got no answer.
pub(crate) struct SendError {
    /// Whose fault it was; a fault of the request's body is known to the body itself.
    pub(crate) failure: UpstreamFailure,
    /// The request's body, if all of it is still to be had.
    pub(crate) untouched: Option<RequestBody>,
    /// Whether the request may be sent once more.
    pub(crate) repetition: Repetition,
}

/// Whether a request may be sent once more, for all that its protocol tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// The upstream has done nothing about it.
    Safe,
    /// The upstream may have seen it, on a connection that it was about to close.
    OfIdempotent,
    /// Another attempt would fare no better, or do twice what was to be done once.
    Unwise,
}

/// The body of an upstream's answer. Dropped before its end, it tells the upstream that nobody wants the rest.
pub(crate) enum UpstreamBody {
    /// That of the connection.
    Http1(Http1Body),
    /// Of a stream.
    Http2(Box<Http2Body>),
}

/// An answer that breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamBroken {
    #[error("the body is malformed: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the connection ended in the body")]
    Truncated,
    /// The request's body broke first; what was wrong with it is known there.
    #[error("the request's body failed")]
    RequestBody,
    #[error("the time for the exchange is over")]
    Overdue,
    #[error("nothing came for too long")]
    Idle,
    /// It is nobody's fault but the gateway's.
    #[error("what came could not be compressed")]
    Compression(#[from] std::io::Error),
}

impl UpstreamBody {
    /// Lets what the client still sends go on. What fails is found when the answer is asked for next.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Http1(body) => body.poll_upload(context),
            Self::Http2(body) => body.poll_upload(context),
        }
    }

    /// Reads it to its end, so that its connection can be used again, if that is not more than so many bytes away.
    pub(crate) async fn discard(mut self, max_bytes: usize) {
        let mut bytes = 0;
        while bytes <= max_bytes {
            let frame = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await;
            let Some(Ok(frame)) = frame else { return };
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    }

    /// The connection itself, when the upstream has been given all of the request and speaks another protocol now.
    pub(crate) fn wire(&mut self) -> Option<&mut Wire> {
        match self {
            Self::Http1(body) => body.wire(),
            Self::Http2(_) => None,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(context),
            Self::Http2(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.remaining().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
