//! A revision's list of resources in two levels: entries in leaves, leaves under the root hash.
//!
//! Where the list is cut is decided by what stands in it, so a change moves the cuts beside it and no others, and equal
//! lists are cut equally, whoever makes them:
//!
//! - the settings are a leaf by themselves, and no leaf has resources of two kinds;
//! - a leaf ends after an entry whose hash ends in eight zero bits (one in 256 does), or is the 1,024th;
//! - the last leaf ends with the list.
//!
//! A leaf's hash is the SHA-256 of `apigw leaf` and a zero byte, and then of each entry's kind (one byte, as in the API),
//! name (its length as eight bytes, big endian, then its bytes) and hash. The root hash is the SHA-256 of `apigw root` and
//! a zero byte, and then of the hashes of the leaves.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Entry, Hash, Resource, ResourceKind};

/// The most entries of a leaf.
pub const MAX_LEAF_ENTRIES: usize = 1_024;
/// The most leaves of a revision: their hashes travel in one message. A million entries have about 4,000.
pub const MAX_LEAVES: usize = 30_000;

const LEAF: &[u8] = b"apigw leaf\0";
const ROOT: &[u8] = b"apigw root\0";

/// Why entries are no leaf, or leaves no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// A leaf has entries.
    #[error("a leaf is empty")]
    Empty,
    /// It goes on where it should have ended.
    #[error("a leaf goes on after its entry {index}")]
    GoesOn {
        /// The entry after which it should have ended.
        index: usize,
    },
    /// What is of one kind is not in a leaf with what is of another.
    #[error("a leaf has an entry of another kind after its entry {index}")]
    MixedKinds {
        /// The last entry of the first kind.
        index: usize,
    },
    /// It ends where it should have gone on.
    #[error("leaf {index} ends too early")]
    EndsEarly {
        /// Which leaf.
        index: usize,
    },
}

/// Whether a list may go on in the same leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Here,
    NotHere,
}

/// Whether a leaf ends after its entry of this number, counted from one.
pub(super) fn cut(entry: &Entry, count: usize) -> Cut {
    let is_end = entry.kind == ResourceKind::Settings
        || entry.hash.as_bytes().last() == Some(&0)
        || count >= MAX_LEAF_ENTRIES;
    if is_end { Cut::Here } else { Cut::NotHere }
}

/// The hash of entries that are a leaf.
///
/// # Errors
/// When they are none: what comes after a cut is another leaf.
pub fn leaf_hash<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Hash, LeafError> {
    let mut count = 0;
    let mut end = None;
    let mut kind = None;
    let mut digest = Sha256::new_with_prefix(LEAF);
    for entry in entries {
        if let Some(index) = end {
            return Err(LeafError::GoesOn { index });
        }
        if *kind.get_or_insert(entry.kind) != entry.kind {
            return Err(LeafError::MixedKinds { index: count - 1 });
        }
        count += 1;
        end = (cut(entry, count) == Cut::Here).then_some(count - 1);
        add(&mut digest, entry);
    }
    if count == 0 { Err(LeafError::Empty) } else { Ok(Hash::from(digest)) }
}

/// The hash of a run between two cuts.
pub(super) fn run_hash<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Hash {
    let mut digest = Sha256::new_with_prefix(LEAF);
    entries.into_iter().for_each(|entry| add(&mut digest, entry));
    Hash::from(digest)
}

fn add(digest: &mut Sha256, entry: &Entry) {
    let kind: u8 = match entry.kind {
        ResourceKind::Settings => 1,
        ResourceKind::Route => 2,
        ResourceKind::Backend => 3,
    };
    digest.update([kind]);
    digest.update((entry.name.len() as u64).to_be_bytes());
    digest.update(&entry.name);
    digest.update(entry.hash.as_bytes());
}

/// The identity of a configuration by the hashes of its leaves.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut digest = Sha256::new_with_prefix(ROOT);
    leaves.into_iter().for_each(|leaf| digest.update(leaf.as_bytes()));
    Hash::from(digest)
}

/// The identity of a configuration by its whole list.
#[must_use]
pub fn root_hash<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Hash {
    let entries: Vec<&Entry> = entries.into_iter().collect();
    root_of(runs(&entries, |entry| *entry).map(|run| run_hash(run.iter().copied())))
}

/// Cuts a list of resources into its leaves.
#[must_use]
pub fn leaves_of(resources: &[Resource]) -> Vec<Arc<Leaf>> {
    runs(resources, Resource::entry).map(|run| Arc::new(Leaf::of_run(run.to_vec()))).collect()
}

/// Cuts a list into the runs that are its leaves.
pub(super) fn runs<T>(list: &[T], entry: impl Fn(&T) -> &Entry) -> impl Iterator<Item = &[T]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let is_other_kind =
            |next: Option<&T>, item: &T| next.is_some_and(|next| entry(next).kind != entry(item).kind);
        let end = (1..).zip(rest).find(|(count, item)| {
            cut(entry(item), *count) == Cut::Here || is_other_kind(rest.get(*count), item)
        });
        let (run, others) = rest.split_at(end.map_or(rest.len(), |(count, _)| count));
        rest = others;
        (!run.is_empty()).then_some(run)
    })
}

/// A leaf with the content of its entries. It never changes, so revisions share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    hash: Hash,
    resources: Vec<Resource>,
    bytes: usize,
}

impl Leaf {
    /// Takes resources as they were made, received or stored; the hash is computed here, never believed.
    ///
    /// # Errors
    /// When they are no leaf.
    pub fn new(resources: Vec<Resource>) -> Result<Self, LeafError> {
        let hash = leaf_hash(resources.iter().map(Resource::entry))?;
        let bytes = resources.iter().map(|resource| resource.bytes().len()).sum();
        Ok(Self { hash, resources, bytes })
    }

