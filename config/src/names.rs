//! The small types a configuration is made of: each can only hold a legal value.
//!
//! Every type has one fallible constructor, used for files and peers alike; the text of its error is what the author of
//! a file reads behind the position and the key.

mod address;
mod algorithm;
mod answer;
mod answer_preset;
mod auth_method;
mod backend;
mod certificate_name;
mod claim;
mod compression;
mod cors;
mod credential;
mod distinct;
mod file_path;
mod header;
mod host;
mod match_text;
mod method;
mod path;
mod path_template;
mod pattern;
mod policy_mode;
mod quantity;
mod retry;
mod secret;
mod socket_path;
mod template;
mod tracing;
mod upstream;
mod value_template;
mod value_error;

use std::{fmt, hash::BuildHasher as _, str::FromStr, sync::Arc};

use rustc_hash::FxBuildHasher;

pub(crate) use self::distinct::check_distinct;
pub use self::{
    address::{AddressRange, ListenAddress, ServerAddress, TrafficAddress},
    algorithm::{Algorithm, Algorithms},
    answer::{AnswerStatus, AnswerText, MediaType, RedirectStatus},
    answer_preset::AnswerPreset,
    auth_method::AuthMethod,
    backend::{CheckCount, CookieLifetime, CookieName, SplitWeight, Weight},
    certificate_name::{CommonName, DnsPattern, EmailPattern, UriPattern},
    claim::{ClaimName, ClaimValue, TokenScope},
    compression::{ContentCoding, ContentCodings, MediaRange, MediaRanges},
    cors::{AllowedOrigins, Origin, OriginPattern},
    credential::{Expiry, KeyHash, PasswordHash, Realm, UserName},
    file_path::FilePath,
    header::{ForwardedHeader, HeaderName, WritableHeader},
    host::{HostName, HostPattern},
    match_text::{MatchText, QueryName},
    method::MethodName,
    path::{ExactPath, PathPrefix, ProbePath},
    path_template::{PathPart, PathTemplate, is_dot_segment},
    pattern::{Expansion, Pattern},
    policy_mode::PolicyMode,
    quantity::{ByteCount, Percent, Period, Span},
    retry::{RetryCondition, RetryConditions, RetryCount},
    secret::{CookieSecret, Secret},
    socket_path::{SocketPath, SocketPathError, UNIX_SCHEME},
    tracing::{CollectorUrl, SampleRatio},
    upstream::{Scheme, UpstreamHost, UpstreamUrl},
    value_error::ValueError,
    value_template::{TemplatePart, ValueTemplate, Variable},
};

/// A text of a file that is kept as it is, once a rule has judged it by its bytes and how many there may be.
macro_rules! checked_text {
    ($(#[$attribute:meta])* $name:ident, at most $limit:literal bytes, by $check:path) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes it has.
            pub const MAX_BYTES: usize = $limit;

            /// Takes a text.
            ///
            /// # Errors
            /// When it is too short or too long, or another one than said above.
            pub fn new(text: &str) -> Result<Self, ValueError> {
                $check(text, Self::MAX_BYTES).map(|()| Self(text.into()))
            }

            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
use checked_text;

checked_text! {
    /// Name of a route: unique in a configuration; stands in headers, logs and metric labels as it is.
    ///
    /// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
    RouteName, at most 200 bytes, by check_name
}

checked_text! {
    /// Name of a backend: unique in a configuration; stands in logs and metric labels as it is.
    ///
    /// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
    BackendName, at most 200 bytes, by check_name
}

checked_text! {
    /// Name of a provider of tokens: unique in a configuration; stands in logs and metric labels as it is.
    ///
    /// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
    ProviderName, at most 200 bytes, by check_name
}

checked_text! {
    /// Name of whoever has an API key; stands in logs as it is. Somebody may have several keys.
    ///
    /// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
    CallerName, at most 200 bytes, by check_name
}

checked_text! {
    /// What the keys of this gateway begin with in a store that others use too.
    ///
    /// 1 to 64 bytes of ASCII letters, digits and `-_.:/@`.
    KeyPrefix, at most 64 bytes, by check_name
}

impl RouteName {
    /// Its hash in a [`SharedTable`](crate::shared_table::SharedTable) of this process. Names are configured, so nobody
    /// chooses them to collide.
    #[must_use]
    pub fn table_hash(&self) -> u64 {
        FxBuildHasher.hash_one(self.as_str())
    }
}

impl Default for ProviderName {
    /// The name of the only provider where a file has one and does not name it.
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for ProviderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("apigw".into())
    }
}

/// The rule of most texts: there is something, and not too much of it.
fn check_length(text: &str, limit: usize) -> Result<(), ValueError> {
    match text.len() {
        0 => Err(ValueError::Empty),
        length if length > limit => Err(ValueError::TooLong { limit }),
        _ => Ok(()),
    }
}

/// The rule of all names: what can stand anywhere as it is, in headers, logs, metric labels and keys of a store.
fn check_name(text: &str, limit: usize) -> Result<(), ValueError> {
    check_length(text, limit)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    match text.chars().find(|&c| !allowed(c)) {
        Some(character) => Err(ValueError::NameCharacter { character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
