//! The same endpoint for the same key, by highest random weight
//! ([rendezvous hashing](https://en.wikipedia.org/wiki/Rendezvous_hashing)): each endpoint draws a lot for each key, and the
//! best one has it. So an endpoint that goes gives away its own keys and no other, and one that comes takes its share from
//! all. Every data plane of every build finds the same one: the numbers are a part of the interface.

/// What is left of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Of the key's bytes.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(hash(key))
    }
}

#[derive(Debug)]
pub(super) struct Rendezvous(Box<[Lot]>);

/// Of an endpoint, by its name.
#[derive(Debug)]
struct Lot(u64);

impl Rendezvous {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(|name| Lot(hash(name.as_bytes()))).collect())
    }

    /// The best of those that take anything, each in proportion to what it takes.
    pub(super) fn find(&self, key: KeyHash, portions: impl Iterator<Item = (usize, u32)>) -> usize {
        let scores = portions.map(|(index, portion)| (index, self.0[index].score(key, portion)));
        scores.max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(index, _)| index)
    }
}

impl Lot {
    /// By [weights](https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/Jason_Resch_New_Consistent_Hashings_Rev.pdf):
    /// the best of `-weight / ln(u)`, for `u` even between 0 and 1, is each in proportion to its weight.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are an exact float")]
    fn score(&self, key: KeyHash, weight: u32) -> f64 {
        let bits = mixed(self.0 ^ mixed(key.0)) >> 11;
        let even = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(weight) / even.ln()
    }
}

/// FNV-1a of 64 bits, mixed so that every bit of it depends on all.
fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(folded)
}

/// The mixing step of [SplitMix64](https://doi.org/10.1145/2714064.2660195).
pub(super) fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u32 = 20_000;

    struct Endpoints<'a>(&'a [(&'a str, u32)]);

    impl Endpoints<'_> {
        fn find(&self, key: &[u8]) -> usize {
            let rendezvous = Rendezvous::new(self.0.iter().map(|(name, _)| *name));
            let portions = self.0.iter().map(|(_, weight)| *weight).enumerate();
            rendezvous.find(KeyHash::of(key), portions.filter(|(_, weight)| *weight > 0))
        }
    }

    fn found(endpoints: &[(&str, u32)]) -> Vec<usize> {
        (0..KEYS).map(|key| Endpoints(endpoints).find(&key.to_be_bytes())).collect()
    }

    #[test]
    fn keys_are_spread_by_the_weights() {
        let found = found(&[("a", 1), ("b", 2), ("c", 5)]);
        for (index, share) in [(0, 1), (1, 2), (2, 5)] {
            let expected = KEYS as usize * share / 8;
            let count = found.iter().filter(|found| **found == index).count();
            assert!(count.abs_diff(expected) < expected / 10, "{index}: {count} of {expected}");
        }
    }

    #[test]
    fn one_that_goes_gives_away_its_own_keys_only() {
        let all = found(&[("a", 1), ("b", 2), ("c", 1)]);
        let left = found(&[("a", 1), ("c", 1)]);
        for (before, after) in all.into_iter().zip(left) {
            match before {
                0 => assert_eq!(after, 0),
                2 => assert_eq!(after, 1),
                _ => {}
            }
        }
    }

    #[test]
    fn one_that_takes_nothing_is_as_good_as_gone_and_one_that_takes_less_keeps_some_of_its_own() {
        let all = found(&[("a", 1), ("b", 1_000), ("c", 1_000)]);
        let without = found(&[("a", 1), ("b", 0), ("c", 1_000)]);
        let beginning = found(&[("a", 1), ("b", 100), ("c", 1_000)]);
        for ((all, without), beginning) in all.into_iter().zip(without).zip(beginning) {
            assert_ne!(without, 1);
            assert!(all == without || all == 1);
            assert!(beginning == without || beginning == 1 && all == 1);
        }
    }

    #[test]
    fn what_is_found_is_the_same_in_every_build() {
        let endpoints =
            Endpoints(&[("http://10.0.0.1:80", 1), ("http://10.0.0.2:80", 1), ("http://10.0.0.3:80", 1)]);
        let found: Vec<_> = (b'a'..=b'j').map(|key| endpoints.find(&[key])).collect();
        assert_eq!(found, [2, 0, 0, 0, 2, 2, 0, 2, 0, 1]);
    }
}
