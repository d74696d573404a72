//! Each in its turn, as often as its weight says, evenly spread.

use super::{Balanced, Portions};

/// How far each endpoint is behind what its portions gave it; their sum is 0. One that takes nothing for a while keeps what it
/// is owed, or owes. As a turn moves them by the portions of all, at most a thousand million, they are far from the end of
/// their range however portions change.
#[derive(Debug)]
pub(super) struct Turn(Box<[i64]>);

impl Turn {
    pub(super) fn beginning(balanced: &Balanced, chance: u64) -> Self {
        let count = balanced.weights.len();
        let mut turn = Self(vec![0; count].into());
        // As many turns as there are endpoints are enough to begin anywhere among equals.
        for _ in 0..chance % count.max(1) as u64 {
            turn.next(&balanced.whole());
        }
        turn
    }

    /// Smooth weighted round robin, as nginx has it: each gets its weight, the one with most is chosen and pays all weights.
    /// So one with three times the weight of another comes three times as often, and not three times in a row.
    pub(super) fn next(&mut self, portions: &Portions<'_, impl Fn(usize) -> u32>) -> usize {
        let (mut chosen, mut most, mut given) = (0, i64::MIN, 0);
        for (index, portion) in portions.iter() {
            let credit = &mut self.0[index];
            *credit += i64::from(portion);
            given += i64::from(portion);
            if *credit > most {
                (chosen, most) = (index, *credit);
            }
        }
        self.0[chosen] -= given;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::model::Balance;

    use super::{super::tests::balanced, *};

    fn check(weights: &[u16], expected: &[usize]) {
        let balanced = balanced(&Balance::RoundRobin, weights);
        let mut turn = Turn(vec![0; weights.len()].into());
        let taken: Vec<_> = expected.iter().map(|_| turn.next(&balanced.whole())).collect();
        assert_eq!(taken, expected, "{weights:?}");
    }

    #[test]
    fn equals_take_turns() {
        check(&[1, 1, 1], &[0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_heavy_one_comes_often_and_not_in_a_row() {
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
    }
}
