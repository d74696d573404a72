//! The live state of policies and providers, as `gwctl` and the admin endpoints write it. Of a policy that a route does not
//! have, and of a time that has not come, there is null.

use std::collections::BTreeMap;

use apigw_proto::v1;
use jiff::Timestamp;
use serde::Serialize;

use super::{Number, RetryStateJson};

/// The state of a route's policies on one data plane.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the members are those of the policies below")]
pub struct LimitsJson {
    pub concurrency: Option<ConcurrencyStateJson>,
    pub circuit_breaker: Option<CircuitBreakerStateJson>,
    pub rate_limit: Option<RateLimitStateJson>,
    /// Absent where nothing is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStateJson>,
    /// Refused requests by reason.
    pub rejections: BTreeMap<String, u64>,
    /// What policies in shadow mode would have refused.
    pub shadow_rejections: BTreeMap<String, u64>,
}

/// Requests under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConcurrencyStateJson {
    /// As it is now, where it is found.
    pub max_in_flight: u32,
    pub in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveStateJson>,
    pub mode: String,
}

/// What a limit is found by.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AdaptiveStateJson {
    pub min: u32,
    pub max: u32,
    /// 0: nothing has been answered yet.
    pub usual_latency_seconds: Number,
    pub latency_seconds: Number,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CircuitBreakerStateJson {
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    pub failures: u32,
    /// When it opened: RFC 3339, in UTC. The name is the Go model's.
    pub opens_at: Option<String>,
    pub retry_after_seconds: Number,
    pub half_open_in_flight: u32,
    pub mode: String,
}

/// What counts rate limits. All but the mode is of the whole data plane.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RateLimitStateJson {
    pub backend: String,
    pub keys: u64,
    pub max_keys: u64,
    pub evictions: u64,
    pub backend_connected: bool,
    pub backend_failures: BTreeMap<String, u64>,
    pub mode: String,
}

/// A provider of tokens on one data plane.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ProviderJson {
    pub provider: String,
    /// `jwks` or `hmac`.
    pub mode: String,
    /// Null of a provider whose key is a secret of the configuration.
    pub jwks: Option<JwksJson>,
}

/// A provider's fetched keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JwksJson {
    pub url: String,
    pub key_count: u32,
    /// RFC 3339, in UTC, as the next one.
    pub fetched_at: Option<String>,
    pub fresh_until: Option<String>,
    pub last_error: Option<String>,
    pub successes: u64,
    pub failures: u64,
    pub skipped_keys: Vec<String>,
}

impl From<v1::RouteLimits> for LimitsJson {
    fn from(row: v1::RouteLimits) -> Self {
        Self {
            concurrency: row.concurrency.map(ConcurrencyStateJson::from),
            circuit_breaker: row.circuit_breaker.map(CircuitBreakerStateJson::from),
            rate_limit: row.rate_limit.map(RateLimitStateJson::from),
            retry: row.retry.map(RetryStateJson::from),
            rejections: counts(row.rejections),
            shadow_rejections: counts(row.shadow_rejections),
        }
    }
}

impl From<v1::ConcurrencyState> for ConcurrencyStateJson {
    fn from(state: v1::ConcurrencyState) -> Self {
        let v1::ConcurrencyState { max_in_flight, in_flight, adaptive, mode } = state;
        let adaptive = adaptive.map(AdaptiveStateJson::from);
        Self { max_in_flight, in_flight, adaptive, mode: mode_word(mode) }
    }
}

impl From<v1::AdaptiveState> for AdaptiveStateJson {
    fn from(state: v1::AdaptiveState) -> Self {
        let v1::AdaptiveState { min, max, usual_latency_us, latency_us } = state;
        let usual_latency_seconds = Number::seconds(usual_latency_us);
        Self { min, max, usual_latency_seconds, latency_seconds: Number::seconds(latency_us) }
    }
}

