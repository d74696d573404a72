//! Bytes that have come on a connection and nobody has taken yet.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_engine::stock::Stock;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::MOST_IN_STOCK;
use crate::pieces;

/// Read at once at first: enough for most heads with their bodies.
const FEW_BYTES: usize = 8 << 10;

/// Read at once when as much keeps coming.
const MANY_BYTES: usize = 64 << 10;

/// With less room than this a buffer is not read into: what stands in front of it is given up, or another one is made.
const LEAST_ROOM: usize = 4 << 10;

/// What is taken in pieces up to this size is copied, so that a small piece does not hold a large buffer.
const COPIED_BYTES: usize = 4 << 10;

thread_local! {
    /// Buffers of [`FEW_BYTES`].
    static STOCK: Stock<BytesMut> = const { Stock::with_room_for(MOST_IN_STOCK) };
}

/// Bytes that have come. Holds no memory while it is empty and nothing is read.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: BytesMut,
    /// Whether the last read filled all the room there was.
    was_filled: bool,
    /// Whether pieces that were taken share the memory: what is left of it is not for the stock.
    is_shared: bool,
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
            self.is_shared = true;
            return self.bytes.split_to(count).freeze();
        }
        let taken = pieces::copy(&self.bytes[..count]);
        self.discard(count);
        taken
    }

    /// All that has come, where that is little enough to be copied.
    pub(crate) fn copy(&self) -> Option<Bytes> {
        (self.len() <= COPIED_BYTES).then(|| pieces::copy(&self.bytes))
    }

    /// Forgets the first bytes; there must be as many.
    pub(crate) fn discard(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// Gives the memory back. Only while it is empty.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.is_empty(), "bytes would be lost");
        if self.bytes.capacity() == 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let is_shared = std::mem::take(&mut self.is_shared);
        if !is_shared && (LEAST_ROOM..=FEW_BYTES).contains(&bytes.capacity()) {
            STOCK.with(|stock| stock.keep(bytes));
        }
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
        if self.bytes.capacity() == 0 && !self.was_filled {
            self.bytes = STOCK.with(Stock::take).unwrap_or_default();
        }
        let room = self.bytes.capacity() - self.bytes.len();
        if self.was_filled || room < LEAST_ROOM {
            self.bytes.reserve(if self.was_filled { MANY_BYTES } else { FEW_BYTES });
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(poll_read_buf(socket, context, &mut self.bytes))?;
        self.was_filled = read == room;
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn filled(mut bytes: &[u8]) -> ReadBuffer {
        let mut buffer = ReadBuffer::default();
        let filled = buffer.poll_fill(Pin::new(&mut bytes), &mut Context::from_waker(Waker::noop()));
        assert!(matches!(filled, Poll::Ready(Ok(_))));
        buffer
    }

    fn in_stock() -> usize {
        STOCK.with(Stock::kept)
    }

    #[test]
    fn the_stock_is_bounded() {
        let mut buffers: Vec<_> = (0..=MOST_IN_STOCK).map(|_| filled(b"abc")).collect();
        for buffer in &mut buffers {
            assert_eq!(buffer.take(3), "abc");
            buffer.release();
        }
        assert_eq!(in_stock(), MOST_IN_STOCK);
        let again = filled(b"de");
        assert_eq!((again.as_slice(), in_stock()), (&b"de"[..], MOST_IN_STOCK - 1));
    }

    #[test]
    fn memory_that_somebody_holds_is_not_for_the_stock() {
        let mut buffer = filled(&[7; COPIED_BYTES + 1]);
        let held = buffer.take(COPIED_BYTES + 1);
        buffer.release();
        assert_eq!((held.len(), in_stock()), (COPIED_BYTES + 1, 0));
    }
}
