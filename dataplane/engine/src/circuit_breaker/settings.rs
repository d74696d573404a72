//! When a breaker opens, how long, and how it is tried. Nothing here counts.

use std::num::{NonZeroU8, NonZeroU32};

use apigw_config::names::Period;

/// What a breaker goes by. Either condition opens it; with neither it never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failure_threshold: Option<NonZeroU32>,
    /// The share of failures that opens it.
    pub failure_rate: Option<FailureRate>,
    /// How long it lets nobody through.
    pub open_for: Period,
    /// Trials at once after that.
    pub half_open_max_in_flight: NonZeroU32,
}

/// `failure_percent` of at least `minimum_requests` that ended within `window_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureRate {
    /// That many in a hundred, or more. Above 100 is never reached.
    pub percent: NonZeroU8,
    /// Looked back on in tenths: of the oldest tenth, what the present one has begun to replace is forgotten.
    pub window: Period,
    /// Fewer say nothing.
    pub minimum_requests: NonZeroU32,
}
