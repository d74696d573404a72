//! Which endpoint of a backend takes the next request: each in its turn, as often as its weight says, evenly spread.
//!
//! Turns are remembered by each worker for itself, so that nothing is shared and nothing is locked. Where a worker begins is
//! left to chance, lest all workers, and all data planes, begin with the same endpoint.

use std::hash::BuildHasher as _;

use apigw_config::names::Weight;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::snapshot::BackendId;

/// The endpoints of a backend, as far as turns go.
#[derive(Debug)]
pub(crate) struct Balanced {
    weights: Box<[i32]>,
    total: i32,
}

impl Balanced {
    /// At least one weight, at most as many as a backend has endpoints.
    pub(crate) fn new(weights: impl Iterator<Item = Weight>) -> Self {
        let weights: Box<[i32]> = weights.map(|weight| weight.get().into()).collect();
        Self { total: weights.iter().sum(), weights }
    }
}

/// One worker's memory of turns; as many backends as a snapshot has.
#[derive(Debug)]
pub struct Turns {
    turns: FxHashMap<BackendId, Turn>,
    seed: u64,
}

/// How far each endpoint is ahead of what its weight gives it; their sum is 0. No number leaves the range of twice the sum of
/// the weights, which is at most a million.
#[derive(Debug)]
struct Turn(Box<[i32]>);

impl Turns {
    /// Nobody has had a turn. The seed decides where turns begin.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { turns: FxHashMap::default(), seed }
    }

    /// Forgets backends that are gone.
    pub fn retain(&mut self, is_there: impl Fn(BackendId) -> bool) {
        self.turns.retain(|backend, _| is_there(*backend));
    }

    /// The index of the endpoint whose turn it is.
    pub(crate) fn next(&mut self, backend: BackendId, balanced: &Balanced) -> usize {
        let seed = self.seed;
        let beginning = || Turn::beginning(balanced, FxBuildHasher.hash_one((seed, backend)));
        self.turns.entry(backend).or_insert_with(beginning).next(balanced)
    }
}

impl Turn {
    fn beginning(balanced: &Balanced, chance: u64) -> Self {
        let count = balanced.weights.len();
        let mut turn = Self(vec![0; count].into());
        // As many turns as there are endpoints are enough to begin anywhere among equals.
        for _ in 0..chance % count.max(1) as u64 {
            turn.next(balanced);
        }
        turn
    }

    /// Smooth weighted round robin, as nginx has it: each gets its weight, the one with most is chosen and pays all weights.
    /// So one with three times the weight of another comes three times as often, and not three times in a row.
    fn next(&mut self, balanced: &Balanced) -> usize {
        let (mut chosen, mut most) = (0, i32::MIN);
        for (index, (credit, weight)) in self.0.iter_mut().zip(&balanced.weights).enumerate() {
            *credit += weight;
            if *credit > most {
                (chosen, most) = (index, *credit);
            }
        }
        self.0[chosen] -= balanced.total;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn balanced(weights: &[u16]) -> Balanced {
        Balanced::new(weights.iter().map(|weight| Weight::new((*weight).into()).unwrap()))
    }

    #[test]
    fn equals_take_turns() {
        let balanced = balanced(&[1, 1, 1]);
        let mut turn = Turn(vec![0; 3].into());
        let taken: Vec<_> = (0..6).map(|_| turn.next(&balanced)).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_heavy_one_comes_often_and_not_in_a_row() {
        let balanced = balanced(&[5, 1, 1]);
        let mut turn = Turn(vec![0; 3].into());
        let taken: Vec<_> = (0..7).map(|_| turn.next(&balanced)).collect();
        assert_eq!(taken, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_begin_with_different_endpoints() {
        let balanced = balanced(&[1; 8]);
        let firsts = (0..64).map(|seed| Turns::new(seed).next(BackendId::of(1), &balanced));
        let different: std::collections::HashSet<_> = firsts.collect();
        assert!(different.len() > 4, "{different:?}");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut turns = Turns::new(1);
        let balanced = balanced(&[1, 1]);
        for id in 1..=3 {
            turns.next(BackendId::of(id), &balanced);
        }
        turns.retain(|backend| backend == BackendId::of(2));
        assert_eq!(turns.turns.keys().copied().collect::<Vec<_>>(), [BackendId::of(2)]);
    }

    proptest! {
        #[test]
        fn a_round_gives_each_its_weight(weights in prop::collection::vec(1_u16..=40, 1..12), seed: u64) {
            let balanced = balanced(&weights);
            let mut turns = Turns::new(seed);
            let mut taken = vec![0_u16; weights.len()];
            for _ in 0..balanced.total {
                taken[turns.next(BackendId::of(1), &balanced)] += 1;
            }
            prop_assert_eq!(taken, weights);
        }
    }
}
