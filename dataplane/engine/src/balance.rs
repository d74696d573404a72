//! Which endpoint of a backend takes the next request. Every way to choose gives each its weight in the long run.
//!
//! What a worker remembers of turns is its own, so that nothing is locked; chance is a seed that it is given once. Where a
//! worker begins is left to that chance, lest all workers, and all data planes, begin with the same endpoint.

/// By a key of the request.
mod rendezvous;
/// In turn.
mod turn;

use std::hash::BuildHasher as _;

use apigw_config::{model::Balance, names::Weight};
use rustc_hash::{FxBuildHasher, FxHashMap};

pub use self::rendezvous::KeyHash;
use self::{rendezvous::Rendezvous, turn::Turn};
use crate::snapshot::BackendId;

/// The endpoints of a backend, and how one of them is chosen.
#[derive(Debug)]
pub(crate) struct Balanced {
    weights: Box<[i32]>,
    total: i32,
    way: Way,
}

#[derive(Debug)]
enum Way {
    InTurn,
    LeastRequests,
    ByKey(Rendezvous),
}

impl Balanced {
    /// Several endpoints with their weights, each with a name by which every data plane knows it.
    pub(crate) fn new<'a>(
        balance: &Balance,
        endpoints: impl Iterator<Item = (&'a str, Weight)> + Clone,
    ) -> Self {
        let weights: Box<[i32]> = endpoints.clone().map(|(_, weight)| weight.get().into()).collect();
        let way = match balance {
            Balance::RoundRobin => Way::InTurn,
            Balance::LeastRequests => Way::LeastRequests,
            Balance::Hash(_) => Way::ByKey(Rendezvous::new(endpoints)),
        };
        Self { total: weights.iter().sum(), weights, way }
    }

    /// The endpoint with this share of all weights, counted from the first on.
    fn at(&self, mut share: i32) -> usize {
        let last = self.weights.len().saturating_sub(1);
        for (index, weight) in self.weights.iter().enumerate() {
            if share < *weight {
                return index;
            }
            share -= weight;
        }
        last
    }

    /// One that chance chooses by the weights of those that are left; none: there are none.
    fn any_left(&self, chance: u64, is_left: impl Fn(usize) -> bool) -> Option<usize> {
        let left = || self.weights.iter().enumerate().filter(|(index, _)| is_left(*index));
        let total: i32 = left().map(|(_, weight)| weight).sum();
        let mut share = i32::try_from(chance % u64::from(total.unsigned_abs().max(1))).unwrap_or(0);
        let found = left().find(|(_, weight)| {
            share -= **weight;
            share < 0
        });
        found.map(|(index, _)| index)
    }

    /// Of two different ones that chance chooses by their weights, the one that is at less for its weight; of two that are at
    /// as much, the first, so that idle ones take what their weights say.
    fn least(&self, chance: u64, in_flight: impl Fn(usize) -> u32) -> usize {
        let draw =
            |chance: u64, of: i32| i32::try_from(chance % u64::from(of.unsigned_abs().max(1))).unwrap_or(0);
        let first = self.at(draw(chance >> 32, self.total));
        let others = self.total - self.weights[first];
        // Among what is left when the first is gone.
        let share = draw(chance & 0xffff_ffff, others);
        let before: i32 = self.weights[..first].iter().sum();
        let second = self.at(if share < before { share } else { share + self.weights[first] });
        let load = |index: usize, other: usize| i64::from(in_flight(index)) * i64::from(self.weights[other]);
        if load(second, first) < load(first, second) { second } else { first }
    }
}

/// One worker's memory of turns; as many backends as a snapshot has.
#[derive(Debug)]
pub struct Turns {
    of_backends: FxHashMap<BackendId, Turn>,
    seed: u64,
    /// How often chance was asked.
    draws: u64,
}

