//! The state directory of a data plane: two slots, of which the one that is not needed is written, each with the leaves
//! that it names. They share nothing, so that no damage is damage of both; what one of them lacks may be whole in the other.
//!
//! A slot is replaced whole: a file beside it is written and synced, then takes its name, then the directory is synced. So
//! whenever the machine stops, each slot is what it was before or what it was to become, and the other one is untouched.
//! Leaves are written before the slot that names them, and removed when it does not any more.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use apigw_config::{
    leaf_store::{LeafDamage, LeafStore},
    state_file,
    wire::{Content, Hash, Leaf, Revision},
};
use bytes::Bytes;

use super::slot::{self, Damage, Kept, Record};
use crate::delivery::{MAX_BYTES, MAX_ENTRIES};

/// What a slot will be, while it is written.
const UNFINISHED: &str = "slot.new";
/// Locked for as long as a process uses the directory.
const LOCK: &str = "lock";
/// What is kept holds secrets of the configuration.
const OWN_DIRECTORY: u32 = 0o700;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("cannot create the state directory {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot write to the state directory {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the state directory {} is another process's; give each data plane its own by --state-dir", path.display())]
    InUse { path: PathBuf },
}

/// One of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotName {
    A,
    B,
}

impl SlotName {
    const ALL: [Self; 2] = [Self::A, Self::B];

    fn file(self) -> &'static str {
        match self {
            Self::A => "slot-a",
            Self::B => "slot-b",
        }
    }

    fn leaves(self) -> &'static str {
        match self {
            Self::A => "leaves-a",
            Self::B => "leaves-b",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A state directory that is this process's alone.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    /// The highest of any slot that was whole.
    generation: u64,
    /// The slot that must not be lost: what runs, or what would be tried first.
    newest: Option<(SlotName, Revision)>,
    /// Of slot A, and of slot B.
    leaves: [SlotLeaves; 2],
    _lock: File,
}

/// The leaves of one slot.
#[derive(Debug)]
struct SlotLeaves {
    store: LeafStore,
    /// Those that were seen to be whole on the disk.
    whole: HashSet<Hash>,
}

