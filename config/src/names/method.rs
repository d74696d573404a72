//! Methods as files name them. Nothing here sees a request.

use std::{cmp, fmt, str::FromStr};

use super::ValueError;

/// A method, in capital letters, as all registered ones are (RFC 9110 section 16.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MethodName(http::Method);

impl MethodName {
    /// The most bytes of a method.
    pub const MAX_BYTES: usize = 32;

    /// The method as requests have it.
    #[must_use]
    pub fn as_http(&self) -> &http::Method {
        &self.0
    }

    /// The method as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for MethodName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let legal = |c: char| c.is_ascii_uppercase() || "-_".contains(c);
        let is_word = (1..=Self::MAX_BYTES).contains(&text.len()) && text.chars().all(legal);
        let method = http::Method::from_bytes(text.as_bytes()).ok().filter(|_| is_word);
        method.map(Self).ok_or_else(|| ValueError::NotAMethod { text: text.into() })
    }
}

impl Ord for MethodName {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for MethodName {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
