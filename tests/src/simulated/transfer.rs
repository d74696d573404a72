//! One data plane's side of the protocol (`docs/protocol.md`), as far as it decides what is sent back: no I/O, no clock.
//!
//! It believes nothing, as a real one does: what arrives must have the hash that was listed. It is written after the
//! protocol's page and shares no code with the data plane. It compiles nothing: what is applied is what has arrived.

use std::collections::{HashMap, HashSet};

use apigw_proto::v1::{self, follow_request::Message as Said, follow_response::Message as Heard};
use aws_lc_rs::digest::{SHA256, digest};

/// A control plane did what the protocol does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Confusion {
    /// Without content, or of a kind that is not known here.
    #[error("a message of no kind")]
    NoKind,
    /// Entries or bytes of nothing that is under way.
    #[error("a part of no offer")]
    NoOffer,
    /// Other bytes than were listed, or more.
    #[error("bytes that were not listed")]
    Unlisted,
}

/// What is held and what is on its way.
#[derive(Debug, Clone, Default)]
pub struct Transfer {
    /// What runs.
    running: Option<v1::Revision>,
    /// Its leaves: the hashes of their resources by the hash of each leaf.
    held: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    offered: Option<v1::Offer>,
    /// The leaves of the offer, as far as they are here.
    listed: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Leaves that are needed, the first of them last.
    missing: Vec<Vec<u8>>,
    /// Of what is needed, in the order in which it comes.
    awaited: Vec<Vec<u8>>,
}

impl Transfer {
    /// Begins a new stream: what was under way on the one before is forgotten, what runs is not.
    pub fn restart(&mut self) {
        self.offered = None;
        self.listed.clear();
        self.missing.clear();
        self.awaited.clear();
    }

    /// What runs; none before the first revision.
    #[must_use]
    pub fn running(&self) -> Option<&v1::Revision> {
        self.running.as_ref()
    }

    /// Takes a message and answers it.
    ///
    /// # Errors
    /// When the control plane breaks the protocol.
    pub fn hear(&mut self, message: Option<Heard>) -> Result<Vec<Said>, Confusion> {
        match message.ok_or(Confusion::NoKind)? {
            Heard::Offer(offer) => {
                let superseded =
                    self.offered.replace(offer).map(|before| report(before, v1::Outcome::Superseded));
                self.listed.clear();
                self.awaited.clear();
                Ok(superseded.into_iter().chain(self.offered()).collect())
            }
            Heard::Leaves(leaves) => self.listed(leaves),
            Heard::Chunk(chunk) => self.delivered(&chunk),
            // Of live state there is none: the question is one that this data plane does not know.
            Heard::Query(query) => {
                Ok(vec![Said::Observation(v1::Observation { query: query.id, answer: None, last: true })])
            }
        }
    }

    /// Says which leaves of the offer are missing.
    fn offered(&mut self) -> Vec<Said> {
        let hashes = self.leaf_hashes();
        self.listed.extend(
            hashes
                .iter()
                .filter_map(|hash| self.held.get_key_value(hash))
                .map(|(hash, list)| (hash.clone(), list.clone())),
        );
        let is_missing = |hash: &Vec<u8>| !self.held.contains_key(hash);
        let missing = (0..).zip(&hashes).filter(|(_, hash)| is_missing(hash));
        let indexes = missing.map(|(index, _)| index).collect();
        self.missing = hashes.iter().filter(|hash| is_missing(hash)).rev().cloned().collect();
        let revision = self.offered.as_ref().and_then(|offer| offer.revision.clone());
        let need = Said::NeedLeaves(v1::NeedLeaves { revision, indexes });
        std::iter::once(need).chain(self.whole_list()).collect()
    }

    fn leaf_hashes(&self) -> Vec<Vec<u8>> {
        let hashes = self.offered.iter().flat_map(|offer| offer.leaf_hashes.chunks_exact(32));
        hashes.map(<[u8]>::to_vec).collect()
    }

    fn listed(&mut self, leaves: v1::Leaves) -> Result<Vec<Said>, Confusion> {
        self.offered.as_ref().ok_or(Confusion::NoOffer)?;
        for leaf in leaves.leaves {
            let hash = self.missing.pop().ok_or(Confusion::Unlisted)?;
            if leaf_hash(&leaf) != hash {
                return Err(Confusion::Unlisted);
            }
            self.listed.insert(hash, leaf.entries.into_iter().map(|entry| entry.hash).collect());
        }
        Ok(self.whole_list())
    }

    /// Says which resources are missing, when the list is whole.
    fn whole_list(&mut self) -> Vec<Said> {
        if !self.missing.is_empty() {
            return Vec::new();
        }
        let held: HashSet<&Vec<u8>> = self.held.values().flatten().collect();
        let list: Vec<_> = self.leaf_hashes().iter().flat_map(|hash| self.listed[hash].clone()).collect();
        let missing = (0..).zip(&list).filter(|(_, hash)| !held.contains(hash));
        let indexes = missing.map(|(index, _)| index).collect();
        self.awaited = list.iter().filter(|hash| !held.contains(hash)).rev().cloned().collect();
        let revision = self.offered.as_ref().and_then(|offer| offer.revision.clone());
        let need = Said::Need(v1::Need { revision, indexes });
        std::iter::once(need).chain(self.applied()).collect()
    }

