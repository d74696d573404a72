//! Fields that many messages have alike: made once, and shared by them.

use http::{HeaderName, HeaderValue};

use super::Names;

/// Some fields, and how HTTP/1.1 writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyFields {
    lines: Box<[(HeaderName, HeaderValue)]>,
    text: Box<[u8]>,
    names: Names,
}

impl ReadyFields {
    /// Makes them.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        let lines: Box<[_]> = lines.into_iter().collect();
        let (mut text, mut names) = (Vec::new(), Names::NONE);
        for (name, value) in &lines {
            names.add(Names::of(name));
            let line = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
            line.iter().for_each(|part| text.extend_from_slice(part));
        }
        Self { lines, text: text.into(), names }
    }

    /// Each `name: value CRLF`, one behind the other.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether one of these names may be among theirs; if not, it certainly is not.
    #[must_use]
    pub fn may_have(&self, names: Names) -> bool {
        self.names.meet(names)
    }

    /// Names and values.
    #[must_use]
    pub fn lines(&self) -> &[(HeaderName, HeaderValue)] {
        &self.lines
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }
}
