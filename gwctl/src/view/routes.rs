//! `gwctl routes`: the array that the Go model's `/-/routes` answers.

/// Who may ask.
mod callers;
/// How upstreams are asked.
mod sending;

use apigw_config::json::{
    AdaptiveConcurrencyJson, CircuitBreakerJson, ConcurrencyJson, MirrorJson, PathRewriteJson, RateLimitJson,
    RedirectJson, RouteJson, RouteMatchJson, SplitPartJson,
};
use apigw_proto::v1;
use serde::Serialize;

use self::{
    callers::callers,
    sending::{compression, retries, timeouts},
};
use super::aside;
use crate::output::{Cell, Grid, Style, Table};

/// In the order of the file.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RoutesView(Vec<RouteJson>);

impl From<Vec<v1::Route>> for RoutesView {
    fn from(routes: Vec<v1::Route>) -> Self {
        Self(routes.into_iter().map(RouteJson::from).collect())
    }
}

impl Table for RoutesView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new([
            "NAME",
            "MATCH",
            "DESTINATION",
            "PATH",
            "AUTH",
            "RATE LIMIT",
            "IN FLIGHT",
            "BREAKER",
            "TIMEOUTS",
            "RETRIES",
            "COMPRESSION",
        ]);
        for route in &self.0 {
            grid.push([
                route.name.as_str().into(),
                requests(route).as_str().into(),
                (destination(route) + &mirror(route)).into(),
                Cell::optional(path_change(route)),
                Cell::optional(callers(route)),
                Cell::optional(rate_limit(&route.rate_limit)),
                Cell::optional(concurrency(&route.concurrency)),
                Cell::optional(circuit_breaker(&route.circuit_breaker)),
                Cell::optional(timeouts(route)),
                Cell::optional(retries(route)),
                Cell::optional(compression(route)),
            ]);
        }
        grid.render(style)
    }
}

/// Who answers a route's requests.
fn destination(route: &RouteJson) -> String {
    if let Some(RedirectJson { status, scheme, host, port, path_rewrite }) = &route.redirect {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
        let path = rewritten(path_rewrite).unwrap_or_default();
        return format!("{status} to {scheme}{host}{port}{path}");
    }
    match &route.respond {
        Some(answer) => format!("answers {}", answer.status),
        None if !route.split.is_empty() => split(route),
        None if route.backend.is_empty() => route.upstream.clone(),
        None => route.backend.clone(),
    }
}

/// Who is sent copies of them; empty: nobody.
fn mirror(route: &RouteJson) -> String {
    let told = |MirrorJson { backend, percent }: &MirrorJson| format!(", {percent}% copied to {backend}");
    route.mirror.as_ref().map(told).unwrap_or_default()
}

/// The backends that share a route's requests, with their weights.
fn split(route: &RouteJson) -> String {
    let parts = route.split.iter().map(|SplitPartJson { backend, weight }| format!("{backend} {weight}"));
    let by = route.split_by.as_ref().map(|key| format!(", by {key}")).unwrap_or_default();
    parts.collect::<Vec<_>>().join(" / ") + &by
}

/// What becomes of the path before a request is sent; none: nothing.
fn path_change(route: &RouteJson) -> Option<String> {
    let rewrite = route.rewrite.as_ref().and_then(|rewrite| rewritten(&rewrite.path_rewrite));
    rewrite.or_else(|| {
        Some(&route.strip_prefix).filter(|prefix| !prefix.is_empty()).map(|prefix| format!("-{prefix}"))
    })
}

/// `/all/of/it`, `/prefix...`, `regex -> with`; none: the path is not rewritten.
fn rewritten(rewrite: &PathRewriteJson) -> Option<String> {
    let PathRewriteJson { path, prefix, regex, with } = rewrite;
    let prefix = prefix.as_ref().map(|prefix| format!("{prefix}..."));
    let regex = regex.as_ref().zip(with.as_ref()).map(|(regex, with)| format!("{regex} -> {with}"));
    path.clone().or(prefix).or(regex)
}

/// Which requests a route serves, in the order in which it is chosen: host and path, method, header fields, parameters.
fn requests(route: &RouteJson) -> String {
    let Some(RouteMatchJson { hosts, path, path_regex, methods, headers, query }) = &route.route_match else {
        return route.path_prefix.clone();
    };
    let path = match (path.as_str(), path_regex.as_str()) {
        ("", "") => route.path_prefix.clone(),
        (path, "") => format!("={path}"),
        (_, regex) => format!("~{regex}"),
    };
    let hosts = hosts.join(",");
    let first = if hosts.is_empty() || path.starts_with('/') {
        format!("{hosts}{path}")
    } else {
        format!("{hosts} {path}")
    };
    let methods = Some(methods.join(",")).filter(|methods| !methods.is_empty());
    let headers = headers.iter().map(|field| format!("header {field}"));
    let query = query.iter().map(|field| format!("query {field}"));
    [first].into_iter().chain(methods).chain(headers).chain(query).collect::<Vec<_>>().join(" ")
}

