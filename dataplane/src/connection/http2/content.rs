//! What has come of a request's body and nobody has taken yet. It is bounded by the stream's window, which counts bytes; small
//! pieces are put together, so that it is bounded in memory as well.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::http1::read_buffer::ReadBuffer;

/// Pieces up to this size are put together when several of them wait.
const SMALL_BYTES: usize = 4 << 10;

/// Pieces of a body, in their order.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Most of the time the only one.
    first: Bytes,
    further: VecDeque<Bytes>,
    /// The last ones, which are small.
    small: BytesMut,
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.further.is_empty() && self.small.is_empty()
    }

    /// Takes as many bytes of those that have come.
    pub(super) fn add(&mut self, read: &mut ReadBuffer, count: usize) {
        if self.is_empty() {
            self.first = read.take(count);
        } else if count <= SMALL_BYTES {
            self.small.extend_from_slice(&read.as_slice()[..count]);
            read.discard(count);
        } else {
            if !self.small.is_empty() {
                self.further.push_back(self.small.split().freeze());
            }
            self.further.push_back(read.take(count));
        }
    }

    /// The next piece; none: there is none yet.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        let further = self.further.pop_front();
        further.or_else(|| (!self.small.is_empty()).then(|| self.small.split().freeze()))
    }

    /// Forgets what has come, and tells how much that was.
    pub(super) fn clear(&mut self) -> usize {
        std::iter::from_fn(|| self.take()).map(|piece| piece.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_their_order_and_small_ones_together() {
        let mut content = Content::default();
        let large = SMALL_BYTES + 1;
        let lengths = [5, 7, 0, large, 1, 2, large, large, 3];
        for (number, length) in (0..).zip(lengths) {
            let mut read = ReadBuffer::default();
            read.extend(&vec![number; length]);
            content.add(&mut read, length);
            assert!(read.is_empty());
        }
        let pieces: Vec<_> = std::iter::from_fn(|| content.take()).collect();
        let found: Vec<_> = pieces.iter().map(|piece| (piece[0], piece.len())).collect();
        assert_eq!(found, [(0, 5), (1, 7), (3, large), (4, 3), (6, large), (7, large), (8, 3)]);
        assert!(content.is_empty());
    }

    #[test]
    fn a_body_in_crumbs_takes_little_more_memory_than_its_bytes() {
        let mut content = Content::default();
        let mut read = ReadBuffer::default();
        for _ in 0..100_000 {
            read.extend(b"x");
            content.add(&mut read, 1);
        }
        assert!(content.further.is_empty() && content.small.capacity() <= 1 << 18);
        assert_eq!(content.clear(), 100_000);
        assert!(content.is_empty());
    }
}
