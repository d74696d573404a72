//! Which endpoint of a backend takes the next request, or which backend of those that share a route's. Every way to choose gives
//! each its weight in the long run.
//!
//! What a worker remembers of turns is its own, so that nothing is locked; chance is a seed that it is given once. Where a
//! worker begins is left to that chance, lest all workers, and all data planes, begin with the same endpoint.

/// By a key of the request.
mod rendezvous;
/// By a cookie of the gateway's own.
mod sessions;
/// In turn.
mod turn;

use std::hash::BuildHasher as _;

use apigw_config::{model::Balance, names::Weight};
use rustc_hash::{FxBuildHasher, FxHashMap};

pub use self::rendezvous::KeyHash;
pub(crate) use self::sessions::Sessions;
use self::{rendezvous::Rendezvous, turn::Turn};
use crate::{endpoint::WHOLE, snapshot::ChoiceId};

/// The endpoints of a backend or the backends of a route, and how one of them is chosen.
#[derive(Debug)]
pub(crate) struct Balanced {
    /// In thousandths, as an endpoint may take a part of its own.
    weights: Box<[u32]>,
    total: u32,
    way: Way,
}

#[derive(Debug)]
enum Way {
    InTurn,
    LeastRequests,
    ByKey(Rendezvous),
}

/// What each endpoint takes just now, in proportion to the others. It may change while it is looked at, and be no more than
/// nearly so.
pub(crate) struct Portions<'b, P> {
    balanced: &'b Balanced,
    /// Of the endpoint of that index, in thousandths.
    of: P,
    /// Above 0.
    total: u32,
}

impl Balanced {
    /// Several endpoints, each with a name by which every data plane knows it and its weight. One without a weight is never
    /// chosen; at least one has one.
    pub(crate) fn new<'a>(
        balance: &Balance,
        endpoints: impl Iterator<Item = (&'a str, Option<Weight>)> + Clone,
    ) -> Self {
        let in_thousandths =
            |weight: Option<Weight>| weight.map_or(0, |weight| u32::from(weight.get()) * WHOLE);
        let weights: Box<[u32]> = endpoints.clone().map(|(_, weight)| in_thousandths(weight)).collect();
        let way = match balance {
            Balance::RoundRobin => Way::InTurn,
            Balance::LeastRequests => Way::LeastRequests,
            Balance::Hash(_) => Way::ByKey(Rendezvous::new(endpoints.map(|(name, _)| name))),
        };
        Self { total: weights.iter().sum(), weights, way }
    }

    /// Each takes all of its weight.
    pub(crate) fn whole(&self) -> Portions<'_, impl Fn(usize) -> u32> {
        Portions { balanced: self, of: |index: usize| self.weights[index], total: self.total }
    }

    /// Each takes a share of its weight, in thousandths; none if nobody takes anything.
    pub(crate) fn reduced(
        &self,
        share: impl Fn(usize) -> u32,
    ) -> Option<Portions<'_, impl Fn(usize) -> u32>> {
        // A weight is a whole number of thousands, so little is lost by the division, and a small share is not nothing.
        let of = move |index: usize| self.weights[index] / WHOLE * share(index);
        let total = (0..self.weights.len()).map(&of).sum();
        (total > 0).then_some(Portions { balanced: self, of, total })
    }
}

