//! Configuration as operators see it in JSON: one shape for `gwctl -o json` and the admin endpoints.
//!
//! The shape is the Go model's, so that what was written for it works unchanged: every member of the model is always there,
//! and what a route does not have is empty, zero or false, as Go writes it. A member that the model does not have is there
//! only where the file says something else than its default.

/// Which answers are compressed.
mod compression;
/// The live state of what runs.
pub mod live;
/// Who is asked about a route's requests.
mod external_auth;
/// Whose certificates make callers known.
mod mtls;
/// When its requests are sent again.
mod retry;
/// Which requests a route serves.
mod route_match;
/// What it makes of them, and what it answers itself.
mod rewrite;
/// Which backends share them, and which is sent copies.
mod split;
/// How long it waits.
mod timeouts;

use std::{collections::BTreeMap, fmt};

use apigw_proto::v1;
use serde::{Serialize, Serializer};

pub use self::{
    compression::CompressionJson,
    external_auth::{ExternalAuthJson, ServiceCacheJson},
    mtls::MtlsJson,
    retry::{HedgeJson, RetryJson, RetryStateJson},
    rewrite::{FixedAnswerJson, PathRewriteJson, RedirectJson, RewriteJson},
    route_match::{FieldMatchJson, RouteMatchJson},
    split::{MirrorJson, SplitKeyJson, SplitPartJson},
    timeouts::TimeoutsJson,
};

/// A route, as `/-/routes` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RouteJson {
    pub name: String,
    pub path_prefix: String,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub route_match: Option<RouteMatchJson>,
    pub upstream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub backend: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<SplitPartJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_by: Option<SplitKeyJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond: Option<FixedAnswerJson>,
    pub strip_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderChangesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<AnswerChangesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionJson>,
    pub auth_required: bool,
    pub rate_limit: RateLimitJson,
    pub concurrency: ConcurrencyJson,
    pub circuit_breaker: CircuitBreakerJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<RouteAuthJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_cidrs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny_cidrs: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cidrs_mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_header_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
}

/// A route's rate limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RateLimitJson {
    pub enabled: bool,
    pub rps: Number,
    pub burst: Number,
    pub scope: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// A route's concurrency limit; 0: none.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct ConcurrencyJson {
    pub max_in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveConcurrencyJson>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// The bounds of a limit that follows the upstream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct AdaptiveConcurrencyJson {
    pub min: u32,
    pub max: u32,
}

/// A route's circuit breaker.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct CircuitBreakerJson {
    pub enabled: bool,
    pub failure_threshold: u32,
    pub open_seconds: Number,
    pub half_open_max_in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_percent: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_requests: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What a route asks of its callers, and tells its upstream of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RouteAuthJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAuthJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<MtlsJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_scopes: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub forward_claims: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What pages of other origins may do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct CorsJson {
    pub allow_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    pub max_age_seconds: Number,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What a route changes of header fields.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct HeaderChangesJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
}

/// The same of answers, after what a preset says.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct AnswerChangesJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preset: String,
    #[serde(flatten)]
    pub changes: HeaderChangesJson,
}

impl AnswerChangesJson {
    /// None: answers remain what they are.
    fn of(changes: Option<v1::HeaderChanges>, preset: String) -> Option<Self> {
        let changes = changes.map(HeaderChangesJson::from);
        (changes.is_some() || !preset.is_empty())
            .then(|| Self { preset, changes: changes.unwrap_or_default() })
    }
}

impl From<v1::HeaderChanges> for HeaderChangesJson {
    fn from(changes: v1::HeaderChanges) -> Self {
        let v1::HeaderChanges { remove, set, add } = changes;
        Self { remove, set, add }
    }
}

impl From<v1::Route> for RouteJson {
    fn from(route: v1::Route) -> Self {
        let lists = route.address_lists.unwrap_or_default();
        let v1::Split { parts, by } = route.split.unwrap_or_default();
        Self {
            name: route.name,
            path_prefix: route.path_prefix,
            route_match: route.route_match.map(RouteMatchJson::from),
            upstream: route.upstream,
            backend: route.backend,
            split: parts.into_iter().map(SplitPartJson::from).collect(),
            split_by: by.and_then(SplitKeyJson::of),
            mirror: route.mirror.map(MirrorJson::from),
            redirect: route.redirect.map(RedirectJson::from),
            respond: route.respond.map(FixedAnswerJson::from),
            strip_prefix: route.strip_prefix,
            rewrite: route.rewrite.map(RewriteJson::from),
            request_headers: route.request_headers.map(HeaderChangesJson::from),
            response_headers: AnswerChangesJson::of(route.response_headers, route.response_preset),
            compression: route.compression.map(CompressionJson::from),
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.map(RateLimitJson::from).unwrap_or_default(),
            concurrency: route.concurrency.map(ConcurrencyJson::from).unwrap_or_default(),
            circuit_breaker: route.circuit_breaker.map(CircuitBreakerJson::from).unwrap_or_default(),
            auth: route.auth.map(RouteAuthJson::from),
            allow_cidrs: lists.allow,
            deny_cidrs: lists.deny,
            cidrs_mode: lists.mode,
            timeouts: route.timeouts.map(TimeoutsJson::from),
            retry: route.retry.map(RetryJson::from),
            hedge: route.hedge.map(HedgeJson::from),
            cors: route.cors.map(CorsJson::from),
            max_header_bytes: Some(route.max_header_bytes).filter(|&bytes| bytes > 0),
            max_body_bytes: Some(route.max_body_bytes).filter(|&bytes| bytes > 0),
        }
    }
}

