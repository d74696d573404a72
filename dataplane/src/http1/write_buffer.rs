//! Bytes that are to go out on a connection and have not been accepted yet.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_engine::stock::Stock;
use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::MOST_IN_STOCK;

/// Pieces up to this size are copied behind what waits already: one write of a few KiB is cheaper than two.
const COPIED_BYTES: usize = 16 << 10;

/// Most heads, with a small body behind them, have room in this.
const FEW_BYTES: usize = 512;

/// The largest piece of memory that is kept for later.
const MOST_KEPT_BYTES: usize = 4 << 10;

thread_local! {
    /// Of [`FEW_BYTES`] to [`MOST_KEPT_BYTES`].
    static STOCK: Stock<Vec<u8>> = const { Stock::with_room_for(MOST_IN_STOCK) };
}

/// Bytes that are to go: small pieces gathered, at most one large piece as it came, and small ones behind that.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    first: Vec<u8>,
    /// How many of `first` have gone.
    gone: usize,
    large: Bytes,
    last: Vec<u8>,
}

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.large.is_empty() && self.last.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.first.len() - self.gone + self.large.len() + self.last.len()
    }

    /// Whether another large piece may be added. If not, what waits must go first.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.first.len() < COPIED_BYTES
    }

    /// Where small pieces are written to.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if !self.large.is_empty() {
            return &mut self.last;
        }
        if self.first.capacity() == 0 {
            let kept = STOCK.with(Stock::take);
            self.first = kept.unwrap_or_else(|| Vec::with_capacity(FEW_BYTES));
        }
        &mut self.first
    }

    /// Adds a piece. Only while there is room.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() > COPIED_BYTES && self.large.is_empty() {
            self.large = piece;
        } else {
            self.text().extend_from_slice(&piece);
        }
    }

    /// Writes until all has gone; then it holds no memory.
    pub(crate) fn poll_flush<S: AsyncWrite>(
        &mut self,
        mut socket: Pin<&mut S>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let first = &self.first[self.gone..];
            let written = if self.large.is_empty() {
                ready!(socket.as_mut().poll_write(context, first))?
            } else {
                let pieces = [IoSlice::new(first), IoSlice::new(&self.large), IoSlice::new(&self.last)];
                ready!(socket.as_mut().poll_write_vectored(context, &pieces))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        // Of a plain socket this is nothing; TLS keeps what it has ciphered until then.
        socket.poll_flush(context)
    }

    fn advance(&mut self, written: usize) {
        let of_first = written.min(self.first.len() - self.gone);
        let of_large = (written - of_first).min(self.large.len());
        self.gone += of_first;
        self.large.advance(of_large);
        if self.gone == self.first.len() && self.large.is_empty() {
            self.large = Bytes::new();
            keep(mem::replace(&mut self.first, mem::take(&mut self.last)));
            self.gone = written - of_first - of_large;
            if self.gone == self.first.len() {
                self.gone = 0;
                keep(mem::take(&mut self.first));
            }
        }
    }
}

/// Keeps memory that is not needed now for whoever needs some next.
fn keep(mut text: Vec<u8>) {
    if (FEW_BYTES..=MOST_KEPT_BYTES).contains(&text.capacity()) {
        text.clear();
        STOCK.with(|stock| stock.keep(text));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes a few bytes at a time.
    struct Narrow {
        taken: Vec<u8>,
        at_once: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all = pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<_>>();
            self.poll_write(context, &all)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_stock_is_bounded_in_pieces_and_bytes() {
        let mut buffers: Vec<_> = (0..=MOST_IN_STOCK).map(|_| WriteBuffer::default()).collect();
        let mut socket = Narrow { taken: Vec::new(), at_once: usize::MAX };
        let mut flush = |buffer: &mut WriteBuffer| {
            let flushed = buffer.poll_flush(Pin::new(&mut socket), &mut Context::from_waker(Waker::noop()));
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
            (buffer.first.capacity(), STOCK.with(Stock::kept))
        };
        buffers.iter_mut().for_each(|buffer| buffer.text().extend_from_slice(b"abc"));
        let kept: Vec<_> = buffers.iter_mut().map(&mut flush).collect();
        assert_eq!(kept.last(), Some(&(0, MOST_IN_STOCK)));
        let large = &mut buffers[0];
        large.text().resize(MOST_KEPT_BYTES + 1, 0);
        assert_eq!(flush(large), (0, MOST_IN_STOCK - 1));
    }

    #[test]
    fn everything_goes_in_order_however_little_is_accepted() {
        let pieces = [vec![1; 10], vec![2; COPIED_BYTES + 1], vec![3; 5], vec![4; 7]];
        for at_once in [1, 3, 10, 11, COPIED_BYTES, COPIED_BYTES + 12, 1 << 20] {
            let mut buffer = WriteBuffer::default();
            pieces.iter().for_each(|piece| buffer.push(Bytes::from(piece.clone())));
            assert!(!buffer.has_room());
            let mut narrow = Narrow { taken: Vec::new(), at_once };
            let flushed = buffer.poll_flush(Pin::new(&mut narrow), &mut Context::from_waker(Waker::noop()));
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
            assert!(narrow.taken == pieces.concat(), "{at_once}");
            assert!(buffer.is_empty());
        }
    }
}