impl Turns {
    /// Nobody has had a turn. The seed is all the chance there is.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { of_backends: FxHashMap::default(), seed, draws: 0 }
    }

    /// Forgets backends that are gone.
    pub fn retain(&mut self, is_there: impl Fn(BackendId) -> bool) {
        self.of_backends.retain(|backend, _| is_there(*backend));
    }

    /// The index of the endpoint that takes a request. A request without the key that it is to be found by is sent in turn.
    pub(crate) fn next(
        &mut self,
        backend: BackendId,
        balanced: &Balanced,
        key: Option<KeyHash>,
        in_flight: impl Fn(usize) -> u32,
    ) -> usize {
        match (&balanced.way, key) {
            (Way::LeastRequests, _) => balanced.least(self.chance(), in_flight),
            (Way::ByKey(rendezvous), Some(key)) => rendezvous.find(key),
            (Way::ByKey(_), None) | (Way::InTurn, _) => {
                let seed = self.seed;
                let beginning = || Turn::beginning(balanced, FxBuildHasher.hash_one((seed, backend)));
                self.of_backends.entry(backend).or_insert_with(beginning).next(balanced)
            }
        }
    }

    /// The index of an endpoint for a request that others have not served well, among those that are left; none: there are
    /// none. By a key, it is the one that would have it if the others were gone.
    pub(crate) fn other(
        &mut self,
        balanced: &Balanced,
        key: Option<KeyHash>,
        is_left: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        match (&balanced.way, key) {
            (Way::ByKey(rendezvous), Some(key)) => rendezvous.find_among(key, is_left),
            (Way::ByKey(_) | Way::LeastRequests | Way::InTurn, _) => {
                balanced.any_left(self.chance(), is_left)
            }
        }
    }

    fn chance(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        rendezvous::mixed(self.seed.wrapping_add(self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn balanced(balance: &Balance, weights: &[u16]) -> Balanced {
        let names: Vec<_> = (0..weights.len()).map(|index| format!("http://h{index}")).collect();
        let weights = weights.iter().map(|weight| Weight::new((*weight).into()).unwrap());
        let endpoints: Vec<_> = names.iter().map(String::as_str).zip(weights).collect();
        Balanced::new(balance, endpoints.into_iter())
    }

    fn next(turns: &mut Turns, id: u64, balanced: &Balanced, in_flight: &[u32]) -> usize {
        turns.next(BackendId::of(id), balanced, None, |index| in_flight.get(index).copied().unwrap_or(0))
    }

    #[test]
    fn workers_begin_with_different_endpoints() {
        let balanced = balanced(&Balance::RoundRobin, &[1; 8]);
        let firsts = (0..64).map(|seed| next(&mut Turns::new(seed), 1, &balanced, &[]));
        let different: std::collections::HashSet<_> = firsts.collect();
        assert!(different.len() > 4, "{different:?}");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut turns = Turns::new(1);
        let balanced = balanced(&Balance::RoundRobin, &[1, 1]);
        for id in 1..=3 {
            next(&mut turns, id, &balanced, &[]);
        }
        turns.retain(|backend| backend == BackendId::of(2));
        assert_eq!(turns.of_backends.keys().copied().collect::<Vec<_>>(), [BackendId::of(2)]);
    }

    #[test]
    fn of_two_the_less_busy_takes_the_request() {
        let balanced = balanced(&Balance::LeastRequests, &[1, 1]);
        let mut turns = Turns::new(1);
        for _ in 0..100 {
            assert_eq!(next(&mut turns, 1, &balanced, &[3, 2]), 1);
        }
    }

    #[test]
    fn busy_is_by_the_weight() {
        let balanced = balanced(&Balance::LeastRequests, &[10, 1]);
        let mut turns = Turns::new(1);
        for _ in 0..100 {
            assert_eq!(next(&mut turns, 1, &balanced, &[9, 1]), 0);
            assert_eq!(next(&mut turns, 1, &balanced, &[11, 1]), 1);
        }
    }

    #[test]
    fn idle_ones_take_what_their_weights_say() {
        let balanced = balanced(&Balance::LeastRequests, &[1, 2, 5]);
        let mut turns = Turns::new(7);
        let mut taken = [0_i32; 3];
        for _ in 0..8_000 {
            taken[next(&mut turns, 1, &balanced, &[])] += 1;
        }
        for (taken, expected) in taken.into_iter().zip([1_000, 2_000, 5_000]) {
            assert!((taken - expected).abs() < expected / 5, "{taken} of {expected}");
        }
    }

    #[test]
    fn another_endpoint_is_one_that_is_left_by_the_weights() {
        let balanced = balanced(&Balance::RoundRobin, &[100, 1, 3]);
        let mut turns = Turns::new(7);
        let mut taken = [0_i32; 3];
        for _ in 0..4_000 {
            taken[turns.other(&balanced, None, |index| index != 0).unwrap()] += 1;
        }
        assert_eq!(taken[0], 0);
        assert!((taken[1] - 1_000).abs() < 200, "{taken:?}");
        assert_eq!(turns.other(&balanced, None, |_| false), None);
    }

    #[test]
    fn another_endpoint_for_a_key_is_always_the_same() {
        let balanced = balanced(&Balance::Hash(apigw_config::model::HashKey::Ip), &[1; 5]);
        let key = KeyHash::of(b"alice");
        let first = next_by(&mut Turns::new(1), &balanced, key);
        let other = |seed| Turns::new(seed).other(&balanced, Some(key), |index| index != first);
        assert!(other(1).is_some_and(|index| index != first));
        assert_eq!(other(1), other(2));
    }

    fn next_by(turns: &mut Turns, balanced: &Balanced, key: KeyHash) -> usize {
        turns.next(BackendId::of(1), balanced, Some(key), |_| 0)
    }

    proptest! {
        #[test]
        fn a_round_gives_each_its_weight(weights in prop::collection::vec(1_u16..=40, 2..12), seed: u64) {
            let balanced = balanced(&Balance::RoundRobin, &weights);
            let mut turns = Turns::new(seed);
            let mut taken = vec![0_u16; weights.len()];
            for _ in 0..balanced.total {
                taken[next(&mut turns, 1, &balanced, &[])] += 1;
            }
            prop_assert_eq!(taken, weights);
        }

        #[test]
        fn least_requests_are_found_among_any(
            weights in prop::collection::vec(1_u16..=1_000, 2..12),
            in_flight in prop::collection::vec(any::<u32>(), 12),
            seed: u64,
        ) {
            let balanced = balanced(&Balance::LeastRequests, &weights);
            prop_assert!(next(&mut Turns::new(seed), 1, &balanced, &in_flight) < weights.len());
        }
    }
}
