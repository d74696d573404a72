//! When an upstream that fails is left alone. Nothing here counts failures.

use std::num::NonZeroU32;

use super::PolicyError;
use crate::names::{Percent, Period, PolicyMode, ValueError};

/// The share of failures that opens a breaker, whether they follow each other or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRate {
    /// Failed requests among those of the window, at least.
    pub percent: Percent,
    /// How far back requests count.
    pub window: Period,
    /// With fewer requests in the window nothing is said of their share.
    pub minimum_requests: NonZeroU32,
}

impl FailureRate {
    /// The window where the file names none.
    pub const DEFAULT_WINDOW: Period = Period::seconds(10);
    /// The requests needed where the file names no number.
    pub const DEFAULT_MINIMUM_REQUESTS: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");
}

/// `routes[].circuit_breaker`. While disabled its numbers may be zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CircuitBreaker {
    enabled: bool,
    failure_threshold: u32,
    open_micros: u64,
    half_open_max_in_flight: u32,
    failure_rate: Option<FailureRate>,
    mode: PolicyMode,
}

impl CircuitBreaker {
    const MAX_OPEN_MICROS: u64 = 86_400_000_000;
    const ABOVE_ZERO: ValueError = ValueError::OutOfRange { range: "above 0 while the breaker is enabled" };

    /// An enabled breaker, enforced, that stays open for `open_micros` microseconds.
    ///
    /// # Errors
    /// All that is wrong: each number must be above 0, the time at most a day.
    pub fn enabled(
        failure_threshold: u32,
        open_micros: u64,
        half_open_max_in_flight: u32,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if failure_threshold == 0 {
            errors.push(PolicyError { key: "failure_threshold", error: Self::ABOVE_ZERO });
        }
        errors.extend(Self::once_open(open_micros, half_open_max_in_flight));
        if errors.is_empty() {
            Ok(Self::new(true, failure_threshold, open_micros, half_open_max_in_flight))
        } else {
            Err(errors)
        }
    }

    /// An enabled breaker, enforced, that a share of failures opens as well; a threshold of 0 leaves it to the share alone.
    ///
    /// # Errors
    /// All that is wrong: the time must be above 0 and at most a day, the number of trials above 0.
    pub fn enabled_by_share(
        failure_threshold: u32,
        open_micros: u64,
        half_open_max_in_flight: u32,
        failure_rate: FailureRate,
    ) -> Result<Self, Vec<PolicyError>> {
        let errors = Self::once_open(open_micros, half_open_max_in_flight);
        if errors.is_empty() {
            let breaker = Self::new(true, failure_threshold, open_micros, half_open_max_in_flight);
            Ok(breaker.with_failure_rate(failure_rate))
        } else {
            Err(errors)
        }
    }

    /// A disabled breaker, with what the file says of it all the same.
    ///
    /// # Errors
    /// When the time is above a day.
    pub fn disabled(
        failure_threshold: u32,
        open_micros: u64,
        half_open_max_in_flight: u32,
    ) -> Result<Self, Vec<PolicyError>> {
        if open_micros > Self::MAX_OPEN_MICROS {
            let error = ValueError::OutOfRange { range: "at most 86400 seconds" };
            return Err(vec![PolicyError { key: "open_seconds", error }]);
        }
        Ok(Self::new(false, failure_threshold, open_micros, half_open_max_in_flight))
    }

    fn new(enabled: bool, failure_threshold: u32, open_micros: u64, half_open_max_in_flight: u32) -> Self {
        let mode = PolicyMode::Enforce;
        Self { enabled, failure_threshold, open_micros, half_open_max_in_flight, failure_rate: None, mode }
    }

    /// What is wrong with the numbers that hold once it is open.
    fn once_open(open_micros: u64, half_open_max_in_flight: u32) -> Vec<PolicyError> {
        let mut errors = Vec::new();
        if !(1..=Self::MAX_OPEN_MICROS).contains(&open_micros) {
            let range = "above 0 and at most 86400 seconds while the breaker is enabled";
            errors.push(PolicyError { key: "open_seconds", error: ValueError::OutOfRange { range } });
        }
        if half_open_max_in_flight == 0 {
            errors.push(PolicyError { key: "half_open_max_in_flight", error: Self::ABOVE_ZERO });
        }
        errors
    }

    /// Whether it is judged at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Consecutive failures that open it; 0: only a share of failures does.
    #[must_use]
    pub fn failure_threshold(&self) -> u32 {
        self.failure_threshold
    }

    /// How long it stays open, in microseconds.
    #[must_use]
    pub fn open_micros(&self) -> u64 {
        self.open_micros
    }

    /// Trials at once while half open.
    #[must_use]
    pub fn half_open_max_in_flight(&self) -> u32 {
        self.half_open_max_in_flight
    }

    /// The same breaker, which a share of failures opens as well.
    #[must_use]
    pub fn with_failure_rate(self, failure_rate: FailureRate) -> Self {
        Self { failure_rate: Some(failure_rate), ..self }
    }

    /// The share of failures that opens it; none: only consecutive ones do.
    #[must_use]
    pub fn failure_rate(&self) -> Option<FailureRate> {
        self.failure_rate
    }

    /// The same breaker in a mode.
    #[must_use]
    pub fn with_mode(self, mode: PolicyMode) -> Self {
        Self { mode, ..self }
    }

    /// What follows from its judgement.
    #[must_use]
    pub fn mode(&self) -> PolicyMode {
        self.mode
    }
}