impl From<v1::RateLimit> for RateLimitJson {
    fn from(limit: v1::RateLimit) -> Self {
        let v1::RateLimit { enabled, rps, burst, scope, mode } = limit;
        Self { enabled, rps: Number(rps), burst: Number(burst), scope, mode }
    }
}

impl From<v1::Concurrency> for ConcurrencyJson {
    fn from(concurrency: v1::Concurrency) -> Self {
        let v1::Concurrency { max_in_flight, adaptive, mode } = concurrency;
        let adaptive =
            adaptive.map(|v1::AdaptiveConcurrency { min, max }| AdaptiveConcurrencyJson { min, max });
        Self { max_in_flight, adaptive, mode }
    }
}

impl From<v1::CircuitBreaker> for CircuitBreakerJson {
    fn from(breaker: v1::CircuitBreaker) -> Self {
        let rate = breaker.failure_rate;
        Self {
            enabled: breaker.enabled,
            failure_threshold: breaker.failure_threshold,
            open_seconds: Number::seconds(breaker.open_us),
            half_open_max_in_flight: breaker.half_open_max_in_flight,
            failure_percent: rate.map(|rate| Number(rate.percent)),
            window_seconds: rate.map(|rate| Number::seconds(rate.window_us)),
            minimum_requests: rate.map(|rate| rate.minimum_requests),
            mode: breaker.mode,
        }
    }
}

impl From<v1::RouteAuth> for RouteAuthJson {
    fn from(auth: v1::RouteAuth) -> Self {
        let v1::RouteAuth {
            providers,
            required_scopes,
            required_claims,
            forward_claims,
            mode,
            any,
            all,
            external,
            mtls,
        } = auth;
        let (external, mtls) = (external.map(ExternalAuthJson::from), mtls.map(MtlsJson::from));
        Self { any, all, external, mtls, providers, required_scopes, required_claims, forward_claims, mode }
    }
}

impl From<v1::Cors> for CorsJson {
    fn from(cors: v1::Cors) -> Self {
        let v1::Cors { allow_origins, allow_methods, allow_headers, max_age_us, mode } = cors;
        Self {
            allow_origins,
            allow_methods,
            allow_headers,
            max_age_seconds: Number::seconds(max_age_us),
            mode,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A route of everything.yaml, as what is sent of it.
    fn everything() -> v1::Route {
        let config = crate::read("g.yaml", include_bytes!("../examples/everything.yaml")).unwrap();
        v1::Route::from(config.route(0).unwrap())
    }

    #[test]
    fn what_the_go_model_has_not_is_shown_where_it_is_set() {
        let full = RouteJson::from(everything());
        let auth = full.auth.unwrap();
        assert_eq!(
            (auth.providers, auth.required_scopes),
            (vec!["default".into()], vec!["users:read".into()])
        );
        assert_eq!(auth.forward_claims.get("sub").map(String::as_str), Some("x-user"));
        assert_eq!(auth.required_claims.get("email_verified").map(String::as_str), Some("true"));
        assert_eq!((full.allow_cidrs.len(), full.deny_cidrs.len()), (1, 1));
        assert_eq!((full.max_header_bytes, full.max_body_bytes), (Some(16_384), Some(104_857_600)));
        let timeouts = full.timeouts.unwrap();
        assert_eq!((timeouts.total_seconds, timeouts.idle_seconds), (Some(Number(10.0)), Some(Number(30.0))));
        let breaker = full.circuit_breaker;
        assert_eq!(
            (breaker.failure_percent, breaker.window_seconds),
            (Some(Number(50.0)), Some(Number(10.0)))
        );
        assert_eq!(breaker.minimum_requests, Some(20));
        assert_eq!(full.response_headers.unwrap().preset, "security");
        assert_eq!(full.compression.unwrap().algorithms, ["zstd", "br", "gzip"]);
        let cors = full.cors.unwrap();
        assert_eq!(
            (cors.allow_methods, cors.max_age_seconds),
            (vec!["PUT".into(), "DELETE".into()], Number(600.0))
        );
    }
}
