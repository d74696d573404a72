//! The buckets of this process: one table, shared by all workers, of a size that never changes.
//!
//! It holds `max_keys` entries of exactly 16 bytes, a hash and a theoretical arrival time, allocated when it is made and
//! taken from the system page by page as it fills. A key may stand in the eight ways of one set. A way whose time has
//! passed is free: a full bucket is as good as none. So nothing is ever swept, and nobody ever waits for it.
//!
//! When all eight ways are active, the one that would be free first gives way. So a flood of keys with one request each
//! replaces one another, while a caller who has used up his burst stays where he is: what he would gain from being
//! forgotten is what keeps him. (Of routes with very different rates the fast one's callers owe less time, and give way
//! first.) Sets begin to overflow when the table is about half full; `evictions` counts it, and more `max_keys` cure it.
//!
//! Why locks and not atomics: an entry is two words that must change together. The sets are spread over many locks, each
//! held for the time it takes to look at 128 bytes, so that a handful of workers hardly ever meet at one.
//! What every interleaving keeps: two requests with one key are judged one after the other, each by what the other left.
//!
//! Keys are told apart by a 64-bit hash with a secret key, so that nobody can choose keys that share a set or an entry.
//! Among a million active keys the chance that any two are taken for one is below one in 10^7.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::{Decision, Quota, ScopeValue, Tat};
use crate::{snapshot::RouteId, sync::Mutex};

/// Entries that one key may stand in.
const WAYS: usize = 8;

/// Locks.
const SHARDS: usize = 64;

/// Sets looked at in one go by who counts, so that no request waits longer than some microseconds for it.
const COUNTED_AT_ONCE: usize = 256;

/// Eight hashes, then the times of the eight. Plain numbers, because a vector of zeros of these is not written to when
/// it is made.
type Set = [u64; 2 * WAYS];

/// What a bucket is found by: as long as these are the same, it is the same bucket.
#[derive(Debug, Hash)]
pub struct BucketKey<'a> {
    /// Identity of the route's state.
    pub route: RouteId,
    /// So that a changed limit starts with full buckets.
    pub quota: Quota,
    /// Whose bucket.
    pub scope: ScopeValue<'a>,
}

/// Buckets by their keys.
#[derive(Debug)]
pub struct Table {
    /// Begun with the secret; copied for each key.
    hasher: SipHasher13,
    shards: Box<[Mutex<Shard>]>,
    /// In all shards: set `n` is number `n / shards` of shard `n % shards`.
    sets: u64,
}

#[derive(Debug)]
struct Shard {
    sets: Vec<Set>,
    evictions: u64,
}

impl Table {
    /// What one key takes.
    pub const BYTES_PER_KEY: usize = size_of::<Set>() / WAYS;

    /// Makes an empty table for `max_keys`, rounded down to a multiple of 8, but at least 8. `secret` must be random
    /// and different in each process.
    #[must_use]
    pub fn new(max_keys: usize, secret: [u8; 16]) -> Self {
        let sets = (max_keys / WAYS).max(1);
        let count = sets.min(SHARDS);
        let shard =
            |index: usize| Shard { sets: vec![[0; 2 * WAYS]; (sets - index).div_ceil(count)], evictions: 0 };
        Self {
            hasher: SipHasher13::new_with_key(&secret),
            shards: (0..count).map(|index| Mutex::new(shard(index))).collect(),
            sets: sets as u64,
        }
    }

    /// Judges a request and remembers what it did to its bucket. `now` counts from the same start in every call.
    #[must_use]
    pub fn decide(&self, key: &BucketKey<'_>, now: Duration) -> Decision {
        let hash = self.hash(key);
        let (shard, set) = self.place(hash);
        let mut shard = self.shards[shard].lock();
        let Shard { sets, evictions } = &mut *shard;
        let (known, times) = sets[set].split_at_mut(WAYS);
        let found = (0..WAYS).find(|&way| known[way] == hash);
        let way = found.unwrap_or_else(|| first_free(times));
        let tat = if found.is_some() { Tat(times[way]) } else { Tat::default() };
        let decision = key.quota.decide(tat, now);
        if decision.new_tat != tat {
            if found.is_none() && !Tat(times[way]).has_passed(now) {
                *evictions += 1;
            }
            (known[way], times[way]) = (hash, decision.new_tat.0);
        }
        decision
    }

