//! A field's value: a part of the text it was read from, a value of its own, or both.

use std::{cell::OnceCell, ops::Range};

use bytes::Bytes;
use http::HeaderValue;

/// What stands there is no field's value: a control character (RFC 9110 section 5.5), or more than the text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no value of a field")]
pub struct NoValue;

/// A value. Whoever keeps it knows the text.
#[derive(Clone)]
pub(super) struct Value {
    /// Where it stands. Of a value that was never read, nowhere.
    begin: u32,
    end: u32,
    /// What it was made as, when somebody wanted it so.
    made: OnceCell<HeaderValue>,
}

impl Value {
    /// What stands there in a text.
    ///
    /// # Errors
    /// When that is no value.
    pub(super) fn part(text: &Bytes, part: Range<usize>) -> Result<Self, NoValue> {
        let (Ok(begin), Ok(end)) = (u32::try_from(part.start), u32::try_from(part.end)) else {
            return Err(NoValue);
        };
        match text.get(part) {
            Some(bytes) if is_text(bytes) => Ok(Self { begin, end, made: OnceCell::new() }),
            _ => Err(NoValue),
        }
    }

    pub(super) fn bytes<'a>(&'a self, text: &'a Bytes) -> &'a [u8] {
        match self.made.get() {
            Some(made) => made.as_bytes(),
            None => &text[self.place()],
        }
    }

    pub(super) fn made(&self, text: &Bytes) -> &HeaderValue {
        self.made.get_or_init(|| self.make(text))
    }

    pub(super) fn into_made(self, text: &Bytes) -> HeaderValue {
        let made = self.made.get().cloned();
        made.unwrap_or_else(|| self.make(text))
    }

    fn make(&self, text: &Bytes) -> HeaderValue {
        let value = HeaderValue::from_maybe_shared(text.slice(self.place()));
        value.expect("it was looked at when it was read")
    }

    fn place(&self) -> Range<usize> {
        self.begin as usize..self.end as usize
    }
}

impl From<HeaderValue> for Value {
    fn from(value: HeaderValue) -> Self {
        Self { begin: 0, end: 0, made: OnceCell::from(value) }
    }
}

/// Whether bytes are what `http` takes for a value: no control character but the tabulator.
fn is_text(bytes: &[u8]) -> bool {
    let is_text = |byte: u8| byte >= b' ' && byte != 0x7f || byte == b'\t';
    let (words, rest) = bytes.as_chunks();
    // Tabulators are seldom, so eight bytes with one may take their time.
    let is_plain = words.iter().all(|word| !has_control(*word) || word.iter().copied().all(is_text));
    is_plain && rest.iter().copied().all(is_text)
}

/// Whether one of eight bytes is below the space, or the one that deletes: all are looked at at once.
fn has_control(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let word = u64::from_ne_bytes(word);
    // A byte that is less than what is subtracted borrows from its highest bit, which must have been clear before.
    let is_below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let deletes = word ^ (ONES * 0x7f);
    let is_deletion = deletes.wrapping_sub(ONES) & !deletes;
    (is_below_space | is_deletion) & HIGHEST != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_to_http_is_text_here() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = HeaderValue::from_bytes(&bytes).is_ok();
                    assert_eq!(is_text(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_text(b""));
    }
}
