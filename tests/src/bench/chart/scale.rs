//! Where on an axis a value is, and what stands at it. Pure.

/// How distances on an axis grow with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Equal differences are equally far apart; the axis begins at 0.
    Even,
    /// Equal factors are equally far apart; 0, which has no logarithm, stands apart at the beginning.
    Factors,
}

/// What numbers on an axis count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things or times.
    Number,
    /// Bytes.
    Bytes,
}

/// An axis: values on one side, pixels on the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    growth: Growth,
    /// The least and the greatest value; of factors, above 0.
    values: (f64, f64),
    /// Where they are.
    pixels: (f64, f64),
    /// Where 0 is.
    zero: f64,
}

/// How much of an axis of factors separates 0 from the least value above it.
const GAP: f64 = 0.08;

impl Scale {
    /// An axis that has room for all of these values.
    pub(super) fn new(growth: Growth, values: &[f64], pixels: (f64, f64)) -> Self {
        let greatest = values.iter().copied().fold(0.0, f64::max);
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        match growth {
            Growth::Even => Self { growth, values: (0.0, greatest * 1.05), pixels, zero: pixels.0 },
            Growth::Factors => {
                let positive = values.iter().copied().filter(|value| *value > 0.0);
                let least = positive.fold(greatest, f64::min);
                // One value alone has some room on both sides.
                let least = if least < greatest { least } else { greatest / 2.0 };
                let has_zero = values.iter().any(|value| *value <= 0.0);
                let gap = if has_zero { GAP * (pixels.1 - pixels.0) } else { 0.0 };
                Self { growth, values: (least, greatest), pixels: (pixels.0 + gap, pixels.1), zero: pixels.0 }
            }
        }
    }

    /// Where a value is.
    pub(super) fn place(&self, value: f64) -> f64 {
        let ((least, greatest), (begin, end)) = (self.values, self.pixels);
        let share = match self.growth {
            Growth::Even => value / greatest,
            Growth::Factors if value <= 0.0 => return self.zero,
            Growth::Factors => (value / least).ln() / (greatest / least).ln(),
        };
        begin + share * (end - begin)
    }

    /// Round values on the axis, at most some nine of them.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (least, greatest) = self.values;
        match self.growth {
            Growth::Even => {
                let step = round_above(greatest / 8.0);
                std::iter::successors(Some(0.0), |tick| Some(tick + step))
                    .take_while(|tick| *tick <= greatest)
                    .collect()
            }
            Growth::Factors => {
                let decades = (greatest / least).log10();
                let multiples: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let first = 10_f64.powf(least.log10().floor());
                let powers = std::iter::successors(Some(first), |power| Some(power * 10.0));
                let ticks = powers
                    .take_while(|power| *power <= greatest)
                    .flat_map(|power| multiples.iter().map(move |multiple| multiple * power));
                // Rounding must not lose the ends.
                ticks.filter(|tick| *tick >= least * 0.999 && *tick <= greatest * 1.001).collect()
            }
        }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below a value.
fn round_above(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let multiples = [1.0, 2.0, 5.0, 10.0];
    multiples
        .into_iter()
        .map(|multiple| multiple * power)
        .find(|round| *round >= value * 0.999)
        .unwrap_or(value)
}

/// A number as it stands on an axis or beside a point.
pub(super) fn label(value: f64, unit: Unit) -> String {
    let (factor, names) = match unit {
        Unit::Number => (1_000.0, ["", "k", "M", "G"]),
        Unit::Bytes => (1_024.0, ["", " KiB", " MiB", " GiB"]),
    };
    let mut value = value;
    let mut name = 0;
    while value >= factor * 0.9999 && name + 1 < names.len() {
        value /= factor;
        name += 1;
    }
    let decimals = if value >= 100.0 || value.fract().abs() < 0.005 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let number = format!("{value:.decimals$}");
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", names[name])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-6
    }

    #[test]
    fn an_even_axis_begins_at_zero() {
        let scale = Scale::new(Growth::Even, &[20.0, 100.0], (0.0, 105.0));
        assert!(
            close(scale.place(0.0), 0.0)
                && close(scale.place(50.0), 50.0)
                && close(scale.place(100.0), 100.0)
        );
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    }

    #[test]
    fn factors_are_equally_far_apart() {
        let scale = Scale::new(Growth::Factors, &[1.0, 10.0, 100.0], (0.0, 200.0));
        assert!(
            close(scale.place(1.0), 0.0)
                && close(scale.place(10.0), 100.0)
                && close(scale.place(100.0), 200.0)
        );
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        let long = Scale::new(Growth::Factors, &[1.0, 100_000.0], (0.0, 1.0));
        assert_eq!(long.ticks().len(), 6);
    }

    #[test]
    fn zero_stands_apart_before_factors() {
        let scale = Scale::new(Growth::Factors, &[0.0, 1.0, 100.0], (0.0, 100.0));
        assert!(
            close(scale.place(0.0), 0.0) && close(scale.place(1.0), 8.0) && close(scale.place(100.0), 100.0)
        );
    }

    #[test]
    fn an_axis_of_nothing_or_one_value_has_places() {
        for growth in [Growth::Even, Growth::Factors] {
            for values in [&[][..], &[0.0], &[7.0], &[7.0, 7.0]] {
                let scale = Scale::new(growth, values, (10.0, 20.0));
                assert!(values.iter().all(|value| (10.0..=20.0).contains(&scale.place(*value))), "{scale:?}");
                assert!(scale.ticks().len() < 20, "{scale:?}");
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        let check = |value, unit, expected| assert_eq!(label(value, unit), expected);
        check(0.0, Unit::Number, "0");
        check(0.95, Unit::Number, "0.95");
        check(8.88, Unit::Number, "8.88");
        check(12.34, Unit::Number, "12.3");
        check(1_000.0, Unit::Number, "1k");
        check(100_000.0, Unit::Number, "100k");
        check(1_500_000.0, Unit::Number, "1.5M");
        check(1_024.0, Unit::Bytes, "1 KiB");
        check(1_048_576.0, Unit::Bytes, "1 MiB");
        check(48.0, Unit::Bytes, "48");
    }
}
