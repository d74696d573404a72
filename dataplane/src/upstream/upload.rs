//! A request on its way to an upstream: its head, then its body as the client sends it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use apigw_engine::head::RequestHead;
use http::header::CONTENT_LENGTH;
use http_body::Body as _;

use super::connection::Wire;
use crate::{
    exchange::request_body::RequestBody,
    http1::{
        encoder::{self, Encoder},
        length::Length,
        write_buffer::WriteBuffer,
    },
};

/// A request that is being sent.
pub(super) struct Upload {
    body: RequestBody,
    encoder: Encoder,
    progress: Progress,
    /// Whether anything of the body was taken.
    is_touched: bool,
    /// Whether the upstream may have seen anything.
    has_sent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Content is to come.
    Body,
    /// All of it waits to be written, or was.
    Written,
    /// All of it is with the system.
    Delivered,
    /// The upstream takes nothing any more. It may have answered before, so what comes from it counts all the same.
    Deaf,
}

/// The body broke; what was wrong with it is known there.
#[derive(Debug)]
pub(super) struct BodyFailed;

impl Upload {
    /// Puts the head where it waits to be written.
    pub(super) fn begin(request: &RequestHead, body: RequestBody, write: &mut WriteBuffer) -> Self {
        let length = length(request, &body);
        let text = write.text();
        let target = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        encoder::request_line(text, &request.method, target);
        encoder::fields(text, &request.headers, |name| *name == CONTENT_LENGTH);
        encoder::end_of_head(text, length);
        let progress = match length {
            // Although nothing is in it, its end is still to be told.
            Some(Length::Chunked) => Progress::Body,
            _ if body.is_end_stream() => Progress::Written,
            _ => Progress::Body,
        };
        let encoder = Encoder::new(length.unwrap_or(Length::Known(0)));
        Self { body, encoder, progress, is_touched: false, has_sent: false }
    }

    /// Whether the upstream has been given everything.
    pub(super) fn is_delivered(&self) -> bool {
        self.progress == Progress::Delivered
    }

    /// Whether the upstream may have seen anything.
    pub(super) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// The body, if nothing of it was taken.
    pub(super) fn into_untouched(self) -> Option<RequestBody> {
        (!self.is_touched).then_some(self.body)
    }

    /// Writes what there is. Ready when nothing is left to do.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), BodyFailed>> {
        loop {
            if matches!(self.progress, Progress::Delivered | Progress::Deaf) {
                return Poll::Ready(Ok(()));
            }
            let gathered = self.gather(&mut wire.write, context)?;
            let waiting = wire.write.len();
            let flushed = wire.poll_flush(context);
            self.has_sent |= wire.write.len() < waiting;
            match flushed {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => self.progress = Progress::Deaf,
                Poll::Ready(Ok(())) if self.progress == Progress::Written => {
                    self.progress = Progress::Delivered;
                }
                Poll::Ready(Ok(())) if gathered.is_pending() => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// Puts as much of the body as has come and as there is room for where it waits to be written. Pending: more must come.
    fn gather(&mut self, write: &mut WriteBuffer, context: &mut Context<'_>) -> Result<Poll<()>, BodyFailed> {
        while self.progress == Progress::Body && write.has_room() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return Ok(Poll::Pending);
            };
            self.is_touched = true;
            let frame = frame.transpose().map_err(|_fault| BodyFailed)?;
            let trailers = match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) => {
                    self.encoder.content(bytes, write).map_err(|_mismatch| BodyFailed)?;
                    continue;
                }
                Some(Err(frame)) => frame.into_trailers().ok(),
                None => None,
            };
            self.encoder.end(trailers.as_ref(), write).map_err(|_mismatch| BodyFailed)?;
            self.progress = Progress::Written;
        }
        Ok(Poll::Ready(()))
    }
}

/// How the length of the body is told. None: there is no body, and the client did not say that there might be one.
fn length(request: &RequestHead, body: &RequestBody) -> Option<Length> {
    match body.size_hint().exact() {
        Some(0) if !request.headers.contains_key(CONTENT_LENGTH) => None,
        Some(bytes) => Some(Length::Known(bytes)),
        None => Some(Length::Chunked),
    }
}
