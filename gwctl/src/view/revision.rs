//! A revision's identity, as it stands in every answer.

use std::fmt::Write;

use apigw_proto::v1;
use serde::Serialize;

/// Which revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RevisionView {
    epoch: u64,
    seq: u64,
    /// Lower-case hexadecimal digits.
    hash: String,
}

impl From<v1::Revision> for RevisionView {
    fn from(revision: v1::Revision) -> Self {
        let mut hash = String::with_capacity(revision.root_hash.len() * 2);
        for byte in &revision.root_hash {
            write!(hash, "{byte:02x}").expect("a string takes any text");
        }
        Self { epoch: revision.epoch, seq: revision.seq, hash }
    }
}

impl RevisionView {
    /// The sequence number and the first 8 digits: enough to tell two revisions on a screen apart.
    pub(crate) fn short(&self) -> String {
        format!("{}-{}", self.seq, self.hash.chars().take(8).collect::<String>())
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether it was published later than that one, or is it.
    pub(crate) fn is_as_new_as(&self, other: &Self) -> bool {
        (self.epoch, self.seq) >= (other.epoch, other.seq)
    }
}
