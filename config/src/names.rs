//! The small types a configuration is made of: each can only hold a legal value.
//!
//! Every type has one fallible constructor, used for files and peers alike; the text of its error is what the author of
//! a file reads behind the position and the key.

mod address;
mod algorithm;
mod backend;
mod claim;
mod cors;
mod file_path;
mod header;
mod policy_mode;
mod quantity;
mod secret;
mod socket_path;
mod upstream;
mod value_error;

use std::{fmt, hash::BuildHasher as _, str::FromStr, sync::Arc};

use rustc_hash::FxBuildHasher;

pub use self::{
    address::{AddressRange, ListenAddress, ServerAddress, TrafficAddress},
    algorithm::{Algorithm, Algorithms},
    backend::{BackendName, Weight},
    claim::{ClaimName, ClaimValue, TokenScope},
    cors::{AllowedOrigins, CorsMethod, Origin, OriginPattern},
    file_path::FilePath,
    header::{ForwardedHeader, HeaderName},
    policy_mode::PolicyMode,
    quantity::{ByteCount, Percent, Period, Span},
    secret::Secret,
    socket_path::{SocketPath, SocketPathError, UNIX_SCHEME},
    upstream::{Scheme, UpstreamHost, UpstreamUrl},
    value_error::ValueError,
};

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
        check_name(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its hash in a [`SharedTable`](crate::shared_table::SharedTable) of this process. Names are configured, so nobody
    /// chooses them to collide.
    #[must_use]
    pub fn table_hash(&self) -> u64 {
        FxBuildHasher.hash_one(self.as_str())
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a provider of tokens: unique in a configuration; stands in logs and metric labels as it is.
///
/// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_name(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ProviderName {
    /// The name of the only provider where a file has one and does not name it.
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProviderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

/// What the keys of this gateway begin with in a store that others use too.
///
/// 1 to 64 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Arc<str>);

impl KeyPrefix {
    /// The most bytes of a prefix.
    pub const MAX_BYTES: usize = 64;

    /// Takes a prefix.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_name(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The prefix as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("apigw".into())
    }
}

/// The rule of all names: what can stand anywhere as it is.
fn check_name(text: &str, limit: usize) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::Empty);
    }
    if text.len() > limit {
        return Err(ValueError::TooLong { limit });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    match text.chars().find(|&c| !allowed(c)) {
        Some(character) => Err(ValueError::NameCharacter { character }),
        None => Ok(()),
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
