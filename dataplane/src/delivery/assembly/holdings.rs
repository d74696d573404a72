//! What is here of configurations: all of what runs, and what remains of pushes that were broken off.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use apigw_config::wire::{Content, Entry, Hash, Leaf, Resource};

use super::{Fetch, Listing};

/// What a configuration can be put together from.
#[derive(Debug, Default)]
pub(in crate::delivery) struct Holdings {
    running: Option<Content>,
    /// Of what runs, by their hashes.
    leaves: HashMap<Hash, Arc<Leaf>>,
    /// Of the push that was broken off last: the lists of leaves,
    lists: HashMap<Hash, Vec<Entry>>,
    /// and of the last that had come so far, resources. Either is no more than one configuration may have.
    resources: HashMap<Hash, Resource>,
}

impl Holdings {
    /// Of a data plane that runs this. What remained of pushes is given up.
    pub(in crate::delivery) fn of(running: Content) -> Self {
        let leaves = running.leaves().map(|leaf| (leaf.hash(), Arc::clone(leaf))).collect();
        Self { running: Some(running), leaves, ..Self::default() }
    }

    /// What runs.
    pub(super) fn running(&self) -> Option<&Content> {
        self.running.as_ref()
    }

    pub(super) fn leaf(&self, hash: Hash) -> Option<Arc<Leaf>> {
        self.leaves.get(&hash).cloned()
    }

    pub(super) fn list(&self, hash: Hash) -> Option<Vec<Entry>> {
        self.lists.get(&hash).cloned()
    }

    /// Keeps what had come of a push while its leaves were listed.
    pub(in crate::delivery) fn keep_listing(&mut self, listing: Listing) {
        self.lists = listing.lists();
    }

    /// Keeps what had come of a push; it had made use of what remained before it.
    pub(in crate::delivery) fn keep_fetch(&mut self, fetch: Fetch) {
        let (lists, resources) = fetch.remains();
        self.lists = lists;
        self.resources = resources.into_iter().map(|resource| (resource.entry().hash, resource)).collect();
    }

    /// What is here beside these leaves: a resource that moved out of a leaf is not in one that stayed.
    pub(super) fn resources_beside(&self, leaves: impl Iterator<Item = Hash>) -> HashMap<Hash, &Resource> {
        let present: HashSet<_> = leaves.collect();
        let others = self.leaves.values().filter(|leaf| !present.contains(&leaf.hash()));
        let departed =
            others.flat_map(|leaf| leaf.resources()).map(|resource| (resource.entry().hash, resource));
        departed.chain(self.resources.iter().map(|(hash, resource)| (*hash, resource))).collect()
    }
}
