//! A configuration on its way in: what an offer lists, put together from what is here already and what travels.
//!
//! Nothing a peer says is believed: hashes are computed over the bytes as received, sizes are counted, and what comes out
//! is decoded by the constructors that read a file. Nothing is brought into force here.

/// What is here already.
mod holdings;

use std::{collections::HashMap, sync::Arc};

use apigw_config::{
    problem::Problem,
    wire::{self, Content, Entry, Hash, IdentityError, Leaf, LeafError, MAX_LEAVES, Resource, Revision},
};
use apigw_proto::v1;
use bytes::Bytes;

pub(super) use self::holdings::Holdings;

/// The most resources of a configuration.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;
/// The most bytes of a configuration's resources together.
pub(crate) const MAX_BYTES: usize = 512 << 20;
/// The most indexes of one Need: at most 3 bytes each, so that the message keeps its limit. What else is missing is
/// needed when these have come.
pub(super) const MAX_NEED: usize = 250_000;

/// Why a push is refused. It becomes the report's problem.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("an offer of no resources")]
    Nothing,
    #[error("an offer of {count} leaves, more than {MAX_LEAVES}")]
    TooManyLeaves { count: usize },
    #[error("an offer of more than {MAX_ENTRIES} resources")]
    TooMany,
    #[error("resources of more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the hashes of the leaves have {length} bytes, which is not 32 for each")]
    LeafHashes { length: usize },
    #[error("the leaves do not have the hash {offered} that was offered, but {found}")]
    RootHash { offered: Hash, found: Hash },
    #[error("a leaf that nobody needed")]
    UnneededLeaf,
    #[error("leaf {index}: {error}")]
    Entry { index: usize, error: IdentityError },
    #[error("leaf {index} is none: {error}")]
    NoLeaf { index: usize, error: LeafError },
    #[error("leaf {index} does not have the hash that was offered")]
    LeafHash { index: usize },
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

/// The leaves of an offer, as far as their entries are here.
#[derive(Debug)]
pub(super) struct Listing {
    revision: Revision,
    leaves: Vec<Place>,
    /// Indexes of the leaves that were not here when the push began, ascending,
    missing: Vec<u32>,
    /// and how many of them have come.
    received: usize,
    /// How many entries there are in all leaves so far.
    count: usize,
}

/// One leaf of an offer.
#[derive(Debug)]
enum Place {
    /// It is here, with all its content.
    Held(Arc<Leaf>),
    /// Its entries are here.
    Listed(Hash, Vec<Entry>),
    Missing(Hash),
}

impl Place {
    fn hash(&self) -> Hash {
        match self {
            Self::Held(leaf) => leaf.hash(),
            Self::Listed(hash, _) | Self::Missing(hash) => *hash,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Held(leaf) => leaf.resources().len(),
            Self::Listed(_, entries) => entries.len(),
            Self::Missing(_) => 0,
        }
    }
}

impl Listing {
    /// Looks for what is here already.
    pub(super) fn new(revision: Revision, hashes: &[u8], holdings: &Holdings) -> Result<Self, Refusal> {
        let hashes = hashes_of(hashes)?;
        let found = wire::root_of(hashes.iter().copied());
        if found != revision.root_hash {
            return Err(Refusal::RootHash { offered: revision.root_hash, found });
        }
        let place = |hash| match (holdings.leaf(hash), holdings.list(hash)) {
            (Some(leaf), _) => Place::Held(leaf),
            (None, Some(entries)) => Place::Listed(hash, entries),
            (None, None) => Place::Missing(hash),
        };
        let leaves: Vec<_> = hashes.into_iter().map(place).collect();
        let absent = (0_u32..).zip(&leaves).filter(|(_, place)| matches!(place, Place::Missing(_)));
        let missing = absent.map(|(index, _)| index).collect();
        let count = leaves.iter().map(Place::count).sum();
        Ok(Self { revision, leaves, missing, received: 0, count })
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Indexes of the leaves whose entries were not here.
    pub(super) fn missing(&self) -> &[u32] {
        &self.missing
    }

    /// Takes more leaves, in the order in which they were needed.
    pub(super) fn extend(&mut self, leaves: Vec<v1::Leaf>) -> Result<(), Refusal> {
        for leaf in leaves {
            let index = *self.missing.get(self.received).ok_or(Refusal::UnneededLeaf)? as usize;
            let entries: Result<Vec<Entry>, _> = leaf.entries.into_iter().map(Entry::try_from).collect();
            let entries = entries.map_err(|error| Refusal::Entry { index, error })?;
            let hash = wire::leaf_hash(&entries).map_err(|error| Refusal::NoLeaf { index, error })?;
            if hash != self.leaves[index].hash() {
                return Err(Refusal::LeafHash { index });
            }
            self.count += entries.len();
            self.leaves[index] = Place::Listed(hash, entries);
            self.received += 1;
        }
        if self.count > MAX_ENTRIES { Err(Refusal::TooMany) } else { Ok(()) }
    }

    /// Whether the entries of all leaves are here.
    pub(super) fn is_whole(&self) -> bool {
        self.received == self.missing.len()
    }

    /// Looks for resources that are here already. The list must be whole.
    pub(super) fn fetch(self, holdings: &Holdings) -> Fetch {
        let available = holdings.resources_beside(self.leaves.iter().map(Place::hash));
        let mut fetch = Fetch {
            revision: self.revision,
            leaves: Vec::with_capacity(self.leaves.len()),
            missing: Vec::new(),
            received: 0,
            needed: 0,
            bytes: 0,
        };
        let mut first = 0;
        for (leaf, place) in self.leaves.into_iter().enumerate() {
            let count = place.count();
            fetch.leaves.push(match place {
                Place::Held(held) => {
                    fetch.bytes += held.byte_count();
                    Gathering::Whole(held)
                }
                Place::Listed(_, entries) => {
                    let item = |(place, entry): (usize, Entry)| {
                        // A resource is known by its hash, but only used under the name it has.
                        if let Some(held) = available.get(&entry.hash).filter(|held| *held.entry() == entry) {
                            fetch.bytes += held.bytes().len();
                            return Item::Here(Resource::clone(held));
                        }
                        fetch.missing.push(Missing { index: first + place, leaf, place });
                        Item::Awaited(entry)
                    };
                    Gathering::Partial(entries.into_iter().enumerate().map(item).collect())
                }
                // The list is whole.
                Place::Missing(_) => Gathering::Partial(Vec::new()),
            });
            first += count;
        }
        fetch
    }

    /// What is worth keeping of it.
    pub(super) fn lists(self) -> HashMap<Hash, Vec<Entry>> {
        let list = |place| match place {
            Place::Listed(hash, entries) => Some((hash, entries)),
            Place::Held(_) | Place::Missing(_) => None,
        };
        self.leaves.into_iter().filter_map(list).collect()
    }
}

fn hashes_of(bytes: &[u8]) -> Result<Vec<Hash>, Refusal> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    match hashes.len() {
        _ if !rest.is_empty() => Err(Refusal::LeafHashes { length: bytes.len() }),
        0 => Err(Refusal::Nothing),
        count if count > MAX_LEAVES => Err(Refusal::TooManyLeaves { count }),
        _ => Ok(hashes.iter().map(|hash| Hash::from(*hash)).collect()),
    }
}

