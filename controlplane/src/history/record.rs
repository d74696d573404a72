//! One revision of the history, and the bytes that remember it: a head, the SHA-256 of the rest, a message.
//!
//! Bytes that were cut or changed are no record. Nothing here reads or writes a file.

use apigw_config::wire::{Hash, IdentityError, Revision};
use apigw_proto::v1;
use prost::Message as _;

/// Says what the bytes are, and in which form.
const HEAD: &[u8] = b"apigw revision 2\n";
/// Of a hash.
const HASH_BYTES: usize = 32;

/// Whose wish a revision was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file's.
    File,
    /// An operator's, against the file.
    Rollback,
}

/// A revision that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) revision: Revision,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) origin: Origin,
    /// What it changed, in one line.
    pub(crate) summary: String,
    /// What the file said when this was published in its place; none: it says what this says, or was broken.
    pub(crate) held_back: Option<Hash>,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("it has no head of a revision, or that of another version")]
    Head,
    #[error("it is damaged: its checksum is wrong")]
    Checksum,
    #[error("it is not readable")]
    Message(#[from] prost::DecodeError),
    #[error("it has no revision")]
    NoRevision,
    #[error("its identity is none: {0}")]
    Identity(#[from] IdentityError),
    #[error("its hashes are not 32 bytes each")]
    Hashes,
    #[error("it says nothing of its origin that is known here")]
    Origin,
}

impl Record {
    /// The record and the hashes of its leaves as bytes.
    pub(super) fn encode(&self, leaves: &[Hash]) -> Vec<u8> {
        let stored = v1::StoredRevision {
            entry: Some(self.into()),
            leaf_hashes: leaves.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>().into(),
            held_back: self.held_back.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        };
        let message = stored.encode_to_vec();
        [HEAD, Hash::of(&message).as_bytes(), &message].concat()
    }

    /// The record and the hashes of its leaves, in the revision's order.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Vec<Hash>), RecordError> {
        let rest = bytes.strip_prefix(HEAD).ok_or(RecordError::Head)?;
        let (checksum, message) = rest.split_first_chunk::<HASH_BYTES>().ok_or(RecordError::Checksum)?;
        if Hash::of(message).as_bytes() != checksum {
            return Err(RecordError::Checksum);
        }
        let v1::StoredRevision { entry, leaf_hashes, held_back } = v1::StoredRevision::decode(message)?;
        let entry = entry.ok_or(RecordError::NoRevision)?;
        let origin = match entry.origin() {
            v1::Origin::File => Origin::File,
            v1::Origin::Rollback => Origin::Rollback,
            v1::Origin::Unspecified => return Err(RecordError::Origin),
        };
        let revision = entry.revision.ok_or(RecordError::NoRevision)?.try_into()?;
        let held_back = if held_back.is_empty() { None } else { Some(held_back.as_slice().try_into()?) };
        if !leaf_hashes.len().is_multiple_of(HASH_BYTES) {
            return Err(RecordError::Hashes);
        }
        let hashes = leaf_hashes.chunks_exact(HASH_BYTES).map(Hash::try_from).collect::<Result<_, _>>()?;
        let (at_ms, summary) = (entry.published_at_ms, entry.summary);
        Ok((Self { revision, at_ms, origin, summary, held_back }, hashes))
    }
}

impl From<&Record> for v1::HistoryEntry {
    fn from(record: &Record) -> Self {
        let origin = match record.origin {
            Origin::File => v1::Origin::File,
            Origin::Rollback => v1::Origin::Rollback,
        };
        Self {
            revision: Some(record.revision.into()),
            published_at_ms: record.at_ms,
            origin: origin.into(),
            summary: record.summary.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_bytes() {
        let hashes = vec![Hash::of(b"a"), Hash::of(b"b")];
        for (origin, held_back) in [(Origin::File, None), (Origin::Rollback, Some(Hash::of(b"held")))] {
            let revision = Revision { epoch: 7, seq: 3, root_hash: Hash::of(b"root") };
            let record = Record { revision, at_ms: 5, origin, summary: "ä".into(), held_back };
            let (decoded, decoded_hashes) = Record::decode(&record.encode(&hashes)).unwrap();
            assert_eq!((decoded, decoded_hashes), (record, hashes.clone()));
        }
    }

    #[test]
    fn other_bytes_are_no_record() {
        assert!(matches!(Record::decode(b""), Err(RecordError::Head)));
        assert!(matches!(Record::decode(b"apigw revision 1\n"), Err(RecordError::Head)));
        assert!(matches!(Record::decode(HEAD), Err(RecordError::Checksum)));
    }
}
