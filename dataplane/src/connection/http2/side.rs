//! The client's side of a WebSocket that has a stream for its own (RFC 8441).

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::handle::StreamHandle;
use crate::{
    connection::{client_io::BodyPiece, tunnel::Side},
    http1::read_buffer::ReadBuffer,
};

/// A stream, in both directions.
pub(super) struct StreamSide {
    stream: StreamHandle,
    has_ended: bool,
}

impl StreamSide {
    pub(super) fn new(stream: StreamHandle) -> Self {
        Self { stream, has_ended: false }
    }
}

impl Side for StreamSide {
    fn poll_fill(&mut self, read: &mut ReadBuffer, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Nobody asks for more before this is with the upstream, so as much again may come.
        match ready!(self.stream.poll_piece(context)) {
            Some(Ok(BodyPiece::Content(bytes))) => {
                read.extend(&bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Ok(BodyPiece::Trailers(_))) | None => Poll::Ready(Ok(0)),
            Some(Err(broken)) => Poll::Ready(Err(io::Error::other(broken))),
        }
    }

    fn poll_write(&mut self, bytes: &[u8], _context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.poll_write(bytes));
        Poll::Ready(written.ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task does.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.stream.finish(None);
        }
        Poll::Ready(Ok(()))
    }
}