impl<P: Fn(usize) -> u32> Portions<'_, P> {
    /// The index of the one that has this key; none: no key finds any.
    pub(crate) fn of_key(&self, key: KeyHash) -> Option<usize> {
        match &self.balanced.way {
            Way::ByKey(rendezvous) => Some(rendezvous.find(key, self.iter())),
            Way::LeastRequests | Way::InTurn => None,
        }
    }

    /// Whether the one of that index takes anything.
    pub(crate) fn takes(&self, index: usize) -> bool {
        (self.of)(index) > 0
    }

    fn len(&self) -> usize {
        self.balanced.weights.len()
    }

    /// Each endpoint that takes anything, with its portion.
    fn iter(&self) -> impl Iterator<Item = (usize, u32)> {
        (0..self.len()).map(|index| (index, (self.of)(index))).filter(|(_, portion)| *portion > 0)
    }

    /// The endpoint with this share of all portions, counted from the first on.
    fn at(&self, mut share: u32) -> usize {
        let mut last = 0;
        for (index, portion) in self.iter() {
            if share < portion {
                return index;
            }
            share -= portion;
            last = index;
        }
        last
    }

    /// Of two different ones that chance chooses by their portions, the one that is at less for its portion; of two that are
    /// at as much, the first, so that idle ones take what their weights say.
    fn least(&self, chance: u64, in_flight: impl Fn(usize) -> u32) -> usize {
        let first = self.at(draw(chance >> 32, self.total));
        let of_first = (self.of)(first);
        let others = self.total.saturating_sub(of_first);
        if others == 0 {
            return first;
        }
        // Among what is left when the first is gone.
        let share = draw(chance & 0xffff_ffff, others);
        let before: u32 = (0..first).map(&self.of).sum();
        let second = self.at(if share < before { share } else { share + of_first });
        let load = |index: usize, other: usize| u64::from(in_flight(index)) * u64::from((self.of)(other));
        if load(second, first) < load(first, second) { second } else { first }
    }
}

/// A number below `of`, each as likely as the others, by 32 bits of chance.
fn draw(chance: u64, of: u32) -> u32 {
    u32::try_from((chance * u64::from(of)) >> 32).unwrap_or(0)
}

/// One worker's memory of turns; as many choices as a snapshot has.
#[derive(Debug)]
pub struct Turns {
    of_choices: FxHashMap<ChoiceId, Turn>,
    seed: u64,
    /// How often chance was asked.
    draws: u64,
}

