//! What values of a request are compared with, and names of its parameters. Nothing here sees a request.

use std::{fmt, sync::Arc};

use super::ValueError;

/// A text that a value is compared with: at most 1,000 bytes without control characters; it may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatchText(Arc<str>);

impl MatchText {
    /// The most bytes of a text.
    pub const MAX_BYTES: usize = 1_000;

    /// Takes a text.
    ///
    /// # Errors
    /// When it is too long or has a control character.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MatchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a parameter of a query, as it is when escapes are undone: 1 to 200 bytes without control characters. Upper and
/// lower case are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryName(Arc<str>);

impl QueryName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a control character.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        check(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str, limit: usize) -> Result<(), ValueError> {
    if text.len() > limit {
        return Err(ValueError::TooLong { limit });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(ValueError::ControlCharacter { character }),
        None => Ok(()),
    }
}