/// The resources of an offer, as far as they are here.
#[derive(Debug)]
pub(super) struct Fetch {
    revision: Revision,
    leaves: Vec<Gathering>,
    /// What was not here when the push began, in the order of the list.
    missing: Vec<Missing>,
    /// How many of `missing` have come,
    received: usize,
    /// and how many were needed so far.
    needed: usize,
    bytes: usize,
}

/// One leaf, as far as it is here.
#[derive(Debug)]
enum Gathering {
    Whole(Arc<Leaf>),
    Partial(Vec<Item>),
}

#[derive(Debug)]
enum Item {
    Here(Resource),
    Awaited(Entry),
}

/// Where a resource belongs that is not here.
#[derive(Debug)]
struct Missing {
    /// In the list.
    index: usize,
    leaf: usize,
    /// In the leaf.
    place: usize,
}

impl Fetch {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// What to need next, when all that was needed before has come; empty when nothing is missing.
    pub(super) fn need(&mut self) -> Vec<u32> {
        let until = (self.needed + MAX_NEED).min(self.missing.len());
        let missing = self.missing[self.needed..until].iter();
        self.needed = until;
        missing.map(|missing| u32::try_from(missing.index).expect("there are at most a million")).collect()
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
            let Missing { index, leaf, place } = self.missing[self.received];
            let Gathering::Partial(items) = &mut self.leaves[leaf] else { return Err(Refusal::Unneeded) };
            let Item::Awaited(entry) = &items[place] else { return Err(Refusal::Unneeded) };
            let resource = Resource::new(entry.kind, entry.name.clone(), bytes);
            if resource.entry() != entry {
                return Err(Refusal::ResourceHash { index });
            }
            items[place] = Item::Here(resource);
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
    pub(super) fn finish(self, holdings: &Holdings) -> Result<Candidate, Refusal> {
        if self.bytes > MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        let leaf = |(index, leaf): (usize, Gathering)| match leaf {
            Gathering::Whole(leaf) => Ok(leaf),
            Gathering::Partial(items) => {
                let leaf = Leaf::new(items.into_iter().filter_map(Item::resource).collect());
                leaf.map(Arc::new).map_err(|error| Refusal::NoLeaf { index, error })
            }
        };
        let leaves: Vec<_> = self.leaves.into_iter().enumerate().map(leaf).collect::<Result<_, _>>()?;
        let content = Content::decode(&leaves, holdings.running()).map_err(Refusal::Illegal)?;
        Ok(Candidate { revision: self.revision, content })
    }

    /// What is worth keeping of it: the lists of its leaves, and resources.
    pub(super) fn remains(self) -> (HashMap<Hash, Vec<Entry>>, Vec<Resource>) {
        let (mut lists, mut resources) = (HashMap::new(), Vec::new());
        for leaf in self.leaves {
            let Gathering::Partial(items) = leaf else { continue };
            let entries: Vec<_> = items.iter().map(|item| item.entry().clone()).collect();
            if let Ok(hash) = wire::leaf_hash(&entries) {
                lists.insert(hash, entries);
            }
            resources.extend(items.into_iter().filter_map(Item::resource));
        }
        (lists, resources)
    }
}

impl Item {
    fn entry(&self) -> &Entry {
        match self {
            Self::Here(resource) => resource.entry(),
            Self::Awaited(entry) => entry,
        }
    }

    fn resource(self) -> Option<Resource> {
        match self {
            Self::Here(resource) => Some(resource),
            Self::Awaited(_) => None,
        }
    }
}

/// A legal configuration, with what it was made of.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) revision: Revision,
    pub(crate) content: Content,
}
