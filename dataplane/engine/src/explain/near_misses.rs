//! Routes that one might have expected to serve a request, and why they do not.

use std::fmt::Write as _;

use apigw_config::model::{PathMatch, Route, ValueMatch};

use crate::{
    Snapshot,
    routing::{Asked, HostRank, Miss, PathRank, Precedence, judge},
};

/// The most that are told.
const MOST: usize = 10;

/// A route that did not win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Its name.
    pub route: String,
    /// In words.
    pub reason: String,
}

/// The route that wins, and by what.
type Winner<'r> = Option<(&'r Route, Precedence<'r>)>;

/// The routes that match and lose, and those that nearly match, in the order of the file; then those for other hosts.
pub(super) fn find(snapshot: &Snapshot, asked: &Asked<'_>) -> Vec<NearMiss> {
    let judged = || {
        let routes = snapshot.config().routes().enumerate();
        routes.map(|(place, route)| (route, judge(route, place, asked)))
    };
    let matching = judged().filter_map(|(route, judgement)| Some((route, judgement.ok()?)));
    let winner: Winner<'_> = matching.max_by_key(|(_, precedence)| *precedence);
    let name = winner.map(|(route, _)| &route.name);
    let (mut near, mut elsewhere) = (Vec::new(), Vec::new());
    for (route, judgement) in judged().filter(|(route, _)| Some(&route.name) != name) {
        if near.len() == MOST {
            break;
        }
        let misses = if matches!(judgement, Err(Miss::Host(_))) { &mut elsewhere } else { &mut near };
        if misses.len() < MOST
            && let Some(reason) = reason(route, judgement, winner, asked)
        {
            misses.push(NearMiss { route: route.name.as_str().into(), reason });
        }
    }
    near.append(&mut elsewhere);
    near.truncate(MOST);
    near
}

/// By what a route serves a request.
pub(super) fn why_it_wins(route: &Route, asked: &Asked<'_>) -> String {
    let name = &route.name;
    let mut text = match &route.matches.path {
        PathMatch::Prefix(prefix) => format!("{name} has the longest prefix that matches: {prefix}"),
        PathMatch::Exactly(path) => format!("{name} is for the very path {path}"),
        PathMatch::Regex(pattern) => format!("{name} has the longest expression that matches: {pattern}"),
    };
    if !route.matches.hosts().is_empty() {
        let _infallible = write!(text, ", on the host {}", asked.host().unwrap_or_default());
    }
    text
}

fn reason(
    route: &Route,
    judgement: Result<Precedence<'_>, Miss<'_>>,
    winner: Winner<'_>,
    asked: &Asked<'_>,
) -> Option<String> {
    match judgement {
        Ok(precedence) => winner.map(|(winner, best)| why_it_loses(route, &precedence, winner, &best)),
        Err(Miss::Path) => near_path(&route.matches.path, asked.path()),
        // Of a route for another path, too, nobody would have expected it.
        Err(Miss::Host(hosts)) => judge_path(route, asked).then(|| {
            let hosts: Vec<_> = hosts.iter().take(3).map(ToString::to_string).collect();
            format!("its path matches, its hosts do not: {}", hosts.join(", "))
        }),
        Err(Miss::Method(methods)) => {
            let methods: Vec<_> = methods.iter().map(ToString::to_string).collect();
            Some(format!("its path matches, its methods do not: {}", methods.join(", ")))
        }
        Err(Miss::Header(name, value)) => Some(format!("the header {name} {}", is_not(value))),
        Err(Miss::Query(name, value)) => Some(format!("the parameter {name} {}", is_not(value))),
    }
}

fn is_not(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "is absent".into(),
        ValueMatch::Absent => "is present".into(),
        ValueMatch::Exactly(text) => format!("is not {:?}", text.as_str()),
        ValueMatch::Prefix(text) => format!("does not begin with {:?}", text.as_str()),
        ValueMatch::Regex(pattern) => format!("does not match {pattern}"),
    }
}

fn why_it_loses(route: &Route, own: &Precedence<'_>, winner: &Route, best: &Precedence<'_>) -> String {
    let (path, name) = (&route.matches.path, &winner.name);
    if own.host != best.host {
        let what = if own.host == HostRank::All { "it is for every host" } else { "its host matches" };
        return format!("{what}; that of {name} is more specific");
    }
    if own.path != best.path {
        return match (own.path, best.path) {
            (PathRank::Prefix(_), PathRank::Prefix(_)) => {
                format!("its prefix {path} matches; that of {name} is longer")
            }
            (PathRank::Regex(..), PathRank::Regex(..)) => {
                format!("its expression {path} matches; that of {name} is longer")
            }
            (_, PathRank::Exactly) => format!("its path {path} matches; {name} is for the very path"),
            _ => format!("its prefix {path} matches; {name} has a regular expression"),
        };
    }
    if own.conditions != best.conditions {
        return format!("{name} has the same path and asks for more");
    }
    let same = if matches!(path, PathMatch::Prefix(_)) { "prefix" } else { "path" };
    format!("{name} has the same {same} and stands before it in the file")
}

/// Whether a route would match but for its hosts.
fn judge_path(route: &Route, asked: &Asked<'_>) -> bool {
    let of_all_hosts = Route { matches: route.matches.path.clone().into(), ..route.clone() };
    judge(&of_all_hosts, 0, asked).is_ok()
}

/// Why a path does not match that nearly does.
fn near_path(own: &PathMatch, path: &str) -> Option<String> {
    let lower = |text: &str| text.to_ascii_lowercase();
    match own {
        PathMatch::Regex(_) => None,
        PathMatch::Exactly(own) => {
            let own = own.as_str();
            if own.trim_end_matches('/') == path.trim_end_matches('/') {
                return Some(format!("its path {own} differs in the slash at the end"));
            }
            (lower(own) == lower(path)).then(|| format!("its path {own} differs in upper and lower case"))
        }
        PathMatch::Prefix(prefix) => {
            let prefix = prefix.as_str();
            if prefix.strip_suffix('/') == Some(path) {
                return Some(format!(
                    "its prefix {prefix} matches only what is beneath it; {path} ends before the slash"
                ));
            }
            if path.starts_with(prefix) {
                return Some(format!("its prefix {prefix} ends within a segment of the path"));
            }
            let rest = lower(path).strip_prefix(&lower(prefix)).map(str::to_owned)?;
            let is_under = prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/');
            is_under.then(|| format!("its prefix {prefix} differs in upper and lower case"))
        }
    }
}