    /// What would be decided, and leaves no trace.
    #[must_use]
    pub fn foresee(&self, key: &BucketKey<'_>, now: Duration) -> Decision {
        let hash = self.hash(key);
        let (shard, set) = self.place(hash);
        let shard = self.shards[shard].lock();
        let (known, times) = shard.sets[set].split_at(WAYS);
        let found = (0..WAYS).find(|&way| known[way] == hash);
        key.quota.decide(found.map_or_else(Tat::default, |way| Tat(times[way])), now)
    }

    fn hash(&self, key: &BucketKey<'_>) -> u64 {
        let mut gathered = Gathered { bytes: [0; _], filled: 0, hasher: self.hasher };
        key.hash(&mut gathered);
        gathered.finish()
    }

    /// The shard of a hash, and its set in there.
    fn place(&self, hash: u64) -> (usize, usize) {
        // The high half of hash x sets is spread over the sets as evenly as the hash is over its range.
        let set = usize::try_from((u128::from(hash) * u128::from(self.sets)) >> 64);
        let set = set.expect("a number below the count of sets, which is a usize");
        (set % self.shards.len(), set / self.shards.len())
    }

    /// The most keys it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().sets.len() * WAYS).sum()
    }

    /// The bytes that its entries take, once all have been used.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().sets.capacity() * size_of::<Set>()).sum()
    }

    /// How often an active key was forgotten to make room for another.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().evictions).sum()
    }

    /// Keys whose buckets are not full. Looks at the whole table, piece by piece: of what changes meanwhile it may see
    /// one or the other. Takes about a millisecond for a million keys, so it is nothing for a worker.
    #[must_use]
    pub fn keys_in_use(&self, now: Duration) -> usize {
        let in_use = |set: &Set| set[WAYS..].iter().filter(|&&tat| !Tat(tat).has_passed(now)).count();
        let in_piece = |shard: &Mutex<Shard>, start: usize| {
            let shard = shard.lock();
            let rest = shard.sets.get(start..).filter(|rest| !rest.is_empty())?;
            Some(rest.iter().take(COUNTED_AT_ONCE).map(in_use).sum::<usize>())
        };
        let in_shard = |shard: &Mutex<Shard>| {
            let starts = (0..).step_by(COUNTED_AT_ONCE);
            starts.map_while(|start| in_piece(shard, start)).sum::<usize>()
        };
        self.shards.iter().map(in_shard).sum()
    }
}

/// Parts of a key on their way to the hasher, which takes many bytes at once for less than it takes them one by one.
struct Gathered {
    /// Most keys have room.
    bytes: [u8; 64],
    filled: usize,
    hasher: SipHasher13,
}

impl Hasher for Gathered {
    fn write(&mut self, part: &[u8]) {
        match self.bytes.get_mut(self.filled..self.filled + part.len()) {
            Some(room) => {
                room.copy_from_slice(part);
                self.filled += part.len();
            }
            None => {
                self.hasher.write(&self.bytes[..self.filled]);
                self.filled = 0;
                self.hasher.write(part);
            }
        }
    }

    fn finish(&self) -> u64 {
        let mut hasher = self.hasher;
        hasher.write(&self.bytes[..self.filled]);
        hasher.finish()
    }
}

/// The way that is free, or will be first.
fn first_free(times: &[u64]) -> usize {
    (0..times.len()).min_by_key(|&way| times[way]).unwrap_or(0)
}

#[cfg(test)]
mod tests;
