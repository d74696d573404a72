//! Reads one route of a peer.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{CircuitBreaker, PolicyError, RateLimit, RateLimitScope, Route},
    names::{PathPrefix, RouteName, UpstreamUrl},
    problem::{KeyPath, Problem, Problems},
};

impl TryFrom<v1::Route> for Route {
    type Error = Vec<Problem>;

    /// Reads a route by itself; paths of problems start at the route.
    fn try_from(message: v1::Route) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::of("");
        let route = route(message, &KeyPath::Top, &mut problems);
        problems.or(route)
    }
}

pub(super) fn route(message: v1::Route, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Route> {
    let mut fields = Fields { at: *at, problems };
    let name = fields.take("name", RouteName::new(&message.name));
    let path_prefix = {
        let mut fields = Fields { at: at.key("match"), problems: fields.problems };
        fields.take("path_prefix", PathPrefix::new(&message.path_prefix))
    };
    let upstream = fields.take("upstream", UpstreamUrl::new(&message.upstream));
    let strip_prefix = match message.strip_prefix.as_str() {
        "" => Some(None),
        text => fields.take("strip_prefix", PathPrefix::new(text)).map(Some),
    };
    let rate_limit = match message.rate_limit {
        None => Some(None),
        Some(message) => rate_limit(&message, &at.key("rate_limit"), fields.problems).map(Some),
    };
    let circuit_breaker = match message.circuit_breaker {
        None => Some(None),
        Some(message) => circuit_breaker(message, &at.key("circuit_breaker"), fields.problems).map(Some),
    };
    Some(Route {
        name: name?,
        path_prefix: path_prefix?,
        upstream: upstream?,
        strip_prefix: strip_prefix?,
        auth_required: message.auth_required,
        rate_limit: rate_limit?,
        max_in_flight: message.concurrency.map_or(0, |concurrency| concurrency.max_in_flight),
        circuit_breaker: circuit_breaker?,
    })
}

fn rate_limit(message: &v1::RateLimit, at: &KeyPath<'_>, problems: &mut Problems) -> Option<RateLimit> {
    let mut fields = Fields { at: *at, problems };
    let scope = match message.scope.as_str() {
        "" => Some(None),
        text => fields.take("scope", text.parse::<RateLimitScope>()).map(Some),
    };
    // A scope that is not legal must not hide what is wrong with the numbers, so any legal one stands in for it.
    let judged = scope.unwrap_or(Some(RateLimitScope::Ip));
    let limit = if message.enabled {
        RateLimit::enabled(message.rps, message.burst, judged)
    } else {
        RateLimit::disabled(message.rps, message.burst, judged)
    };
    policy(limit, &mut fields).filter(|_| scope.is_some())
}

fn circuit_breaker(
    message: v1::CircuitBreaker,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<CircuitBreaker> {
    let v1::CircuitBreaker { enabled, failure_threshold, open_us, half_open_max_in_flight } = message;
    let breaker = if enabled {
        CircuitBreaker::enabled(failure_threshold, open_us, half_open_max_in_flight)
    } else {
        CircuitBreaker::disabled(failure_threshold, open_us, half_open_max_in_flight)
    };
    policy(breaker, &mut Fields { at: *at, problems })
}

/// A policy as its constructor judged it.
fn policy<T>(result: Result<T, Vec<PolicyError>>, fields: &mut Fields<'_, '_>) -> Option<T> {
    match result {
        Ok(policy) => Some(policy),
        Err(errors) => {
            for PolicyError { key, error } in errors {
                fields.problems.report(None, &fields.at.key(key), error);
            }
            None
        }
    }
}
