//! A request's body on its way to an upstream, as fast as the upstream's window opens.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};

use crate::exchange::request_body::RequestBody;

/// What is kept of a body, so that the request can be sent once more where the upstream has not looked at it.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// A request that is being sent.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Taken from the body, and waiting for the upstream's window.
    piece: Bytes,
    progress: Progress,
    /// None: more was taken than is kept, or it is not needed any more.
    kept: Option<Vec<Frame<Bytes>>>,
    kept_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Content is to come.
    Body,
    /// All of it is with h2.
    Handed,
    /// The upstream takes nothing any more. It may have answered before, so what comes from it counts all the same.
    Deaf,
}

/// The body broke; what was wrong with it is known there.
#[derive(Debug)]
pub(super) struct BodyFailed;

impl Upload {
    /// Of a request whose head has been sent.
    pub(super) fn new(stream: SendStream<Bytes>, body: RequestBody) -> Self {
        let progress = if body.is_end_stream() { Progress::Handed } else { Progress::Body };
        Self { stream, body, piece: Bytes::new(), progress, kept: Some(Vec::new()), kept_bytes: 0 }
    }

    /// The body as it was before, if all of it is still to be had.
    pub(super) fn into_untouched(self) -> Option<RequestBody> {
        let kept = self.kept?;
        Some(self.body.again(kept))
    }

    /// Forgets what was sent: there is an answer to it.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Sends what there is. Ready when nothing is left to do.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFailed>> {
        while self.progress == Progress::Body {
            if !self.piece.is_empty() {
                ready!(self.poll_send(context));
                continue;
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose() {
                Ok(frame) => frame,
                Err(_fault) => {
                    // Without it, what has come would look like the whole.
                    self.stream.send_reset(Reason::CANCEL);
                    self.progress = Progress::Deaf;
                    return Poll::Ready(Err(BodyFailed));
                }
            };
            if let Some(frame) = &frame {
                self.keep(frame);
            }
            match frame.map(Frame::into_data) {
                Some(Ok(bytes)) => self.piece = bytes,
                Some(Err(frame)) => {
                    let sent = self.stream.send_trailers(frame.into_trailers().unwrap_or_default());
                    self.progress = if sent.is_ok() { Progress::Handed } else { Progress::Deaf };
                }
                None => self.hand_over(Bytes::new(), End::Now),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.kept_bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.kept_bytes > MAX_KEPT_BYTES {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            let again = match (frame.data_ref(), frame.trailers_ref()) {
                (Some(bytes), _) => Frame::data(bytes.clone()),
                (None, fields) => Frame::trailers(fields.cloned().unwrap_or_default()),
            };
            kept.push(again);
        }
    }

    /// Hands over as much of the piece as the upstream's window and the buffer have room for.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.reserve_capacity(self.piece.len());
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.progress = Progress::Deaf;
                    return Poll::Ready(());
                }
            }
        }
        let part = self.piece.split_to(self.stream.capacity().min(self.piece.len()));
        let is_last = self.piece.is_empty() && self.body.is_end_stream();
        self.hand_over(part, if is_last { End::Now } else { End::Later });
        Poll::Ready(())
    }

    fn hand_over(&mut self, part: Bytes, end: End) {
        if self.stream.send_data(part, end == End::Now).is_err() {
            self.progress = Progress::Deaf;
        } else if end == End::Now {
            self.progress = Progress::Handed;
        }
    }
}

/// Whether a piece is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Now,
    Later,
}
