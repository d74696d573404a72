//! Times as tokens write them (RFC 7519 section 2, `NumericDate`). Nothing here reads a clock.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A moment: what has passed since 1970-01-01T00:00:00Z, leap seconds ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// What lies so far behind the beginning.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// The moment that a clock of the system shows; one from before the beginning shows the beginning.
    #[must_use]
    pub fn of(clock: SystemTime) -> Self {
        Self(clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// Whole milliseconds since the beginning, as the API writes times.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// What has passed since the beginning.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The moment that much later; the last there is, if that is later.
    #[must_use]
    pub const fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// A `NumericDate`: seconds, whole or not, from 0 to 2^53 (above that, readers of JSON disagree about the number:
    /// RFC 7493 section 2.2).
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        const MAX: u64 = 1 << 53;
        let seconds = value.as_number()?;
        if let Some(whole) = seconds.as_u64() {
            return (whole <= MAX).then_some(Self(Duration::from_secs(whole)));
        }
        let since_epoch = Duration::try_from_secs_f64(seconds.as_f64()?).ok()?;
        (since_epoch <= Duration::from_secs(MAX)).then_some(Self(since_epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Duration>) {
        let value = serde_json::from_str(text).unwrap();
        assert_eq!(UnixTime::from_json(&value).map(UnixTime::since_epoch), expected, "{text}");
    }

    #[test]
    fn numbers_of_seconds_are_times() {
        check("0", Some(Duration::ZERO));
        check("1300819380", Some(Duration::from_secs(1_300_819_380)));
        check("1300819380.5", Some(Duration::from_millis(1_300_819_380_500)));
        check("1.30081938e9", Some(Duration::from_secs(1_300_819_380)));
        check("9007199254740992", Some(Duration::from_secs(1 << 53)));
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "-1",
            "-0.5",
            "-1e300",
            "9007199254740993",
            "1e17",
            "1e300",
            "18446744073709551615",
            "1e20",
            "\"1300819380\"",
            "null",
            "true",
            "[]",
            "[1300819380]",
            "{}",
        ] {
            check(text, None);
        }
    }
}
