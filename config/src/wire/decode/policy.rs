//! Reads the policies of a peer's route that refuse what is too much, and what pages of other origins may do.

use std::num::NonZeroU32;

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{AdaptiveConcurrency, CircuitBreaker, Concurrency, Cors, FailureRate, RateLimit, RateLimitScope},
    names::{AllowedOrigins, Percent, Span, ValueError},
    problem::{KeyPath, Problems},
};

pub(super) fn rate_limit(
    message: &v1::RateLimit,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<RateLimit> {
    let mut fields = Fields { at: *at, problems };
    let scope = match message.scope.as_str() {
        "" => Some(None),
        text => fields.take("scope", text.parse::<RateLimitScope>()).map(Some),
    };
    let mode = fields.mode("mode", &message.mode);
    let scope_is_legal = scope.is_some();
    // A scope that is not legal must not hide what is wrong with the numbers, so any legal one stands in for it.
    let judged = scope.unwrap_or(Some(RateLimitScope::Ip));
    let limit = if message.enabled {
        RateLimit::enabled(message.rps, message.burst, judged)
    } else {
        RateLimit::disabled(message.rps, message.burst, judged)
    };
    let limit = fields.judged(limit)?;
    scope_is_legal.then_some(limit.with_mode(mode?))
}

pub(super) fn concurrency(
    message: &v1::Concurrency,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<Concurrency> {
    let v1::Concurrency { max_in_flight, adaptive, mode } = message;
    let mut fields = Fields { at: *at, problems };
    let mode = fields.mode("mode", mode);
    let adaptive = adaptive.as_ref().map(|bounds| AdaptiveConcurrency::new(bounds.min, bounds.max));
    let adaptive = adaptive.map(|bounds| fields.take("adaptive", bounds));
    // None: there are bounds, and they are not legal.
    let adaptive = adaptive.map_or(Some(None), |bounds| bounds.map(Some));
    Some(Concurrency { max_in_flight: *max_in_flight, adaptive: adaptive?, mode: mode? })
}

pub(super) fn circuit_breaker(
    message: &v1::CircuitBreaker,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<CircuitBreaker> {
    let v1::CircuitBreaker { failure_threshold, open_us, half_open_max_in_flight, .. } = *message;
    let mut fields = Fields { at: *at, problems };
    let rate = message.failure_rate.map(|message| failure_rate(message, &mut fields));
    let breaker = match (message.enabled, rate) {
        (true, None) => CircuitBreaker::enabled(failure_threshold, open_us, half_open_max_in_flight),
        // One that is not legal must not hide what is wrong with the numbers.
        (true, Some(None)) => {
            CircuitBreaker::enabled(failure_threshold.max(1), open_us, half_open_max_in_flight)
        }
        (true, Some(Some(rate))) => {
            CircuitBreaker::enabled_by_share(failure_threshold, open_us, half_open_max_in_flight, rate)
        }
        (false, rate) => {
            let breaker = CircuitBreaker::disabled(failure_threshold, open_us, half_open_max_in_flight);
            breaker.map(|breaker| rate.flatten().into_iter().fold(breaker, CircuitBreaker::with_failure_rate))
        }
    };
    let breaker = fields.judged(breaker);
    let mode = fields.mode("mode", &message.mode);
    let rate_is_legal = rate.is_none_or(|rate| rate.is_some());
    Some(breaker.filter(|_| rate_is_legal)?.with_mode(mode?))
}

pub(super) fn failure_rate(message: v1::FailureRate, fields: &mut Fields<'_, '_>) -> Option<FailureRate> {
    let v1::FailureRate { percent, window_us, minimum_requests } = message;
    let percent = fields.take("failure_percent", Percent::new(percent));
    let window = fields.period("window_seconds", window_us);
    let minimum_requests = NonZeroU32::new(minimum_requests);
    let minimum_requests = fields.take(
        "minimum_requests",
        minimum_requests.ok_or(ValueError::OutOfRange { range: "from 1 to 4294967295" }),
    );
    Some(FailureRate { percent: percent?, window: window?, minimum_requests: minimum_requests? })
}

pub(super) fn cors(message: &v1::Cors, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Cors> {
    let mut fields = Fields { at: *at, problems };
    let allow_origins = fields.parse_all("allow_origins", &message.allow_origins);
    let allow_origins =
        allow_origins.and_then(|patterns| fields.take("allow_origins", AllowedOrigins::new(patterns)));
    let allow_methods = fields.parse_all("allow_methods", &message.allow_methods);
    let allow_headers = fields.parse_all("allow_headers", &message.allow_headers);
    let max_age = fields.take("max_age_seconds", Span::from_micros(message.max_age_us));
    let mode = fields.mode("mode", &message.mode);
    Some(Cors {
        allow_origins: allow_origins?,
        allow_methods: allow_methods?,
        allow_headers: allow_headers?,
        max_age: max_age?,
        mode: mode?,
    })
}
