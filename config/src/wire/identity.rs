//! What a resource and a revision are called: kinds, names and hashes, and nothing of what they mean.

use std::fmt;

use apigw_proto::v1;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::names::RouteName;

/// Why a peer's words do not name anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A hash is 32 bytes.
    #[error("a hash has {length} bytes instead of 32")]
    HashLength {
        /// How many there are.
        length: usize,
    },
    /// A kind that this build does not know.
    #[error("a resource has the unknown kind {kind}")]
    UnknownKind {
        /// Its number.
        kind: i32,
    },
    /// A name that no resource can have.
    #[error("a resource's name has {length} bytes, more than {}", RouteName::MAX_BYTES)]
    NameTooLong {
        /// How many there are.
        length: usize,
    },
}

/// A SHA-256 hash (FIPS 180-4). Written in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Sha256> for Hash {
    fn from(digest: Sha256) -> Self {
        Self(digest.finalize().into())
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = IdentityError;

    fn try_from(bytes: &[u8]) -> Result<Self, IdentityError> {
        let bytes = bytes.try_into().map_err(|_| IdentityError::HashLength { length: bytes.len() })?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Identity of a published configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision {
    /// Milliseconds since 1970 when the publisher began to count.
    pub epoch: u64,
    /// From 1, one more for each published change.
    pub seq: u64,
    /// Of the configuration's entries: equal hashes mean equal configurations.
    pub root_hash: Hash,
}

impl Revision {
    /// Whether this was published later. What it contains does not count: a rollback is newer than what it undoes.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.epoch, self.seq) > (other.epoch, other.seq)
    }
}

impl From<Revision> for v1::Revision {
    fn from(revision: Revision) -> Self {
        let Revision { epoch, seq, root_hash } = revision;
        Self { epoch, seq, root_hash: root_hash.as_bytes().to_vec() }
    }
}

impl TryFrom<v1::Revision> for Revision {
    type Error = IdentityError;

    fn try_from(revision: v1::Revision) -> Result<Self, IdentityError> {
        let v1::Revision { epoch, seq, root_hash } = revision;
        Ok(Self { epoch, seq, root_hash: root_hash.as_slice().try_into()? })
    }
}

/// What a resource describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// Everything that is neither a backend nor a route; its name is empty.
    Settings,
    /// One backend, of that name.
    Backend,
    /// One route, of that name.
    Route,
}

impl From<ResourceKind> for v1::ResourceKind {
    fn from(kind: ResourceKind) -> Self {
        match kind {
            ResourceKind::Settings => Self::Settings,
            ResourceKind::Backend => Self::Backend,
            ResourceKind::Route => Self::Route,
        }
    }
}

impl TryFrom<v1::ResourceKind> for ResourceKind {
    type Error = IdentityError;

    fn try_from(kind: v1::ResourceKind) -> Result<Self, IdentityError> {
        match kind {
            v1::ResourceKind::Settings => Ok(Self::Settings),
            v1::ResourceKind::Backend => Ok(Self::Backend),
            v1::ResourceKind::Route => Ok(Self::Route),
            v1::ResourceKind::Unspecified => Err(IdentityError::UnknownKind { kind: kind.into() }),
        }
    }
}

/// What one resource is, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What it describes.
    pub kind: ResourceKind,
    /// The backend's or the route's name, or empty; at most [`RouteName::MAX_BYTES`].
    pub name: String,
    /// Of its bytes.
    pub hash: Hash,
}

impl From<Entry> for v1::Entry {
    fn from(entry: Entry) -> Self {
        let kind = v1::ResourceKind::from(entry.kind).into();
        Self { kind, name: entry.name, hash: entry.hash.as_bytes().to_vec() }
    }
}

impl TryFrom<v1::Entry> for Entry {
    type Error = IdentityError;

    fn try_from(entry: v1::Entry) -> Result<Self, IdentityError> {
        let v1::Entry { kind: number, name, hash } = entry;
        let kind = v1::ResourceKind::try_from(number)
            .map_err(|_| IdentityError::UnknownKind { kind: number })?
            .try_into()?;
        if name.len() > RouteName::MAX_BYTES {
            return Err(IdentityError::NameTooLong { length: name.len() });
        }
        Ok(Self { kind, name, hash: hash.as_slice().try_into()? })
    }
}

/// One part of a configuration, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    entry: Entry,
    bytes: Bytes,
}

impl Resource {
    /// Takes bytes as they were made or received; the hash is computed here, never believed.
    #[must_use]
    pub fn new(kind: ResourceKind, name: String, bytes: Bytes) -> Self {
        let hash = Hash::of(&bytes);
        Self { entry: Entry { kind, name, hash }, bytes }
    }

    /// What it is.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Its content; a clone shares the memory.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: ResourceKind, name: &str) -> Entry {
        Entry { kind, name: name.into(), hash: Hash::of(b"x") }
    }

    #[test]
    fn a_hash_is_the_sha_256_of_the_bytes() {
        // The first example of FIPS 180-4's test vectors.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of(b"abc").to_string(), expected);
    }

    #[test]
    fn a_revision_is_newer_by_epoch_then_seq_whatever_it_contains() {
        let revision = |epoch, seq, content: &[u8]| Revision { epoch, seq, root_hash: Hash::of(content) };
        assert!(revision(1, 2, b"a").is_newer_than(&revision(1, 1, b"b")));
        assert!(revision(2, 1, b"a").is_newer_than(&revision(1, 9, b"b")));
        assert!(!revision(1, 1, b"a").is_newer_than(&revision(1, 1, b"b")));
    }

    #[test]
    fn identities_survive_the_wire() {
        let revision = Revision { epoch: 7, seq: 3, root_hash: Hash::of(b"a") };
        assert_eq!(Revision::try_from(v1::Revision::from(revision)), Ok(revision));
        for entry in [
            entry(ResourceKind::Settings, ""),
            entry(ResourceKind::Backend, "a"),
            entry(ResourceKind::Route, "users"),
        ] {
            assert_eq!(Entry::try_from(v1::Entry::from(entry.clone())), Ok(entry));
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let legal = v1::Entry::from(entry(ResourceKind::Route, "users"));
        let check = |entry: v1::Entry, expected| assert_eq!(Entry::try_from(entry), Err(expected));
        check(v1::Entry { kind: 0, ..legal.clone() }, IdentityError::UnknownKind { kind: 0 });
        check(v1::Entry { kind: 9, ..legal.clone() }, IdentityError::UnknownKind { kind: 9 });
        check(v1::Entry { hash: vec![0; 31], ..legal.clone() }, IdentityError::HashLength { length: 31 });
        let length = RouteName::MAX_BYTES + 1;
        check(v1::Entry { name: "x".repeat(length), ..legal }, IdentityError::NameTooLong { length });
    }
}
