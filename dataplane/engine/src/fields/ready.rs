//! Fields that many messages have alike: made once, and shared by them.

use http::{HeaderName, HeaderValue};

/// Some fields, and how HTTP/1.1 writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyFields {
    lines: Box<[(HeaderName, HeaderValue)]>,
    text: Box<[u8]>,
    /// Of names: a bit for each length that one has.
    lengths: u64,
}

/// The bit for a name's length, or for one that is longer by a multiple of 64.
fn length_bit(name: &HeaderName) -> u64 {
    1 << (name.as_str().len() % 64)
}

impl ReadyFields {
    /// Makes them.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        let lines: Box<[_]> = lines.into_iter().collect();
        let mut text = Vec::new();
        for (name, value) in &lines {
            let line = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
            line.iter().for_each(|part| text.extend_from_slice(part));
        }
        let lengths = lines.iter().fold(0, |lengths, (name, _)| lengths | length_bit(name));
        Self { lines, text: text.into(), lengths }
    }

    /// Each `name: value CRLF`, one behind the other.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The first of this name. Of most names there is none, which their length tells.
    #[must_use]
    #[inline]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if self.lengths & length_bit(name) == 0 { None } else { self.find(name) }
    }

    #[inline(never)]
    fn find(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.lines.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Names and values.
    #[must_use]
    pub fn lines(&self) -> &[(HeaderName, HeaderValue)] {
        &self.lines
    }
}
