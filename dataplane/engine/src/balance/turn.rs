//! Each in its turn, as often as its weight says, evenly spread.

use super::Balanced;

/// How far each endpoint is ahead of what its weight gives it; their sum is 0. No number leaves the range of twice the sum of
/// the weights, which is at most a million.
#[derive(Debug)]
pub(super) struct Turn(Box<[i32]>);

impl Turn {
    pub(super) fn beginning(balanced: &Balanced, chance: u64) -> Self {
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
    pub(super) fn next(&mut self, balanced: &Balanced) -> usize {
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
    use apigw_config::model::Balance;

    use super::{super::tests::balanced, *};

    fn check(weights: &[u16], expected: &[usize]) {
        let balanced = balanced(&Balance::RoundRobin, weights);
        let mut turn = Turn(vec![0; weights.len()].into());
        let taken: Vec<_> = expected.iter().map(|_| turn.next(&balanced)).collect();
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
