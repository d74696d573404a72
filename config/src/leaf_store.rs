//! Leaves on disk, each a file under its hash: what revisions have in common is kept once, and an edit writes what it edits.
//!
//! A file appears whole or not at all: it is written under another name, flushed to the disk and then renamed. What is read
//! is bounded, and believed only when it has the hash that is its name; that covers every byte of it. Which leaves are
//! needed is for others to say, in records that are written after the leaves they name.
//!
//! The form of a file; numbers are big endian:
//!
//! | bytes | what                                                      |
//! |-------|-----------------------------------------------------------|
//! | 8     | `apigwLEF`                                                |
//! | 4     | the version of this form                                  |
//! | 4     | how many resources follow                                 |
//! | each  | kind (1), length of the name (4), name, length (4), bytes |

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use apigw_proto::v1;
use bytes::{Buf as _, Bytes};

use crate::{
    state_file,
    wire::{Hash, IdentityError, Leaf, LeafError, MAX_LEAF_ENTRIES, Resource, ResourceKind},
};

const MAGIC: &[u8; 8] = b"apigwLEF";
const VERSION: u32 = 1;
/// The most bytes of a file: those of the largest configuration, which may have one large leaf.
const MAX_FILE_BYTES: usize = (512 << 20) + (1 << 20);
/// The name of a file until it is whole. One at a time is written.
const UNFINISHED: &str = ".new";

/// Why a file is not the leaf that it is named after.
#[derive(Debug, thiserror::Error)]
pub enum LeafDamage {
    /// The system does not give it.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// Something else has its name.
    #[error("it is no file")]
    NotAFile,
    /// Nobody has written as much.
    #[error("it has more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// Another program's.
    #[error("it is no leaf")]
    Foreign,
    /// Another build's.
    #[error("it has the form {found}; this build reads {VERSION}")]
    Version {
        /// Its form.
        found: u32,
    },
    /// Cut off.
    #[error("it ends in the middle")]
    Ends,
    /// Something follows.
    #[error("it has more than it says")]
    Excess,
    /// A name is none.
    #[error("a text in it is no UTF-8")]
    Text,
    /// A kind is none.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What is in it is cut otherwise.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// It is another one, or was changed.
    #[error("it has the hash {found}")]
    Hash {
        /// What it has.
        found: Hash,
    },
}

/// A directory of leaves.
#[derive(Debug, Clone)]
pub struct LeafStore {
    directory: PathBuf,
}

impl LeafStore {
    /// In this directory, which is made when something is written. What it is in must be there.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where a leaf is, or would be.
    #[must_use]
    pub fn file(&self, hash: Hash) -> PathBuf {
        self.directory.join(hash.to_string())
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// When it is not there, or is not what was written.
    pub fn read(&self, hash: Hash) -> Result<Leaf, LeafDamage> {
        let path = self.file(hash);
        // Whatever is not a file may keep its reader waiting for ever.
        if !fs::symlink_metadata(&path).map_err(LeafDamage::Unreadable)?.is_file() {
            return Err(LeafDamage::NotAFile);
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(LeafDamage::Unreadable)?;
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(LeafDamage::Unreadable)?;
        let leaf = decode(bytes.into())?;
        if leaf.hash() == hash { Ok(leaf) } else { Err(LeafDamage::Hash { found: leaf.hash() }) }
    }

    /// Writes a leaf, in place of whatever has its name. It lasts when [`Self::flush`] has returned, too.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, leaf: &Leaf) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let unfinished = self.directory.join(UNFINISHED);
        let mut out = BufWriter::new(state_file::create(&unfinished)?);
        encode(leaf, &mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        state_file::put(&unfinished, &self.file(leaf.hash()))
    }

    /// Makes the names of what was written last.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// The names of all leaves that are there, whole or not.
    ///
    /// # Errors
    /// What the disk says.
    pub fn names(&self) -> io::Result<HashSet<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        // A name that is no text is not of ours, and an unfinished file will be written over.
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| name != UNFINISHED).collect())
    }

    /// Removes the leaves that nobody needs.
    ///
    /// # Errors
    /// What the disk says; what was not removed is not needed either.
    pub fn sweep(&self, needed: impl IntoIterator<Item = Hash>) -> io::Result<()> {
        let mut unneeded = self.names()?;
        for hash in needed {
            unneeded.remove(&hash.to_string());
        }
        unneeded.iter().try_for_each(|name| state_file::clear(&self.directory.join(name)))
    }
}

