//! Texts that nobody is shown.

use super::{ValueError, check_length};

/// A text that must not appear in logs or answers; not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    ///
    /// # Errors
    /// When it is empty: that keeps nobody out.
    pub fn new(text: String) -> Result<Self, ValueError> {
        if text.is_empty() { Err(ValueError::Empty) } else { Ok(Self(text)) }
    }

    /// The secret itself; the caller keeps it out of what people read.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What the values of a cookie are made with: 16 to 256 bytes, so that nobody finds it by trying.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecret(Secret);

impl CookieSecret {
    /// The fewest bytes.
    pub const MIN_BYTES: usize = 16;

    /// The most bytes.
    pub const MAX_BYTES: usize = 256;

    /// Takes a secret.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        if text.len() < Self::MIN_BYTES {
            return Err(ValueError::TooShort { least: Self::MIN_BYTES });
        }
        Secret::new(text.into()).map(Self)
    }

    /// The secret itself; the caller keeps it out of what people read.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl std::fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
