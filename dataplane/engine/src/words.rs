//! Eight bytes of text looked at at once: a byte is found by arithmetic on all of them, without a look at each.

/// How many bytes a word has.
pub const BYTES: usize = 8;

const ONES: u64 = u64::from_ne_bytes([0x01; BYTES]);
const HIGHEST: u64 = u64::from_ne_bytes([0x80; BYTES]);

/// Not zero if a byte of the word is this one. The lowest bit that is set is the highest one of the lowest such byte.
#[must_use]
pub const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Not zero if a byte of the word is less than this bound, which is at most 0x80. The lowest bit that is set is the highest
/// one of the lowest such byte.
#[must_use]
pub const fn below(word: u64, bound: u8) -> u64 {
    // A byte that is less borrows, which sets its highest bit; so does what is above it, perhaps, and what was set before is
    // taken away.
    word.wrapping_sub(ONES * bound as u64) & !word & HIGHEST
}

/// Not zero if a byte of the word is no ASCII.
#[must_use]
pub const fn beyond_ascii(word: u64) -> u64 {
    word & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_found_at_each_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BYTES {
                let mut bytes = [b'a'; BYTES];
                bytes[at] = byte;
                let word = u64::from_le_bytes(bytes);
                let is_at = |found: u64| found.trailing_zeros() as usize / BYTES == at;
                for sought in [b':', b'"', 0x7f, 0x00] {
                    let found = equal(word, sought);
                    assert_eq!(found != 0, byte == sought, "{byte} at {at}");
                    assert!(found == 0 || is_at(found), "{byte} at {at}");
                }
                let found = below(word, b' ');
                assert_eq!(found != 0, byte < b' ', "{byte} at {at}");
                assert!(found == 0 || is_at(found), "{byte} at {at}");
                assert_eq!(beyond_ascii(word) != 0, !byte.is_ascii(), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_first_of_several_is_found() {
        let word = u64::from_le_bytes(*b"ab:;:\x39:a");
        assert_eq!(equal(word, b':').trailing_zeros() / 8, 2);
    }
}
