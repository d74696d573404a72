//! `gwctl limits`: one row for each route on each data plane.

use std::{collections::BTreeMap, fmt::Write};

use apigw_config::json::{
    RetryStateJson,
    live::{
        AdaptiveStateJson, CircuitBreakerStateJson, ConcurrencyStateJson, LimitsJson, RateLimitStateJson,
    },
};
use apigw_proto::v1;
use serde::Serialize;

use super::aside;
use crate::output::{Cell, Colour, Grid, Style, Table};

/// In the order of the data planes, then of the routes.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct LimitsView(Vec<RowView>);

#[derive(Debug, Serialize)]
struct RowView {
    data_plane: String,
    route: String,
    #[serde(flatten)]
    limits: LimitsJson,
}

impl From<Vec<v1::RouteLimits>> for LimitsView {
    fn from(rows: Vec<v1::RouteLimits>) -> Self {
        let row = |mut row: v1::RouteLimits| RowView {
            data_plane: std::mem::take(&mut row.data_plane),
            route: std::mem::take(&mut row.route),
            limits: row.into(),
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl Table for LimitsView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new([
            "DATA PLANE",
            "ROUTE",
            "IN FLIGHT",
            "BREAKER",
            "RATE LIMIT",
            "RETRIES",
            "REJECTED",
            "IN SHADOW",
        ]);
        for RowView { data_plane, route, limits } in &self.0 {
            let none = || Cell::from("-");
            grid.push([
                data_plane.as_str().into(),
                route.as_str().into(),
                limits.concurrency.as_ref().map_or_else(none, concurrency),
                limits.circuit_breaker.as_ref().map_or_else(none, circuit_breaker),
                limits.rate_limit.as_ref().map_or_else(none, rate_limit),
                limits.retry.as_ref().map_or_else(none, retry),
                listed(&limits.rejections).into(),
                listed(&limits.shadow_rejections).into(),
            ]);
        }
        grid.render(style)
    }
}

fn concurrency(state: &ConcurrencyStateJson) -> Cell {
    let ConcurrencyStateJson { max_in_flight, in_flight, adaptive, mode } = state;
    let found = adaptive.as_ref().map(|adaptive| {
        let AdaptiveStateJson { min, max, usual_latency_seconds, latency_seconds } = adaptive;
        let [usual, latest] = [usual_latency_seconds, latency_seconds].map(|seconds| 1e3 * seconds.0);
        format!(" ({min} to {max}; {latest:.1} ms, usually {usual:.1} ms)")
    });
    let text = format!("{in_flight} of {max_in_flight}{}{}", found.unwrap_or_default(), aside(mode));
    if *in_flight < u64::from(*max_in_flight) { text.into() } else { Cell::coloured(&text, Colour::Waiting) }
}

fn circuit_breaker(breaker: &CircuitBreakerStateJson) -> Cell {
    let aside = aside(&breaker.mode);
    match breaker.state {
        "open" => {
            let retry = breaker.retry_after_seconds.0;
            Cell::coloured(&format!("open, trial in {retry:.1} s{aside}"), Colour::Bad)
        }
        "half_open" => {
            let trials = breaker.half_open_in_flight;
            Cell::coloured(&format!("half open, trials under way: {trials}{aside}"), Colour::Waiting)
        }
        _ if breaker.failures > 0 => format!("closed, failures: {}{aside}", breaker.failures).into(),
        _ => format!("closed{aside}").into(),
    }
}

fn rate_limit(state: &RateLimitStateJson) -> Cell {
    let RateLimitStateJson { backend, keys, max_keys, evictions, backend_connected, backend_failures, mode } =
        state;
    let mut text = format!("{backend}, {keys} of {max_keys} keys");
    if *evictions > 0 {
        write!(text, ", {evictions} evicted").expect("a string takes any text");
    }
    if !backend_failures.is_empty() {
        write!(text, ", failed: {}", listed(backend_failures)).expect("a string takes any text");
    }
    if !backend_connected {
        text += ", not connected";
    }
    text += &aside(mode);
    if *backend_connected { text.into() } else { Cell::coloured(&text, Colour::Bad) }
}

fn retry(state: &RetryStateJson) -> Cell {
    let RetryStateJson { retries, max_retries, .. } = state;
    let text = format!("{retries} of {max_retries}");
    if retries < max_retries { text.into() } else { Cell::coloured(&text, Colour::Waiting) }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(reason: &str, count: u64) -> v1::ReasonCount {
        v1::ReasonCount { reason: reason.into(), count }
    }

    fn breaker(phase: v1::BreakerPhase) -> v1::CircuitBreakerState {
        v1::CircuitBreakerState { phase: phase.into(), ..v1::CircuitBreakerState::default() }
    }

    fn full() -> v1::RouteLimits {
        v1::RouteLimits {
            data_plane: "dp-1".into(),
            route: "users".into(),
            concurrency: Some(v1::ConcurrencyState {
                max_in_flight: 50,
                adaptive: Some(v1::AdaptiveState {
                    min: 5,
                    max: 200,
                    usual_latency_us: 10_000,
                    latency_us: 12_500,
                }),
                in_flight: 3,
                mode: "shadow".into(),
            }),
            circuit_breaker: Some(v1::CircuitBreakerState {
                opened_at_ms: 1_700_000_000_123,
                retry_after_us: 2_500_000,
                ..breaker(v1::BreakerPhase::Open)
            }),
            rate_limit: Some(v1::RateLimitState {
                backend: "redis".into(),
                keys: 7,
                max_keys: 1_000,
                evictions: 2,
                backend_failures: vec![reason("timeout", 4)],
                mode: String::new(),
                backend_connected: false,
            }),
            retry: Some(v1::RetryState { requests: 100, retries: 3, max_retries: 30, refused: 0 }),
            rejections: vec![reason("rate_limited", 12), reason("breaker_open", 1)],
            shadow_rejections: vec![reason("too_busy", 5)],
        }
    }

    fn bare() -> v1::RouteLimits {
        v1::RouteLimits { data_plane: "dp-1".into(), route: "bare".into(), ..v1::RouteLimits::default() }
    }

    #[test]
    fn json_has_the_documented_members() {
        let expected = json!([
            {
                "data_plane": "dp-1", "route": "users",
                "concurrency": {
                    "max_in_flight": 50, "in_flight": 3, "mode": "shadow",
                    "adaptive": { "min": 5, "max": 200, "usual_latency_seconds": 0.01, "latency_seconds": 0.0125 },
                },
                "circuit_breaker": {
                    "state": "open", "failures": 0, "opens_at": "2023-11-14T22:13:20.123Z",
                    "retry_after_seconds": 2.5, "half_open_in_flight": 0, "mode": "enforce",
                },
                "rate_limit": {
                    "backend": "redis", "keys": 7, "max_keys": 1000, "evictions": 2,
                    "backend_connected": false, "backend_failures": { "timeout": 4 }, "mode": "enforce",
                },
                "retry": { "requests": 100, "retries": 3, "max_retries": 30, "refused": 0 },
                "rejections": { "breaker_open": 1, "rate_limited": 12 },
                "shadow_rejections": { "too_busy": 5 },
            },
            {
                "data_plane": "dp-1", "route": "bare", "concurrency": null, "circuit_breaker": null,
                "rate_limit": null, "rejections": {}, "shadow_rejections": {},
            },
        ]);
        assert_eq!(serde_json::to_value(LimitsView::from(vec![full(), bare()])).unwrap(), expected);
    }

    #[test]
    fn table_has_one_line_for_each_row() {
        let table = LimitsView::from(vec![full(), bare()]).table(Style::Plain);
        let lines: Vec<_> =
            table.lines().map(|line| line.split("  ").filter(|cell| !cell.is_empty())).collect();
        let cells: Vec<Vec<_>> = lines.into_iter().map(|line| line.map(str::trim).collect()).collect();
        let heads =
            ["DATA PLANE", "ROUTE", "IN FLIGHT", "BREAKER", "RATE LIMIT", "RETRIES", "REJECTED", "IN SHADOW"];
        let users = [
            "dp-1",
            "users",
            "3 of 50 (5 to 200; 12.5 ms, usually 10.0 ms) (shadow)",
            "open, trial in 2.5 s",
            "redis, 7 of 1000 keys, 2 evicted, failed: timeout 4, not connected",
            "3 of 30",
            "breaker_open 1, rate_limited 12",
            "too_busy 5",
        ];
        let bare = ["dp-1", "bare", "-", "-", "-", "-", "-", "-"];
        assert_eq!(cells, [heads, users, bare]);
    }

    #[test]
    fn table_colours_what_needs_a_look() {
        let colours = |row: v1::RouteLimits| {
            let table = LimitsView::from(vec![row]).table(Style::Coloured);
            (table.matches("\u{1b}[31m").count(), table.matches("\u{1b}[33m").count())
        };
        assert_eq!(colours(bare()), (0, 0));
        assert_eq!(colours(full()), (2, 0), "the open breaker and the lost server");
        let mut busy = full();
        busy.rate_limit = None;
        busy.concurrency.as_mut().unwrap().in_flight = 50;
        busy.circuit_breaker = Some(breaker(v1::BreakerPhase::HalfOpen));
        assert_eq!(colours(busy), (0, 2), "no place is left, and the breaker tries");
    }
}