impl StateDirectory {
    /// Takes a directory for this process; makes it, if it is not there. What was left half-written is removed.
    ///
    /// # Errors
    /// When it cannot be made, written to, or is in use.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let made = DirBuilder::new().recursive(true).mode(OWN_DIRECTORY).create(path);
        made.map_err(|source| DirectoryError::Create { path: path.into(), source })?;
        let unwritable = |source| DirectoryError::Unwritable { path: path.into(), source };
        let lock = state_file::open_lock(&path.join(LOCK)).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        let unfinished = path.join(UNFINISHED);
        state_file::create(&unfinished).and_then(|_| state_file::clear(&unfinished)).map_err(unwritable)?;
        if fs::metadata(path).is_ok_and(|metadata| metadata.mode() & WRITABLE_BY_OTHERS != 0) {
            tracing::warn!(directory = %path.display(), "others may write to the state directory, and so choose what runs");
        }
        tracing::info!(directory = %path.display(), "state directory");
        let leaves = SlotName::ALL.map(|name| SlotLeaves {
            store: LeafStore::new(path.join(name.leaves())),
            whole: HashSet::new(),
        });
        Ok(Self { path: path.into(), generation: 0, newest: None, leaves, _lock: lock })
    }

    /// The slots, the one first that says it is newer.
    pub(crate) fn slots(&self) -> [SlotName; 2] {
        let [a, b] = SlotName::ALL.map(|name| self.generation_of(name));
        if b > a { [SlotName::B, SlotName::A] } else { SlotName::ALL }
    }

    fn generation_of(&self, name: SlotName) -> Option<u64> {
        let path = self.file(name);
        let mut head = Vec::new();
        // Whatever is not a file may keep its reader waiting for ever.
        fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        File::open(path).ok()?.take(slot::HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
        slot::generation(&head)
    }

    /// Where a slot is.
    pub(crate) fn file(&self, name: SlotName) -> PathBuf {
        self.path.join(name.file())
    }

    /// Reads a slot; none if there is none.
    ///
    /// # Errors
    /// When it is not what was written.
    pub(crate) fn read(&mut self, name: SlotName) -> Result<Option<Record>, Damage> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        let record = slot::read(bytes)?;
        self.generation = self.generation.max(record.generation);
        Ok(Some(record))
    }

    /// Reads what a slot names.
    ///
    /// # Errors
    /// When one leaf is not what was written, and is not whole in the other slot either; when all of it is no configuration.
    pub(crate) fn content(&mut self, name: SlotName, record: &Record) -> Result<Content, Damage> {
        let mut leaves: Vec<Arc<Leaf>> = Vec::with_capacity(record.leaves.len());
        let (mut entries, mut bytes) = (0, 0);
        for &hash in &record.leaves {
            let leaf = self.leaf(name, hash).map_err(|source| Damage::Leaf { hash, source })?;
            entries += leaf.resources().len();
            bytes += leaf.byte_count();
            if entries > MAX_ENTRIES || bytes > MAX_BYTES {
                return Err(Damage::TooMuch);
            }
            leaves.push(Arc::new(leaf));
        }
        Content::decode(&leaves, None).map_err(Damage::Illegal)
    }

    /// A leaf of a slot. One that is damaged there is written anew with the slot.
    fn leaf(&mut self, name: SlotName, hash: Hash) -> Result<Leaf, LeafDamage> {
        let own = &mut self.leaves[name as usize];
        match own.store.read(hash) {
            Ok(leaf) => {
                own.whole.insert(hash);
                Ok(leaf)
            }
            Err(damage) => self.leaves[name.other() as usize].store.read(hash).map_err(|_as_well| damage),
        }
    }

    fn bytes(&self, name: SlotName) -> Result<Option<Bytes>, Damage> {
        let path = self.file(name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Damage::Unreadable(error)),
        };
        if !metadata.is_file() {
            return Err(Damage::NotAFile);
        }
        let too_large = |bytes| Damage::TooLarge { bytes };
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if length > slot::MAX_SLOT_BYTES {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::with_capacity(length);
        let file = File::open(path).map_err(Damage::Unreadable)?;
        let read = file.take(slot::MAX_SLOT_BYTES as u64 + 1).read_to_end(&mut bytes);
        match read.map_err(Damage::Unreadable)? {
            length if length > slot::MAX_SLOT_BYTES => Err(too_large(length as u64)),
            _ => Ok(Some(bytes.into())),
        }
    }

    /// Notes that what this slot holds is whole: if it is the first one, it would be tried first.
    pub(crate) fn keep_if_first(&mut self, name: SlotName, revision: Revision) {
        self.newest.get_or_insert((name, revision));
    }

    /// Notes that what this slot holds runs, so that it is not written over.
    pub(crate) fn runs(&mut self, name: SlotName, revision: Revision) {
        self.newest = Some((name, revision));
    }

    /// Keeps what runs, unless it is kept already.
    ///
    /// # Errors
    /// What the disk says. Nothing of what was kept is lost.
    pub(crate) fn write(&mut self, kept: &Kept) -> io::Result<()> {
        let name = match self.newest {
            Some((_, newest)) if newest == kept.revision => return Ok(()),
            // The same content under a new revision, as after a restart of the control plane: the other slot still holds
            // an earlier content, and goes on holding it.
            Some((name, newest)) if newest.root_hash == kept.revision.root_hash => name,
            Some((name, _)) => name.other(),
            None => SlotName::A,
        };
        let generation = self.generation.saturating_add(1);
        let leaves = &mut self.leaves[name as usize];
        if let Err(error) = leaves.write(&kept.content) {
            // Who knows what is there.
            leaves.whole.clear();
            return Err(error);
        }
        let unfinished = self.path.join(UNFINISHED);
        let mut file = state_file::create(&unfinished)?;
        file.write_all(&Record::of(kept, generation).to_bytes())?;
        file.sync_all()?;
        state_file::put(&unfinished, &self.file(name))?;
        File::open(&self.path)?.sync_all()?;
        (self.generation, self.newest) = (generation, Some((name, kept.revision)));
        self.leaves[name as usize].sweep(&kept.content);
        Ok(())
    }
}

impl SlotLeaves {
    /// Writes the leaves that are not there, or were never seen to be whole.
    fn write(&mut self, content: &Content) -> io::Result<()> {
        let present = self.store.names()?;
        let is_there = |hash: Hash| self.whole.contains(&hash) && present.contains(&hash.to_string());
        let missing: Vec<_> = content.leaves().filter(|leaf| !is_there(leaf.hash())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for leaf in missing {
            self.store.write(leaf)?;
            self.whole.insert(leaf.hash());
        }
        self.store.flush()
    }

    /// Removes the leaves that the slot does not name any more.
    fn sweep(&mut self, content: &Content) {
        let needed: HashSet<Hash> = content.leaves().map(|leaf| leaf.hash()).collect();
        if let Err(error) = self.store.sweep(needed.iter().copied()) {
            tracing::warn!(%error, "what a slot does not need any more cannot be removed");
        }
        self.whole.retain(|hash| needed.contains(hash));
    }
}

#[cfg(test)]
mod tests;
