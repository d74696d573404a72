//! Whether a configuration is what its file demands of it, before it goes out: its tests and its invariants.
//!
//! A test is an explanation compared with what was expected, so it is judged by the code that will judge requests.

use std::collections::HashSet;

use apigw_config::{
    model::{
        self, AuthMethods, Checks, Combination, Expectation, Invariant, PathMatch, QuestionPart, RequestTest,
        Required, TestRequest,
    },
    names::{AuthMethod, PolicyMode},
    problem::Problem,
};
use apigw_proto::v1;
use serde_json::{Map, Value};

use crate::{
    Snapshot,
    explain::{AtRest, Explanation, Question, explain},
    jwt::time::UnixTime,
    mode::{JudgedMode, Policy},
    path::NormalPath,
    policies::asked_service,
    routing::Shadowed,
    snapshot::Route,
};

/// How a test, or an invariant, came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The test's name, or what the invariant demands.
    pub name: String,
    /// Key path in the file.
    pub path: String,
    /// How.
    pub finding: Finding,
}

/// What came of a test, or an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// All is as demanded.
    Passed,
    /// What is not.
    Failed(String),
    /// It is the word of a file of credentials, which nobody has read here.
    Unjudged,
}

impl From<Result<(), String>> for Finding {
    fn from(judged: Result<(), String>) -> Self {
        judged.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

impl Outcome {
    /// As a problem of the file; none, unless it failed.
    #[must_use]
    pub fn problem(&self, source: Source<'_>) -> Option<Problem> {
        match &self.finding {
            Finding::Failed(failure) => Some(self.remark(failure, source)),
            Finding::Passed | Finding::Unjudged => None,
        }
    }

    /// As a warning of the file; none, if it was judged.
    #[must_use]
    pub fn warning(&self, source: Source<'_>) -> Option<Problem> {
        let unjudged = "not judged: the file of credentials that knows its caller was not read here";
        (self.finding == Finding::Unjudged).then(|| self.remark(unjudged, source))
    }

    fn remark(&self, text: &str, Source { file, content }: Source<'_>) -> Problem {
        Problem {
            file: file.into(),
            position: apigw_config::place_of(content, &self.path),
            path: self.path.clone(),
            message: format!("{}: {text}", self.name),
        }
    }
}

/// A file that configurations are read from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'f> {
    /// Its name.
    pub file: &'f str,
    /// What it says.
    pub content: &'f [u8],
}

/// What is legal and probably not meant: routes that serve nothing, and those that serve nobody. Problems without a place, each
/// kind in the order of the file.
#[must_use]
pub fn warnings(snapshot: &Snapshot) -> Vec<Problem> {
    let name = |place: usize| snapshot.config().route(place).map_or("", |route| route.name.as_str());
    let warning = |Shadowed { route, by }: Shadowed| {
        let winners: Vec<_> = by.into_iter().map(name).map(str::to_owned).collect();
        let verb = if winners.len() == 1 { "wins" } else { "win" };
        let message = format!("serves nothing: {} {verb} wherever it matches", listed(&winners));
        let path = format!("routes[{route}].match");
        of_key(path, format!("{} {message}", name(route)))
    };
    let unserving = snapshot.shadowed_routes().into_iter().map(warning);
    let routes = snapshot.config().routes().enumerate();
    let of_route = |(place, route): (usize, &model::Route)| {
        unmet_scopes(place, route).into_iter().chain(yes_for_everybody(place, route))
    };
    unserving.chain(routes.flat_map(of_route)).collect()
}

/// A warning whose place is to be found.
fn of_key(path: String, message: String) -> Problem {
    Problem { file: String::new(), position: None, path, message }
}

/// Scopes that nobody can have: only tokens and API keys grant any, and of several ways that are all needed the first one says
/// who the caller is.
fn unmet_scopes(place: usize, route: &model::Route) -> Option<Problem> {
    let auth = route.auth.as_ref().filter(|auth| route.auth_required && auth.mode != PolicyMode::Off)?;
    let combination = auth.methods.as_ref().map_or(Combination::Any, AuthMethods::combination);
    let naming = match combination {
        Combination::Any => auth.methods(),
        Combination::All => &auth.methods()[..1],
    };
    let grants = |method: &AuthMethod| match method {
        AuthMethod::Jwt | AuthMethod::ApiKey => true,
        AuthMethod::Basic | AuthMethod::External | AuthMethod::Mtls => false,
    };
    if auth.required_scopes.is_empty() || naming.iter().any(grants) {
        return None;
    }
    let name = route.name.as_str();
    let advice = match combination {
        Combination::Any => "only jwt and api_key grant scopes",
        Combination::All => "the first of all says who the caller is, and only jwt and api_key grant scopes",
    };
    Some(of_key(format!("routes[{place}].auth.required_scopes"), format!("{name} serves nobody: {advice}")))
}

/// A service's yes that is remembered, and the first caller's name with it, for whoever comes next: nothing is left of the question
/// that tells callers apart.
fn yes_for_everybody(place: usize, route: &model::Route) -> Option<Problem> {
    let service = asked_service(route)?;
    let cache = service.cache.as_ref()?;
    if !service.request_headers.is_empty() || !cache.ignore.contains(&QuestionPart::ClientIp) {
        return None;
    }
    let name = route.name.as_str();
    let advice = "name what tells callers apart in request_headers, or do not ignore client_ip";
    Some(of_key(
        format!("routes[{place}].auth.external.cache"),
        format!("{name} lets everybody pass for one yes: {advice}"),
    ))
}

/// Gives problems their places in the file that they are of.
pub fn locate(problems: &mut [Problem], source: Source<'_>) {
    if problems.is_empty() {
        return;
    }
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.clone()).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    // A text is read once for all: it may be large.
    for (problem, position) in problems.iter_mut().zip(apigw_config::places_of(source.content, &paths)) {
        problem.file = source.file.into();
        problem.position = position;
    }
}

