//! Tokens that were believed before, so that a repeated token costs a hash and a comparison and no signature check.
//!
//! One cache belongs to one worker: no locks. It is bounded in entries and bytes. It believes nothing by itself: whether
//! an entry still stands (its key still in use, its provider unchanged) is asked at every hit.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;

use super::{mark::Mark, time::UnixTime, verify::Verified};

/// How much a cache may hold.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Entries.
    pub entries: usize,
    /// Bytes of them, counted with their containers.
    pub bytes: usize,
}

/// What has become of a verdict of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It would be given again: nothing has changed.
    Stands,
    /// It would be given again by another key set that holds the same key.
    StandsUnder(Mark),
    /// It would be given, but not here and now.
    Elsewhere,
    /// It would not be given, or nobody can say.
    Fallen,
}

/// Verified tokens, found by the whole text of the token.
#[derive(Debug)]
pub struct TokenCache {
    /// Keyed at random, so that nobody can choose tokens that collide.
    hasher: RandomState,
    limits: CacheLimits,
    /// Without gaps, so that the hand never searches.
    slots: Vec<Slot>,
    /// Places in `slots`, by the hash of their token.
    table: HashTable<usize>,
    /// Where the search for a victim goes on.
    hand: usize,
    bytes: usize,
}

struct Slot {
    hash: u64,
    token: Box<str>,
    verified: Arc<Verified>,
    /// The key set under which the verdict was last found to stand.
    key_set: Mark,
    bytes: usize,
    /// Asked for since the hand last passed.
    is_recent: bool,
}

impl fmt::Debug for Slot {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// How many recent entries the hand passes over before it takes one all the same, so that room is made in constant
    /// time even when everything is recent.
    const PATIENCE: usize = 16;

    /// So much of a token's end is hashed: most of the shortest signature (HS256), and a part of longer ones that nobody guesses.
    const HASHED_BYTES: usize = 40;

    /// An empty cache. `hasher` carries the random key.
    #[must_use]
    pub fn new(limits: CacheLimits, hasher: RandomState) -> Self {
        Self { hasher, limits, slots: Vec::new(), table: HashTable::new(), hand: 0, bytes: 0 }
    }

    /// Tokens held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The verdict on a token, if it is known, has not expired, and stands. What has expired or fallen is forgotten.
    pub(super) fn find(
        &mut self,
        token: &str,
        now: UnixTime,
        standing: impl FnOnce(&Verified, Mark) -> Standing,
    ) -> Option<Arc<Verified>> {
        let index = self.position(self.hash(token), token)?;
        let slot = &mut self.slots[index];
        let has_expired = now >= slot.verified.expires();
        match if has_expired { Standing::Fallen } else { standing(&slot.verified, slot.key_set) } {
            Standing::Stands => {}
            Standing::StandsUnder(key_set) => slot.key_set = key_set,
            Standing::Elsewhere => return None,
            Standing::Fallen => {
                self.remove(index);
                return None;
            }
        }
        slot.is_recent = true;
        Some(Arc::clone(&slot.verified))
    }

    /// Remembers a verdict; makes room by forgetting others. One that is too large for the cache is not remembered.
    pub(super) fn insert(&mut self, token: &str, verified: Arc<Verified>) {
        let bytes = size_of::<Slot>() + token.len() + size_of::<Verified>() + verified.claims().memory();
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        let hash = self.hash(token);
        if let Some(index) = self.position(hash, token) {
            self.remove(index);
        }
        let is_full =
            |cache: &Self| cache.len() >= cache.limits.entries || cache.bytes + bytes > cache.limits.bytes;
        while !self.is_empty() && is_full(self) {
            self.evict();
        }
        let key_set = verified.key_set;
        // Not recent yet: a token that is never seen again is the first to go.
        let slot = Slot { hash, token: token.into(), verified, key_set, bytes, is_recent: false };
        self.bytes += bytes;
        self.slots.push(slot);
        let slots = &self.slots;
        self.table.insert_unique(hash, slots.len() - 1, |&slot| slots[slot].hash);
    }

    /// Of the end of the token, which is its signature's: nothing in a token differs more, and only what was verified is here, so
    /// nobody can fill the cache with what ends alike.
    fn hash(&self, token: &str) -> u64 {
        let end = token.as_bytes();
        self.hasher.hash_one(&end[end.len().saturating_sub(Self::HASHED_BYTES)..])
    }

    /// The slot of a token.
    fn position(&self, hash: u64, token: &str) -> Option<usize> {
        // The whole token is compared: a hash proves nothing. Whoever could learn from how long that takes would have to
        // hit the keyed hash first, for which he needs the signature.
        let is_it = |&slot: &usize| self.slots[slot].hash == hash && *self.slots[slot].token == *token;
        self.table.find(hash, is_it).copied()
    }

    /// Forgets an entry, if there is one: the next that has not been asked for lately (second chance).
    fn evict(&mut self) {
        let mut patience = Self::PATIENCE;
        while !self.slots.is_empty() {
            self.hand %= self.slots.len();
            let slot = &mut self.slots[self.hand];
            if !slot.is_recent || patience == 0 {
                self.remove(self.hand);
                return;
            }
            slot.is_recent = false;
            patience -= 1;
            self.hand += 1;
        }
    }

    /// Forgets a slot; the last one takes its place.
    fn remove(&mut self, index: usize) {
        let removed = self.slots.swap_remove(index);
        self.bytes -= removed.bytes;
        let last = self.slots.len();
        if let Ok(entry) = self.table.find_entry(removed.hash, |&slot| slot == index) {
            entry.remove();
        }
        if let Some(moved) = self.slots.get(index)
            && let Some(slot) = self.table.find_mut(moved.hash, |&slot| slot == last)
        {
            *slot = index;
        }
    }
}

#[cfg(test)]
mod tests;
