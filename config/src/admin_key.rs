//! The key that opens the admin side of a program: its HTTP admin endpoints and its gRPC API.
//!
//! There is no default key, and a key never appears in a log, an error or a `Debug` text. This module compares keys; who
//! asks for one, and with which answer, is the business of each service.

use std::{env, ffi::OsString, fmt};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The environment variable that holds the key.
pub const VARIABLE: &str = "APIGW_ADMIN_KEY";

/// A key as configured: 1 to 4,096 bytes of visible ASCII, so that it can stand in a header as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey(String);

/// Why a text cannot be a key. The key itself is not part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminKeyError {
    /// An empty key would open the door to everybody.
    #[error("an admin key must not be empty")]
    Empty,
    /// Longer than what servers accept in a header.
    #[error("an admin key must not be longer than {} bytes", AdminKey::MAX_BYTES)]
    TooLong,
    /// A character that cannot stand in a header.
    #[error("an admin key must consist of visible ASCII characters, without spaces")]
    NotVisible,
}

/// Why somebody who asks is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No key was presented.
    #[error("an admin key is needed")]
    Missing,
    /// Another key was presented, or none that can be read.
    #[error("wrong admin key")]
    Wrong,
}

impl AdminKey {
    /// The most bytes of a key.
    pub const MAX_BYTES: usize = 4_096;

    /// Takes a key.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than visible ASCII.
    pub fn new(text: String) -> Result<Self, AdminKeyError> {
        if text.is_empty() {
            return Err(AdminKeyError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(AdminKeyError::TooLong);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AdminKeyError::NotVisible);
        }
        Ok(Self(text))
    }

    /// The key in [`VARIABLE`]; none when that is unset or empty (what an unset variable becomes in many a launcher).
    ///
    /// # Errors
    /// When the variable holds what cannot be a key.
    pub fn from_env() -> Result<Option<Self>, AdminKeyError> {
        Self::from_variable(env::var_os(VARIABLE))
    }

    fn from_variable(value: Option<OsString>) -> Result<Option<Self>, AdminKeyError> {
        match value {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => {
                let text = value.into_string().map_err(|_| AdminKeyError::NotVisible)?;
                Self::new(text).map(Some)
            }
        }
    }

    /// Whether a presented key is this one. The time it takes tells nothing about where the two differ: digests of equal
    /// length are compared, whatever the length of what was presented.
    #[must_use]
    pub fn opens(&self, presented: &[u8]) -> bool {
        Sha256::digest(self.0.as_bytes()).ct_eq(&Sha256::digest(presented)).into()
    }

    /// Whether the value of an `Authorization` header presents this key as a bearer token (RFC 6750 section 2.1). The
    /// scheme's name is case-insensitive (RFC 9110 section 11.1).
    #[must_use]
    pub fn opens_bearer(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        authorization
            .split_at_checked(SCHEME.len())
            .is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case(SCHEME) && self.opens(key))
    }

    /// Lets through whoever presents the key as a bearer token; everybody where there is no key.
    ///
    /// # Errors
    /// When the value of the `Authorization` header is missing, or does not present the key.
    pub fn admit(key: Option<&Self>, authorization: Option<&[u8]>) -> Result<(), KeyRefusal> {
        match (key, authorization) {
            (None, _) => Ok(()),
            (Some(key), Some(presented)) if key.opens_bearer(presented) => Ok(()),
            (Some(_), Some(_)) => Err(KeyRefusal::Wrong),
            (Some(_), None) => Err(KeyRefusal::Missing),
        }
    }

    /// The value of an `Authorization` header that presents this key; the caller keeps it out of what people read.
    #[must_use]
    pub fn to_bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[admin key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AdminKey {
        AdminKey::new(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_same_key_opens() {
        for wrong in ["", "secre", "secret2", "Secret", " secret"] {
            assert!(!key("secret").opens(wrong.as_bytes()), "{wrong:?} opened");
        }
        assert!(key("secret").opens(b"secret"));
    }

    #[test]
    fn bearer_scheme_is_required_in_any_case() {
        assert!(key("secret").opens_bearer(key("secret").to_bearer().as_bytes()));
        assert!(key("secret").opens_bearer(b"bEARER secret"));
        for wrong in ["", "secret", "Bearer", "Bearer ", "Bearersecret", "Basic secret", "Bearer  secret"] {
            assert!(!key("secret").opens_bearer(wrong.as_bytes()), "{wrong:?} opened");
        }
    }

    #[test]
    fn a_key_must_fit_into_a_header() {
        let longest = "k".repeat(AdminKey::MAX_BYTES);
        assert!(AdminKey::new(longest.clone()).is_ok());
        assert_eq!(AdminKey::new(longest + "k"), Err(AdminKeyError::TooLong));
        assert_eq!(AdminKey::new(String::new()), Err(AdminKeyError::Empty));
        for text in ["two words", "line\n", "schlüssel"] {
            assert_eq!(AdminKey::new(text.into()), Err(AdminKeyError::NotVisible), "{text:?}");
        }
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(AdminKey::from_variable(None), Ok(None));
        assert_eq!(AdminKey::from_variable(Some(OsString::new())), Ok(None));
        assert_eq!(AdminKey::from_variable(Some("secret".into())), Ok(Some(key("secret"))));
        assert_eq!(AdminKey::from_variable(Some("two words".into())), Err(AdminKeyError::NotVisible));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", key("secret")).contains("secret"));
    }
}
