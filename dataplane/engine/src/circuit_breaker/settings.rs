//! When a breaker opens, how long, and how it is tried. Nothing here counts.

use std::num::NonZeroU32;

use apigw_config::{
    model::{CircuitBreaker, FailureRate},
    names::Period,
};

/// What a breaker goes by. Either condition opens it; with neither it never does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failure_threshold: Option<NonZeroU32>,
    /// The share of failures that opens it. To a thousandth of a percent; of the oldest tenth of the window, what the
    /// present moment has begun to replace is forgotten.
    pub failure_rate: Option<FailureRate>,
    /// How long it lets nobody through.
    pub open_for: Period,
    /// Trials at once after that.
    pub half_open_max_in_flight: NonZeroU32,
}

impl BreakerSettings {
    /// What the file says; none, if the breaker is disabled. The mode is not part of it: to change it keeps the breaker.
    #[must_use]
    pub fn new(config: &CircuitBreaker) -> Option<Self> {
        if !config.is_enabled() {
            return None;
        }
        Some(Self {
            failure_threshold: NonZeroU32::new(config.failure_threshold()),
            failure_rate: config.failure_rate(),
            open_for: Period::from_micros(config.open_micros()).ok()?,
            half_open_max_in_flight: NonZeroU32::new(config.half_open_max_in_flight())?,
        })
    }
}
