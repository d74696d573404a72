//! Text without control characters, known by its type to be so.

use crate::words;

/// Text that may be a field's value (RFC 9110 section 5.5): no control character but the tabulator, any other byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainText<'a>(&'a [u8]);

impl<'a> PlainText<'a> {
    /// All of these bytes; none: they are no such text.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.iter().all(|&byte| is_plain(byte)).then_some(Self(bytes))
    }

    /// The first of these bytes up to a control character, the tabulator being one here.
    #[must_use]
    pub fn before_control(bytes: &'a [u8]) -> Self {
        let (chunks, rest) = bytes.as_chunks();
        for (index, chunk) in chunks.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            let controls = words::below(word, b' ') | words::equal(word, DELETE);
            if controls != 0 {
                return Self(&bytes[..words::BYTES * index + controls.trailing_zeros() as usize / 8]);
            }
        }
        let of_rest = rest.iter().take_while(|&&byte| byte >= b' ' && byte != DELETE).count();
        Self(&bytes[..bytes.len() - rest.len() + of_rest])
    }

    /// What it is.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// What stands in front of the first colon, and what behind it; none: it has no colon.
    #[must_use]
    pub fn split_at_colon(self) -> Option<(Self, Self)> {
        let colon = find_colon(self.0)?;
        Some((Self(&self.0[..colon]), Self(&self.0[colon + 1..])))
    }

    /// Without optional white space around it (RFC 9110 section 5.6.3).
    #[must_use]
    pub fn trimmed(self) -> Self {
        let mut text = self.0;
        while let [b' ' | b'\t', rest @ ..] = text {
            text = rest;
        }
        while let [rest @ .., b' ' | b'\t'] = text {
            text = rest;
        }
        Self(text)
    }
}

const DELETE: u8 = 0x7f;

fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != DELETE || byte == b'\t'
}

/// Eight bytes at a time: names are longer than what a look at each byte is for, and shorter than what a call pays for.
fn find_colon(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let colons = words::equal(u64::from_le_bytes(*chunk), b':');
        if colons != 0 {
            return Some(words::BYTES * index + colons.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| byte == b':').map(|at| bytes.len() - rest.len() + at)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_may_be_a_value_to_http_is_plain() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let is_value = HeaderValue::from_bytes(&bytes).is_ok();
                    assert_eq!(PlainText::new(&bytes).is_some(), is_value, "{byte} at {at} of {length}");
                    let expected = if is_value && byte != b'\t' { length } else { at };
                    let before = PlainText::before_control(&bytes).as_bytes();
                    assert_eq!(before, &bytes[..expected], "{byte} at {at} of {length}");
                }
            }
        }
        assert_eq!(PlainText::new(b""), Some(PlainText(b"")));
        assert_eq!(PlainText::before_control(b"a\x01b\x02"), PlainText(b"a"));
    }

    #[test]
    fn a_line_is_split_at_its_first_colon() {
        let split = |line: &'static [u8]| {
            let (name, value) = PlainText(line).split_at_colon()?;
            Some((name.0, value.trimmed().0))
        };
        assert_eq!(split(b"host: a:b"), Some((&b"host"[..], &b"a:b"[..])));
        assert_eq!(split(b"content-length:\t 5 \t"), Some((&b"content-length"[..], &b"5"[..])));
        assert_eq!(split(b":  "), Some((&b""[..], &b""[..])));
        assert_eq!(split(b"accept-encoding"), None);
    }
}
