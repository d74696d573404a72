//! Times and amounts, each with its range. Nothing here reads a clock.

use std::time::Duration;

use super::ValueError;

/// A timeout or period: above zero, at most a day, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    const RANGE: ValueError = ValueError::OutOfRange { range: "above 0 and at most 86400 seconds" };
    const MAX: Duration = Duration::from_hours(24);

    /// Takes seconds; fractions are allowed.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_seconds(seconds: f64) -> Result<Self, ValueError> {
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| Self::RANGE)?;
        Self::from_micros(u64::try_from(duration.as_micros()).map_err(|_| Self::RANGE)?)
    }

    /// Takes microseconds.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_micros(micros: u64) -> Result<Self, ValueError> {
        let duration = Duration::from_micros(micros);
        if duration.is_zero() || duration > Self::MAX { Err(Self::RANGE) } else { Ok(Self(duration)) }
    }

    /// Whole seconds, for defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        assert!(seconds > 0 && seconds <= 86_400, "a period is above 0 and at most a day");
        Self(Duration::from_secs(seconds as u64))
    }

    /// Whole milliseconds, for defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn milliseconds(milliseconds: u32) -> Self {
        assert!(milliseconds > 0 && milliseconds <= 86_400_000, "a period is above 0 and at most a day");
        Self(Duration::from_millis(milliseconds as u64))
    }

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// In microseconds.
    #[must_use]
    pub fn micros(self) -> u64 {
        whole_micros(self.0)
    }
}

/// A length of time that may be zero: at most a day, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// None at all.
    pub const ZERO: Self = Self(Duration::ZERO);

    const RANGE: ValueError = ValueError::OutOfRange { range: "from 0 to 86400 seconds" };

    /// Takes seconds; fractions are allowed.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_seconds(seconds: f64) -> Result<Self, ValueError> {
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| Self::RANGE)?;
        Self::from_micros(u64::try_from(duration.as_micros()).map_err(|_| Self::RANGE)?)
    }

    /// Takes microseconds.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_micros(micros: u64) -> Result<Self, ValueError> {
        let duration = Duration::from_micros(micros);
        if duration > Period::MAX { Err(Self::RANGE) } else { Ok(Self(duration)) }
    }

    /// Whole seconds, for defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        assert!(seconds <= 86_400, "a span is at most a day");
        Self(Duration::from_secs(seconds as u64))
    }

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// In microseconds.
    #[must_use]
    pub fn micros(self) -> u64 {
        whole_micros(self.0)
    }
}

/// A number of bytes: 1 to 2^53, so that every program can write it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(u64);

impl ByteCount {
    /// 1,024.
    pub const KIBIBYTE: Self = Self(1 << 10);
    /// 1,048,576.
    pub const MEBIBYTE: Self = Self(1 << 20);

    /// Takes a number of bytes.
    ///
    /// # Errors
    /// When it is 0 or above 2^53.
    pub fn new(bytes: u64) -> Result<Self, ValueError> {
        if (1..=1 << 53).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(ValueError::OutOfRange { range: "from 1 to 9007199254740992 bytes" })
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A share in percent: above 0, at most 100; fractions are allowed.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// 20 percent.
    pub const FIFTH: Self = Self(20.0);

    /// Takes a number.
    ///
    /// # Errors
    /// When it is not within the range.
    pub fn new(number: f64) -> Result<Self, ValueError> {
        if number > 0.0 && number <= 100.0 {
            Ok(Self(number))
        } else {
            Err(ValueError::OutOfRange { range: "above 0 and at most 100" })
        }
    }

    /// A whole number, for defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn literal(number: u8) -> Self {
        assert!(number > 0 && number <= 100, "a share is above 0 and at most 100");
        Self(number as f64)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// The constructors let no duration above a day in, and that fits easily.
fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