    fn delivered(&mut self, chunk: &v1::Chunk) -> Result<Vec<Said>, Confusion> {
        for resource in &chunk.resources {
            let expected = self.awaited.pop().ok_or(Confusion::Unlisted)?;
            if digest(&SHA256, resource).as_ref() != expected {
                return Err(Confusion::Unlisted);
            }
        }
        Ok(self.applied().into_iter().collect())
    }

    /// Applies what is whole.
    fn applied(&mut self) -> Option<Said> {
        if !self.awaited.is_empty() {
            return None;
        }
        self.held = std::mem::take(&mut self.listed);
        let offer = self.offered.take()?;
        self.running.clone_from(&offer.revision);
        Some(report(offer, v1::Outcome::Applied))
    }
}

fn leaf_hash(leaf: &v1::Leaf) -> Vec<u8> {
    let mut bytes = b"apigw leaf\0".to_vec();
    for v1::Entry { kind, name, hash } in &leaf.entries {
        // Kinds are small numbers.
        bytes.push(kind.to_be_bytes()[3]);
        bytes.extend((name.len() as u64).to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(hash);
    }
    digest(&SHA256, &bytes).as_ref().to_vec()
}

fn report(offer: v1::Offer, outcome: v1::Outcome) -> Said {
    let listen_address = "127.0.0.1:8080".into();
    Said::Report(v1::Report {
        revision: offer.revision,
        outcome: outcome.into(),
        listen_address,
        ..v1::Report::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(seq: u64, contents: &[&[u8]]) -> [Heard; 2] {
        let revision = Some(v1::Revision { epoch: 1, seq, root_hash: vec![0; 32] });
        let hash = |content: &&[u8]| digest(&SHA256, content).as_ref().to_vec();
        let entries = contents
            .iter()
            .map(|content| v1::Entry { hash: hash(content), ..v1::Entry::default() })
            .collect();
        let (leaf, required_features) = (v1::Leaf { entries }, Vec::new());
        let leaf_hashes = leaf_hash(&leaf).into();
        [
            Heard::Offer(v1::Offer { revision, required_features, leaf_hashes }),
            Heard::Leaves(v1::Leaves { leaves: vec![leaf] }),
        ]
    }

    fn chunk(contents: &[&'static [u8]]) -> Heard {
        Heard::Chunk(v1::Chunk { resources: contents.iter().map(|content| (*content).into()).collect() })
    }

    /// What is said to a message, in words.
    fn said(transfer: &mut Transfer, message: Heard) -> Result<Vec<String>, Confusion> {
        let word = |said: &Said| match said {
            Said::NeedLeaves(need) => format!("leaves {:?}", need.indexes),
            Said::Need(need) => format!("need {:?}", need.indexes),
            Said::Report(report) => {
                format!("{} {:?}", report.revision.as_ref().map_or(0, |r| r.seq), report.outcome())
            }
            other => format!("{other:?}"),
        };
        Ok(transfer.hear(Some(message))?.iter().map(word).collect())
    }

    #[test]
    fn only_what_is_missing_is_needed_and_a_newer_offer_supersedes() {
        let mut transfer = Transfer::default();
        let [first, entries] = offer(1, &[b"a", b"b"]);
        assert_eq!(said(&mut transfer, first), Ok(vec!["leaves [0]".into()]));
        assert_eq!(said(&mut transfer, entries), Ok(vec!["need [0, 1]".into()]));
        assert_eq!(said(&mut transfer, chunk(&[b"a", b"b"])), Ok(vec!["1 Applied".into()]));
        let [second, entries] = offer(2, &[b"a", b"c"]);
        assert_eq!(said(&mut transfer, second), Ok(vec!["leaves [0]".into()]));
        assert_eq!(said(&mut transfer, entries), Ok(vec!["need [1]".into()]));
        let [third, _] = offer(3, &[b"a", b"b"]);
        let words = ["2 Superseded", "leaves []", "need []", "3 Applied"].map(String::from);
        assert_eq!(said(&mut transfer, third), Ok(words.to_vec()));
    }

    #[test]
    fn nothing_is_believed() {
        let mut transfer = Transfer::default();
        assert_eq!(transfer.hear(None), Err(Confusion::NoKind));
        let [first, entries] = offer(1, &[b"a"]);
        assert_eq!(said(&mut transfer, entries.clone()), Err(Confusion::NoOffer));
        assert_eq!(said(&mut transfer, first), Ok(vec!["leaves [0]".into()]));
        let [_, others] = offer(1, &[b"b"]);
        assert_eq!(said(&mut transfer.clone(), others), Err(Confusion::Unlisted));
        assert_eq!(said(&mut transfer, entries), Ok(vec!["need [0]".into()]));
        assert_eq!(said(&mut transfer, chunk(&[b"b"])), Err(Confusion::Unlisted));
    }
}
