//! API keys: whose a key is, by its hash. The keys themselves are known to nobody here.

use std::sync::Arc;

use apigw_config::{
    model::{ApiKey, ApiKeys},
    names::{AuthMethod, KeyHash, TokenScope},
};
use hashbrown::HashTable;
use http::HeaderName;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Vouched;
use crate::{
    fields::Fields,
    jwt::{claims::Claims, time::UnixTime},
};

/// The most bytes of a key that are looked at.
pub const MAX_BYTES: usize = 1_024;

/// Why a request does not show by an API key who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ApiKeyError {
    /// There is none.
    #[error("no API key was sent")]
    Missing,
    /// There are several: it is not clear which is meant.
    #[error("more than one API key was sent")]
    Several,
    /// It is nobody's.
    #[error("the API key is nobody's")]
    Unknown,
    /// Its time is over.
    #[error("the API key has expired")]
    Expired,
}

impl ApiKeyError {
    /// Each of them once.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Several, Self::Unknown, Self::Expired];

    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "api_key_missing",
            Self::Several => "api_key_several",
            Self::Unknown => "api_key_unknown",
            Self::Expired => "api_key_expired",
        }
    }
}

/// The key that a request has in this field.
///
/// # Errors
/// When there is none, or several.
pub fn presented<'h>(headers: &'h Fields, name: &HeaderName) -> Result<&'h [u8], ApiKeyError> {
    let mut values = headers.get_all(name);
    let only = values.next().filter(|value| !value.is_empty()).ok_or(ApiKeyError::Missing)?;
    if values.next().is_some() {
        return Err(ApiKeyError::Several);
    }
    Ok(only.as_bytes())
}

/// All keys of a file, found by their hashes.
#[derive(Debug)]
pub struct ApiKeyTable {
    table: HashTable<KnownKey>,
}

#[derive(Debug)]
struct KnownKey {
    hash: KeyHash,
    /// None: it has no end.
    expires: Option<UnixTime>,
    caller: Arc<Vouched>,
}

impl From<&ApiKeys> for ApiKeyTable {
    fn from(keys: &ApiKeys) -> Self {
        let mut table = HashTable::with_capacity(keys.as_slice().len());
        for key in keys.as_slice() {
            let known = KnownKey::from(key);
            table.insert_unique(place(known.hash.as_bytes()), known, |known| place(known.hash.as_bytes()));
        }
        Self { table }
    }
}

impl From<&ApiKey> for KnownKey {
    fn from(ApiKey { name, hash, scopes, expires }: &ApiKey) -> Self {
        let mut claims = Map::from_iter([("sub".to_owned(), Value::from(name.as_str()))]);
        if !scopes.is_empty() {
            let words: Vec<_> = scopes.iter().map(TokenScope::as_str).collect();
            claims.insert("scope".into(), words.join(" ").into());
        }
        Self {
            hash: *hash,
            expires: expires.map(|at| UnixTime::new(std::time::Duration::from_secs(at.unix_seconds()))),
            caller: Arc::new(Vouched::new(AuthMethod::ApiKey, Claims::new(claims))),
        }
    }
}

/// Where a hash lies. What a hash begins with is as good as drawn by chance, and nobody finds keys whose hashes collide with
/// those of the file.
fn place(hash: &[u8; 32]) -> u64 {
    u64::from_le_bytes(*hash.first_chunk().expect("thirty-two bytes begin with eight"))
}

impl ApiKeyTable {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whose a key is.
    ///
    /// # Errors
    /// When it is nobody's, or its time is over.
    pub fn find(&self, key: &[u8], now: UnixTime) -> Result<&Arc<Vouched>, ApiKeyError> {
        if key.len() > MAX_BYTES {
            return Err(ApiKeyError::Unknown);
        }
        let hash: [u8; 32] = Sha256::digest(key).into();
        let is_it = |known: &KnownKey| known.hash.as_bytes().ct_eq(&hash).into();
        let known = self.table.find(place(&hash), is_it).ok_or(ApiKeyError::Unknown)?;
        if known.expires.is_some_and(|expires| expires <= now) {
            return Err(ApiKeyError::Expired);
        }
        Ok(&known.caller)
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, time::Duration};

    use http::HeaderValue;

    use super::*;
    use crate::callers::Caller;

    fn table(entries: &[(&str, &str, &str)]) -> ApiKeyTable {
        let mut text = "keys:\n".to_owned();
        for (name, key, more) in entries {
            let hash =
                Sha256::digest(key).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
            writeln!(text, "- {{name: {name}, sha256: '{hash}'{more}}}").unwrap();
        }
        ApiKeyTable::from(&apigw_config::read_api_keys("keys.yaml", text.as_bytes()).unwrap())
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::new(Duration::from_secs(seconds))
    }

    #[test]
    fn a_key_is_whose_hash_stands_in_the_file() {
        let table = table(&[
            ("billing", "one", ", scopes: [a:read, b]"),
            ("billing", "two", ""),
            ("shop", "three", ""),
        ]);
        let caller = |key: &str| table.find(key.as_bytes(), at(0)).cloned().map(Caller::Vouched);
        let billing = caller("one").unwrap();
        assert_eq!((billing.subject(), billing.authority()), (Some("billing"), "an API key"));
        assert_eq!(billing.claims().scopes().collect::<Vec<_>>(), ["a:read", "b"]);
        assert_eq!(caller("two").unwrap().claims().scopes().count(), 0);
        assert_eq!(caller("three").unwrap().subject(), Some("shop"));
        for nobodys in ["", "One", "one ", "on", "four"] {
            assert_eq!(caller(nobodys).unwrap_err(), ApiKeyError::Unknown, "{nobodys}");
        }
        assert_eq!((table.len(), table.is_empty()), (3, false));
    }

    #[test]
    fn a_key_is_good_until_its_time_is_over() {
        let table = table(&[("a", "one", ", expires: 1970-01-01T00:01:40Z")]);
        assert!(table.find(b"one", at(99)).is_ok());
        for seconds in [100, 101] {
            assert_eq!(table.find(b"one", at(seconds)).unwrap_err(), ApiKeyError::Expired);
        }
    }

    #[test]
    fn keys_over_the_bound_are_not_looked_at() {
        let (fits, long) = ("k".repeat(MAX_BYTES), "k".repeat(MAX_BYTES + 1));
        let table = table(&[("a", &fits, ""), ("b", &long, "")]);
        assert!(table.find(fits.as_bytes(), at(0)).is_ok());
        assert_eq!(table.find(long.as_bytes(), at(0)).unwrap_err(), ApiKeyError::Unknown);
    }

    #[test]
    fn one_key_is_presented() {
        let name = HeaderName::from_static("x-api-key");
        let mut headers = Fields::new();
        assert_eq!(presented(&headers, &name), Err(ApiKeyError::Missing));
        headers.append(&name, HeaderValue::from_static(""));
        assert_eq!(presented(&headers, &name), Err(ApiKeyError::Missing));
        headers.insert(&name, HeaderValue::from_static("one"));
        assert_eq!(presented(&headers, &name), Ok(&b"one"[..]));
        headers.append(&name, HeaderValue::from_static("one"));
        assert_eq!(presented(&headers, &name), Err(ApiKeyError::Several));
    }
}
