//! Bytes that have come on a connection and nobody has taken yet.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Read at once at first: enough for most heads with their bodies.
const FEW_BYTES: usize = 8 << 10;

/// Read at once when as much keeps coming.
const MANY_BYTES: usize = 64 << 10;

/// What is taken in pieces up to this size is copied, so that a small piece does not hold a large buffer.
const COPIED_BYTES: usize = 4 << 10;

/// Bytes that have come. Holds no memory while it is empty and nothing is read.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: BytesMut,
    /// Whether the last read filled all the room there was.
    was_filled: bool,
}

impl ReadBuffer {
    /// What has come and was not taken.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the first bytes; there must be as many.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        if count > COPIED_BYTES {
            return self.bytes.split_to(count).freeze();
        }
        let taken = Bytes::copy_from_slice(&self.bytes[..count]);
        self.discard(count);
        taken
    }

    /// Forgets the first bytes; there must be as many.
    pub(crate) fn discard(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// Gives the memory back. Only while it is empty.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.is_empty(), "bytes would be lost");
        self.bytes = BytesMut::new();
    }

    /// Adds what has come in another way than from a socket.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads once, and tells how many bytes came; 0: the peer has ended its side.
    pub(crate) fn poll_fill(
        &mut self,
        socket: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.bytes.reserve(if self.was_filled { MANY_BYTES } else { FEW_BYTES });
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(poll_read_buf(socket, context, &mut self.bytes))?;
        self.was_filled = read == room;
        Poll::Ready(Ok(read))
    }
}
