//! Bytes that have come on a connection and nobody has taken yet.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use apigw_engine::stock::Stock;
use bytes::{Buf, Bytes};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::MOST_IN_STOCK;
use crate::pieces;

/// Read at once at first: enough for most heads with their bodies.
const FEW_BYTES: usize = 8 << 10;

/// Read at once when as much keeps coming.
const MANY_BYTES: usize = 64 << 10;

/// What is taken in pieces up to this size is copied, so that a small piece does not hold a large buffer.
const COPIED_BYTES: usize = 4 << 10;

/// Memory is shared where at least one part of so many is filled: so pieces of it together hold at most so many times their size.
const MOST_HELD: usize = 4;

thread_local! {
    /// Of [`FEW_BYTES`].
    static STOCK: Stock<Vec<u8>> = const { Stock::with_room_for(MOST_IN_STOCK) };
}

/// Bytes that have come. Holds no memory while it is empty and nothing is read.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    /// What has come, with room for more.
    memory: Vec<u8>,
    /// How many bytes at its beginning have been taken; not all of them.
    taken: usize,
    /// What has come, where pieces that were taken share its memory: while there is any, `memory` is empty.
    shared: Bytes,
    /// Whether the last read filled all the room there was.
    was_filled: bool,
}

impl ReadBuffer {
    /// What has come and was not taken.
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.shared.is_empty() { &self.memory[self.taken..] } else { &self.shared }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Takes the first bytes; there must be as many.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        if count > COPIED_BYTES && self.share() {
            return self.shared.split_to(count);
        }
        let piece = &self.as_slice()[..count];
        let taken = if count > COPIED_BYTES { Bytes::copy_from_slice(piece) } else { pieces::copy(piece) };
        self.discard(count);
        taken
    }

    /// All that has come, where that is little enough to be copied.
    pub(crate) fn copy(&self) -> Option<Bytes> {
        (self.len() <= COPIED_BYTES).then(|| pieces::copy(self.as_slice()))
    }

    /// Forgets the first bytes; there must be as many.
    pub(crate) fn discard(&mut self, count: usize) {
        if count < self.shared.len() {
            return self.shared.advance(count);
        }
        if !self.shared.is_empty() {
            assert_eq!(count, self.shared.len(), "there must be as many");
            // Advanced to its end it would still hold its memory.
            self.shared = Bytes::new();
            return;
        }
        self.taken += count;
        assert!(self.taken <= self.memory.len(), "there must be as many");
        if self.taken == self.memory.len() {
            self.memory.clear();
            self.taken = 0;
        }
    }

    /// Gives the memory back. Only while it is empty.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.is_empty(), "bytes would be lost");
        if self.memory.capacity() != 0 {
            keep(mem::take(&mut self.memory));
        }
    }

    /// Adds what has come in another way than from a socket.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len(), bytes.len());
        self.memory.extend_from_slice(bytes);
    }

    /// Reads once, and tells how many bytes came; 0: the peer has ended its side. What reads puts it behind what is there, into
    /// the room that there is.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>) -> io::Result<usize> {
        let room = self.make_room();
        let count = read(&mut self.memory)?;
        self.was_filled = count == room;
        Ok(count)
    }

    /// Reads once, and tells how many bytes came; 0: the peer has ended its side.
    pub(crate) fn poll_fill(
        &mut self,
        socket: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let room = self.make_room();
        let count = ready!(poll_read_buf(socket, context, &mut self.memory))?;
        self.was_filled = count == room;
        Poll::Ready(Ok(count))
    }

    /// Makes room for a read, and tells how much there is.
    fn make_room(&mut self) -> usize {
        let wanted = if self.was_filled { MANY_BYTES } else { FEW_BYTES };
        if self.memory.capacity() == 0 && self.shared.is_empty() && !self.was_filled {
            self.memory = STOCK.with(Stock::take).unwrap_or_default();
        }
        self.reserve(wanted / 2, wanted);
        self.room()
    }

    /// Where there is less room than the least, what was taken is given up; where that is not enough, more memory is taken.
    fn reserve(&mut self, least: usize, wanted: usize) {
        self.unshare(wanted);
        if self.room() < least {
            self.memory.drain(..mem::take(&mut self.taken));
        }
        if self.room() < least {
            self.memory.reserve(wanted);
        }
    }

    fn room(&self) -> usize {
        self.memory.capacity() - self.memory.len()
    }

    /// Lets pieces share the memory, if there is something worth it.
    fn share(&mut self) -> bool {
        if self.shared.is_empty() && self.len() >= self.memory.capacity() / MOST_HELD {
            self.shared = Bytes::from(mem::take(&mut self.memory));
            self.shared.advance(mem::take(&mut self.taken));
        }
        !self.shared.is_empty()
    }

    /// Copies what is left of shared memory to where there is room for so many bytes more.
    fn unshare(&mut self, more: usize) {
        if !self.shared.is_empty() {
            let shared = mem::take(&mut self.shared);
            self.memory.reserve_exact(shared.len() + more);
            self.memory.extend_from_slice(&shared);
        }
    }
}

