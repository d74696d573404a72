//! A field's value: a part of the text it was read from, a value of its own, or both.

use std::{cell::OnceCell, ops::Range};

use bytes::Bytes;
use http::HeaderValue;

use super::PlainText;

/// It does not stand in the text that the fields were read from, or is not all of a line's plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no part of the text of the fields")]
pub struct NoPart;

/// A value as it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a> {
    bytes: &'a [u8],
    is_sensitive: bool,
}

impl<'a> ValueRef<'a> {
    /// What it says.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether nobody on the way may put it into a table of what was said before (RFC 7541 section 7.1.3).
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        self.is_sensitive
    }
}

impl<'a> From<&'a HeaderValue> for ValueRef<'a> {
    fn from(value: &'a HeaderValue) -> Self {
        Self { bytes: value.as_bytes(), is_sensitive: value.is_sensitive() }
    }
}

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
    /// What stands somewhere in a text.
    ///
    /// # Errors
    /// When it stands elsewhere.
    pub(super) fn part(text: &Bytes, part: PlainText<'_>) -> Result<Self, NoPart> {
        let begin = part.as_bytes().as_ptr().addr().checked_sub(text.as_ptr().addr()).ok_or(NoPart)?;
        let end = begin + part.as_bytes().len();
        match (u32::try_from(begin), u32::try_from(end)) {
            (Ok(begin), Ok(place)) if end <= text.len() => {
                Ok(Self { begin, end: place, made: OnceCell::new() })
            }
            _ => Err(NoPart),
        }
    }

    pub(super) fn bytes<'a>(&'a self, text: &'a Bytes) -> &'a [u8] {
        match self.made.get() {
            Some(made) => made.as_bytes(),
            None => &text[self.place()],
        }
    }

    pub(super) fn as_ref<'a>(&'a self, text: &'a Bytes) -> ValueRef<'a> {
        match self.made.get() {
            Some(made) => made.into(),
            // Only who makes a value says that it is a secret.
            None => ValueRef { bytes: &text[self.place()], is_sensitive: false },
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
