//! Reads a file once, in bounds, and tells whether it changed meanwhile.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Content, MAX_FILE_BYTES};

/// What tells two states of a file apart without reading it. Reasons for being unreadable count as states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Result<Identity, ErrorKind>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self(fs::metadata(path).map(|metadata| identity(&metadata)).map_err(|error| error.kind()))
    }

    /// Whether a later change is sure to make another stamp: clocks of file systems tick slowly, and a second save
    /// within one tick leaves no trace in the metadata.
    pub(super) fn is_conclusive(&self, now: SystemTime) -> bool {
        const SLOWEST_TICK: Duration = Duration::from_secs(2);
        let Self(Ok(identity)) = self else { return true };
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(identity.changed.0).unwrap_or_default());
        since_1970 > changed + SLOWEST_TICK
    }
}

fn identity(metadata: &Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The outcome of reading a file once.
#[derive(Debug)]
pub(super) enum Reading {
    /// The file was the same before and after.
    Stable(Content, Stamp),
    /// Somebody is writing it.
    Moving,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Reading {
    let before = Stamp::of(path);
    let content = content(path);
    if Stamp::of(path) == before { Reading::Stable(content, before) } else { Reading::Moving }
}

/// What the file at `path` holds, whether or not somebody is writing it.
pub(super) fn content(path: &Path) -> Content {
    match read_bounded(path, MAX_FILE_BYTES) {
        Ok(Some(bytes)) => Content::Text(Arc::new(bytes)),
        Ok(None) => Content::TooLarge,
        Err(error) => Content::Unreadable(error),
    }
}

/// At most `limit` bytes; none when there are more.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe waits for a writer; whoever is asked before that cannot hang.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let file = File::open(path)?;
    let expected = file.metadata()?.len();
    if expected > limit {
        return Ok(None);
    }
    take_bounded(file, expected, limit)
}

/// What comes out of `source`, which may be more than expected: somebody may be writing.
fn take_bounded(source: impl io::Read, expected: u64, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected + 1).unwrap_or_default());
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// What was last shown to the owner of the watch. Texts are compared and not hashed: that is ten times as fast, and most
/// owners keep the text anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Text(Arc<Vec<u8>>),
    Unreadable(ErrorKind),
    TooLarge,
}

impl Shown {
    pub(super) fn of(content: &Content) -> Self {
        match content {
            Content::Text(bytes) => Self::Text(Arc::clone(bytes)),
            Content::Unreadable(error) => Self::Unreadable(error.kind()),
            Content::TooLarge => Self::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_at_the_bound_is_read_and_one_above_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), Some(b"12345".to_vec()));
        assert_eq!(read_bounded(&path, 4).unwrap(), None);
    }

    #[test]
    fn a_file_that_grows_beyond_the_bound_while_it_is_read_is_not_kept() {
        assert_eq!(take_bounded(&b"12345"[..], 2, 5).unwrap(), Some(b"12345".to_vec()));
        assert_eq!(take_bounded(&b"123456"[..], 2, 5).unwrap(), None);
    }

    #[test]
    fn what_is_not_a_file_is_unreadable() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_bounded(directory.path(), 5).unwrap_err().kind(), ErrorKind::InvalidInput);
        let absent = directory.path().join("absent");
        assert_eq!(read_bounded(&absent, 5).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_fresh_stamp_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        fs::write(&path, "").unwrap();
        let stamp = Stamp::of(&path);
        assert!(!stamp.is_conclusive(SystemTime::now()));
        assert!(stamp.is_conclusive(SystemTime::now() + Duration::from_secs(10)));
    }
}
