//! One revision on its way to one data plane: what is sent of it next, and what the data plane may say of it now.
//!
//! The table of its stages is at the head of [`super`]. Nothing here knows of another push.

use std::sync::Arc;

use apigw_config::{pages, wire::Leaf};
use apigw_proto::v1::{self, follow_response};

use super::Breach;
use crate::publication::Published;

/// One revision on its way.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) published: Arc<Published>,
    stage: Stage,
    /// The place in the list of each leaf's first entry, and at the end how many there are.
    firsts: Vec<usize>,
    /// The lowest index that was not needed yet.
    unneeded: u32,
}

#[derive(Debug)]
enum Stage {
    Offering,
    Offered,
    Listing { indexes: Vec<u32>, next: usize },
    Listed,
    Sending { indexes: Vec<u32>, next: usize },
    Delivered,
}

impl Push {
    pub(super) fn new(published: Arc<Published>) -> Self {
        let mut firsts = vec![0];
        for leaf in published.content.leaves() {
            firsts.push(firsts[firsts.len() - 1] + leaf.resources().len());
        }
        Self { published, stage: Stage::Offering, firsts, unneeded: 0 }
    }

    /// Whether the data plane has heard of it.
    pub(super) fn is_offered(&self) -> bool {
        !matches!(self.stage, Stage::Offering)
    }

    /// Whether [`Self::next_message`] would make one.
    pub(super) fn has_message(&self) -> bool {
        matches!(self.stage, Stage::Offering | Stage::Listing { .. } | Stage::Sending { .. })
    }

    /// The next message of it, if there is one to send.
    pub(super) fn next_message(&mut self) -> Option<follow_response::Message> {
        match &mut self.stage {
            Stage::Offering => {
                self.stage = Stage::Offered;
                let hashes = self.published.content.leaves().flat_map(|leaf| *leaf.hash().as_bytes());
                Some(follow_response::Message::Offer(v1::Offer {
                    revision: Some(self.published.revision().into()),
                    required_features: self.published.required.iter().map(ToString::to_string).collect(),
                    leaf_hashes: hashes.collect::<Vec<_>>().into(),
                }))
            }
            Stage::Listing { indexes, next } => {
                let leaf = |index: &u32| leaf_message(self.published.content.leaf(*index as usize));
                let leaves = pages::pages(indexes[*next..].iter().map(leaf)).next().unwrap_or_default();
                *next += leaves.len();
                if *next == indexes.len() {
                    self.stage = Stage::Listed;
                }
                Some(follow_response::Message::Leaves(v1::Leaves { leaves }))
            }
            Stage::Sending { indexes, next } => {
                let bytes = |index: &u32| {
                    let index = *index as usize;
                    let leaf = self.firsts.partition_point(|first| *first <= index) - 1;
                    self.published.content.leaf(leaf).resources()[index - self.firsts[leaf]].bytes()
                };
                let count = pages::fitting(indexes[*next..].iter().map(|index| bytes(index).len()));
                let page = indexes[*next..*next + count].iter().map(|index| bytes(index).clone()).collect();
                *next += count;
                if *next == indexes.len() {
                    self.stage = Stage::Delivered;
                }
                Some(follow_response::Message::Chunk(v1::Chunk { resources: page }))
            }
            Stage::Offered | Stage::Listed | Stage::Delivered => None,
        }
    }

    /// Takes which leaves the data plane does not have.
    pub(super) fn need_leaves(&mut self, indexes: Vec<u32>) -> Result<(), Breach> {
        if !matches!(self.stage, Stage::Offered) {
            return Err(Breach::UnaskedNeed);
        }
        if !indexes.is_sorted_by(|a, b| a < b) {
            return Err(Breach::UnorderedNeed);
        }
        let count = self.firsts.len() - 1;
        if let Some(index) = indexes.last().copied().filter(|last| *last as usize >= count) {
            return Err(Breach::NeedBeyondLeaves { index, count });
        }
        self.stage = if indexes.is_empty() { Stage::Listed } else { Stage::Listing { indexes, next: 0 } };
        Ok(())
    }

    /// Takes which resources the data plane does not have.
    pub(super) fn need(&mut self, indexes: Vec<u32>) -> Result<(), Breach> {
        if !matches!(self.stage, Stage::Listed | Stage::Delivered) {
            return Err(Breach::UnaskedNeed);
        }
        let Some(last) = indexes.last().copied() else {
            // An empty Need says that nothing is missing; after a Need that was met there is nothing left to say.
            if matches!(self.stage, Stage::Delivered) {
                return Err(Breach::UnorderedNeed);
            }
            self.stage = Stage::Delivered;
            return Ok(());
        };
        if indexes[0] < self.unneeded || !indexes.is_sorted_by(|a, b| a < b) {
            return Err(Breach::UnorderedNeed);
        }
        let count = self.firsts[self.firsts.len() - 1];
        if last as usize >= count {
            return Err(Breach::NeedBeyondOffer { index: last, count });
        }
        self.unneeded = last + 1;
        self.stage = Stage::Sending { indexes, next: 0 };
        Ok(())
    }

    /// Whether a Report with this outcome can be the end of this push.
    pub(super) fn may_end(&self, outcome: v1::Outcome) -> Result<(), Breach> {
        match (outcome, &self.stage) {
            (_, Stage::Offering) => Err(Breach::UnaskedReport),
            (v1::Outcome::Superseded, _) => Err(Breach::SupersededByNothing),
            (v1::Outcome::Applied, Stage::Delivered) => Ok(()),
            (v1::Outcome::Applied, _) => Err(Breach::AppliedTooEarly),
            _ => Ok(()),
        }
    }
}

fn leaf_message(leaf: &Leaf) -> v1::Leaf {
    v1::Leaf { entries: leaf.resources().iter().map(|r| v1::Entry::from(r.entry().clone())).collect() }
}
