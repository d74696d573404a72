//! One route and its policies.

use apigw_proto::v1;

use super::{address_lists, mode};
use crate::{
    model::{CircuitBreaker, Cors, Destination, FailureRate, RateLimit, Route, RouteAuth},
    names::{ByteCount, CorsMethod, HeaderName, OriginPattern, PathPrefix, ProviderName, TokenScope},
};

impl From<&Route> for v1::Route {
    fn from(route: &Route) -> Self {
        let (upstream, backend) = match &route.destination {
            Destination::Upstream(url) => (url.as_str().into(), String::new()),
            Destination::Backend(name) => (String::new(), name.to_string()),
        };
        Self {
            name: route.name.to_string(),
            path_prefix: route.path_prefix.to_string(),
            upstream,
            backend,
            strip_prefix: route.strip_prefix.as_ref().map_or("", PathPrefix::as_str).into(),
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.as_ref().map(Into::into),
            concurrency: Some(v1::Concurrency {
                max_in_flight: route.concurrency.max_in_flight,
                mode: mode(route.concurrency.mode),
            }),
            circuit_breaker: route.circuit_breaker.as_ref().map(Into::into),
            auth: route.auth.as_ref().map(Into::into),
            address_lists: address_lists(&route.address_lists),
            cors: route.cors.as_ref().map(Into::into),
            max_header_bytes: route.max_header_bytes.map_or(0, ByteCount::get),
            max_body_bytes: route.max_body_bytes.map_or(0, ByteCount::get),
        }
    }
}

impl From<&RouteAuth> for v1::RouteAuth {
    fn from(auth: &RouteAuth) -> Self {
        let RouteAuth { providers, required_scopes, required_claims, forward_claims, mode: auth_mode } = auth;
        Self {
            providers: providers.iter().map(ProviderName::as_str).map(Into::into).collect(),
            required_scopes: required_scopes.iter().map(TokenScope::as_str).map(Into::into).collect(),
            required_claims: required_claims
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            forward_claims: forward_claims
                .as_map()
                .iter()
                .map(|(name, header)| (name.as_str().into(), header.name().as_str().into()))
                .collect(),
            mode: mode(*auth_mode),
        }
    }
}

impl From<&RateLimit> for v1::RateLimit {
    fn from(limit: &RateLimit) -> Self {
        Self {
            enabled: limit.is_enabled(),
            rps: limit.requests_per_second(),
            burst: limit.burst(),
            scope: limit.scope().map_or_else(String::new, ToString::to_string),
            mode: mode(limit.mode()),
        }
    }
}

impl From<&CircuitBreaker> for v1::CircuitBreaker {
    fn from(breaker: &CircuitBreaker) -> Self {
        let failure_rate = breaker.failure_rate();
        Self {
            enabled: breaker.is_enabled(),
            failure_threshold: breaker.failure_threshold(),
            open_us: breaker.open_micros(),
            half_open_max_in_flight: breaker.half_open_max_in_flight(),
            failure_rate: failure_rate.map(|FailureRate { percent, window, minimum_requests }| {
                v1::FailureRate {
                    percent: percent.get(),
                    window_us: window.micros(),
                    minimum_requests: minimum_requests.get(),
                }
            }),
            mode: mode(breaker.mode()),
        }
    }
}

impl From<&Cors> for v1::Cors {
    fn from(cors: &Cors) -> Self {
        Self {
            allow_origins: cors
                .allow_origins
                .as_slice()
                .iter()
                .map(OriginPattern::as_str)
                .map(Into::into)
                .collect(),
            allow_methods: cors.allow_methods.iter().map(CorsMethod::as_str).map(Into::into).collect(),
            allow_headers: cors.allow_headers.iter().map(HeaderName::as_str).map(Into::into).collect(),
            max_age_us: cors.max_age.micros(),
            mode: mode(cors.mode),
        }
    }
}
