//! Bytes that are to go out on a connection and have not been accepted yet.

use std::{
    collections::VecDeque,
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

/// Of what may go in several large pieces, those up to this size are copied: the system is slower to gather them than we are.
const GATHERED_BYTES: usize = 8 << 10;

/// How many large pieces go in one write.
const MOST_AT_ONCE: usize = 8;

/// Most heads, with a small body behind them, have room in this.
const FEW_BYTES: usize = 512;

/// The largest piece of memory that is kept for later.
const MOST_KEPT_BYTES: usize = 4 << 10;

thread_local! {
    /// Of [`FEW_BYTES`] to [`MOST_KEPT_BYTES`].
    static STOCK: Stock<Vec<u8>> = const { Stock::with_room_for(MOST_IN_STOCK) };
}

/// Bytes that are to go: small pieces gathered, and large ones as they came, each in its place among them.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    text: Vec<u8>,
    /// How many of `text` have gone.
    gone: usize,
    /// Each behind so many bytes of `text`.
    large: VecDeque<(usize, Bytes)>,
    /// Of all large pieces.
    large_bytes: usize,
}

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.large.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.text.len() - self.gone + self.large_bytes
    }

    /// Whether another large piece may be added. If not, what waits must go first.
    pub(crate) fn has_room(&self) -> bool {
        self.large.is_empty() && self.text.len() < COPIED_BYTES
    }

    /// Where small pieces are written to.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            let kept = STOCK.with(Stock::take);
            self.text = kept.unwrap_or_else(|| Vec::with_capacity(FEW_BYTES));
        }
        &mut self.text
    }

    /// Adds a piece. Only while there is room.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.len() > COPIED_BYTES && self.large.is_empty() {
            self.add(piece);
        } else {
            self.text().extend_from_slice(&piece);
        }
    }

    /// Adds a piece, however many large ones wait already: whoever calls this bounds them.
    pub(crate) fn queue(&mut self, piece: Bytes) {
        if piece.len() > GATHERED_BYTES {
            self.add(piece);
        } else {
            self.text().extend_from_slice(&piece);
        }
    }

    fn add(&mut self, piece: Bytes) {
        self.large_bytes += piece.len();
        self.large.push_back((self.text.len(), piece));
    }

    /// Writes until all has gone; then it holds no memory.
    pub(crate) fn poll_flush<S: AsyncWrite>(
        &mut self,
        mut socket: Pin<&mut S>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.large.is_empty() {
                ready!(socket.as_mut().poll_write(context, &self.text[self.gone..]))?
            } else {
                let (pieces, count) = self.pieces();
                ready!(socket.as_mut().poll_write_vectored(context, &pieces[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        // Of a plain socket this is nothing; TLS keeps what it has ciphered until then.
        socket.poll_flush(context)
    }

    /// The first of what waits, in order, and how many pieces that is.
    fn pieces(&self) -> ([IoSlice<'_>; 2 * MOST_AT_ONCE + 1], usize) {
        let mut pieces = [IoSlice::new(&[]); 2 * MOST_AT_ONCE + 1];
        let (mut count, mut begin) = (0, self.gone);
        for (end, piece) in self.large.iter().take(MOST_AT_ONCE) {
            pieces[count] = IoSlice::new(&self.text[begin..*end]);
            pieces[count + 1] = IoSlice::new(piece);
            (count, begin) = (count + 2, *end);
        }
        let end = self.large.get(MOST_AT_ONCE).map_or(self.text.len(), |(end, _)| *end);
        pieces[count] = IoSlice::new(&self.text[begin..end]);
        (pieces, count + 1)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some((end, piece)) = self.large.front_mut() {
            let of_text = written.min(*end - self.gone);
            let of_piece = (written - of_text).min(piece.len());
            self.gone += of_text;
            piece.advance(of_piece);
            self.large_bytes -= of_piece;
            written -= of_text + of_piece;
            if !piece.is_empty() {
                break;
            }
            self.large.pop_front();
        }
        self.gone += written;
        if self.large.is_empty() && self.gone == self.text.len() {
            self.gone = 0;
            self.large = VecDeque::new();
            keep(mem::take(&mut self.text));
        } else if self.gone >= MOST_KEPT_BYTES.max(self.text.len() / 2) {
            // Where something always waits, what has gone is given up now and then.
            self.text.drain(..self.gone);
            self.large.iter_mut().for_each(|(end, _)| *end -= self.gone);
            self.gone = 0;
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
            (buffer.text.capacity(), STOCK.with(Stock::kept))
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

    #[test]
    fn many_large_pieces_stand_where_they_were_put() {
        let lengths = [3, GATHERED_BYTES + 1, 0, GATHERED_BYTES, 9_000, 9_000, 1];
        let pieces: Vec<_> = (0..).zip(lengths.repeat(4)).map(|(byte, length)| vec![byte; length]).collect();
        for at_once in [7, GATHERED_BYTES, 9_001, 50_000, 1 << 20] {
            let mut buffer = WriteBuffer::default();
            pieces.iter().for_each(|piece| buffer.queue(Bytes::from(piece.clone())));
            assert_eq!((buffer.len(), buffer.large.len()), (pieces.concat().len(), 12));
            let mut narrow = Narrow { taken: Vec::new(), at_once };
            let flushed = buffer.poll_flush(Pin::new(&mut narrow), &mut Context::from_waker(Waker::noop()));
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
            assert!(narrow.taken == pieces.concat(), "{at_once}");
            assert_eq!((buffer.len(), buffer.large_bytes), (0, 0));
        }
    }

    #[test]
    fn what_has_gone_is_given_up_where_something_always_waits() {
        let mut buffer = WriteBuffer::default();
        let mut most = 0;
        for _ in 0..1_000 {
            buffer.text().extend_from_slice(&[0; 100]);
            buffer.queue(Bytes::from_static(&[0; GATHERED_BYTES + 1]));
            if buffer.large.len() > 1 {
                buffer.advance(100 + GATHERED_BYTES + 1);
            }
            most = most.max(buffer.text.len());
        }
        assert_eq!(buffer.len(), 100 + GATHERED_BYTES + 1);
        assert!(most <= MOST_KEPT_BYTES + 300, "{most}");
    }
}
