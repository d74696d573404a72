//! A configuration on its way in: what an offer lists, put together from what is here already and what travels.
//!
//! Nothing a peer says is believed: hashes are computed over the bytes as received, sizes are counted, and what comes out
//! is decoded by the constructors that read a file. Nothing is brought into force here.

use std::{collections::HashMap, sync::Arc};

use apigw_config::{
    model::GatewayConfig,
    problem::Problem,
    wire::{self, Entry, Hash, IdentityError, Resource, Revision},
};
use apigw_proto::v1;
use bytes::Bytes;

/// The most resources of a configuration.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;
/// The most bytes of a configuration's resources together.
pub(crate) const MAX_BYTES: usize = 512 << 20;
/// The most indexes of one Need: at most 3 bytes each, so that the message keeps its limit. What else is missing is
/// needed when these have come.
pub(super) const MAX_NEED: usize = 250_000;

/// Resources by their hashes.
pub(super) type Holdings = HashMap<Hash, Resource>;

/// What a later configuration can be put together from.
pub(super) fn holdings(resources: &[Resource]) -> Holdings {
    resources.iter().map(|resource| (resource.entry().hash, resource.clone())).collect()
}

/// Why a push is refused. It becomes the report's problem.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("an offer of no resources")]
    Nothing,
    #[error("an offer of {count} resources, more than {MAX_ENTRIES}")]
    TooMany { count: usize },
    #[error("resources of more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("more entries than the {count} that were offered")]
    MoreThanOffered { count: usize },
    #[error("entry {index}: {error}")]
    Entry { index: usize, error: IdentityError },
    #[error("the entries do not have the hash {offered} that was offered, but {found}")]
    RootHash { offered: Hash, found: Hash },
    #[error("resource {index} does not have the hash that was listed")]
    ResourceHash { index: usize },
    #[error("a resource that nobody needed")]
    Unneeded,
    /// What was sent is no configuration.
    #[error("{} problems in what was sent", .0.len())]
    Illegal(Vec<Problem>),
}

impl From<Refusal> for Vec<Problem> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Illegal(problems) => problems,
            other => vec![of_delivery(other.to_string())],
        }
    }
}

/// A problem of what was delivered, rather than of what it says.
pub(super) fn of_delivery(message: String) -> Problem {
    Problem { file: String::new(), position: None, path: String::new(), message }
}

/// The entries of an offer, as far as they have come.
#[derive(Debug)]
pub(super) struct Listing {
    revision: Revision,
    count: usize,
    entries: Vec<Entry>,
}

impl Listing {
    pub(super) fn new(revision: Revision, count: u32) -> Result<Self, Refusal> {
        match usize::try_from(count) {
            Ok(0) => Err(Refusal::Nothing),
            Ok(count) if count <= MAX_ENTRIES => Ok(Self { revision, count, entries: Vec::new() }),
            other => Err(Refusal::TooMany { count: other.unwrap_or(usize::MAX) }),
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes more of the list.
    pub(super) fn extend(&mut self, entries: Vec<v1::Entry>) -> Result<(), Refusal> {
        if self.entries.len() + entries.len() > self.count {
            return Err(Refusal::MoreThanOffered { count: self.count });
        }
        for entry in entries {
            let index = self.entries.len();
            self.entries.push(entry.try_into().map_err(|error| Refusal::Entry { index, error })?);
        }
        Ok(())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.entries.len() == self.count
    }

    /// Looks for what is here already. The list must be whole.
    pub(super) fn fetch(self, holdings: &Holdings) -> Result<Fetch, Refusal> {
        let found = wire::root_hash(&self.entries);
        if found != self.revision.root_hash {
            return Err(Refusal::RootHash { offered: self.revision.root_hash, found });
        }
        // A resource is known by its hash, but only used under the name it has.
        let held = |entry: &Entry| holdings.get(&entry.hash).filter(|held| held.entry() == entry).cloned();
        let resources: Vec<Option<Resource>> = self.entries.iter().map(held).collect();
        let absent = (0_u32..).zip(&resources).filter(|(_, resource)| resource.is_none());
        let missing = absent.map(|(index, _)| index).collect();
        let bytes = resources.iter().flatten().map(|resource| resource.bytes().len()).sum();
        Ok(Fetch {
            revision: self.revision,
            entries: self.entries,
            resources,
            missing,
            received: 0,
            needed: 0,
            bytes,
        })
    }
}

/// The resources of an offer, as far as they are here.
#[derive(Debug)]
pub(super) struct Fetch {
    revision: Revision,
    entries: Vec<Entry>,
    /// Parallel to the entries.
    resources: Vec<Option<Resource>>,
    /// Indexes of what was not here when the push began, ascending.
    missing: Vec<u32>,
    /// How many of `missing` have come,
    received: usize,
    /// and how many were needed so far.
    needed: usize,
    bytes: usize,
}

impl Fetch {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// What to need next, when all that was needed before has come; empty when nothing is missing.
    pub(super) fn need(&mut self) -> Vec<u32> {
        let until = (self.needed + MAX_NEED).min(self.missing.len());
        let indexes = self.missing[self.needed..until].to_vec();
        self.needed = until;
        indexes
    }

    /// Takes the bytes of resources, in the order in which they were needed.
    pub(super) fn extend(&mut self, resources: Vec<Bytes>) -> Result<(), Refusal> {
        for bytes in resources {
            if self.received == self.needed {
                return Err(Refusal::Unneeded);
            }
            self.bytes = self.bytes.saturating_add(bytes.len());
            if self.bytes > MAX_BYTES {
                return Err(Refusal::TooLarge);
            }
            let index = self.missing[self.received] as usize;
            let entry = &self.entries[index];
            let resource = Resource::new(entry.kind, entry.name.clone(), bytes);
            if resource.entry() != entry {
                return Err(Refusal::ResourceHash { index });
            }
            self.resources[index] = Some(resource);
            self.received += 1;
        }
        Ok(())
    }

    /// Whether all that was needed so far has come.
    pub(super) fn is_met(&self) -> bool {
        self.received == self.needed
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.received == self.missing.len()
    }

    /// Reads what is now here as a configuration.
    pub(super) fn finish(self) -> Result<Candidate, Refusal> {
        if self.bytes > MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        let resources: Vec<Resource> = self.resources.into_iter().flatten().collect();
        let config = wire::decode(&resources).map_err(Refusal::Illegal)?;
        Ok(Candidate { revision: self.revision, config, resources: resources.into() })
    }
}

/// A legal configuration, with what it was made of.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) revision: Revision,
    pub(crate) config: GatewayConfig,
    /// As received, in the revision's order.
    pub(crate) resources: Arc<[Resource]>,
}
