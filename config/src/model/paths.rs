//! `server.paths`: what of a request's path has one meaning. How a path is brought to its form is not known here.

use std::str::FromStr;

use crate::names::ValueError;

/// Which paths are taken that not all programs read alike. The default takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRules {
    /// What becomes of `%2f`.
    pub encoded_slash: EncodedSlash,
    /// Whether `//` is made `/`. Where it is not, an empty segment is a segment.
    pub merge_slashes: bool,
}

impl Default for PathRules {
    fn default() -> Self {
        Self { encoded_slash: EncodedSlash::default(), merge_slashes: true }
    }
}

/// What becomes of a `/` that is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// The request is refused: some programs decode it, some do not.
    #[default]
    Reject,
    /// It is a part of its segment, and forwarded escaped.
    Keep,
    /// It is a `/`, for the gateway and for the upstream.
    Decode,
}

impl EncodedSlash {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Keep => "keep",
            Self::Decode => "decode",
        }
    }
}

impl FromStr for EncodedSlash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "reject" => Ok(Self::Reject),
            "keep" => Ok(Self::Keep),
            "decode" => Ok(Self::Decode),
            _ => Err(ValueError::UnknownChoice { choices: "reject, keep, decode", text: text.into() }),
        }
    }
}
