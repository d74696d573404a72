//! The record of a configuration as it lies on disk: bytes in, a record or what is wrong with them out. No file is opened
//! here; the configuration itself is in leaves beside it, under the hashes that the record has.
//!
//! Numbers are big endian. Whatever was not written whole, or was changed since, is found out by the checksum; whatever
//! was written by another program, by the first 12 bytes.
//!
//! | bytes       | what                                                                     |
//! |-------------|--------------------------------------------------------------------------|
//! | 8           | `apigwLKG`                                                               |
//! | 4           | the version of this form                                                 |
//! | 8           | generation: one more than that of the slot written before                |
//! | 8           | how many bytes there are, these and the checksum included                |
//! | 8           | when the configuration came into force, in milliseconds since 1970       |
//! | 8, 8, 32    | epoch, sequence and root hash of its revision                            |
//! | 4, each 4 n | how many features it requires; the length and the name of each           |
//! | 4, each 32  | how many leaves its list has; the hash of each                           |
//! | 32          | SHA-256 over everything before                                           |

use std::io;

use apigw_config::{
    leaf_store::LeafDamage,
    problem::Problem,
    wire::{self, Content, Hash, IdentityError, MAX_LEAVES, Revision},
};
use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

use crate::delivery::{MAX_BYTES, MAX_ENTRIES};

const MAGIC: &[u8; 8] = b"apigwLKG";
const VERSION: u32 = 2;
const CHECKSUM_BYTES: usize = 32;

/// Up to and including the generation.
pub(super) const HEAD_BYTES: usize = 20;

/// The most bytes of a slot: those of the longest list of leaves, with the names of features.
pub(super) const MAX_SLOT_BYTES: usize = MAX_LEAVES * 32 + (1 << 16);

/// A configuration that ran, as it was received.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) revision: Revision,
    /// When it came into force, in milliseconds since 1970.
    pub(crate) applied_at_ms: u64,
    /// What a build must be able to enforce to run it.
    pub(crate) required_features: Vec<String>,
    pub(crate) content: Content,
}

/// What a slot says: all of a kept configuration but its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(super) generation: u64,
    pub(super) revision: Revision,
    pub(super) applied_at_ms: u64,
    pub(super) required_features: Vec<String>,
    pub(super) leaves: Vec<Hash>,
}

/// Why nothing of a slot is used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it is no file")]
    NotAFile,
    #[error("it has {bytes} bytes, more than {MAX_SLOT_BYTES}")]
    TooLarge { bytes: u64 },
    #[error("it was not written by a data plane")]
    Foreign,
    #[error("it has the form {found}; this build reads {VERSION}")]
    Version { found: u32 },
    #[error("it has {found} bytes instead of {expected}")]
    Length { expected: u64, found: usize },
    #[error("its bytes do not have the checksum they were written with")]
    Checksum,
    #[error("it ends in the middle")]
    Ends,
    #[error("it has more than it says")]
    Excess,
    #[error("it has {count} leaves, more than {MAX_LEAVES}")]
    TooManyLeaves { count: u32 },
    #[error("it holds more than {MAX_ENTRIES} resources or {MAX_BYTES} bytes")]
    TooMuch,
    #[error("its leaf {hash} is not what was kept")]
    Leaf { hash: Hash, source: LeafDamage },
    #[error("a text in it is no UTF-8")]
    Text,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("its leaves have the hash {found} instead of {expected}")]
    RootHash { expected: Hash, found: Hash },
    /// What it holds is whole, but not for this build.
    #[error("it holds no configuration that this build can run: {}", first(.0))]
    Illegal(Vec<Problem>),
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(Problem::to_string).unwrap_or_default()
}

/// What the first bytes of a slot say of its age; none if they are not those of a slot. It may be a lie: only
/// [`read`] knows.
pub(super) fn generation(mut head: &[u8]) -> Option<u64> {
    let is_ours = head.len() >= HEAD_BYTES && head.starts_with(MAGIC);
    head.advance(head.len().min(MAGIC.len()));
    (is_ours && head.try_get_u32() == Ok(VERSION)).then(|| head.try_get_u64().ok()).flatten()
}

impl Record {
    /// Of a configuration that is to be kept.
    pub(super) fn of(kept: &Kept, generation: u64) -> Self {
        let Kept { revision, applied_at_ms, required_features, content } = kept;
        Self {
            generation,
            revision: *revision,
            applied_at_ms: *applied_at_ms,
            required_features: required_features.clone(),
            leaves: content.leaves().map(|leaf| leaf.hash()).collect(),
        }
    }

