//! What a person types to name a revision, and which of the kept ones that is.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use apigw_proto::v1;

use crate::view::RevisionView;

/// The fewest digits of a hash that name one.
const MIN_HASH_DIGITS: usize = 4;

/// A revision as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// What runs, or should.
    Current,
    /// The newest before it of another content.
    Previous,
    /// `SEQ`, `EPOCH.SEQ`, or `SEQ-HASH` as tables show it.
    Numbered { epoch: Option<u64>, seq: u64, hash: String },
    /// The first digits of a hash.
    Hash(String),
}

/// A text names no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither a revision (SEQ, EPOCH.SEQ, SEQ-HASH, a hash's first digits, current, previous) nor a file")]
pub(crate) struct ReferenceError;

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let hash = |text: &str| {
            let is_hash = text.len() >= MIN_HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then(|| text.to_ascii_lowercase()).ok_or(ReferenceError)
        };
        let number = |text: &str| text.parse().map_err(|_| ReferenceError);
        match (text, text.split_once('.'), text.split_once('-')) {
            ("current", ..) => Ok(Self::Current),
            ("previous", ..) => Ok(Self::Previous),
            (_, Some((epoch, seq)), _) => {
                Ok(Self::Numbered { epoch: Some(number(epoch)?), seq: number(seq)?, hash: String::new() })
            }
            (_, _, Some((seq, digits))) => {
                Ok(Self::Numbered { epoch: None, seq: number(seq)?, hash: hash(digits)? })
            }
            _ => match text.parse() {
                Ok(seq) => Ok(Self::Numbered { epoch: None, seq, hash: String::new() }),
                Err(_) => hash(text).map(Self::Hash),
            },
        }
    }
}

impl fmt::Display for Reference {
    /// As typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Previous => f.write_str("previous"),
            Self::Numbered { epoch: Some(epoch), seq, .. } => write!(f, "{epoch}.{seq}"),
            Self::Numbered { seq, hash, .. } if hash.is_empty() => seq.fmt(f),
            Self::Numbered { seq, hash, .. } => write!(f, "{seq}-{hash}"),
            Self::Hash(digits) => f.write_str(digits),
        }
    }
}

/// Why a reference leads to no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("revision {0} is not kept; gwctl history shows those that are")]
    Unknown(Reference),
    #[error("{0} is the beginning of several revisions' hashes; type more of it")]
    Ambiguous(Reference),
}

impl Reference {
    /// The revision among those that are kept, the newest first.
    pub(crate) fn resolve<'a>(
        &self,
        kept: &'a [v1::HistoryEntry],
    ) -> Result<&'a v1::HistoryEntry, ResolveError> {
        let unknown = || ResolveError::Unknown(self.clone());
        match self {
            Self::Current => kept.first().ok_or_else(unknown),
            // A content that was published anew is not what was before it.
            Self::Previous => {
                let is_other = |entry: &&v1::HistoryEntry| hash(entry) != kept.first().and_then(hash);
                kept.iter().find(is_other).ok_or_else(unknown)
            }
            Self::Numbered { epoch, seq, hash } => {
                let is_meant = |revision: &RevisionView| {
                    let is_of_epoch = epoch.is_none_or(|epoch| revision.epoch() == epoch);
                    is_of_epoch && revision.seq() == *seq && revision.hash().starts_with(hash.as_str())
                };
                // A number may be the beginning of a hash, too.
                let digits = || (epoch.is_none() && hash.is_empty()).then(|| Self::Hash(seq.to_string()));
                match (only(kept, is_meant), digits()) {
                    (Some(entry), _) => Ok(entry),
                    (None, Some(digits)) if digits.to_string().len() >= MIN_HASH_DIGITS => {
                        digits.resolve(kept)
                    }
                    _ => Err(unknown()),
                }
            }
            Self::Hash(digits) => {
                let is_meant = |revision: &RevisionView| revision.hash().starts_with(digits.as_str());
                let newest = only(kept, is_meant).ok_or_else(unknown)?;
                let is_other =
                    |revision: &RevisionView| is_meant(revision) && Some(revision) != view(newest).as_ref();
                // A content that ran twice is one content.
                match kept.iter().find(|entry| view(entry).is_some_and(|revision| is_other(&revision))) {
                    Some(other) if hash(other) != hash(newest) => Err(ResolveError::Ambiguous(self.clone())),
                    _ => Ok(newest),
                }
            }
        }
    }
}

