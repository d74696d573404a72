//! The texts that revisions were read from, kept beside the history, for whoever wants to see the line behind a judgement.
//!
//! Nothing depends on them: a text that is missing, damaged or too large to keep costs the lines and nothing else. So they
//! are written after the revision they are of, and are not flushed. One file for each revision that is kept, compressed,
//! with its checksum.

use std::{
    fs::{self, DirBuilder},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use apigw_config::{
    state_file,
    watch::MAX_FILE_BYTES,
    wire::{Hash, Revision},
};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

/// Says what the bytes are, and in which form.
const HEAD: &[u8] = b"apigw text 1\n";
/// Of a checksum.
const HASH_BYTES: usize = 32;
/// The most bytes of a text as it is kept; a larger one is not. A file of 100,000 routes takes about 1 MiB.
const MAX_KEPT_BYTES: usize = 8 << 20;
/// The name of a file until it is whole. One at a time is written.
const UNFINISHED: &str = ".new";

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    /// It was never kept, or is kept no more.
    #[error("its text is not kept")]
    Missing,
    /// The disk has something else.
    #[error("its text is damaged on the disk")]
    Damaged,
    /// It would take too much room.
    #[error("its text is too large to keep")]
    TooLarge,
    /// The system does not give it.
    #[error("its text cannot be read or written: {0}")]
    Io(#[from] io::Error),
}

/// The files.
#[derive(Debug)]
pub(crate) struct Texts {
    directory: PathBuf,
}

impl Texts {
    /// Beside a history, in its directory.
    pub(crate) fn beside(history: &Path) -> Self {
        Self { directory: history.join("texts") }
    }

    /// Keeps what a revision was read from, in place of an earlier text that means the same.
    pub(crate) fn keep(&self, revision: Revision, text: &[u8]) -> Result<(), TextError> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text)?;
        let packed = encoder.finish()?;
        if packed.len() > MAX_KEPT_BYTES {
            return Err(TextError::TooLarge);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let unfinished = self.directory.join(UNFINISHED);
        let mut file = state_file::create(&unfinished)?;
        for part in [HEAD, Hash::of(&packed).as_bytes(), &packed] {
            file.write_all(part)?;
        }
        Ok(state_file::put(&unfinished, &self.path(revision))?)
    }

    /// Keeps what one revision was read from for another, too, that has the same content.
    pub(crate) fn share(&self, of: Revision, with: Revision) -> Result<(), TextError> {
        // A link, since a text is never written to: another one takes its name.
        fs::hard_link(self.path(of), self.path(with)).map_err(missing)
    }

    /// What a revision was read from.
    pub(crate) fn read(&self, revision: Revision) -> Result<Vec<u8>, TextError> {
        let most = HEAD.len() + HASH_BYTES + MAX_KEPT_BYTES;
        let bytes = state_file::read(&self.path(revision), most as u64).map_err(missing)?;
        let rest = bytes.strip_prefix(HEAD).ok_or(TextError::Damaged)?;
        let (checksum, packed) = rest.split_first_chunk::<HASH_BYTES>().ok_or(TextError::Damaged)?;
        if Hash::of(packed).as_bytes() != checksum {
            return Err(TextError::Damaged);
        }
        let mut text = Vec::new();
        DeflateDecoder::new(packed).take(MAX_FILE_BYTES).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Removes those of revisions that are not kept any more. What cannot be removed is tried again with the next.
    pub(crate) fn sweep(&self, kept: &[Revision]) -> Result<(), TextError> {
        for entry in fs::read_dir(&self.directory).map_err(missing)? {
            let entry = entry?;
            if !kept.iter().any(|revision| name(*revision) == entry.file_name().to_string_lossy()) {
                state_file::clear(&entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, revision: Revision) -> PathBuf {
        self.directory.join(name(revision))
    }
}

fn name(revision: Revision) -> String {
    format!("{}-{}", revision.epoch, revision.seq)
}

fn missing(error: io::Error) -> TextError {
    match error.kind() {
        io::ErrorKind::NotFound => TextError::Missing,
        _ => TextError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn revision(seq: u64) -> Revision {
        Revision { epoch: 7, seq, root_hash: Hash::of(b"meaning") }
    }

    #[test]
    fn a_text_is_kept_shared_replaced_and_swept() {
        let directory = tempfile::tempdir().unwrap();
        let texts = Texts::beside(directory.path());
        assert!(matches!(texts.read(revision(1)), Err(TextError::Missing)));
        texts.keep(revision(1), b"routes: []").unwrap();
        texts.share(revision(1), revision(2)).unwrap();
        texts.keep(revision(1), b"routes: [] # new").unwrap();
        assert_eq!(texts.read(revision(1)).unwrap(), b"routes: [] # new");
        assert_eq!(texts.read(revision(2)).unwrap(), b"routes: []");
        texts.sweep(&[revision(2)]).unwrap();
        assert!(matches!(texts.read(revision(1)), Err(TextError::Missing)));
        assert_eq!(texts.read(revision(2)).unwrap(), b"routes: []");
    }

    #[test]
    fn no_damage_yields_another_text() {
        let directory = tempfile::tempdir().unwrap();
        let texts = Texts::beside(directory.path());
        texts.keep(revision(1), b"routes: []").unwrap();
        let path = directory.path().join("texts/7-1");
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            for bytes in [&flipped, &whole[..place]] {
                fs::write(&path, bytes).unwrap();
                assert!(matches!(texts.read(revision(1)), Err(TextError::Damaged)), "{place}");
            }
        }
    }

    #[test]
    fn what_is_no_file_in_place_of_a_text_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let texts = Texts::beside(directory.path());
        texts.keep(revision(1), b"routes: []").unwrap();
        for name in ["7-1", ".new"] {
            let path = directory.path().join("texts").join(name);
            state_file::clear(&path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
        assert!(matches!(texts.read(revision(1)), Err(TextError::Io(_))));
        texts.keep(revision(1), b"routes: []").unwrap();
        assert_eq!(texts.read(revision(1)).unwrap(), b"routes: []");
        fs::create_dir(directory.path().join("texts/7-2")).unwrap();
        texts.sweep(&[revision(1)]).unwrap();
        assert!(!directory.path().join("texts/7-2").exists());
    }

    #[test]
    fn a_text_too_large_to_keep_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let texts = Texts::beside(directory.path());
        // What cannot be compressed: hashes of numbers.
        let noise: Vec<u8> = (0_u64..=MAX_KEPT_BYTES as u64 / 32)
            .flat_map(|number| *Hash::of(&number.to_be_bytes()).as_bytes())
            .collect();
        assert!(matches!(texts.keep(revision(1), &noise), Err(TextError::TooLarge)));
        assert!(matches!(texts.read(revision(1)), Err(TextError::Missing)));
        texts.keep(revision(1), &noise[..noise.len() / 2]).unwrap();
    }

    #[test]
    fn texts_are_for_their_user_only() {
        let directory = tempfile::tempdir().unwrap();
        Texts::beside(directory.path()).keep(revision(1), b"routes: []").unwrap();
        let mode =
            |path: &str| fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("texts"), mode("texts/7-1")), (0o700, 0o600));
    }
}
