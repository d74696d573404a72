//! A hash table whose copies share what they have in common: what a change of a few among many costs the few.
//!
//! Items lie in shards by their hash. A copy shares all shards; what is changed afterwards is copied shard by shard, so a
//! change costs some [`ITEMS_IN_SHARD`] copied items, and a copy one pointer for each shard. Looking up costs one more
//! step than in a table of one piece. Nothing here knows what an item is; who uses it brings hashes.

use std::{fmt, sync::Arc};

use hashbrown::HashTable;

/// How many items a shard has at most, on average, before there are twice as many shards.
const ITEMS_IN_SHARD: usize = 64;

/// A table of items, each found by a hash and a condition.
pub struct SharedTable<T> {
    /// A power of two of them.
    shards: Vec<Arc<Shard<T>>>,
    len: usize,
}

#[derive(Clone)]
struct Shard<T>(HashTable<(u64, T)>);

impl<T> Clone for SharedTable<T> {
    /// Shares everything.
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), len: self.len }
    }
}

impl<T> fmt::Debug for SharedTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTable").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T> Default for SharedTable<T> {
    fn default() -> Self {
        Self { shards: vec![Arc::default()], len: 0 }
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<T> SharedTable<T> {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The item with this hash that satisfies the condition.
    #[must_use]
    pub fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        let found = self.shards[self.shard_of(hash)].0.find(hash, |(_, item)| is_it(item));
        found.map(|(_, item)| item)
    }

    /// All items, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(|shard| shard.0.iter().map(|(_, item)| item))
    }

    /// Bits that the tables themselves make little of: they use the lowest and the highest ones.
    fn shard_of(&self, hash: u64) -> usize {
        let bits = usize::try_from(hash >> 24 & 0xffff_ffff).expect("32 bits are an index");
        bits & (self.shards.len() - 1)
    }
}

impl<T: Clone> SharedTable<T> {
    /// Room for so many items.
    #[must_use]
    pub fn with_capacity(items: usize) -> Self {
        let shards = items.div_ceil(ITEMS_IN_SHARD).next_power_of_two();
        Self { shards: (0..shards).map(|_| Arc::default()).collect(), len: 0 }
    }

    /// Adds an item that is not there.
    pub fn insert(&mut self, hash: u64, item: T) {
        if self.len >= self.shards.len() * ITEMS_IN_SHARD {
            self.spread();
        }
        self.place(hash, item);
    }

    /// The item with this hash that satisfies the condition, to be changed.
    pub fn find_mut(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        // What is not there must not cost a copy.
        self.find(hash, &is_it)?;
        let shard = self.shard_of(hash);
        let found = Arc::make_mut(&mut self.shards[shard]).0.find_mut(hash, |(_, item)| is_it(item));
        found.map(|(_, item)| item)
    }

    /// Takes out the item with this hash that satisfies the condition.
    pub fn remove(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.find(hash, &is_it)?;
        let shard = self.shard_of(hash);
        let entry =
            Arc::make_mut(&mut self.shards[shard]).0.find_entry(hash, |(_, item)| is_it(item)).ok()?;
        self.len -= 1;
        Some(entry.remove().0.1)
    }

    fn place(&mut self, hash: u64, item: T) {
        let shard = self.shard_of(hash);
        Arc::make_mut(&mut self.shards[shard]).0.insert_unique(hash, (hash, item), |(hash, _)| *hash);
        self.len += 1;
    }

    /// Twice as many shards: seldom enough to cost each item little.
    fn spread(&mut self) {
        let mut spread = Self::with_capacity(self.shards.len() * 2 * ITEMS_IN_SHARD);
        for shard in &self.shards {
            shard.0.iter().for_each(|(hash, item)| spread.place(*hash, item.clone()));
        }
        *self = spread;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Item = (u16, u8);

    #[derive(Debug, Clone)]
    enum Step {
        Put(u16, u8),
        Remove(u16),
        /// Goes on with a copy; what was before must stay as it is.
        Copy,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0_u16..600, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            3 => (0_u16..600).prop_map(Step::Remove),
            1 => Just(Step::Copy),
        ]
    }

    /// A poor hash, so that items meet.
    fn hash(key: u16) -> u64 {
        u64::from(key / 3) << 24
    }

    fn content(table: &SharedTable<Item>) -> BTreeMap<u16, u8> {
        let content: BTreeMap<_, _> = table.iter().copied().collect();
        assert_eq!(content.len(), table.len());
        assert!(content.iter().all(|(key, _)| table.find(hash(*key), |item| item.0 == *key).is_some()));
        content
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_map_and_copies_keep_what_they_had(steps in prop::collection::vec(any_step(), 0..400)) {
            let (mut table, mut expected) = (SharedTable::<Item>::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        match table.find_mut(hash(key), |item| item.0 == key) {
                            Some(item) => item.1 = value,
                            None => table.insert(hash(key), (key, value)),
                        }
                        expected.insert(key, value);
                    }
                    Step::Remove(key) => {
                        let removed = table.remove(hash(key), |item| item.0 == key);
                        prop_assert_eq!(removed.map(|item| item.1), expected.remove(&key));
                    }
                    Step::Copy => copies.push((table.clone(), expected.clone())),
                }
            }
            prop_assert_eq!(content(&table), expected);
            for (copy, expected) in copies {
                prop_assert_eq!(content(&copy), expected);
            }
        }
    }

    #[test]
    fn a_change_copies_one_shard_only() {
        let mut table = SharedTable::with_capacity(10_000);
        (0..10_000_u64).for_each(|key| table.insert(key << 24, key));
        let mut copy = table.clone();
        copy.remove(7 << 24, |key| *key == 7);
        copy.remove(8 << 30, |_| false);
        let copied = table.shards.iter().zip(&copy.shards).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
    }
}