fn hash(entry: &v1::HistoryEntry) -> Option<&[u8]> {
    entry.revision.as_ref().map(|revision| revision.root_hash.as_ref())
}

fn view(entry: &v1::HistoryEntry) -> Option<RevisionView> {
    entry.revision.clone().map(RevisionView::from)
}

/// The newest that is meant.
fn only(kept: &[v1::HistoryEntry], is_meant: impl Fn(&RevisionView) -> bool) -> Option<&v1::HistoryEntry> {
    kept.iter().find(|entry| view(entry).is_some_and(|revision| is_meant(&revision)))
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    Revision(Reference),
    /// A file; `-` is standard input.
    File(PathBuf),
}

impl FromStr for Side {
    type Err = ReferenceError;

    /// A file has a `/` in its name, or a `.` and is there; anything else is a revision.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let is_file = text == "-" || text.contains('/') || (text.contains('.') && Path::new(text).exists());
        if is_file { Ok(Self::File(text.into())) } else { text.parse().map(Self::Revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(epoch: u64, seq: u64, byte: u8) -> v1::HistoryEntry {
        let revision = Some(v1::Revision { epoch, seq, root_hash: vec![byte; 32] });
        v1::HistoryEntry { revision, ..v1::HistoryEntry::default() }
    }

    /// Of four revisions, one content ran twice, and two hashes begin with a digit that is no letter.
    fn kept() -> Vec<v1::HistoryEntry> {
        vec![entry(2, 4, 0xab), entry(1, 3, 0xac), entry(1, 2, 0xab), entry(1, 1, 0x12)]
    }

    fn found(text: &str) -> Result<u64, String> {
        let reference: Reference = text.parse().map_err(|error: ReferenceError| error.to_string())?;
        let kept = kept();
        let entry = reference.resolve(&kept).map_err(|error| error.to_string())?;
        Ok(entry.revision.clone().unwrap().seq)
    }

    #[test]
    fn revisions_have_many_names() {
        for (text, seq) in [
            ("current", 4),
            ("previous", 3),
            ("3", 3),
            ("1.2", 2),
            ("2-abab", 2),
            ("2-ABABABAB", 2),
            ("acac", 3),
            ("ABAB", 4),
            ("1212", 1),
        ] {
            assert_eq!(found(text), Ok(seq), "{text}");
        }
    }

    #[test]
    fn what_was_published_anew_is_not_what_was_before() {
        let kept = [entry(3, 4, 0xab), entry(2, 3, 0xab), entry(1, 2, 0xac), entry(1, 1, 0xab)];
        let before = Reference::Previous.resolve(&kept).unwrap();
        assert_eq!(before.revision.clone().unwrap().seq, 2);
        assert!(Reference::Previous.resolve(&kept[..2]).is_err());
    }

    #[test]
    fn what_is_not_kept_is_told() {
        for text in ["9", "1.4", "3-abab", "dead", "9999"] {
            assert!(found(text).is_err_and(|error| error.contains(&format!("{text} is not kept"))), "{text}");
        }
        assert!(Reference::Previous.resolve(&kept()[..1]).is_err());
        assert!(Reference::Current.resolve(&[]).is_err());
    }

    #[test]
    fn what_names_nothing_is_told() {
        for text in ["", "abc", "x", "1.", ".1", "1.2.3", "1-x", "-1", "newest"] {
            assert!(found(text).is_err_and(|error| error.starts_with("neither")), "{text:?}");
        }
    }

    #[test]
    fn the_beginning_of_two_contents_is_no_name() {
        let kept = [
            entry(1, 2, 0xaa),
            v1::HistoryEntry {
                revision: Some(v1::Revision {
                    epoch: 1,
                    seq: 1,
                    root_hash: [vec![0xaa; 31], vec![0xab]].concat(),
                }),
                ..v1::HistoryEntry::default()
            },
        ];
        let resolved = Reference::Hash("aaaa".into()).resolve(&kept);
        assert!(matches!(resolved, Err(ResolveError::Ambiguous(_))));
    }

    #[test]
    fn a_side_is_a_file_or_a_revision() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        for file in ["-", "./g.yaml", "a/b", path.to_str().unwrap()] {
            assert_eq!(file.parse(), Ok(Side::File(file.into())));
        }
        let numbered = Reference::Numbered { epoch: Some(1), seq: 2, hash: String::new() };
        assert_eq!("1.2".parse(), Ok(Side::Revision(numbered)));
        assert_eq!("gone.yaml".parse::<Side>(), Err(ReferenceError));
    }
}
