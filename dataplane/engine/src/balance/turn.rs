//! Each in its turn, as often as its weight says, evenly spread.

use super::{Balanced, Portions};

/// How far each endpoint is behind what its portions gave it; their sum is nearly 0. One that takes nothing for a while keeps what
/// it is owed, or owes. It is counted in turns: what a turn costs, the portions of all, may be a hundredth of what it was when
/// most endpoints are left out, and what was a part of a turn must not become a hundred in a row.
#[derive(Debug)]
pub(super) struct Turn {
    credits: Box<[i64]>,
    /// What a turn costs, in the same unit; at most a thousand million, so that credits are far from the end of their range.
    cost: u32,
}

impl Turn {
    pub(super) fn beginning(balanced: &Balanced, chance: u64) -> Self {
        let count = balanced.weights.len();
        let mut turn = Self { credits: vec![0; count].into(), cost: balanced.total };
        // As many turns as there are endpoints are enough to begin anywhere among equals.
        for _ in 0..chance % count.max(1) as u64 {
            turn.next(&balanced.whole());
        }
        turn
    }

    /// Smooth weighted round robin, as nginx has it: each gets its weight, the one with most is chosen and pays all weights.
    /// So one with three times the weight of another comes three times as often, and not three times in a row.
    pub(super) fn next(&mut self, portions: &Portions<'_, impl Fn(usize) -> u32>) -> usize {
        self.follow(portions.total);
        let (mut chosen, mut most, mut given) = (0, i64::MIN, 0);
        for (index, portion) in portions.iter() {
            let credit = &mut self.credits[index];
            *credit += i64::from(portion);
            given += i64::from(portion);
            if *credit > most {
                (chosen, most) = (index, *credit);
            }
        }
        self.credits[chosen] -= given;
        chosen
    }

    /// Counts in turns of another cost.
    fn follow(&mut self, cost: u32) {
        if cost != self.cost {
            let (before, now) = (i64::from(self.cost), i64::from(cost));
            self.credits.iter_mut().for_each(|credit| *credit = credit.saturating_mul(now) / before);
            self.cost = cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::model::Balance;

    use super::{super::tests::balanced, *};

    fn check(weights: &[u16], expected: &[usize]) {
        let balanced = balanced(&Balance::RoundRobin, weights);
        let mut turn = Turn { credits: vec![0; weights.len()].into(), cost: balanced.total };
        let taken: Vec<_> = expected.iter().map(|_| turn.next(&balanced.whole())).collect();
        assert_eq!(taken, expected, "{weights:?}");
    }

    #[test]
    fn equals_take_turns() {
        check(&[1, 1, 1], &[0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn what_is_owed_does_not_grow_when_most_are_left_out() {
        let balanced = balanced(&Balance::RoundRobin, &[1, 500, 1, 498]);
        let mut turn = Turn { credits: vec![0; 4].into(), cost: balanced.total };
        for _ in 0..400 {
            turn.next(&balanced.whole());
        }
        let of_light = |index: usize| if index == 0 || index == 2 { crate::endpoint::WHOLE } else { 0 };
        let reduced = balanced.reduced(of_light).unwrap();
        let taken: Vec<_> = (0..6).map(|_| turn.next(&reduced)).collect();
        assert!(!taken.windows(3).any(|three| three[0] == three[1] && three[1] == three[2]), "{taken:?}");
    }

    #[test]
    fn a_heavy_one_comes_often_and_not_in_a_row() {
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
    }
}
