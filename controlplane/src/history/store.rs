//! Files of a history: objects under the hash of their bytes, records under the revision they are of.
//!
//! A file appears whole or not at all: it is written under another name, flushed to the disk and then renamed. What is
//! read is bounded, and an object is checked against its name. What a record says is not known here.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use apigw_config::wire::{Hash, MAX_RESOURCE_BYTES};

/// The most bytes of a record: a million resources and a line of text.
const MAX_RECORD_BYTES: usize = 33 << 20;
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

/// Whether a write is on the disk when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives that the machine loses power.
    Flushed,
    /// It survives the end of this process.
    Written,
}

/// The files.
#[derive(Debug)]
pub(super) struct Store {
    objects: PathBuf,
    records: PathBuf,
}

impl Store {
    /// In a directory that is there.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let store = Self { objects: directory.join("objects"), records: directory.join("revisions") };
        for path in [&store.objects, &store.records] {
            at("create", path, DirBuilder::new().recursive(true).mode(0o700).create(path))?;
        }
        Ok(store)
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
        write(&self.records, &place.to_string(), bytes, Durability::Flushed)?;
        flush(&self.records)
    }

    pub(super) fn remove_record(&self, place: Place) -> Result<(), StoreError> {
        remove(&self.records.join(place.to_string()))
    }

    /// The bytes that have this hash; none when the file has others.
    pub(super) fn object(&self, hash: Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = read(&self.objects.join(hash.to_string()), MAX_RESOURCE_BYTES)?;
        Ok(Some(bytes).filter(|bytes| Hash::of(bytes) == hash))
    }

    pub(super) fn write_object(
        &self,
        hash: Hash,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        write(&self.objects, &hash.to_string(), bytes, durability)
    }

    /// Makes the names of new objects last.
    pub(super) fn flush_objects(&self) -> Result<(), StoreError> {
        flush(&self.objects)
    }

    pub(super) fn remove_object(&self, hash: Hash) -> Result<(), StoreError> {
        remove(&self.objects.join(hash.to_string()))
    }

    /// Removes the objects that nobody needs; the names are those of hashes.
    pub(super) fn sweep(&self, is_needed: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let mut swept = 0;
        for name in names(&self.objects)?.iter().filter(|name| !is_needed(name)) {
            remove(&self.objects.join(name))?;
            swept += 1;
        }
        Ok(swept)
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
    let mut bytes = Vec::new();
    let file = at("read", path, File::open(path))?;
    at("read", path, file.take(most as u64 + 1).read_to_end(&mut bytes))?;
    if bytes.len() > most {
        return at("read", path, Err(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn write(directory: &Path, name: &str, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
    let (unfinished, path) = (directory.join(UNFINISHED), directory.join(name));
    let written = || {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(bytes)?;
        if durability == Durability::Flushed {
            file.sync_all()?;
        }
        fs::rename(&unfinished, &path)
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
