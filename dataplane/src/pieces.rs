//! Small copies, such as heads of messages: parts of a few larger pieces of memory, which are used again in turn when all their
//! parts are gone. So most copies cost the allocator nothing, and are written where the processor's cache has been lately.

use std::{cell::RefCell, collections::VecDeque, mem};

use bytes::{Bytes, BytesMut};

/// Whoever keeps a small copy for long keeps as much as this from being used again.
const MEMORY_BYTES: usize = 8 << 10;

/// So much full memory is remembered at most. What is forgotten goes with the last of its parts.
const MOST_FULL: usize = 16;

thread_local! {
    static MEMORY: RefCell<Memory> =
        RefCell::new(Memory { rest: BytesMut::with_capacity(MEMORY_BYTES), full: VecDeque::new() });
}

/// One thread's memory for copies.
struct Memory {
    /// What is left of the present piece.
    rest: BytesMut,
    /// What is left of former ones, which is nothing: the way back to them. The oldest first, as it is the likeliest to be free.
    full: VecDeque<BytesMut>,
}

/// Copies bytes; there are few of them.
pub(crate) fn copy(bytes: &[u8]) -> Bytes {
    join(&[bytes])
}

/// Copies bytes, one behind the other; there are few of them.
pub(crate) fn join(parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    MEMORY.with_borrow_mut(|memory| {
        if memory.rest.capacity() < length {
            memory.renew(length);
        }
        parts.iter().for_each(|part| memory.rest.extend_from_slice(part));
        memory.rest.split().freeze()
    })
}

impl Memory {
    /// Takes the oldest piece that nobody has any part of. No more of them come into being than are in use at once.
    #[cold]
    fn renew(&mut self, length: usize) {
        let length = length.max(MEMORY_BYTES);
        self.full.push_back(mem::take(&mut self.rest));
        // Of what is reclaimed, all is: nothing stands in it.
        let free = self.full.iter_mut().position(|full| full.try_reclaim(length));
        self.rest =
            free.and_then(|at| self.full.remove(at)).unwrap_or_else(|| BytesMut::with_capacity(length));
        if self.full.len() > MOST_FULL {
            self.full.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: [u8; MEMORY_BYTES / 2] = [1; MEMORY_BYTES / 2];

    #[test]
    fn copies_share_memory_until_it_is_full_and_the_oldest_is_used_again_when_they_are_gone() {
        let begin = copy(b"0").as_ptr();
        let first = copy(&HALF);
        assert_eq!((first.as_ptr(), &first[..]), (begin.wrapping_add(1), &HALF[..]));
        let elsewhere = copy(&HALF);
        assert_ne!(elsewhere.as_ptr(), begin.wrapping_add(1 + HALF.len()), "there was no room for it");
        let third = copy(&[3; MEMORY_BYTES]);
        assert_eq!((&first[..], &elsewhere[..], &third[..]), (&HALF[..], &HALF[..], &[3; MEMORY_BYTES][..]));
        let memory = elsewhere.as_ptr();
        drop((first, third, elsewhere));
        assert_eq!(copy(&[4; MEMORY_BYTES]).as_ptr(), begin, "nobody had any of it");
        assert_eq!(copy(&[5; MEMORY_BYTES]).as_ptr(), memory, "nobody had any of it");
    }

    #[test]
    fn who_keeps_copies_for_long_keeps_their_memory_only() {
        let kept: Vec<_> = (0..=u8::MAX).map(|byte| copy(&[byte; MEMORY_BYTES - 1])).collect();
        assert_eq!(MEMORY.with_borrow(|memory| memory.full.len()), MOST_FULL);
        assert!((0..=u8::MAX).zip(&kept).all(|(byte, copy)| copy[..] == [byte; MEMORY_BYTES - 1]));
        drop(kept);
        let again: Vec<_> = (0..MOST_FULL).map(|_| copy(&[7; MEMORY_BYTES - 1])).collect();
        assert_eq!(MEMORY.with_borrow(|memory| memory.full.len()), MOST_FULL);
        let mut memories: Vec<_> = again.iter().map(|copy| copy.as_ptr()).collect();
        memories.sort_unstable();
        memories.dedup();
        assert_eq!(memories.len(), MOST_FULL, "each is taken once");
    }
}
