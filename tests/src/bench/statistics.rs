//! What is told of several measurements of one thing. Pure.

/// The middle of some values and how far they reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub lowest: f64,
    /// Half are not above it, half not below; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub highest: f64,
}

impl Spread {
    /// Of these values; nothing of none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let (left, right) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { lowest, median: f64::midpoint(left, right), highest })
    }
}

/// The least of the sorted values that so many of a hundred are not above; nothing of none.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A count as a real number.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^53")]
pub fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_whatever_the_order() {
        let check = |values: &[f64], expected: Option<(f64, f64, f64)>| {
            let spread = Spread::of(values.iter().copied());
            assert_eq!(spread.map(|spread| (spread.lowest, spread.median, spread.highest)), expected);
        };
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((1.0, 2.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 9.0], Some((1.0, 3.0, 9.0)));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let check = |count: u32, percent, expected| {
            let sorted: Vec<_> = (1..=count).collect();
            assert_eq!(percentile(&sorted, percent), expected, "{percent} of {count}");
        };
        check(0, 50, None);
        check(1, 99, Some(1));
        check(50, 99, Some(50));
        check(100, 50, Some(50));
        check(100, 99, Some(99));
        check(1_000, 99, Some(990));
        check(10, 0, Some(1));
    }
}