fn concurrency(limit: &ConcurrencyJson) -> Option<String> {
    let most = match (&limit.adaptive, limit.max_in_flight) {
        (Some(AdaptiveConcurrencyJson { min, max }), _) => format!("{min} to {max}"),
        (None, 0) => return None,
        (None, most) => most.to_string(),
    };
    Some(format!("at most {most}{}", aside(&limit.mode)))
}

fn rate_limit(limit: &RateLimitJson) -> Option<String> {
    let RateLimitJson { rps, burst, scope, mode, .. } = limit;
    limit.enabled.then(|| format!("{rps}/s, burst {burst}, by {scope}{}", aside(mode)))
}

fn circuit_breaker(breaker: &CircuitBreakerJson) -> Option<String> {
    let CircuitBreakerJson { failure_threshold, open_seconds, half_open_max_in_flight, mode, .. } = breaker;
    let summary = || {
        let threshold = (*failure_threshold > 0).then(|| format!("{failure_threshold} failures"));
        let share = breaker.failure_percent.map(|percent| format!("{percent}% failing"));
        let opens = threshold.into_iter().chain(share).collect::<Vec<_>>().join(" or ");
        format!("{opens}, {open_seconds} s, {half_open_max_in_flight} at once{}", aside(mode))
    };
    breaker.enabled.then(summary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::{Format, render};

    fn full() -> v1::Route {
        v1::Route {
            name: "users".into(),
            path_prefix: "/api/users/".into(),
            upstream: "http://127.0.0.1:9001".into(),
            strip_prefix: "/api".into(),
            auth_required: true,
            rate_limit: Some(v1::RateLimit {
                enabled: true,
                rps: 5.0,
                burst: 2.5,
                scope: "user".into(),
                mode: String::new(),
            }),
            concurrency: Some(v1::Concurrency { max_in_flight: 50, ..v1::Concurrency::default() }),
            circuit_breaker: Some(v1::CircuitBreaker {
                enabled: true,
                failure_threshold: 5,
                open_us: 1_500_000,
                half_open_max_in_flight: 1,
                ..v1::CircuitBreaker::default()
            }),
            timeouts: Some(v1::Timeouts { total_us: 2_000_000, ..v1::Timeouts::default() }),
            hedge: Some(v1::Hedge { after_us: 50_000 }),
            compression: Some(v1::Compression {
                algorithms: vec!["gzip".into()],
                min_bytes: 1,
                content_types: vec!["text/html".into()],
            }),
            ..v1::Route::default()
        }
    }

    fn routes() -> RoutesView {
        let bare = v1::Route {
            name: "bare".into(),
            path_prefix: "/".into(),
            upstream: "http://h".into(),
            ..v1::Route::default()
        };
        RoutesView::from(vec![full(), bare])
    }

    #[test]
    fn json_has_every_member_of_the_model() {
        let expected = json!([
            {
                "name": "users", "path_prefix": "/api/users/", "upstream": "http://127.0.0.1:9001",
                "strip_prefix": "/api", "auth_required": true,
                "rate_limit": { "enabled": true, "rps": 5, "burst": 2.5, "scope": "user" },
                "concurrency": { "max_in_flight": 50 },
                "circuit_breaker": {
                    "enabled": true, "failure_threshold": 5, "open_seconds": 1.5, "half_open_max_in_flight": 1,
                },
                "timeouts": { "total_seconds": 2 },
                "hedge": { "after_seconds": 0.05 },
                "compression": { "enabled": true, "algorithms": ["gzip"], "min_bytes": 1, "content_types": ["text/html"] },
            },
            {
                "name": "bare", "path_prefix": "/", "upstream": "http://h", "strip_prefix": "",
                "auth_required": false, "rate_limit": { "enabled": false, "rps": 0, "burst": 0, "scope": "" },
                "concurrency": { "max_in_flight": 0 },
                "circuit_breaker": {
                    "enabled": false, "failure_threshold": 0, "open_seconds": 0, "half_open_max_in_flight": 0,
                },
            },
        ]);
        assert_eq!(serde_json::to_value(routes()).unwrap(), expected);
    }

    #[test]
    fn table_has_one_line_for_each_route() {
        let expected = "\
NAME   MATCH        DESTINATION            PATH   AUTH      RATE LIMIT               IN FLIGHT   BREAKER                       TIMEOUTS   RETRIES             COMPRESSION
users  /api/users/  http://127.0.0.1:9001  -/api  required  5/s, burst 2.5, by user  at most 50  5 failures, 1.5 s, 1 at once  total 2 s  hedge after 0.05 s  gzip from 1 bytes
bare   /            http://h               -      -         -                        -           -                             -          -                   -
";
        assert_eq!(render(&routes(), Format::Table, Style::Plain).unwrap(), expected);
    }

    #[test]
    fn table_shows_what_a_route_asks_for() {
        use v1::field_match::Value;

        let field = |name: &str, value| v1::FieldMatch { name: name.into(), value: Some(value) };
        let criteria = v1::RouteMatch {
            hosts: vec!["a.example".into(), "*.b.example".into()],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec![
                field("x-tier", Value::Exact("gold".into())),
                field("x-old", Value::Presence(false)),
            ],
            query: vec![field("beta", Value::Presence(true))],
            ..v1::RouteMatch::default()
        };
        let cell = |prefix: &str, criteria| {
            requests(
                &v1::Route {
                    path_prefix: prefix.into(),
                    route_match: Some(criteria),
                    ..v1::Route::default()
                }
                .into(),
            )
        };
        assert_eq!(
            cell("/x", criteria.clone()),
            "a.example,*.b.example/x GET,PUT header x-tier=gold header !x-old query beta"
        );
        let exact = v1::RouteMatch { path: "/x".into(), ..v1::RouteMatch::default() };
        assert_eq!(cell("", exact), "=/x");
        let regex = v1::RouteMatch {
            path_regex: "/[x]".into(),
            hosts: vec!["a".into()],
            ..v1::RouteMatch::default()
        };
        assert_eq!(cell("", regex), "a ~/[x]");
    }

    #[test]
    fn table_shows_who_shares_a_route() {
        use v1::hash_key::Key;

        let part = |backend: &str, weight| v1::SplitPart { backend: backend.into(), weight };
        let cell = |key: Option<Key>| {
            let by = key.map(|key| v1::HashKey { key: Some(key) });
            let split = v1::Split { parts: vec![part("old", 90), part("new", 10)], by };
            destination(&v1::Route { split: Some(split), ..v1::Route::default() }.into())
        };
        assert_eq!(cell(None), "old 90 / new 10");
        assert_eq!(cell(Some(Key::Cookie("session".into()))), "old 90 / new 10, by cookie session");
    }

    #[test]
    fn table_shows_who_is_sent_copies() {
        let mirrored = v1::Mirror { backend: "new".into(), percent: 12.5 };
        let route = v1::Route { backend: "old".into(), mirror: Some(mirrored), ..v1::Route::default() };
        let table = RoutesView::from(vec![route]).table(Style::Plain);
        assert!(table.contains(" old, 12.5% copied to new "), "{table}");
    }

    #[test]
    fn table_shows_what_is_not_enforced() {
        let shadowed = |mut route: v1::Route| {
            route.rate_limit.as_mut().unwrap().mode = "shadow".into();
            route.concurrency.as_mut().unwrap().mode = "off".into();
            route.circuit_breaker.as_mut().unwrap().mode = "shadow".into();
            RoutesView::from(vec![route])
        };
        let table = render(&shadowed(full()), Format::Table, Style::Plain).unwrap();
        for cell in ["by user (shadow)", "at most 50 (off)", "1 at once (shadow)"] {
            assert!(table.contains(cell), "{cell:?} is missing in:\n{table}");
        }
    }

    #[test]
    fn table_shows_what_opens_a_breaker() {
        let cell = |failure_threshold| {
            let rate = v1::FailureRate { percent: 12.5, ..v1::FailureRate::default() };
            let breaker = full().circuit_breaker.unwrap();
            let breaker = v1::CircuitBreaker { failure_threshold, failure_rate: Some(rate), ..breaker };
            circuit_breaker(&breaker.into()).unwrap()
        };
        assert_eq!(cell(5), "5 failures or 12.5% failing, 1.5 s, 1 at once");
        assert_eq!(cell(0), "12.5% failing, 1.5 s, 1 at once");
    }

    #[test]
    fn yaml_says_what_json_says() {
        let yaml = render(&routes(), Format::Yaml, Style::Plain).unwrap();
        for line in ["- name: users", "strip_prefix: /api", "rps: 5", "burst: 2.5", "auth_required: true"] {
            assert!(yaml.contains(line), "{line:?} is missing in:\n{yaml}");
        }
    }
}