fn encode(leaf: &Leaf, out: &mut impl io::Write) -> io::Result<()> {
    let length =
        |bytes: usize| u32::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_be_bytes())?;
    out.write_all(&length(leaf.resources().len())?.to_be_bytes())?;
    for resource in leaf.resources() {
        let kind: u8 = match resource.entry().kind {
            ResourceKind::Settings => 1,
            ResourceKind::Route => 2,
            ResourceKind::Backend => 3,
        };
        out.write_all(&[kind])?;
        for block in [resource.entry().name.as_bytes(), resource.bytes()] {
            out.write_all(&length(block.len())?.to_be_bytes())?;
            out.write_all(block)?;
        }
    }
    Ok(())
}

fn decode(mut bytes: Bytes) -> Result<Leaf, LeafDamage> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LeafDamage::TooLarge);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(if MAGIC.starts_with(&bytes) { LeafDamage::Ends } else { LeafDamage::Foreign });
    }
    bytes.advance(MAGIC.len());
    match bytes.try_get_u32().map_err(|_| LeafDamage::Ends)? {
        VERSION => {}
        found => return Err(LeafDamage::Version { found }),
    }
    let count = bytes.try_get_u32().map_err(|_| LeafDamage::Ends)? as usize;
    let mut resources = Vec::with_capacity(count.min(MAX_LEAF_ENTRIES));
    for _ in 0..count {
        let kind = i32::from(bytes.try_get_u8().map_err(|_| LeafDamage::Ends)?);
        let kind = v1::ResourceKind::try_from(kind).map_err(|_| IdentityError::UnknownKind { kind })?;
        let name = String::from_utf8(block(&mut bytes)?.into()).map_err(|_| LeafDamage::Text)?;
        resources.push(Resource::new(kind.try_into()?, name, block(&mut bytes)?));
    }
    if bytes.has_remaining() {
        return Err(LeafDamage::Excess);
    }
    Ok(Leaf::new(resources)?)
}

fn block(bytes: &mut Bytes) -> Result<Bytes, LeafDamage> {
    let length = bytes.try_get_u32().map_err(|_| LeafDamage::Ends)? as usize;
    if bytes.len() < length { Err(LeafDamage::Ends) } else { Ok(bytes.split_to(length)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn leaf(name: &str) -> Leaf {
        let resource = Resource::new(ResourceKind::Route, name.into(), name.to_uppercase().into());
        Leaf::new(vec![resource]).unwrap()
    }

    fn store() -> (tempfile::TempDir, LeafStore) {
        let place = tempfile::tempdir().unwrap();
        let store = LeafStore::new(place.path().join("leaves"));
        (place, store)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_place, store) = store();
        assert!(store.names().unwrap().is_empty());
        for name in ["a", "b"] {
            store.write(&leaf(name)).unwrap();
        }
        store.flush().unwrap();
        assert_eq!(store.read(leaf("a").hash()).unwrap(), leaf("a"));
        assert_eq!(store.names().unwrap().len(), 2);
        store.sweep([leaf("b").hash(), leaf("c").hash()]).unwrap();
        assert!(matches!(store.read(leaf("a").hash()), Err(LeafDamage::Unreadable(_))));
        assert_eq!(store.read(leaf("b").hash()).unwrap(), leaf("b"));
    }

    #[test]
    fn files_are_for_their_user_only() {
        let (_place, store) = store();
        store.write(&leaf("a")).unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.directory), mode(&store.file(leaf("a").hash()))), (0o700, 0o600));
    }

    #[test]
    fn each_truncation_and_each_flipped_bit_is_found_out() {
        let (_place, store) = store();
        let written = leaf("name");
        store.write(&written).unwrap();
        let path = store.file(written.hash());
        let bytes = fs::read(&path).unwrap();
        let is_found_out = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            store.read(written.hash()).is_err()
        };
        for length in 0..bytes.len() {
            assert!(is_found_out(&bytes[..length]), "the first {length} bytes");
        }
        assert!(is_found_out(&[bytes.as_slice(), &[0]].concat()), "one byte more");
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[index] ^= 1 << bit;
                assert!(is_found_out(&flipped), "bit {bit} of byte {index}");
            }
        }
        assert!(!is_found_out(&bytes));
    }

    #[test]
    fn damage_is_told_as_what_it_is() {
        let (_place, store) = store();
        let written = leaf("a");
        store.write(&written).unwrap();
        let path = store.file(written.hash());
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            store.read(written.hash()).unwrap_err().to_string()
        };
        assert_eq!(told(b""), "it ends in the middle");
        assert_eq!(told(b"something else"), "it is no leaf");
        assert_eq!(told(&[&MAGIC[..], &[0, 0, 0, 2]].concat()), "it has the form 2; this build reads 1");
        let mut other = Vec::new();
        encode(&leaf("b"), &mut other).unwrap();
        assert_eq!(told(&other), format!("it has the hash {}", leaf("b").hash()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(store.read(written.hash()).unwrap_err().to_string(), "it is no file");
    }
}
