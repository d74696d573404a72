//! Files of a history: leaves under their hashes, records under the revision they are of.
//!
//! A file appears whole or not at all: it is written under another name, flushed to the disk and then renamed. What is
//! read is bounded, and a leaf is checked against its name. What a record says is not known here.

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use apigw_config::{
    leaf_store::LeafStore,
    state_file,
    wire::{Hash, Leaf, MAX_LEAVES},
};
use tracing::warn;

/// The most bytes of a record: the hashes of its leaves and a line of text.
const MAX_RECORD_BYTES: usize = MAX_LEAVES * 32 + (1 << 16);
/// The name of a file until it is whole. One at a time is written.
const UNFINISHED: &str = ".new";

/// Which file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {error}", path.display())]
pub(crate) struct StoreError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

/// When a revision was published; greater is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl Place {
    fn of_name(name: &str) -> Option<Self> {
        let (epoch, seq) = name.split_once('-')?;
        let place = Self { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? };
        (place.to_string() == name).then_some(place)
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Store {
    leaves: LeafStore,
    records: PathBuf,
}

impl Store {
    /// In a directory that is there.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let (leaves, records) = (directory.join("leaves"), directory.join("revisions"));
        for path in [&leaves, &records] {
            at("create", path, DirBuilder::new().recursive(true).mode(0o700).create(path))?;
        }
        Ok(Self { leaves: LeafStore::new(leaves), records })
    }

    /// The names of all records, the oldest first.
    pub(super) fn places(&self) -> Result<Vec<Place>, StoreError> {
        let mut places: Vec<_> =
            names(&self.records)?.iter().filter_map(|name| Place::of_name(name)).collect();
        places.sort_unstable();
        Ok(places)
    }

    pub(super) fn record(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        read(&self.records.join(place.to_string()), MAX_RECORD_BYTES)
    }

    pub(super) fn write_record(&self, place: Place, bytes: &[u8]) -> Result<(), StoreError> {
        write(&self.records, &place.to_string(), bytes)?;
        flush(&self.records)
    }

    pub(super) fn remove_record(&self, place: Place) -> Result<(), StoreError> {
        remove(&self.records.join(place.to_string()))
    }

    /// The leaf of this hash; none when its file holds something else, which one line of the log tells.
    pub(super) fn leaf(&self, hash: Hash) -> Option<Leaf> {
        let told = |error: &_| warn!(leaf = %hash, %error, "a leaf of the history is damaged");
        self.leaves.read(hash).inspect_err(told).ok()
    }

    /// Writes leaves so that they last.
    pub(super) fn write_leaves(&self, leaves: &[&Leaf]) -> Result<(), StoreError> {
        for leaf in leaves {
            at("write", &self.leaves.file(leaf.hash()), self.leaves.write(leaf))?;
        }
        if leaves.is_empty() { Ok(()) } else { at("flush", &self.records, self.leaves.flush()) }
    }

    /// Removes the leaves that nobody needs. What cannot be removed costs room and nothing else.
    pub(super) fn sweep(&self, needed: impl IntoIterator<Item = Hash>) {
        if let Err(error) = self.leaves.sweep(needed) {
            warn!(%error, "leaves that no revision needs cannot be removed");
        }
    }
}

fn at<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| StoreError { action, path: path.to_owned(), error })
}

fn names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let entries = at("list", directory, fs::read_dir(directory))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names = at("list", directory, names.collect::<io::Result<Vec<_>>>())?;
    // A name that is no text is not of ours, and an unfinished file will be written over.
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name != UNFINISHED)
        .collect())
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, StoreError> {
    let bytes = at("read", path, state_file::read(path, most as u64 + 1))?;
    if bytes.len() > most {
        return at("read", path, Err(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let (unfinished, path) = (directory.join(UNFINISHED), directory.join(name));
    let written = || {
        let mut file = state_file::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        state_file::put(&unfinished, &path)
    };
    at("write", &path, written())
}

fn flush(directory: &Path) -> Result<(), StoreError> {
    at("flush", directory, File::open(directory).and_then(|directory| directory.sync_all()))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => at("remove", path, result),
    }
}
