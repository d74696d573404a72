//! Reads the policies of a route that refuse what is too much, and what pages of other origins may do.
//!
//! Values that depend on each other are judged together. Where one cannot be read, a legal one stands in for it, so that
//! what is wrong with the others shows as well; nothing comes of such a policy, as the problem is reported already.

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::{AdaptiveConcurrency, CircuitBreaker, Concurrency, Cors, FailureRate, RateLimit, RateLimitScope},
    names::{Percent, PolicyMode, Span},
};

impl Read for RateLimit {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let enabled = keys.or("enabled", false);
        let rate = keys.or("rps", 0.0).unwrap_or(1.0);
        let burst = keys.or("burst", 0.0).unwrap_or(1.0);
        let scope =
            keys.or("scope", IfFilled(None)).map_or(Some(RateLimitScope::Ip), |IfFilled(scope)| scope);
        let mode = keys.or("mode", PolicyMode::Enforce);
        let limit = match enabled {
            Some(true) => Self::enabled(rate, burst, scope),
            Some(false) | None => Self::disabled(rate, burst, scope),
        };
        let limit = keys.judged(limit);
        keys.finish();
        Some(limit?.with_mode(mode?))
    }
}

impl Read for Concurrency {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let max_in_flight = keys.or("max_in_flight", 0);
        let adaptive = keys.or("adaptive", None);
        let mode = keys.or("mode", PolicyMode::Enforce);
        keys.finish();

        Some(Self { max_in_flight: max_in_flight?, adaptive: adaptive?, mode: mode? })
    }
}

impl Read for AdaptiveConcurrency {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let min = keys.or("min", Self::DEFAULT_MIN);
        let max = keys.or("max", Self::DEFAULT_MAX);
        keys.finish();

        reader.take(place, Self::new(min?, max?))
    }
}

impl Read for CircuitBreaker {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let enabled = keys.or("enabled", false);
        let threshold = keys.or("failure_threshold", 0).unwrap_or(1);
        let open = keys.or("open_seconds", Span::seconds(0)).unwrap_or(Span::seconds(1)).micros();
        let trials = keys.or("half_open_max_in_flight", 0).unwrap_or(1);
        let percent: Option<Option<Percent>> = keys.or("failure_percent", None);
        let window = keys.or("window_seconds", FailureRate::DEFAULT_WINDOW);
        let minimum_requests = keys.or("minimum_requests", FailureRate::DEFAULT_MINIMUM_REQUESTS);
        let mode = keys.or("mode", PolicyMode::Enforce);
        let rate = percent.flatten().zip(window).zip(minimum_requests);
        let rate = rate.map(|((percent, window), minimum_requests)| FailureRate {
            percent,
            window,
            minimum_requests,
        });
        let breaker = match (enabled, rate) {
            (Some(true), Some(rate)) => Self::enabled_by_share(threshold, open, trials, rate),
            (Some(true), None) if percent == Some(None) => Self::enabled(threshold, open, trials),
            // A share needs no threshold, and one that cannot be read may have been meant so.
            (Some(true), None) => Self::enabled(threshold.max(1), open, trials),
            (Some(false) | None, rate) => {
                let breaker = Self::disabled(threshold, open, trials);
                breaker.map(|breaker| rate.into_iter().fold(breaker, Self::with_failure_rate))
            }
        };
        let breaker = keys.judged(breaker);
        keys.finish();

        // All of them are there, or a problem is reported.
        percent.and(window).and(minimum_requests)?;
        Some(breaker?.with_mode(mode?))
    }
}

impl Read for Cors {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let allow_origins = keys.required("allow_origins");
        let allow_methods = keys.or("allow_methods", Vec::new());
        let allow_headers = keys.or("allow_headers", Vec::new());
        let max_age = keys.or("max_age_seconds", Self::DEFAULT_MAX_AGE);
        let mode = keys.or("mode", PolicyMode::Enforce);
        keys.finish();

        Some(Self {
            allow_origins: allow_origins?,
            allow_methods: allow_methods?,
            allow_headers: allow_headers?,
            max_age: max_age?,
            mode: mode?,
        })
    }
}
