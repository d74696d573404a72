//! The small types a configuration is made of: each can only hold a legal value.
//!
//! Every type has one fallible constructor, used for files and peers alike; the text of its error is what the author of
//! a file reads behind the position and the key.

mod address;
mod algorithm;
mod quantity;
mod upstream;

use std::{fmt, sync::Arc};

pub use self::{
    address::{AddressRange, ListenAddress, ServerAddress},
    algorithm::{Algorithm, Algorithms},
    quantity::{Period, Span},
    upstream::{Scheme, UpstreamHost, UpstreamUrl},
};

/// Why a value is not legal. Its text names the value and what would be legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A value that is needed here is not given.
    #[error("missing")]
    Missing,
    /// A text that must say something is empty.
    #[error("must not be empty")]
    Empty,
    /// A text is longer than what any legal one needs.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most bytes there may be.
        limit: usize,
    },
    /// A name that could not stand in a header, a label or a log line as it is.
    #[error("contains {character:?}; letters, digits and -_.:/@ are allowed")]
    NameCharacter {
        /// The first character that is not allowed.
        character: char,
    },
    /// A prefix that is not the beginning of a path.
    #[error("must start with \"/\": {text:?}")]
    NoLeadingSlash {
        /// As written.
        text: String,
    },
    /// A prefix that no normalised path can begin with.
    #[error("{text:?} can match no request: {reason}")]
    UnreachablePrefix {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a URL to send requests to.
    #[error("not an absolute http or https URL: {text:?}")]
    NotAnUpstream {
        /// As written, without a user name and password.
        text: String,
    },
    /// A URL with a part that is never sent to an upstream.
    #[error("must not have {part}: {text:?}")]
    UpstreamPart {
        /// "a query", "a fragment", "a user name".
        part: &'static str,
        /// As written, without a user name and password.
        text: String,
    },
    /// Not an address to listen on.
    #[error("not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\" or \":PORT\"): {text:?}")]
    NotAnAddress {
        /// As written.
        text: String,
    },
    /// Not an address to connect to.
    #[error("not an address to connect to (\"HOST:PORT\" or \"[IPV6]:PORT\"): {text:?}")]
    NotAServer {
        /// As written.
        text: String,
    },
    /// Not a range of addresses.
    #[error("not an address range such as \"10.0.0.0/8\": {text:?}")]
    NotARange {
        /// As written.
        text: String,
    },
    /// A number or duration outside its range.
    #[error("must be {range}")]
    OutOfRange {
        /// The legal range, in words.
        range: &'static str,
    },
    /// A word that is none of the known ones.
    #[error("must be one of {choices}: {text:?}")]
    UnknownChoice {
        /// The legal words, separated by commas.
        choices: &'static str,
        /// As written.
        text: String,
    },
}

/// Name of a route: unique in a configuration; stands in headers, logs and metric labels as it is.
///
/// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName(Arc<str>);

impl RouteName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        match text.chars().find(|&c| !allowed(c)) {
            Some(character) => Err(ValueError::NameCharacter { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of the paths a route serves, or of what is stripped from them.
///
/// Starts with `/`; at most 8,192 bytes of visible ASCII; without `?`, `#`, empty or dot segments (a normalised path has
/// none, so such a prefix could never match). Whether it ends in `/` matters: `/a` matches `/a` and `/a/b`, `/a/` only
/// what is beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The most bytes of a prefix.
    pub const MAX_BYTES: usize = 8_192;

    /// Takes a prefix.
    ///
    /// # Errors
    /// When it does not start with `/`, is too long, or no normalised path can begin with it.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if !text.starts_with('/') {
            return Err(ValueError::NoLeadingSlash { text: text.into() });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let unreachable = |reason| ValueError::UnreachablePrefix { text: text.into(), reason };
        if let Some(bad) = text.bytes().find(|b| !b.is_ascii_graphic() || b"?#\\\"<>^`{}|".contains(b)) {
            return Err(unreachable(match bad {
                b'?' | b'#' => "a path ends before \"?\" and \"#\"",
                b'\\' => "backslashes are refused",
                _ => "only characters that a path holds unescaped, and percent escapes, can match",
            }));
        }
        let segments = text[1..].strip_suffix('/').unwrap_or(&text[1..]);
        for segment in segments.split('/').filter(|_| !segments.is_empty()) {
            match segment {
                "" => return Err(unreachable("\"//\" is merged into \"/\" before matching")),
                "." | ".." => return Err(unreachable("dot segments are resolved before matching")),
                _ => {}
            }
        }
        if text == "//" {
            return Err(unreachable("\"//\" is merged into \"/\" before matching"));
        }
        Ok(Self(text.into()))
    }

    /// The prefix as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