impl From<v1::CircuitBreakerState> for CircuitBreakerStateJson {
    fn from(breaker: v1::CircuitBreakerState) -> Self {
        let state = match breaker.phase() {
            // One that says nothing of it has not opened.
            v1::BreakerPhase::Unspecified | v1::BreakerPhase::Closed => "closed",
            v1::BreakerPhase::Open => "open",
            v1::BreakerPhase::HalfOpen => "half_open",
        };
        Self {
            state,
            failures: breaker.failures,
            opens_at: timestamp_if_any(breaker.opened_at_ms),
            retry_after_seconds: Number::seconds(breaker.retry_after_us),
            half_open_in_flight: breaker.half_open_in_flight,
            mode: mode_word(breaker.mode),
        }
    }
}

impl From<v1::RateLimitState> for RateLimitStateJson {
    fn from(state: v1::RateLimitState) -> Self {
        Self {
            backend: state.backend,
            keys: state.keys,
            max_keys: state.max_keys,
            evictions: state.evictions,
            backend_connected: state.backend_connected,
            backend_failures: counts(state.backend_failures),
            mode: mode_word(state.mode),
        }
    }
}

impl From<v1::ProviderState> for ProviderJson {
    fn from(state: v1::ProviderState) -> Self {
        let jwks = (state.mode == "jwks").then(|| JwksJson {
            url: state.url,
            key_count: state.key_count,
            fetched_at: timestamp_if_any(state.fetched_at_ms),
            fresh_until: timestamp_if_any(state.fresh_until_ms),
            last_error: Some(state.last_error).filter(|error| !error.is_empty()),
            successes: state.successes,
            failures: state.failures,
            skipped_keys: state.skipped_keys,
        });
        Self { provider: state.provider, mode: state.mode, jwks }
    }
}

/// A mode is empty in a message of a policy that is enforced.
fn mode_word(mode: String) -> String {
    if mode.is_empty() { "enforce".into() } else { mode }
}

fn counts(list: Vec<v1::ReasonCount>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for v1::ReasonCount { reason, count } in list {
        let sum: &mut u64 = counts.entry(reason).or_default();
        *sum = sum.saturating_add(count);
    }
    counts
}

/// Milliseconds since 1970 as RFC 3339 in UTC; a time that is too far to be written is the last one that is not.
#[must_use]
pub fn timestamp(milliseconds: u64) -> String {
    let timestamp = i64::try_from(milliseconds).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    format!("{:.3}", timestamp.unwrap_or(Timestamp::MAX))
}

/// The same of a time that may not have come; 0: it has not.
#[must_use]
pub fn timestamp_if_any(milliseconds: u64) -> Option<String> {
    (milliseconds > 0).then(|| timestamp(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(reason: &str, count: u64) -> v1::ReasonCount {
        v1::ReasonCount { reason: reason.into(), count }
    }

    #[test]
    fn each_phase_of_a_breaker_has_its_word() {
        use v1::BreakerPhase::{Closed, HalfOpen, Open, Unspecified};
        let words = [(Unspecified, "closed"), (Closed, "closed"), (Open, "open"), (HalfOpen, "half_open")];
        for (phase, word) in words {
            let breaker = v1::CircuitBreakerState { phase: phase.into(), ..Default::default() };
            let json = CircuitBreakerStateJson::from(breaker);
            assert_eq!((json.state, json.opens_at), (word, None), "{phase:?}");
        }
    }

    #[test]
    fn a_reason_that_is_told_twice_counts_once_in_sum() {
        let counted = counts(vec![reason("a", 1), reason("a", 2), reason("b", u64::MAX), reason("b", 1)]);
        assert_eq!(counted, BTreeMap::from([("a".into(), 3), ("b".into(), u64::MAX)]));
    }

    #[test]
    fn any_number_of_milliseconds_is_a_time() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(u64::MAX), "9999-12-30T22:00:00.999Z");
        assert_eq!((timestamp_if_any(0), timestamp_if_any(1).is_some()), (None, true));
    }
}
