//! `gwctl routes`: the array that the Go model's `/-/routes` answers.

use apigw_proto::v1;
use serde::Serialize;

use super::{Number, seconds};
use crate::output::{Cell, Grid, Style, Table};

/// In the order of the file.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RoutesView(Vec<RouteView>);

#[derive(Debug, Serialize)]
struct RouteView {
    name: String,
    path_prefix: String,
    upstream: String,
    strip_prefix: Option<String>,
    auth_required: bool,
    rate_limit: Option<RateLimitView>,
    concurrency: ConcurrencyView,
    circuit_breaker: Option<CircuitBreakerView>,
}

#[derive(Debug, Serialize)]
struct RateLimitView {
    enabled: bool,
    rps: Number,
    burst: Number,
    scope: Option<String>,
}

#[derive(Debug, Serialize)]
struct ConcurrencyView {
    max_in_flight: u32,
}

#[derive(Debug, Serialize)]
struct CircuitBreakerView {
    enabled: bool,
    failure_threshold: u32,
    open_seconds: Number,
    half_open_max_in_flight: u32,
}

impl From<Vec<v1::Route>> for RoutesView {
    fn from(routes: Vec<v1::Route>) -> Self {
        Self(routes.into_iter().map(RouteView::from).collect())
    }
}

impl From<v1::Route> for RouteView {
    fn from(route: v1::Route) -> Self {
        let present = |text: String| (!text.is_empty()).then_some(text);
        Self {
            name: route.name,
            path_prefix: route.path_prefix,
            upstream: route.upstream,
            strip_prefix: present(route.strip_prefix),
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.map(|limit| RateLimitView {
                enabled: limit.enabled,
                rps: Number(limit.rps),
                burst: Number(limit.burst),
                scope: present(limit.scope),
            }),
            concurrency: ConcurrencyView {
                max_in_flight: route.concurrency.map_or(0, |concurrency| concurrency.max_in_flight),
            },
            circuit_breaker: route.circuit_breaker.map(|breaker| CircuitBreakerView {
                enabled: breaker.enabled,
                failure_threshold: breaker.failure_threshold,
                open_seconds: seconds(breaker.open_us),
                half_open_max_in_flight: breaker.half_open_max_in_flight,
            }),
        }
    }
}

impl Table for RoutesView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new([
            "NAME",
            "PREFIX",
            "UPSTREAM",
            "STRIPPED",
            "AUTH",
            "RATE LIMIT",
            "IN FLIGHT",
            "BREAKER",
        ]);
        for route in &self.0 {
            grid.push([
                route.name.as_str().into(),
                route.path_prefix.as_str().into(),
                route.upstream.as_str().into(),
                Cell::optional(route.strip_prefix.as_deref()),
                if route.auth_required { "required" } else { "-" }.into(),
                Cell::optional(route.rate_limit.as_ref().map(RateLimitView::summary)),
                match route.concurrency.max_in_flight {
                    0 => "-".into(),
                    most => format!("at most {most}").into(),
                },
                Cell::optional(route.circuit_breaker.as_ref().map(CircuitBreakerView::summary)),
            ]);
        }
        grid.render(style)
    }
}

impl RateLimitView {
    fn summary(&self) -> String {
        if !self.enabled {
            return "off".into();
        }
        let scope = self.scope.as_deref().unwrap_or("?");
        format!("{}/s, burst {}, by {scope}", self.rps, self.burst)
    }
}

impl CircuitBreakerView {
    fn summary(&self) -> String {
        if !self.enabled {
            return "off".into();
        }
        format!(
            "{} failures, {} s, {} at once",
            self.failure_threshold, self.open_seconds, self.half_open_max_in_flight
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::{Format, render};

    fn routes() -> RoutesView {
        let full = v1::Route {
            name: "users".into(),
            path_prefix: "/api/users/".into(),
            upstream: "http://127.0.0.1:9001".into(),
            strip_prefix: "/api".into(),
            auth_required: true,
            rate_limit: Some(v1::RateLimit { enabled: true, rps: 5.0, burst: 2.5, scope: "user".into() }),
            concurrency: Some(v1::Concurrency { max_in_flight: 50 }),
            circuit_breaker: Some(v1::CircuitBreaker {
                enabled: true,
                failure_threshold: 5,
                open_us: 1_500_000,
                half_open_max_in_flight: 1,
            }),
        };
        let bare = v1::Route {
            name: "bare".into(),
            path_prefix: "/".into(),
            upstream: "http://h".into(),
            ..v1::Route::default()
        };
        RoutesView::from(vec![full, bare])
    }

    #[test]
    fn json_has_the_models_fields_and_null_for_what_is_absent() {
        let expected = json!([
            {
                "name": "users", "path_prefix": "/api/users/", "upstream": "http://127.0.0.1:9001",
                "strip_prefix": "/api", "auth_required": true,
                "rate_limit": { "enabled": true, "rps": 5, "burst": 2.5, "scope": "user" },
                "concurrency": { "max_in_flight": 50 },
                "circuit_breaker": {
                    "enabled": true, "failure_threshold": 5, "open_seconds": 1.5, "half_open_max_in_flight": 1,
                },
            },
            {
                "name": "bare", "path_prefix": "/", "upstream": "http://h", "strip_prefix": null,
                "auth_required": false, "rate_limit": null, "concurrency": { "max_in_flight": 0 },
                "circuit_breaker": null,
            },
        ]);
        assert_eq!(serde_json::to_value(routes()).unwrap(), expected);
    }

    #[test]
    fn table_has_one_line_for_each_route() {
        let expected = "\
NAME   PREFIX       UPSTREAM               STRIPPED  AUTH      RATE LIMIT               IN FLIGHT   BREAKER
users  /api/users/  http://127.0.0.1:9001  /api      required  5/s, burst 2.5, by user  at most 50  5 failures, 1.5 s, 1 at once
bare   /            http://h               -         -         -                        -           -
";
        assert_eq!(render(&routes(), Format::Table, Style::Plain).unwrap(), expected);
    }

    #[test]
    fn yaml_says_what_json_says() {
        let yaml = render(&routes(), Format::Yaml, Style::Plain).unwrap();
        for line in ["- name: users", "strip_prefix: null", "rps: 5", "burst: 2.5", "auth_required: true"] {
            assert!(yaml.contains(line), "{line:?} is missing in:\n{yaml}");
        }
    }
}
