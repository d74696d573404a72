//! The generic cell rate algorithm (ITU-T I.371), which is a token bucket told by one number: the time at which the
//! bucket would be full again, its theoretical arrival time.
//!
//! Everything is whole nanoseconds. The interval between two requests is rounded up, so that a quota never admits more
//! than `burst + rate x time` in any span of time; what this costs is under a nanosecond a request (0.1 % of the rate at
//! a million requests a second, nothing that can be measured at a thousand). No clock is read here.

use std::time::Duration;

/// The longest interval and the most debt, about 146 years: whatever would be longer is cut to it, and so are bursts
/// that would take longer to grow. Sums of two of them fit into 64 bits.
const LONGEST: u64 = 1 << 62;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What one caller may do: a burst, and a rate at which it grows again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Nanoseconds in which one request is earned.
    pub(super) interval: u64,
    /// The debt in nanoseconds that a caller may have: burst x interval.
    pub(super) most_debt: u64,
}

/// Why a rate and a burst are no quota.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QuotaError {
    /// A rate that is not a number above zero.
    #[error("rate is not a number above zero: {0}")]
    Rate(f64),
    /// A burst that is not a number above zero.
    #[error("burst is not a number above zero: {0}")]
    Burst(f64),
}

/// Theoretical arrival time: when a bucket will be full again, in nanoseconds since the start that `now` counts from.
/// The default is a bucket that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tat(pub(super) u64);

/// What was decided of one request, and how its caller stands after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request is within the quota.
    pub allowed: bool,
    /// Requests that would be allowed at once after this one.
    pub remaining: u64,
    /// How long until this request would have been allowed, to the nanosecond; zero if it was.
    pub retry_after: Duration,
    /// How long until one request more than `remaining` would be allowed; not more than `reset_after`.
    pub next_after: Duration,
    /// How long until the whole burst is there again.
    pub reset_after: Duration,
    /// What to remember of the bucket.
    pub new_tat: Tat,
}

impl Quota {
    /// Takes requests a second and requests at once; both may be fractions.
    ///
    /// A burst below one request counts as one: a bucket that cannot hold one request would refuse every one for ever.
    ///
    /// # Errors
    /// When one of them is not a number above zero.
    pub fn new(requests_per_second: f64, burst: f64) -> Result<Self, QuotaError> {
        let interval = interval_nanos(requests_per_second).ok_or(QuotaError::Rate(requests_per_second))?;
        if burst.is_nan() || burst <= 0.0 {
            return Err(QuotaError::Burst(burst));
        }
        Ok(Self { interval, most_debt: times(burst, interval).max(interval) })
    }

    /// Judges a request that comes at `now` to a bucket in the state `tat`.
    ///
    /// `now` counts from any fixed start. It may be earlier than it was for the same bucket, as it is when two threads
    /// read the clock in one order and judge in the other: that admits nothing more, because the bucket's time stands
    /// still until the clock has caught up.
    #[must_use]
    pub fn decide(&self, tat: Tat, now: Duration) -> Decision {
        let now = nanos(now);
        let debt = tat.0.saturating_sub(now);
        let allowed = self.allows(debt);
        let debt = if allowed { debt + self.interval } else { debt };
        let new_tat = if allowed { Tat(now.saturating_add(debt)) } else { tat };
        self.decision(allowed, debt, new_tat)
    }

    /// Whether one more request fits to this debt.
    fn allows(&self, debt: u64) -> bool {
        debt.saturating_add(self.interval) <= self.most_debt
    }

    /// What follows from a judgement that leaves this debt, whoever judged.
    pub(super) fn decision(&self, allowed: bool, debt: u64, new_tat: Tat) -> Decision {
        let remaining = self.most_debt.saturating_sub(debt) / self.interval;
        // How far the debt must fall so that `remaining + 1` fit. A burst's last fraction is never a request.
        let next =
            (remaining + 1).checked_mul(self.interval).and_then(|earned| self.most_debt.checked_sub(earned));
        let next_after = debt - next.unwrap_or(0).min(debt);
        Decision {
            allowed,
            remaining,
            retry_after: if allowed { Duration::ZERO } else { Duration::from_nanos(next_after) },
            next_after: Duration::from_nanos(next_after),
            reset_after: Duration::from_nanos(debt),
            new_tat,
        }
    }

    /// Nanoseconds in which one request is earned.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How long an empty bucket takes to be full.
    #[must_use]
    pub fn refill_time(&self) -> Duration {
        Duration::from_nanos(self.most_debt)
    }

    /// Requests at once from a full bucket: at least 1.
    #[must_use]
    pub fn whole_burst(&self) -> u64 {
        self.most_debt / self.interval
    }
}

impl Tat {
    /// Whether nothing is lost by forgetting the bucket: it is full.
    #[must_use]
    pub fn has_passed(self, now: Duration) -> bool {
        self.0 <= nanos(now)
    }
}

/// Nanoseconds since the start; what lies centuries away is as far as can be told.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The least whole number of nanoseconds in which no more than one request is earned. None: not a rate.
fn interval_nanos(requests_per_second: f64) -> Option<u64> {
    if requests_per_second.is_nan() || requests_per_second <= 0.0 {
        return None;
    }
    if requests_per_second >= 1e9 {
        return Some(1);
    }
    let (mantissa, exponent) = parts(requests_per_second);
    // 10^9 / (mantissa x 2^exponent), where 10^9 is below 2^30: up to 2^97 that can be shifted into 128 bits. Beyond,
    // the rate is below 2^-44 a second and the interval longer than the longest.
    let Some(scaled) = exponent.checked_neg().filter(|shift| (0..=97).contains(shift)) else {
        return Some(LONGEST);
    };
    let interval = (u128::from(NANOS_PER_SECOND) << scaled).div_ceil(u128::from(mantissa));
    Some(u64::try_from(interval).unwrap_or(LONGEST).min(LONGEST))
}

/// `factor x interval`, rounded down.
fn times(factor: f64, interval: u64) -> u64 {
    if factor >= 9e18 {
        return LONGEST;
    }
    let (mantissa, exponent) = parts(factor);
    let product = u128::from(mantissa) * u128::from(interval); // below 2^115
    let product = match u32::try_from(exponent) {
        Ok(left) => {
            product.checked_shl(left).filter(|shifted| shifted >> left == product).unwrap_or(u128::MAX)
        }
        Err(_) => product.checked_shr(exponent.unsigned_abs()).unwrap_or(0),
    };
    u64::try_from(product).unwrap_or(LONGEST).min(LONGEST)
}

/// A positive finite number as `mantissa x 2^exponent`, exactly.
fn parts(number: f64) -> (u64, i32) {
    const MANTISSA_BITS: u32 = 52;
    const BIAS: i32 = 1075; // Of the exponent, when the mantissa is taken for a whole number.
    let bits = number.to_bits();
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
    let exponent = i32::try_from((bits >> MANTISSA_BITS) & 0x7ff).expect("eleven bits fit");
    if exponent == 0 { (mantissa, 1 - BIAS) } else { (mantissa | 1 << MANTISSA_BITS, exponent - BIAS) }
}

#[cfg(test)]
mod tests;