    /// Of a run between two cuts.
    pub(super) fn of_run(resources: Vec<Resource>) -> Self {
        let hash = run_hash(resources.iter().map(Resource::entry));
        let bytes = resources.iter().map(|resource| resource.bytes().len()).sum();
        Self { hash, resources, bytes }
    }

    /// Its name.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Its resources, in the revision's order; at least one.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// How many bytes its resources have together.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.bytes
    }

    fn is_cut_before(&self, next: &Self) -> bool {
        let last = self.resources.last();
        let is_cut = last.is_some_and(|last| cut(last.entry(), self.resources.len()) == Cut::Here);
        is_cut || self.kind() != next.kind()
    }

    /// Of what its resources are; none of a leaf that is empty, which there is not.
    pub(super) fn kind(&self) -> Option<ResourceKind> {
        self.resources.first().map(|first| first.entry().kind)
    }
}

/// Whether leaves follow each other as the rules of the cuts have it.
///
/// # Errors
/// When one that is not the last ends without a cut.
pub(super) fn check_order(leaves: &[Arc<Leaf>]) -> Result<(), LeafError> {
    match leaves.windows(2).position(|pair| !pair[0].is_cut_before(&pair[1])) {
        Some(index) => Err(LeafError::EndsEarly { index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn entry(kind: ResourceKind, name: &str) -> Entry {
        Entry { kind, name: name.into(), hash: Hash::of(b"x") }
    }

    fn resources(count: u32, version: impl Fn(u32) -> u32) -> Vec<Resource> {
        let settings = Resource::new(ResourceKind::Settings, String::new(), Bytes::from_static(b"s"));
        let route = |number: u32| {
            let bytes = [number.to_be_bytes(), version(number).to_be_bytes()].concat();
            Resource::new(ResourceKind::Route, number.to_string(), bytes.into())
        };
        std::iter::once(settings).chain((0..count).map(route)).collect()
    }

    fn leaves(resources: &[Resource]) -> Vec<Leaf> {
        runs(resources, Resource::entry).map(|run| Leaf::new(run.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_root_hash_depends_on_kind_name_hash_and_order() {
        let [a, b, ab] = ["a", "b", "ab"].map(|name| entry(ResourceKind::Route, name));
        let other_content = Entry { hash: Hash::of(b"y"), ..a.clone() };
        let other_kind = Entry { kind: ResourceKind::Settings, ..a.clone() };
        let lists = [
            vec![],
            vec![&a],
            vec![&a, &b],
            vec![&b, &a],
            vec![&ab],
            vec![&other_content],
            vec![&other_kind],
            vec![&other_kind, &a],
        ];
        let hashes: HashSet<_> = lists.iter().map(|list| root_hash(list.iter().copied())).collect();
        assert_eq!(hashes.len(), lists.len());
    }

    #[test]
    fn a_list_is_cut_after_the_settings_and_about_every_256th_route() {
        let resources = resources(20_000, |_| 0);
        let leaves = leaves(&resources);
        assert_eq!(leaves[0].resources().len(), 1);
        assert!((50..120).contains(&leaves.len()), "{} leaves", leaves.len());
        let together: Vec<_> = leaves.iter().flat_map(|leaf| leaf.resources().to_vec()).collect();
        assert_eq!(together, resources);
        assert_eq!(root_of(leaves.iter().map(Leaf::hash)), {
            root_hash(resources.iter().map(Resource::entry))
        });
    }

    #[test]
    fn a_leaf_has_1024_entries_and_not_one_more() {
        let uncut = resources(20_000, |_| 0).into_iter().filter(|r| cut(r.entry(), 1) == Cut::NotHere);
        let uncut: Vec<_> = uncut.collect();
        let sizes: Vec<_> = leaves(&uncut[..2_050]).iter().map(|leaf| leaf.resources().len()).collect();
        assert_eq!(sizes, [MAX_LEAF_ENTRIES, MAX_LEAF_ENTRIES, 2]);
        assert!(Leaf::new(uncut[..MAX_LEAF_ENTRIES].to_vec()).is_ok());
        let refused = Leaf::new(uncut[..=MAX_LEAF_ENTRIES].to_vec());
        assert_eq!(refused, Err(LeafError::GoesOn { index: MAX_LEAF_ENTRIES - 1 }));
    }

    #[test]
    fn what_is_cut_otherwise_is_refused() {
        let resources = resources(2_000, |_| 0);
        assert_eq!(Leaf::new(Vec::new()), Err(LeafError::Empty));
        assert_eq!(Leaf::new(resources[..2].to_vec()), Err(LeafError::GoesOn { index: 0 }));
        let whole: Vec<_> = leaves(&resources).into_iter().map(Arc::new).collect();
        assert_eq!(check_order(&whole), Ok(()));
        let route = |index: usize| whole[1].resources()[index].clone();
        let halves = [vec![route(0)], vec![route(1)]].map(|half| Arc::new(Leaf::new(half).unwrap()));
        assert_eq!(check_order(&halves), Err(LeafError::EndsEarly { index: 0 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn an_edit_changes_a_few_leaves(place in 0_u32..5_000, removed in any::<bool>()) {
            let before = leaves(&resources(5_000, |_| 0));
            let mut edited = resources(5_000, |number| u32::from(number == place));
            if removed {
                edited.remove(place as usize + 1);
            }
            let known: HashSet<_> = before.iter().map(Leaf::hash).collect();
            let fresh = leaves(&edited).iter().filter(|leaf| !known.contains(&leaf.hash())).count();
            prop_assert!((1..=3).contains(&fresh) || removed && fresh == 0, "{} leaves are new", fresh);
        }
    }
}
