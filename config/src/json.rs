//! Configuration as operators see it in JSON: one shape for `gwctl -o json` and the admin endpoints.
//!
//! The shape is the Go model's, so that what was written for it works unchanged: every member is always there, and what a
//! route does not have is empty, zero or false, as Go writes it.

use std::fmt;

use apigw_proto::v1;
use serde::{Serialize, Serializer};

/// A route, as `/-/routes` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RouteJson {
    pub name: String,
    pub path_prefix: String,
    pub upstream: String,
    pub strip_prefix: String,
    pub auth_required: bool,
    pub rate_limit: RateLimitJson,
    pub concurrency: ConcurrencyJson,
    pub circuit_breaker: CircuitBreakerJson,
}

/// A route's rate limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RateLimitJson {
    pub enabled: bool,
    pub rps: Number,
    pub burst: Number,
    pub scope: String,
}

/// A route's concurrency limit; 0: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct ConcurrencyJson {
    pub max_in_flight: u32,
}

/// A route's circuit breaker.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct CircuitBreakerJson {
    pub enabled: bool,
    pub failure_threshold: u32,
    pub open_seconds: Number,
    pub half_open_max_in_flight: u32,
}

impl From<v1::Route> for RouteJson {
    fn from(route: v1::Route) -> Self {
        Self {
            name: route.name,
            path_prefix: route.path_prefix,
            upstream: route.upstream,
            strip_prefix: route.strip_prefix,
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.map(RateLimitJson::from).unwrap_or_default(),
            concurrency: ConcurrencyJson {
                max_in_flight: route.concurrency.map_or(0, |concurrency| concurrency.max_in_flight),
            },
            circuit_breaker: route.circuit_breaker.map(CircuitBreakerJson::from).unwrap_or_default(),
        }
    }
}

impl From<v1::RateLimit> for RateLimitJson {
    fn from(limit: v1::RateLimit) -> Self {
        let v1::RateLimit { enabled, rps, burst, scope } = limit;
        Self { enabled, rps: Number(rps), burst: Number(burst), scope }
    }
}

impl From<v1::CircuitBreaker> for CircuitBreakerJson {
    fn from(breaker: v1::CircuitBreaker) -> Self {
        Self {
            enabled: breaker.enabled,
            failure_threshold: breaker.failure_threshold,
            open_seconds: Number::seconds(breaker.open_us),
            half_open_max_in_flight: breaker.half_open_max_in_flight,
        }
    }
}

/// A number without trailing zeros: 5, not 5.0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Number(pub f64);

impl Number {
    /// Microseconds as seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a day in microseconds is far below 2^53")]
    pub fn seconds(micros: u64) -> Self {
        Self(micros as f64 / 1e6)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
