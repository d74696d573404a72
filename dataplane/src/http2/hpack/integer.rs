//! Numbers (RFC 7541 section 5.1): in the rest of a byte, and where that is not enough in the bytes behind it, seven bits each.

use super::decoder::CompressionError;

/// As many bytes may follow the first: nothing that can be meant here has 28 bits.
const MAX_MORE_BYTES: u32 = 4;

/// Reads a number of which the lowest `prefix` bits of `first` are the beginning, and takes its other bytes from `rest`.
///
/// # Errors
/// When it does not end, or only where no number does that can be meant.
#[inline]
pub(super) fn decode(first: u8, prefix: u32, rest: &mut &[u8]) -> Result<usize, CompressionError> {
    let full = (1 << prefix) - 1;
    let number = usize::from(first) & full;
    if number < full { Ok(number) } else { decode_more(full, rest) }
}

fn decode_more(full: usize, rest: &mut &[u8]) -> Result<usize, CompressionError> {
    let mut number = full;
    for shift in (0..7 * MAX_MORE_BYTES).step_by(7) {
        let (&byte, behind) = rest.split_first().ok_or(CompressionError::Truncated)?;
        *rest = behind;
        number += usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(CompressionError::Integer)
}

/// Writes a number, its beginning into the lowest `prefix` bits of a byte whose other bits are those of `first`.
#[inline]
pub(super) fn encode(first: u8, prefix: u32, number: usize, block: &mut Vec<u8>) {
    let full = (1 << prefix) - 1;
    if number < full {
        block.push(first | byte(number));
    } else {
        block.push(first | byte(full));
        encode_more(number - full, block);
    }
}

fn encode_more(mut number: usize, block: &mut Vec<u8>) {
    while number >= 0x80 {
        block.push(byte(number & 0x7f) | 0x80);
        number >>= 7;
    }
    block.push(byte(number));
}

#[expect(clippy::cast_possible_truncation, reason = "of seven bits")]
fn byte(bits: usize) -> u8 {
    bits as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541 C.1, and what is around the borders of a prefix.
    #[test]
    fn numbers_are_written_as_they_are_read() {
        for (number, prefix, bytes) in [
            (10, 5, &[0b01010][..]),
            (1337, 5, &[0b11111, 0b1001_1010, 0b0000_1010]),
            (42, 8, &[0b0010_1010]),
            (0, 5, &[0]),
            (30, 5, &[30]),
            (31, 5, &[31, 0]),
            (31 + 127, 5, &[31, 127]),
            (31 + 128, 5, &[31, 128, 1]),
            (127 + (1 << 28) - 1, 7, &[127, 255, 255, 255, 127]),
        ] {
            let mut written = Vec::new();
            encode(0, prefix, number, &mut written);
            assert_eq!(written, bytes, "{number}");
            let mut rest = &bytes[1..];
            assert_eq!(decode(bytes[0], prefix, &mut rest), Ok(number));
            assert!(rest.is_empty(), "{number}");
        }
        let mut written = Vec::new();
        encode(0x80, 7, 5, &mut written);
        encode(0x20, 5, 32, &mut written);
        assert_eq!(written, [0x85, 0x3f, 1]);
        // The bits in front of it are not of it, and zeros may follow.
        assert_eq!(decode(0xea, 5, &mut &[][..]), Ok(10));
        assert_eq!(decode(31, 5, &mut &[0x80, 0x80, 0x80, 0][..]), Ok(31));
    }

    #[test]
    fn numbers_end_in_time() {
        let check = |rest: &[u8]| decode(31, 5, &mut &rest[..]);
        assert_eq!(check(&[]), Err(CompressionError::Truncated));
        assert_eq!(check(&[255, 255]), Err(CompressionError::Truncated));
        assert_eq!(check(&[128, 128, 128, 128, 0]), Err(CompressionError::Integer));
        assert_eq!(check(&[255; 100]), Err(CompressionError::Integer));
    }
}
