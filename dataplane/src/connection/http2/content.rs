//! What has come of a request's body and nobody has taken yet. It is bounded by the stream's window, which counts bytes. So that it is
//! bounded in memory as well, small pieces are put together, and only the largest hold the memory that they came in, of which
//! a client may fill the rest with what nobody keeps. What waits takes five times its bytes at most.

use std::{collections::VecDeque, mem};

use bytes::{Bytes, BytesMut};

use crate::{http1::read_buffer::ReadBuffer, http2::frame::MAX_PAYLOAD_BYTES};

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
            self.first = piece(read, count);
        } else if count <= SMALL_BYTES {
            self.small.extend_from_slice(&read.as_slice()[..count]);
            read.discard(count);
        } else {
            if !self.small.is_empty() {
                self.further.push_back(mem::take(&mut self.small).freeze());
            }
            self.further.push_back(piece(read, count));
        }
    }

    /// The next piece; none: there is none yet.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        if !self.first.is_empty() {
            return Some(mem::take(&mut self.first));
        }
        let further = self.further.pop_front();
        further.or_else(|| (!self.small.is_empty()).then(|| mem::take(&mut self.small).freeze()))
    }

    /// Keeps the last byte of a piece that was taken, behind which nothing has come. It is copied, so that it does not keep the
    /// memory of the others.
    pub(super) fn keep_last(&mut self, piece: &mut Bytes) {
        debug_assert!(self.is_empty(), "it is the last");
        let last = piece.split_off(piece.len().saturating_sub(1));
        self.first = Bytes::copy_from_slice(&last);
    }

    /// Forgets what has come, and tells how much that was.
    pub(super) fn clear(&mut self) -> usize {
        std::iter::from_fn(|| self.take()).map(|piece| piece.len()).sum()
    }
}

/// Takes a piece that may wait for long. What is read at once is four frames of the largest size and the rest of one before them: those
/// that are as large share its memory, as those of a fast upload are. Others are copied.
fn piece(read: &mut ReadBuffer, count: usize) -> Bytes {
    if count == MAX_PAYLOAD_BYTES || count <= SMALL_BYTES {
        return read.take(count);
    }
    let piece = Bytes::copy_from_slice(&read.as_slice()[..count]);
    read.discard(count);
    piece
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

    /// What a read brings at most, with a piece of a body at its beginning and frames that say nothing behind it.
    const READ_BYTES: usize = 64 << 10;

    #[test]
    fn what_waits_holds_little_more_memory_than_its_bytes_whatever_came_with_it() {
        for (count, is_shared) in [
            (1, false),
            (SMALL_BYTES, false),
            (SMALL_BYTES + 1, false),
            (MAX_PAYLOAD_BYTES - 1, false),
            (MAX_PAYLOAD_BYTES, true),
        ] {
            let mut content = Content::default();
            for _ in 0..2 {
                let mut read = ReadBuffer::default();
                read.extend(&vec![0; READ_BYTES]);
                let memory = read.as_slice().as_ptr_range();
                content.add(&mut read, count);
                let newest = content.further.back().unwrap_or(&content.first);
                assert_eq!(memory.contains(&newest.as_ptr()), is_shared, "{count}");
                assert_eq!(read.len(), READ_BYTES - count);
            }
        }
    }

    #[test]
    fn what_was_taken_leaves_no_memory_behind() {
        let mut content = Content::default();
        for large in [0, MAX_PAYLOAD_BYTES] {
            let mut read = ReadBuffer::default();
            for _ in 0..100_000 {
                read.extend(b"x");
                content.add(&mut read, 1);
            }
            read.extend(&vec![0; large]);
            content.add(&mut read, large);
            assert_eq!((content.clear(), content.small.capacity()), (100_000 + large, 0));
        }
    }
}
