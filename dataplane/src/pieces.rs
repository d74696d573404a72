//! Small copies, such as heads of messages: parts of one larger piece of memory, which is used again when all of them are gone.
//! So most of them cost the allocator nothing.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Whoever keeps a small copy for long keeps as much as this from being used again.
const MEMORY_BYTES: usize = 8 << 10;

thread_local! {
    /// What is left of the present piece of memory.
    static REST: RefCell<BytesMut> = RefCell::default();
}

/// Copies bytes; there are few of them.
pub(crate) fn copy(bytes: &[u8]) -> Bytes {
    join(&[bytes])
}

/// Copies bytes, one behind the other; there are few of them.
pub(crate) fn join(parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    REST.with_borrow_mut(|rest| {
        if rest.capacity() < length {
            // Takes the former memory again if nobody has any part of it.
            rest.reserve(MEMORY_BYTES.max(length));
        }
        parts.iter().for_each(|part| rest.extend_from_slice(part));
        rest.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_memory_until_it_is_full_and_it_is_used_again_when_they_are_gone() {
        let begin = copy(b"0").as_ptr();
        let half = [1; MEMORY_BYTES / 2];
        let first = copy(&half);
        assert_eq!((first.as_ptr(), &first[..]), (begin.wrapping_add(1), &half[..]));
        let elsewhere = copy(&half);
        assert_ne!(elsewhere.as_ptr(), begin.wrapping_add(1 + half.len()), "there was no room for it");
        assert_eq!((&first[..], &elsewhere[..]), (&half[..], &half[..]));
        let memory = elsewhere.as_ptr();
        drop((first, elsewhere));
        assert_eq!(copy(&[2; MEMORY_BYTES]).as_ptr(), memory, "nobody had any of it");
    }
}