    /// As the bytes of a slot.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.applied_at_ms.to_be_bytes());
        let Revision { epoch, seq, root_hash } = self.revision;
        out.extend_from_slice(&epoch.to_be_bytes());
        out.extend_from_slice(&seq.to_be_bytes());
        out.extend_from_slice(root_hash.as_bytes());
        out.extend_from_slice(&count(self.required_features.len()));
        for feature in &self.required_features {
            out.extend_from_slice(&count(feature.len()));
            out.extend_from_slice(feature.as_bytes());
        }
        out.extend_from_slice(&count(self.leaves.len()));
        self.leaves.iter().for_each(|leaf| out.extend_from_slice(leaf.as_bytes()));
        let length = (out.len() + CHECKSUM_BYTES) as u64;
        out[length_at..length_at + 8].copy_from_slice(&length.to_be_bytes());
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        out
    }
}

fn count(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("names of features and leaves are bounded far below 2^32").to_be_bytes()
}

/// Reads a slot.
///
/// # Errors
/// When one bit of it is not as it was written.
pub(super) fn read(mut bytes: Bytes) -> Result<Record, Damage> {
    let generation = checked(&mut bytes)?;
    let applied_at_ms = bytes.try_get_u64().map_err(|_| Damage::Ends)?;
    let epoch = bytes.try_get_u64().map_err(|_| Damage::Ends)?;
    let seq = bytes.try_get_u64().map_err(|_| Damage::Ends)?;
    let root_hash = hash(&mut bytes)?;
    let mut required_features = Vec::new();
    for _ in 0..bytes.try_get_u32().map_err(|_| Damage::Ends)? {
        required_features.push(text(&mut bytes)?);
    }
    let count = bytes.try_get_u32().map_err(|_| Damage::Ends)?;
    if count as usize > MAX_LEAVES {
        return Err(Damage::TooManyLeaves { count });
    }
    let leaves = (0..count).map(|_| hash(&mut bytes)).collect::<Result<Vec<_>, _>>()?;
    if bytes.has_remaining() {
        return Err(Damage::Excess);
    }
    let found = wire::root_of(leaves.iter().copied());
    if found != root_hash {
        return Err(Damage::RootHash { expected: root_hash, found });
    }
    let revision = Revision { epoch, seq, root_hash };
    Ok(Record { generation, revision, applied_at_ms, required_features, leaves })
}

fn hash(bytes: &mut Bytes) -> Result<Hash, Damage> {
    Ok(taken(bytes, 32)?.as_ref().try_into()?)
}

/// Checks a slot as a whole, and leaves what is between its length and its checksum. Gives its generation.
fn checked(bytes: &mut Bytes) -> Result<u64, Damage> {
    let found = bytes.len();
    let whole = bytes.clone();
    if found < HEAD_BYTES + 8 + CHECKSUM_BYTES {
        return Err(Damage::Ends);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Damage::Foreign);
    }
    bytes.advance(MAGIC.len());
    match bytes.get_u32() {
        VERSION => {}
        found => return Err(Damage::Version { found }),
    }
    let (generation, expected) = (bytes.get_u64(), bytes.get_u64());
    if expected != found as u64 {
        return Err(Damage::Length { expected, found });
    }
    let (content, checksum) = whole.split_at(found - CHECKSUM_BYTES);
    if Sha256::digest(content).as_slice() != checksum {
        return Err(Damage::Checksum);
    }
    bytes.truncate(bytes.len() - CHECKSUM_BYTES);
    Ok(generation)
}

fn taken(bytes: &mut Bytes, length: usize) -> Result<Bytes, Damage> {
    if bytes.len() < length { Err(Damage::Ends) } else { Ok(bytes.split_to(length)) }
}

fn block(bytes: &mut Bytes) -> Result<Bytes, Damage> {
    let length = bytes.try_get_u32().map_err(|_| Damage::Ends)?;
    taken(bytes, length as usize)
}