/// Checks that a configuration is what its file demands, and gives a warning of each test that cannot be judged here. `previous`
/// is what it would replace; tokens are judged at `now`.
///
/// # Errors
/// All that it is not, with their places.
pub fn check(
    snapshot: &Snapshot,
    checks: &Checks,
    previous: Option<&Snapshot>,
    now: UnixTime,
    source: Source<'_>,
) -> Result<Vec<Problem>, Vec<Problem>> {
    let at_rest = AtRest::new(snapshot.settings(), now);
    let outcomes = judge(snapshot, checks, previous, &at_rest);
    let problems: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.problem(source)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(outcomes.iter().filter_map(|outcome| outcome.warning(source)).collect())
}

/// Judges a configuration by what its file demands. `previous` is what it would replace; `at_rest` is what callers are known by.
#[must_use]
pub fn judge(
    snapshot: &Snapshot,
    checks: &Checks,
    previous: Option<&Snapshot>,
    at_rest: &AtRest,
) -> Vec<Outcome> {
    let tests = checks.tests.iter().enumerate().map(|(index, test)| Outcome {
        name: test.name.clone(),
        path: format!("tests[{index}]"),
        finding: judge_test(snapshot, test, at_rest),
    });
    let invariants = checks.invariants.iter().enumerate().map(|(index, invariant)| Outcome {
        name: demand(invariant),
        path: format!("invariants[{index}]"),
        finding: judge_invariant(snapshot, invariant, previous).into(),
    });
    tests.chain(invariants).collect()
}

fn judge_test(snapshot: &Snapshot, test: &RequestTest, at_rest: &AtRest) -> Finding {
    let question = match Question::try_from(question(&test.request)) {
        Ok(question) => question,
        Err(error) => return Finding::Failed(error.to_string()),
    };
    let explained = explain(snapshot, &question, at_rest);
    if explained.is_unread {
        return Finding::Unjudged;
    }
    let differences = differences(snapshot, &test.expect, &explained);
    if differences.is_empty() { Finding::Passed } else { Finding::Failed(differences.join("; ")) }
}

fn question(request: &TestRequest) -> v1::ExplainRequest {
    let host = request.host.iter().map(|host| ("host".to_owned(), host.clone()));
    let fields = request.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone()));
    let claims = request.claims.as_ref().map(|claims| {
        let members = claims.iter().map(|(name, value)| (name.as_str().into(), Value::from(value.as_str())));
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    });
    v1::ExplainRequest {
        method: request.method.as_http().to_string(),
        target: request.path.clone(),
        headers: host.chain(fields).map(|(name, value)| v1::HeaderField { name, value }).collect(),
        client: request.client.map(|client| client.to_string()).unwrap_or_default(),
        claims: claims.unwrap_or_default(),
        revision: None,
    }
}

