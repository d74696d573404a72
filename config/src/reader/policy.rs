//! Reads a route's rate limit and circuit breaker.
//!
//! Their values are judged together. Where one cannot be read, a legal one stands in for it, so that what is wrong with
//! the others shows as well; nothing comes of such a policy, as the problem is reported already.

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::{CircuitBreaker, RateLimit, RateLimitScope},
    names::Span,
};

impl Read for RateLimit {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let enabled = keys.or("enabled", false);
        let rate = keys.or("rps", 0.0).unwrap_or(1.0);
        let burst = keys.or("burst", 0.0).unwrap_or(1.0);
        let scope =
            keys.or("scope", IfFilled(None)).map_or(Some(RateLimitScope::Ip), |IfFilled(scope)| scope);
        let limit = match enabled {
            Some(true) => Self::enabled(rate, burst, scope),
            Some(false) | None => Self::disabled(rate, burst, scope),
        };
        let limit = keys.judged(limit);
        keys.finish();
        limit
    }
}

impl Read for CircuitBreaker {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let enabled = keys.or("enabled", false);
        let threshold = keys.or("failure_threshold", 0).unwrap_or(1);
        let open = keys.or("open_seconds", Span::seconds(0)).unwrap_or(Span::seconds(1)).micros();
        let trials = keys.or("half_open_max_in_flight", 0).unwrap_or(1);
        let breaker = match enabled {
            Some(true) => Self::enabled(threshold, open, trials),
            Some(false) | None => Self::disabled(threshold, open, trials),
        };
        let breaker = keys.judged(breaker);
        keys.finish();
        breaker
    }
}