/// Keeps memory that is not needed now for whoever needs some next.
fn keep(mut memory: Vec<u8>) {
    if memory.capacity() == FEW_BYTES {
        memory.clear();
        STOCK.with(|stock| stock.keep(memory));
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
    fn what_has_come_is_taken_in_order_however_it_is_taken() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut buffer, mut came, mut held) = (ReadBuffer::default(), 0_u32, Vec::new());
        let (mut gone, mut most, mut longest) = (0_u32, 0, 0);
        let next = |count: usize, from: &mut u32| -> Vec<u8> {
            let bytes = (*from..).take(count).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]);
            let bytes = bytes.collect();
            *from += u32::try_from(count).unwrap();
            bytes
        };
        for _ in 0..20_000 {
            let some = random.usize(0..=buffer.len());
            match random.u8(0..6) {
                0 => buffer.extend(&next(random.usize(0..3_000), &mut came)),
                1 if buffer.len() < 3 * MANY_BYTES => {
                    let offered = random.usize(1..=2 * MANY_BYTES);
                    let read = buffer.fill(|memory| {
                        let count = offered.min(memory.capacity() - memory.len());
                        memory.extend_from_slice(&next(count, &mut came));
                        Ok(count)
                    });
                    assert!(read.is_ok_and(|count| count > 0));
                }
                2 => held.push((buffer.take(some), next(some, &mut gone))),
                3 => {
                    assert!(buffer.as_slice()[..some] == next(some, &mut gone));
                    buffer.discard(some);
                }
                4 if buffer.is_empty() => buffer.release(),
                _ => held.truncate(some),
            }
            most = most.max(buffer.memory.capacity());
            longest = longest.max(buffer.len());
            assert_eq!(buffer.len(), usize::try_from(came - gone).unwrap());
        }
        assert!(held.iter().all(|(piece, bytes)| piece == bytes), "what is held does not change");
        assert!(most <= 2 * (longest + MANY_BYTES), "{most} for {longest}");
    }

    #[test]
    fn who_is_empty_holds_no_memory_of_pieces() {
        let discard = |buffer: &mut ReadBuffer| buffer.discard(5);
        let take = |buffer: &mut ReadBuffer| assert_eq!(buffer.take(5).len(), 5);
        for end in [discard, take] {
            let mut buffer = filled(&[7; FEW_BYTES]);
            let piece = buffer.take(FEW_BYTES - 5);
            assert!(!piece.is_unique());
            end(&mut buffer);
            assert!(piece.is_unique());
        }
    }

    #[test]
    fn a_piece_holds_no_memory_that_is_mostly_empty() {
        let mut buffer = filled(&[7; FEW_BYTES]);
        assert_eq!(buffer.take(FEW_BYTES).len(), FEW_BYTES);
        let read = |memory: &mut Vec<u8>| {
            memory.extend_from_slice(&[8; COPIED_BYTES + 1]);
            Ok(COPIED_BYTES + 1)
        };
        assert!(buffer.fill(read).is_ok());
        assert_eq!(buffer.memory.capacity(), MANY_BYTES);
        let place = buffer.as_slice().as_ptr();
        let piece = buffer.take(COPIED_BYTES + 1);
        assert_ne!(piece.as_ptr(), place);
        assert_eq!(piece, [8; COPIED_BYTES + 1][..]);
    }

    #[test]
    fn memory_that_somebody_holds_is_not_for_the_stock() {
        let mut buffer = filled(&[7; COPIED_BYTES + 1]);
        let held = buffer.take(COPIED_BYTES + 1);
        buffer.release();
        assert_eq!((held.len(), in_stock()), (COPIED_BYTES + 1, 0));
    }
}