/// What is not as expected, in words.
fn differences(snapshot: &Snapshot, expect: &Expectation, explained: &Explanation) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: Option<&str>, found: Option<&str>| {
        if let Some(expected) = expected.filter(|expected| Some(*expected) != found) {
            differences.push(format!("expected {what} {expected}, found {}", found.unwrap_or("none")));
        }
    };
    let route =
        explained.route.and_then(|index| snapshot.config().route(index)).map(|route| route.name.as_str());
    compare("route", expect.route.as_ref().map(apigw_config::names::RouteName::as_str), route);
    let status = explained.refusal.map(|(status, _)| status).or(explained.own_status);
    let status = status.map(|status| status.to_string());
    compare("status", expect.status.map(|status| status.to_string()).as_deref(), status.as_deref());
    compare("reason", expect.reason.as_deref(), explained.refusal.map(|(_, reason)| reason));
    let target = explained.target.as_deref().filter(|_| explained.refusal.is_none());
    compare("upstream_path", expect.upstream_path.as_deref(), target);
    if let (None, None, Some((status, reason))) = (expect.status, &expect.reason, explained.refusal) {
        differences.push(format!("expected it to be sent upstream, found {status} {reason}"));
    }
    differences
}

fn demand(invariant: &Invariant) -> String {
    match invariant {
        Invariant::RoutesUnder { prefix, require } => {
            format!("every route under {} requires {}", prefix.as_str(), require.as_str())
        }
        Invariant::RoutesRemoved { at_most } => {
            format!("at most {} percent of the routes are removed at once", at_most.get())
        }
    }
}

fn judge_invariant(
    snapshot: &Snapshot,
    invariant: &Invariant,
    previous: Option<&Snapshot>,
) -> Result<(), String> {
    match invariant {
        Invariant::RoutesUnder { prefix, require } => {
            let without: Vec<_> = serving(snapshot, prefix.as_str())
                .filter(|route| !has(route, *require))
                .map(|route| route.config.name.as_str().to_owned())
                .collect();
            match without.as_slice() {
                [] => Ok(()),
                without => Err(format!("without it: {}", listed(without))),
            }
        }
        Invariant::RoutesRemoved { at_most } => {
            let Some(previous) = previous else { return Ok(()) };
            let names: HashSet<_> = snapshot.config().routes().map(|route| &route.name).collect();
            let before = previous.config();
            let removed: Vec<_> = before
                .routes()
                .filter(|route| !names.contains(&route.name))
                .map(|route| route.name.as_str().to_owned())
                .collect();
            let share = 100.0 * count(removed.len()) / count(before.route_count());
            if share <= at_most.get() {
                return Ok(());
            }
            Err(format!("{} of {} would be: {}", removed.len(), before.route_count(), listed(&removed)))
        }
    }
}

/// The routes that serve some path under a prefix: those whose own prefix lies there, and whatever serves its beginning.
fn serving<'s>(snapshot: &'s Snapshot, prefix: &str) -> impl Iterator<Item = Route<'s>> {
    let stem = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
    let beneath = format!("{stem}/");
    let beginnings =
        if prefix.ends_with('/') { vec![beneath.clone()] } else { vec![stem.clone(), beneath.clone()] };
    let rules = snapshot.settings().server.paths;
    let mut first = HashSet::new();
    for path in beginnings.iter().filter_map(|path| NormalPath::new(path, rules).ok()) {
        first.extend(snapshot.routes_that_may_serve(&path).map(|route| route.slot));
    }
    snapshot.routes().filter(move |route| {
        let own = match &route.config.matches.path {
            PathMatch::Exactly(path) => path.as_str(),
            PathMatch::Prefix(prefix) => prefix.as_str(),
            PathMatch::Regex(pattern) => pattern.beginning(),
        };
        first.contains(&route.slot) || own == stem || own.starts_with(&beneath)
    })
}

fn has(route: &Route<'_>, required: Required) -> bool {
    fn is_enforced<T>(policy: Option<&Policy<T>>) -> bool {
        policy.is_some_and(|policy| policy.mode() == JudgedMode::Enforce)
    }
    match required {
        Required::Auth => is_enforced(route.policies.access.as_ref()),
        Required::RateLimit => is_enforced(route.policies.rate_limit.as_ref()),
        Required::Concurrency => is_enforced(route.policies.concurrency.as_ref()),
        Required::CircuitBreaker => is_enforced(route.policies.breaker.as_ref()),
    }
}

/// The first of them, and how many more there are.
fn listed(names: &[String]) -> String {
    const MOST: usize = 10;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 routes")]
fn count(routes: usize) -> f64 {
    routes as f64
}

#[cfg(test)]
mod tests;