fn text(bytes: &mut Bytes) -> Result<String, Damage> {
    String::from_utf8(block(bytes)?.into()).map_err(|_| Damage::Text)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// A configuration of a route with this name.
    pub(in super::super) fn kept(seq: u64, route: &str) -> Kept {
        let text = format!(
            "routes: [{{ name: {route}, match: {{ path_prefix: / }}, upstream: \"http://127.0.0.1:1\", \
             concurrency: {{ max_in_flight: 1 }} }}]"
        );
        let config = apigw_config::read("g.yaml", text.as_bytes()).unwrap();
        let content = Content::encode(&config, None).unwrap();
        Kept {
            revision: Revision { epoch: 7, seq, root_hash: content.root_hash() },
            applied_at_ms: 1_700_000_000_000,
            required_features: vec!["concurrency".into()],
            content,
        }
    }

    pub(in super::super) fn written(kept: &Kept, generation: u64) -> Vec<u8> {
        Record::of(kept, generation).to_bytes()
    }

    fn reread(bytes: impl Into<Vec<u8>>) -> Result<Record, Damage> {
        read(Bytes::from(bytes.into()))
    }

    /// The bytes with the checksum that they should have.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.len() - CHECKSUM_BYTES;
        let checksum = Sha256::digest(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let kept = kept(3, "a");
        let bytes = written(&kept, 9);
        assert_eq!(generation(&bytes), Some(9));
        assert_eq!(reread(bytes).unwrap(), Record::of(&kept, 9));
    }

    #[test]
    fn each_truncation_is_found_out() {
        let bytes = written(&kept(3, "a"), 9);
        for length in 0..bytes.len() {
            assert!(reread(&bytes[..length]).is_err(), "the first {length} bytes");
        }
        assert!(reread([bytes.as_slice(), &[0]].concat()).is_err(), "one byte more");
    }

    proptest! {
        #[test]
        fn a_slot_that_says_anything_is_read_as_it_was_written_or_not_at_all(
            changes in vec((any::<Index>(), any::<u8>()), 0..8),
            cut in any::<Index>(),
        ) {
            let mut bytes = written(&kept(3, "a"), 9);
            // Behind what is checked first, so that the rest is reached.
            let content = HEAD_BYTES + 8..bytes.len() - CHECKSUM_BYTES;
            for (place, byte) in changes {
                bytes[content.start + place.index(content.len())] = byte;
            }
            let removed = content.end - cut.index(content.len()).min(64)..content.end;
            bytes.drain(removed);
            let length = (bytes.len() as u64).to_be_bytes();
            bytes[HEAD_BYTES..HEAD_BYTES + 8].copy_from_slice(&length);
            let bytes = sealed(bytes);
            if let Ok(record) = reread(bytes.clone()) {
                prop_assert_eq!(record.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn each_flipped_bit_is_found_out() {
        let bytes = written(&kept(3, "a"), 9);
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[index] ^= 1 << bit;
                assert!(reread(flipped).is_err(), "bit {bit} of byte {index}");
            }
        }
    }

    /// Who can write a checksum can write a slot; nonsense in it must still do no harm.
    #[test]
    fn nonsense_under_a_right_checksum_is_found_out() {
        let kept = kept(3, "a");
        let bytes = written(&kept, 9);
        for index in MAGIC.len()..bytes.len() - CHECKSUM_BYTES {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[index] = value;
                if let Ok(other) = reread(sealed(changed)) {
                    assert_eq!(other.leaves, Record::of(&kept, 9).leaves, "byte {index} is {value}");
                }
            }
        }
    }

    #[test]
    fn damage_is_told_as_what_it_is() {
        let bytes = written(&kept(3, "a"), 9);
        let changed = |index: usize| {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            reread(changed).unwrap_err().to_string()
        };
        assert_eq!(reread("").unwrap_err().to_string(), "it ends in the middle");
        assert_eq!(changed(0), "it was not written by a data plane");
        assert_eq!(changed(11), "it has the form 3; this build reads 2");
        let checksum = "its bytes do not have the checksum they were written with";
        assert_eq!([changed(19), changed(bytes.len() - 1)], [checksum, checksum]);
        let length = bytes.len() - 1;
        let cut_off = reread(&bytes[..length]).unwrap_err().to_string();
        assert_eq!(cut_off, format!("it has {length} bytes instead of {}", bytes.len()));
    }

    #[test]
    fn only_the_head_of_a_slot_has_a_generation() {
        let bytes = written(&kept(3, "a"), 9);
        for head in [&bytes[..HEAD_BYTES - 1], b"", b"apigwLKG", &[0; 64]] {
            assert_eq!(generation(head), None, "{head:?}");
        }
    }
}