impl Turns {
    /// Nobody has had a turn. The seed is all the chance there is.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { of_choices: FxHashMap::default(), seed, draws: 0 }
    }

    /// Forgets choices that are gone.
    pub fn retain(&mut self, is_there: impl Fn(ChoiceId) -> bool) {
        self.of_choices.retain(|choice, _| is_there(*choice));
    }

    /// The index of what takes a request. A request without the key that it is to be found by is sent in turn.
    pub(crate) fn next<P: Fn(usize) -> u32>(
        &mut self,
        choice: ChoiceId,
        portions: &Portions<'_, P>,
        key: Option<KeyHash>,
        in_flight: impl Fn(usize) -> u32,
    ) -> usize {
        match (&portions.balanced.way, key) {
            (Way::LeastRequests, _) => portions.least(self.chance(), in_flight),
            (Way::ByKey(rendezvous), Some(key)) => rendezvous.find(key, portions.iter()),
            (Way::ByKey(_), None) | (Way::InTurn, _) => {
                let seed = self.seed;
                let beginning = || Turn::beginning(portions.balanced, FxBuildHasher.hash_one((seed, choice)));
                self.of_choices.entry(choice).or_insert_with(beginning).next(portions)
            }
        }
    }

    /// The index of an endpoint for a request that others have not served well, where those take nothing: by chance, so
    /// that nobody's turn is used up; by a key, the one that would have it if the others were gone.
    pub(crate) fn other<P: Fn(usize) -> u32>(
        &mut self,
        portions: &Portions<'_, P>,
        key: Option<KeyHash>,
    ) -> usize {
        match (&portions.balanced.way, key) {
            (Way::ByKey(rendezvous), Some(key)) => rendezvous.find(key, portions.iter()),
            (Way::ByKey(_) | Way::LeastRequests | Way::InTurn, _) => {
                portions.at(draw(self.chance() >> 32, portions.total))
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
    use apigw_config::model::HashKey;
    use proptest::prelude::*;

    use super::*;

    pub(super) fn balanced(balance: &Balance, weights: &[u16]) -> Balanced {
        let names: Vec<_> = (0..weights.len()).map(|index| format!("http://h{index}")).collect();
        let weights = weights.iter().map(|weight| Weight::new((*weight).into()).ok());
        let endpoints: Vec<_> = names.iter().map(String::as_str).zip(weights).collect();
        Balanced::new(balance, endpoints.into_iter())
    }

    fn next(turns: &mut Turns, id: u64, balanced: &Balanced, in_flight: &[u32]) -> usize {
        turns.next(ChoiceId::of(id), &balanced.whole(), None, |index| {
            in_flight.get(index).copied().unwrap_or(0)
        })
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
        turns.retain(|backend| backend == ChoiceId::of(2));
        assert_eq!(turns.of_choices.keys().copied().collect::<Vec<_>>(), [ChoiceId::of(2)]);
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
        let left = balanced.reduced(|index| if index == 0 { 0 } else { WHOLE }).unwrap();
        for _ in 0..4_000 {
            taken[turns.other(&left, None)] += 1;
        }
        assert_eq!(taken[0], 0);
        assert!((taken[1] - 1_000).abs() < 200, "{taken:?}");
    }

    #[test]
    fn another_endpoint_for_a_key_is_always_the_same() {
        let balanced = balanced(&Balance::Hash(HashKey::Ip), &[1; 5]);
        let key = KeyHash::of(b"alice");
        let first = next_by(&mut Turns::new(1), &balanced, key);
        let left = balanced.reduced(|index| if index == first { 0 } else { WHOLE }).unwrap();
        let other = |seed| Turns::new(seed).other(&left, Some(key));
        assert_ne!(other(1), first);
        assert_eq!(other(1), other(2));
    }

    fn next_by(turns: &mut Turns, balanced: &Balanced, key: KeyHash) -> usize {
        turns.next(ChoiceId::of(1), &balanced.whole(), Some(key), |_| 0)
    }

    proptest! {
        #[test]
        fn a_round_gives_each_its_weight(weights in prop::collection::vec(0_u16..=40, 2..12), seed: u64) {
            let balanced = balanced(&Balance::RoundRobin, &weights);
            let mut turns = Turns::new(seed);
            let mut taken = vec![0_u16; weights.len()];
            for _ in 0..balanced.total / WHOLE {
                taken[next(&mut turns, 1, &balanced, &[])] += 1;
            }
            prop_assert_eq!(taken, weights);
        }

        #[test]
        fn who_takes_nothing_is_left_out_and_the_rest_take_their_weights(
            weights in prop::collection::vec((1_u16..=40, any::<bool>()), 2..12),
            seed: u64,
        ) {
            let (weights, takes): (Vec<_>, Vec<_>) = weights.into_iter().unzip();
            let balanced = balanced(&Balance::RoundRobin, &weights);
            let mut turns = Turns::new(seed);
            // All of them have begun before some are left out.
            for _ in 0..seed % 50 {
                next(&mut turns, 1, &balanced, &[]);
            }
            let share = |index: usize| if takes[index] { WHOLE } else { 0 };
            let Some(reduced) = balanced.reduced(share) else {
                prop_assert!(!takes.contains(&true));
                return Ok(());
            };
            let mut taken = vec![0_i32; weights.len()];
            for _ in 0..10 * reduced.total / WHOLE {
                taken[turns.next(ChoiceId::of(1), &reduced, None, |_| 0)] += 1;
            }
            for (index, taken) in taken.into_iter().enumerate() {
                let expected = if takes[index] { 10 * i32::from(weights[index]) } else { 0 };
                // What is owed from before is paid once.
                let owed = if takes[index] { 3 } else { 0 };
                prop_assert!((taken - expected).abs() <= owed, "{}: {} of {}", index, taken, expected);
            }
        }

        #[test]
        fn whatever_part_is_taken_somebody_is_found(
            weights in prop::collection::vec(prop_oneof![Just(0), 1_u16..=1_000], 2..12),
            rounds in prop::collection::vec(prop::collection::vec(0_u32..=WHOLE, 12), 1..20),
            seed: u64,
        ) {
            for balance in [Balance::RoundRobin, Balance::LeastRequests, Balance::Hash(HashKey::Ip)] {
                let balanced = balanced(&balance, &weights);
                let mut turns = Turns::new(seed);
                for (round, shares) in rounds.iter().enumerate() {
                    let Some(reduced) = balanced.reduced(|index| shares[index]) else { continue };
                    let key = KeyHash::of(&round.to_be_bytes());
                    let found = turns.next(ChoiceId::of(1), &reduced, Some(key), |_| 1);
                    prop_assert!(shares[found] > 0 && weights[found] > 0, "{:?}", balance);
                }
            }
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
