//! What verifies signatures: a provider's key set (RFC 7517), or a shared secret.
//!
//! A key is used only for what it says it is for. One that cannot be used is skipped with a reason an operator can read;
//! the set is refused only when it is no key set. Nothing here shows a key, and nothing verifies a token.

mod jwk;

use std::fmt;

use jsonwebtoken::DecodingKey;
use serde_json::Value;

pub use self::jwk::KeyFault;
use super::{
    algorithm::{Algorithm, AlgorithmSet},
    error::JwtError,
    json::{Bounds, read_object},
    mark::Mark,
};

/// The most bytes of a key set's document.
pub const MAX_BYTES: usize = 256 * 1_024;

/// The most keys of a set.
pub const MAX_KEYS: usize = 100;

/// The most bytes of a key's name. A longer one is no key's.
pub const MAX_KID_BYTES: usize = 256;

/// Of the document: certificate chains and private members of providers are passed over.
const BOUNDS: Bounds = Bounds { depth: 8, values: 8_192 };

/// Keys of one provider.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
    naming: Naming,
    mark: Mark,
}

/// How a token finds its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// By `kid`, as far as it has one.
    ByKid,
    /// There is only one; a token's `kid` names nothing.
    Single,
}

/// A key that verifies signatures.
pub struct Key {
    kid: Option<Box<str>>,
    kind: KeyKind,
    /// What it may verify.
    fits: AlgorithmSet,
    /// Of the key and all it says of itself.
    mark: Mark,
    decoding: DecodingKey,
}

/// What a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the bits of its modulus.
    Rsa(usize),
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on Ed25519.
    Ed25519,
    /// A shared secret.
    Secret,
}

/// A key of a document that is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {position}{} is not used: {fault}", quoted(kid.as_deref()))]
pub struct SkippedKey {
    /// In the document, from 0.
    pub position: usize,
    /// Its name, where it has one.
    pub kid: Option<Box<str>>,
    /// Why.
    pub fault: KeyFault,
}

fn quoted(kid: Option<&str>) -> String {
    kid.map(|kid| format!(" (kid {kid:?})")).unwrap_or_default()
}

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than any provider has.
    #[error("the key set is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not a JSON object of one meaning.
    #[error("the key set is not a JSON object, names a member twice, or is nested too deeply")]
    NotJson,
    /// An object without an array `keys`.
    #[error("the key set has no array \"keys\"")]
    NoKeys,
    /// More than any provider has.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

impl KeySet {
    /// Reads a document (RFC 7517 section 5).
    ///
    /// # Errors
    /// When it is no key set. Keys that cannot be used are no error: a provider may have others for others.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > MAX_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let members = read_object(document, BOUNDS).map_err(|_| KeySetError::NotJson)?;
        let Some(Value::Array(keys)) = members.get("keys") else { return Err(KeySetError::NoKeys) };
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let (mut usable, mut skipped) = (Vec::new(), Vec::new());
        for (position, jwk) in keys.iter().enumerate() {
            match jwk::read(jwk) {
                Ok(key) => usable.push((position, key)),
                Err(fault) => {
                    skipped.push(SkippedKey { position, kid: jwk::kid(jwk).map(Into::into), fault });
                }
            }
        }
        skip_ambiguous(&mut usable, &mut skipped);
        skipped.sort_by_key(|key| key.position);
        Ok(Self::new(usable.into_iter().map(|(_, key)| key).collect(), skipped, Naming::ByKid))
    }

    /// The set of a secret shared with who issues tokens (HS256, RFC 7518 section 3.2). A token's `kid` is passed over:
    /// there is nothing to choose from.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        let fits = AlgorithmSet::of(&[Algorithm::Hs256]);
        let decoding = DecodingKey::from_secret(secret);
        let mark = Mark::of([b"secret".as_slice(), secret]);
        let key = Key { kid: None, kind: KeyKind::Secret, fits, mark, decoding };
        Self::new(vec![key], Vec::new(), Naming::Single)
    }

    fn new(keys: Vec<Key>, skipped: Vec<SkippedKey>, naming: Naming) -> Self {
        let mark = Mark::of(keys.iter().map(|key| key.mark.as_bytes()));
        Self { keys, skipped, naming, mark }
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys of the document that are not used, in its order.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Whether a key in use has this name.
    #[must_use]
    pub fn names(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// Equal for sets of the same keys in the same order.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether the very key is (still) in use, for all that it was for.
    #[must_use]
    pub fn holds(&self, key: &Mark) -> bool {
        self.keys.iter().any(|other| other.mark == *key)
    }

    /// The key of a token.
    ///
    /// # Errors
    /// When no key has that name or, without a name, not exactly one key fits ([`JwtError::UnknownKey`]); when the named
    /// key is not for the algorithm ([`JwtError::Algorithm`]).
    pub(super) fn select(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<&Key, JwtError> {
        let Some(kid) = kid.filter(|_| self.naming == Naming::ByKid) else {
            let mut fitting = self.keys.iter().filter(|key| key.fits.contains(algorithm));
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(JwtError::UnknownKey),
            };
        };
        // Several may share a name if no algorithm fits two of them (RFC 7517 section 4.5).
        let named = || self.keys.iter().filter(|key| key.kid() == Some(kid));
        named().find(|key| key.fits.contains(algorithm)).ok_or_else(|| match named().next() {
            Some(_) => JwtError::Algorithm,
            None => JwtError::UnknownKey,
        })
    }
}

/// Takes out all keys that share a name and an algorithm: nobody can say which is meant. A key that is merely repeated
/// counts once.
fn skip_ambiguous(usable: &mut Vec<(usize, Key)>, skipped: &mut Vec<SkippedKey>) {
    let mut seen = std::collections::HashSet::new();
    usable.retain(|(_, key)| seen.insert(key.mark));
    let is_ambiguous: Vec<_> = usable
        .iter()
        .map(|(position, key)| {
            key.kid.is_some()
                && usable.iter().any(|(other_position, other)| {
                    other_position != position && other.kid == key.kid && other.fits.overlaps(key.fits)
                })
        })
        .collect();
    let mut is_ambiguous = is_ambiguous.into_iter();
    usable.retain(|(position, key)| {
        let is_kept = !is_ambiguous.next().unwrap_or_default();
        if !is_kept {
            let (kid, fault) = (key.kid.clone(), KeyFault::AmbiguousKid);
            skipped.push(SkippedKey { position: *position, kid, fault });
        }
        is_kept
    });
}

impl Key {
    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether the signature (base64url) is this key's.
    pub(super) fn verifies(&self, algorithm: Algorithm, signing_input: &str, signature: &str) -> bool {
        // The library would take any algorithm of the key's family.
        self.fits.contains(algorithm)
            && jsonwebtoken::crypto::verify(
                signature,
                signing_input.as_bytes(),
                &self.decoding,
                algorithm.in_library(),
            )
            .unwrap_or(false)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Secret => f.write_str("secret"),
        }
    }
}

#[cfg(test)]
mod tests;
