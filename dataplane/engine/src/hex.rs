//! Bytes as hexadecimal digits, in small letters.

/// Writes so many bytes as the text has room for, two digits each.
pub fn write(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (pairs, _) = text.as_chunks_mut();
    for (byte, pair) in bytes.iter().zip(pairs) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digit_is_the_greater() {
        let mut text = [b'-'; 5];
        write(&[0x0a, 0xf1, 0xff], &mut text);
        assert_eq!(&text, b"0af1-");
    }
}
