//! An upstream's body as its client is given it: compressed piece by piece as it comes.
//!
//! A piece is handed on when the algorithm has made something of it, and at the latest when the upstream pauses: nobody waits
//! for bytes that have come. An answer that breaks off has no end that could be taken for one.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tokio::task::yield_now;

use super::{Encoder, Place};
use crate::{exchange::response_body::Source, upstream::answer::UpstreamBroken};

/// What is compressed before others of the worker have their turn: some tenths of a millisecond.
const MAX_PIECE_BYTES: usize = 16 << 10;

/// A body and what compresses it.
pub(crate) struct CompressedBody {
    /// Never one of the gateway's own.
    inner: Source,
    /// None: the stream has ended.
    encoder: Option<Encoder>,
    /// Of the last frame, what is not compressed yet: at most what an upstream's read brings.
    waiting: Bytes,
    /// Behind the end of the stream.
    trailers: Option<HeaderMap>,
    turn: Turn,
    held: Held,
    place: Place,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    /// A piece has been compressed.
    Others,
}

/// Whether the algorithm keeps something that the client could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Something,
}

/// What is done next.
enum Step {
    /// There is something to be compressed.
    Piece(Bytes),
    /// The upstream pauses.
    Flush,
    /// There is nothing more.
    Finish,
}

impl CompressedBody {
    pub(super) fn new(inner: Source, encoder: Encoder, place: Place) -> Self {
        Self {
            inner,
            encoder: Some(encoder),
            waiting: Bytes::new(),
            trailers: None,
            turn: Turn::Ours,
            held: Held::Nothing,
            place,
        }
    }

    /// Whether the client has been given all of it.
    pub(in crate::exchange) fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    /// Lets what the client still sends go on, while it does not take the answer.
    pub(in crate::exchange) fn poll_upload(&mut self, context: &mut Context<'_>) {
        self.inner.poll_upload(context);
    }

    pub(in crate::exchange) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        while self.encoder.is_some() {
            if self.turn == Turn::Others {
                self.turn = Turn::Ours;
                // Polled once it has this task woken when the others, and what has come for them, have had their turn.
                let _ = pin!(yield_now()).poll(context);
                return Poll::Pending;
            }
            let made = match self.poll_step(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(step) => step.and_then(|step| self.take(step)),
            };
            match made {
                Ok(made) if made.is_empty() => {}
                made => return Poll::Ready(Some(made.map(Frame::data))),
            }
        }
        Poll::Ready(self.trailers.take().map(Frame::trailers).map(Ok))
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Step, UpstreamBroken>> {
        if self.waiting.is_empty() {
            let frame = match self.inner.poll_frame(context) {
                Poll::Pending if self.held == Held::Nothing => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(Step::Flush)),
                Poll::Ready(None) => return Poll::Ready(Ok(Step::Finish)),
                Poll::Ready(Some(frame)) => frame?,
            };
            match frame.into_data() {
                Ok(bytes) => self.waiting = bytes,
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return Poll::Ready(Ok(Step::Finish));
                }
            }
        }
        let length = self.waiting.len().min(MAX_PIECE_BYTES);
        Poll::Ready(Ok(Step::Piece(self.waiting.split_to(length))))
    }

    /// What has become of it that the client is given now.
    fn take(&mut self, step: Step) -> Result<Bytes, UpstreamBroken> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(Bytes::new()) };
        let counters = self.place.counters();
        let is_last = match step {
            Step::Piece(piece) => {
                counters.input_bytes.add(piece.len() as u64);
                encoder.write(&piece)?;
                (self.turn, self.held) = (Turn::Others, Held::Something);
                // So that a short answer is whole with its first piece.
                self.waiting.is_empty() && self.inner.is_end_stream()
            }
            Step::Flush => {
                encoder.flush()?;
                self.held = Held::Nothing;
                false
            }
            Step::Finish => true,
        };
        let made = if is_last {
            encoder.finish()?
        } else {
            let made = encoder.take();
            self.encoder = Some(encoder);
            made
        };
        counters.output_bytes.add(made.len() as u64);
        Ok(made)
    }
}

#[cfg(test)]
mod tests;
