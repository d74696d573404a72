//! The client's side of a WebSocket that has a stream for its own (RFC 8441).

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use super::socket::Incoming;
use crate::{connection::tunnel::Side, http1::read_buffer::ReadBuffer};

/// A stream, in both directions.
pub(super) struct StreamSide {
    incoming: RecvStream,
    outgoing: SendStream<Bytes>,
    frames: Rc<Incoming>,
    has_ended: bool,
}

impl StreamSide {
    pub(super) fn new(incoming: RecvStream, outgoing: SendStream<Bytes>, frames: Rc<Incoming>) -> Self {
        Self { incoming, outgoing, frames, has_ended: false }
    }

    /// Ready when the client has taken the stream back: nothing that it says or takes may be left to tell.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.outgoing.poll_reset(context).map(drop)
    }

    fn send(&mut self, bytes: Bytes, ends: Ends) -> io::Result<()> {
        self.frames.piece_sent();
        self.outgoing.send_data(bytes, ends == Ends::Here).map_err(io::Error::other)
    }
}

/// Whether more comes behind some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Here,
    Later,
}

impl Side for StreamSide {
    fn poll_fill(&mut self, read: &mut ReadBuffer, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let Some(bytes) = ready!(self.incoming.poll_data(context)) else { return Poll::Ready(Ok(0)) };
            let bytes = bytes.map_err(io::Error::other)?;
            // Nobody asks for more before these are with the upstream, so as much again may come. It fails only where the
            // stream is gone.
            let _ = self.incoming.flow_control().release_capacity(bytes.len());
            // Nothing would be the end.
            if !bytes.is_empty() {
                read.extend(&bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
        }
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.outgoing.reserve_capacity(bytes.len());
        while self.outgoing.capacity() == 0 {
            match ready!(self.outgoing.poll_capacity(context)) {
                Some(room) => drop(room.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = self.outgoing.capacity().min(bytes.len());
        self.send(Bytes::copy_from_slice(&bytes[..count]), Ends::Later)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task does.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.send(Bytes::new(), Ends::Here))
    }
}
