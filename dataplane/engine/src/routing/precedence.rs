//! Whether a route matches a request, and which of several that do wins: the rule, of which the table is a fast form.
//!
//! It is that of the Gateway API (<https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule>) wherever that speaks.

use std::cmp::Reverse;

use apigw_config::{
    model::{self, PathMatch, ValueMatch},
    names::{HeaderName, HostPattern, MethodName, PathPrefix, Pattern, QueryName},
};

use super::Asked;

/// By what routes that match are compared: the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'r> {
    /// The host by which it matches.
    pub host: HostRank,
    /// The path.
    pub path: PathRank<'r>,
    /// How much else is asked for.
    pub conditions: ConditionRank,
    /// The first in the file wins, where nothing else decides.
    pub place: Reverse<usize>,
}

/// A route for the very host wins over one for many, and that over one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// Every host is served.
    All,
    /// All beneath a name of so many bytes: the longest wins.
    Beneath(usize),
    /// This one.
    Exactly,
}

/// A route for the very path wins over one for a form of paths, and that over one for what they begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank<'r> {
    /// Of so many bytes: the longest wins.
    Prefix(usize),
    /// The longest expression wins; of equally long ones, the first in the order of the alphabet.
    Regex(usize, Reverse<&'r str>),
    /// All of it.
    Exactly,
}

/// A route for some methods wins over one for all; then one that looks at more header fields, then at more parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ConditionRank {
    /// Whether the method matters.
    pub method: bool,
    /// How many header fields are looked at.
    pub headers: usize,
    /// How many parameters.
    pub query: usize,
}

/// Why a route does not serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss<'r> {
    /// It is for other hosts.
    Host(&'r [HostPattern]),
    /// It is for other paths.
    Path,
    /// It is for other methods.
    Method(&'r [MethodName]),
    /// A header field is not as it asks for.
    Header(&'r HeaderName, &'r ValueMatch),
    /// A parameter is not as it asks for.
    Query(&'r QueryName, &'r ValueMatch),
}

/// What a route at this place of the file is to a request.
///
/// # Errors
/// When it does not match: the first reason why.
pub fn judge<'r>(
    route: &'r model::Route,
    place: usize,
    asked: &Asked<'_>,
) -> Result<Precedence<'r>, Miss<'r>> {
    let matches = &route.matches;
    let host = host_rank(matches.hosts(), asked.host()).ok_or(Miss::Host(matches.hosts()))?;
    let path = path_rank(&matches.path, asked.path()).ok_or(Miss::Path)?;
    conditions(route, asked)?;
    Ok(Precedence { host, path, conditions: ConditionRank::of(route), place: Reverse(place) })
}

fn host_rank(hosts: &[HostPattern], host: Option<&str>) -> Option<HostRank> {
    if hosts.is_empty() {
        return Some(HostRank::All);
    }
    let host = host?;
    let rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exactly(name) => host.eq_ignore_ascii_case(name).then_some(HostRank::Exactly),
        HostPattern::Beneath(name) => {
            let labels = host.len().checked_sub(name.len() + 1).filter(|labels| *labels > 0)?;
            // Compared as bytes: where the name would begin, a character need not.
            let rest = &host.as_bytes()[labels..];
            let is_beneath = rest[0] == b'.' && rest[1..].eq_ignore_ascii_case(name.as_bytes());
            is_beneath.then_some(HostRank::Beneath(name.len()))
        }
    };
    hosts.iter().filter_map(rank).max()
}

fn path_rank<'r>(path: &'r PathMatch, asked: &str) -> Option<PathRank<'r>> {
    match path {
        PathMatch::Exactly(exact) => (exact.as_str() == asked).then_some(PathRank::Exactly),
        PathMatch::Regex(pattern) => pattern.is_match(asked.as_bytes()).then(|| regex_rank(pattern)),
        PathMatch::Prefix(prefix) => {
            is_under(prefix, asked).then_some(PathRank::Prefix(prefix.as_str().len()))
        }
    }
}

/// `/a` has under it itself and all beneath, `/a/` only what is beneath.
fn is_under(prefix: &PathPrefix, path: &str) -> bool {
    let prefix = prefix.as_str();
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn regex_rank(pattern: &Pattern) -> PathRank<'_> {
    PathRank::Regex(pattern.as_str().len(), Reverse(pattern.as_str()))
}

impl ConditionRank {
    pub(super) fn of(route: &model::Route) -> Self {
        let matches = &route.matches;
        Self {
            method: !matches.methods().is_empty(),
            headers: matches.headers().len(),
            query: matches.query().len(),
        }
    }
}

/// Whether a request is as a route asks for, beside host and path.
pub(super) fn conditions<'r>(route: &'r model::Route, asked: &Asked<'_>) -> Result<(), Miss<'r>> {
    let matches = &route.matches;
    let methods = matches.methods();
    if !methods.is_empty() && !methods.iter().any(|method| method.as_http() == asked.method()) {
        return Err(Miss::Method(methods));
    }
    for field in matches.headers() {
        if !is_as(&field.value, asked.header(&field.name).as_deref()) {
            return Err(Miss::Header(&field.name, &field.value));
        }
    }
    for field in matches.query() {
        if !is_as(&field.value, asked.parameter(&field.name).as_deref()) {
            return Err(Miss::Query(&field.name, &field.value));
        }
    }
    Ok(())
}

fn is_as(expected: &ValueMatch, value: Option<&[u8]>) -> bool {
    match (expected, value) {
        (ValueMatch::Absent, value) => value.is_none(),
        (_, None) => false,
        (ValueMatch::Present, Some(_)) => true,
        (ValueMatch::Exactly(text), Some(value)) => text.as_str().as_bytes() == value,
        (ValueMatch::Prefix(text), Some(value)) => value.starts_with(text.as_str().as_bytes()),
        (ValueMatch::Regex(pattern), Some(value)) => pattern.is_match(value),
    }
}
