//! A whole change in one line: what it says if that is short, else how much it changes; and always what it opens.

use apigw_config::{
    diff::{Change, Kind, changes},
    model::{GatewayConfig, Route},
    names::PolicyMode,
};

use super::{by_name, limit, name, weakened};

/// The most changes that are told one by one.
const MAX_TOLD_CHANGES: usize = 2;
/// The most characters of a summary.
const MAX_CHARACTERS: usize = 240;

/// What became of the first configuration (none) or of the one before, in one line of at most 240 characters.
#[must_use]
pub fn summary(before: Option<&GatewayConfig>, after: &GatewayConfig) -> String {
    let Some(before) = before else {
        return format!("first configuration, {}", counted(after.route_count(), "route", "routes"));
    };
    let changes = changes(before, after);
    let mut parts = if changes.len() <= MAX_TOLD_CHANGES {
        changes.iter().map(ToString::to_string).collect()
    } else {
        amounts(&changes)
    };
    parts.extend(openings(before, after));
    let text = if parts.is_empty() { "nothing".into() } else { parts.join("; ") };
    match text.char_indices().nth(MAX_CHARACTERS - 3) {
        Some((end, _)) if text.chars().count() > MAX_CHARACTERS => format!("{}...", &text[..end]),
        _ => text,
    }
}

/// What lets more requests through than before, by how many routes.
#[must_use]
pub fn openings(before: &GatewayConfig, after: &GatewayConfig) -> Vec<String> {
    let former = by_name(before);
    let pairs: Vec<(&Route, &Route)> =
        after.routes().filter_map(|route| Some((*former.get(name(route))?, route))).collect();
    let mut found = Vec::new();
    for what in ["address lists", "auth", "rate limit", "concurrency limit", "circuit breaker"] {
        let count = |is_so: fn(&Option<PolicyMode>) -> bool| {
            let is_meant = |(weak, mode): (&str, Option<PolicyMode>)| weak == what && is_so(&mode);
            pairs.iter().filter(|(before, after)| weakened(before, after).any(is_meant)).count()
        };
        match count(Option::is_none) {
            0 => {}
            1 => found.push(format!("1 route loses {what}")),
            routes => found.push(format!("{routes} routes lose {what}")),
        }
        match count(Option::is_some) {
            0 => {}
            1 => found.push(format!("1 route no longer enforces {what}")),
            routes => found.push(format!("{routes} routes no longer enforce {what}")),
        }
    }
    match pairs.iter().filter(|(before, after)| is_loosened(before, after)).count() {
        0 => {}
        1 => found.push("1 route's rate limit is loosened".into()),
        routes => found.push(format!("{routes} routes' rate limits are loosened")),
    }
    found
}

fn is_loosened(before: &Route, after: &Route) -> bool {
    let (Some(before), Some(after)) = (limit(before), limit(after)) else { return false };
    let is_enforced = before.mode() == PolicyMode::Enforce && after.mode() == PolicyMode::Enforce;
    let is_more =
        after.requests_per_second() > before.requests_per_second() || after.burst() > before.burst();
    is_enforced && is_more
}

fn amounts(changes: &[Change]) -> Vec<String> {
    let of_routes = |is_meant: fn(&Change) -> bool| {
        let mut names: Vec<_> =
            changes.iter().filter(|change| change.kind == Kind::Route && is_meant(change)).collect();
        // The changes of one route follow each other.
        names.dedup_by_key(|change| change.name.as_str());
        names.len()
    };
    let mut parts = Vec::new();
    let mut tell = |count, verb: &str| {
        if count > 0 {
            parts.push(format!("{} {verb}", counted(count, "route", "routes")));
        }
    };
    tell(of_routes(|change| change.path.is_empty() && change.from.is_none()), "added");
    tell(of_routes(|change| change.path.is_empty() && change.to.is_none()), "removed");
    tell(of_routes(|change| !change.path.is_empty()), "changed");
    let others = changes.iter().filter(|change| change.kind != Kind::Route).count();
    if others > 0 {
        parts.push(counted(others, "other change", "other changes"));
    }
    parts
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
