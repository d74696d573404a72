//! What a file may ask of a token: names of claims, their values, scopes. Nothing here sees a token.

use std::{fmt, str::FromStr};

use super::{ValueError, check_length};

/// Name of a claim, a member of a token's claims set (RFC 7519 section 4): 1 to 200 characters of visible ASCII, so that it
/// can stand in a header.
///
/// The name is taken as it is; a dot in it leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimName(String);

impl ClaimName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not visible ASCII.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        match text.chars().find(|c| !c.is_ascii_graphic()) {
            Some(character) => Err(ValueError::NotVisibleAscii { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value that a claim must have, as a text; numbers and truth values as JSON writes them (`3`, `true`).
///
/// 1 to 1,000 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimValue(String);

impl ClaimValue {
    /// The most bytes of a value.
    pub const MAX_BYTES: usize = 1_000;

    /// Takes a value.
    ///
    /// # Errors
    /// When it is empty, too long or has a control character.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        match text.chars().find(|c| c.is_control()) {
            Some(character) => Err(ValueError::ControlCharacter { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The value as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One scope that a token may grant (RFC 6749 section 3.3): 1 to 200 bytes of visible ASCII without `"` and `\`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenScope(String);

impl TokenScope {
    /// The most bytes of a scope.
    pub const MAX_BYTES: usize = 200;

    /// The scope as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenScope {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        let legal = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
        if legal { Ok(Self(text.into())) } else { Err(ValueError::NotAScope { text: text.into() }) }
    }
}
