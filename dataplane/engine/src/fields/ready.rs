//! Fields that many messages have alike: made once, and shared by them.

use http::{HeaderName, HeaderValue};

/// Some fields, and how HTTP/1.1 writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyFields {
    lines: Box<[(HeaderName, HeaderValue)]>,
    text: Box<[u8]>,
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
        Self { lines, text: text.into() }
    }

    /// Each `name: value CRLF`, one behind the other.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The first of this name.
    #[must_use]
    #[inline(never)]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.lines.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Names and values.
    #[must_use]
    pub fn lines(&self) -> &[(HeaderName, HeaderValue)] {
        &self.lines
    }
}
