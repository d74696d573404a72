//! What a change brings about beyond what it says: whom it lets in, and which state it sets back to its beginning.
//!
//! What is a reset is decided where the state is carried over ([`crate::policies`], [`crate::rate_limit`], the data
//! plane's keys and buckets); here the same conditions are told beforehand, and the tests hold them against what
//! [`Snapshot::compile`](crate::Snapshot::compile) does carry. Pure: two configurations in, lines of text out.

/// Certificates that are let in newly.
mod certificates;
/// One line for a whole change.
mod summary;

use std::collections::HashMap;

use apigw_config::{
    model::{
        Auth, AuthMethods, GatewayConfig, Provider, ProviderKind, RateLimit, RateLimitBackend, Route,
        ServiceFailure, SessionCookie, Settings,
    },
    names::{AuthMethod, PolicyMode},
};

pub use self::summary::{openings, summary};
use crate::{circuit_breaker::BreakerSettings, policies::asked_service};

/// What a change brings about, each in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// State that begins anew.
    pub resets: Vec<String>,
    /// What protects less than before.
    pub warnings: Vec<String>,
}

/// What it brings about to go from one configuration to another.
#[must_use]
pub fn effects(before: &GatewayConfig, after: &GatewayConfig) -> Effects {
    let former = by_name(before);
    let mut effects = Effects::default();
    effects.settings(before.settings(), after.settings());
    effects.sessions(before, after);
    for (route, former) in after.routes().filter_map(|route| Some((route, *former.get(name(route))?))) {
        if route != former {
            effects.route(former, route);
        }
    }
    effects.departed(before, after);
    effects
}

fn by_name(config: &GatewayConfig) -> HashMap<&str, &Route> {
    config.routes().map(|route| (name(route), route)).collect()
}

fn name(route: &Route) -> &str {
    route.name.as_str()
}

fn providers(settings: &Settings) -> impl Iterator<Item = &Provider> {
    settings.auth.iter().flat_map(Auth::providers)
}

/// A policy that keeps requests out, if the route has it.
type Protection = (&'static str, Option<PolicyMode>);

/// What keeps requests out, in the order in which they meet it.
fn protections(route: &Route) -> [Protection; 5] {
    let lists = &route.address_lists;
    let has_lists = !lists.allow.is_empty() || !lists.deny.is_empty();
    let auth_mode = route.auth.as_ref().map_or(PolicyMode::Enforce, |auth| auth.mode);
    let breaker = route.circuit_breaker.as_ref().filter(|breaker| breaker.is_enabled());
    [
        ("address lists", has_lists.then_some(lists.mode)),
        ("auth", route.auth_required.then_some(auth_mode)),
        ("rate limit", limit(route).map(RateLimit::mode)),
        ("concurrency limit", route.concurrency.is_limited().then_some(route.concurrency.mode)),
        ("circuit breaker", breaker.map(|breaker| breaker.mode())),
    ]
}

fn limit(route: &Route) -> Option<&RateLimit> {
    route.rate_limit.as_deref().filter(|limit| limit.is_enabled())
}

/// The protections that were enforced, and what there is of each now.
fn weakened(before: &Route, after: &Route) -> impl Iterator<Item = Protection> {
    let pairs = protections(before).into_iter().zip(protections(after));
    pairs.filter_map(|((what, former), (_, mode))| {
        (former == Some(PolicyMode::Enforce) && mode != former).then_some((what, mode))
    })
}

/// Whether somebody can make himself known now who could not before, where everybody has to.
fn takes_others(before: &Route, after: &Route) -> bool {
    let (former, present) = (methods(before), methods(after));
    let suffices = |known: &[AuthMethod]| {
        former.suffices(known) && second_opinion(before).iter().all(|method| known.contains(method))
    };
    let takes_others = present.least().any(|known| !suffices(&[known, second_opinion(after)].concat()));
    is_enforced(before) && is_enforced(after) && takes_others
}

/// Whether a route turns away whom it does not know.
fn is_enforced(route: &Route) -> bool {
    let mode = route.auth.as_ref().map_or(PolicyMode::Enforce, |auth| auth.mode);
    route.auth_required && mode == PolicyMode::Enforce
}

/// Whoever is asked when a caller of the route is known, and has to agree.
fn second_opinion(route: &Route) -> &'static [AuthMethod] {
    let is_asked = route.auth.as_ref().is_some_and(|auth| auth.second_opinion().is_some());
    if is_asked { &[AuthMethod::External] } else { &[] }
}

/// In words, how a route's callers make themselves known.
fn told(route: &Route) -> String {
    let others = second_opinion(route).iter().map(|method| format!(", then {method}"));
    format!("{}{}", methods(route), others.collect::<String>())
}

/// Whether requests pass that a service says nothing of, where they were refused before.
fn passes_unasked(before: &Route, after: &Route) -> bool {
    let on_failure = |route| asked_service(route).map(|service| service.on_failure);
    let (former, present) = (on_failure(before), on_failure(after));
    (former, present) == (Some(ServiceFailure::Deny), Some(ServiceFailure::Allow))
}

/// What a route has demanded of its callers beside that they are known, and demands no more.
fn no_longer_demanded<'r>(before: &'r Route, after: &'r Route) -> impl Iterator<Item = String> + 'r {
    let are_known = is_enforced(before) && is_enforced(after);
    let (former, present) = (before.auth.as_ref().filter(|_| are_known), after.auth.as_ref());
    let scopes = former.into_iter().flat_map(|former| &former.required_scopes);
    let scopes = scopes.filter(move |scope| !present.is_some_and(|now| now.required_scopes.contains(scope)));
    let claims = former.into_iter().flat_map(|former| &former.required_claims);
    let claims = claims.filter(move |(name, value)| {
        present.and_then(|present| present.required_claims.get(*name)) != Some(*value)
    });
    let claims = claims.map(|(name, _)| format!("the claim {name} as it was"));
    scopes.map(|scope| format!("the scope {}", scope.as_str())).chain(claims)
}

/// In how a route's callers make themselves known.
fn methods(route: &Route) -> AuthMethods {
    route.auth.as_ref().and_then(|auth| auth.methods.clone()).unwrap_or_default()
}

impl Effects {
    fn settings(&mut self, before: &Settings, after: &Settings) {
        if counts_elsewhere(&before.rate_limit, &after.rate_limit) {
            self.resets.push("all rate limits: every caller starts with a full burst".into());
        }
        for provider in providers(after) {
            let former = providers(before).find(|former| former.name == provider.name);
            if former.is_some_and(|former| fetches_anew(former, provider)) {
                let name = provider.name.as_str();
                self.resets.push(format!("provider {name}: its keys are fetched anew"));
            }
        }
    }

    /// Of backends that are there before and after: the value of a session's cookie is made of the backend's name and the secret.
    fn sessions(&mut self, before: &GatewayConfig, after: &GatewayConfig) {
        if before.backends().is_shared_with(after.backends()) {
            return;
        }
        let present: HashMap<_, _> =
            after.backends().iter().map(|backend| (backend.name(), &backend.session_cookie)).collect();
        for backend in before.backends().iter() {
            let (Some(former), Some(present)) = (&backend.session_cookie, present.get(backend.name())) else {
                continue;
            };
            let goes_on =
                |cookie: &SessionCookie| cookie.name == former.name && cookie.secret == former.secret;
            if !present.as_ref().is_some_and(goes_on) {
                let name = backend.name().as_str();
                self.resets.push(format!("backend {name}: all sessions are forgotten"));
            }
        }
    }

    fn route(&mut self, before: &Route, after: &Route) {
        let name = name(after);
        for (what, mode) in weakened(before, after) {
            self.warnings.push(match mode {
                None => format!("route {name} loses its {what}"),
                Some(mode) => format!("route {name}: {what} goes from enforce to {}", mode.as_str()),
            });
        }
        if takes_others(before, after) {
            let (former, present) = (told(before), told(after));
            self.warnings.push(format!("route {name} takes callers by {present}, before by {former}"));
        }
        if let Some(names) = certificates::told(&certificates::served_newly(before, after)) {
            self.warnings.push(format!("route {name} serves certificates that it did not: {names}"));
        }
        let demanded: Vec<_> = no_longer_demanded(before, after).collect();
        if !demanded.is_empty() {
            self.warnings.push(format!("route {name} does not demand any more: {}", demanded.join(", ")));
        }
        if passes_unasked(before, after) {
            self.warnings.push(format!("route {name} lets requests pass that the service says nothing of"));
        }
        let is_judging = |mode: PolicyMode| mode != PolicyMode::Off;
        if let (Some(former), Some(limit)) = (limit(before), limit(after))
            && is_judging(former.mode())
            && former.clone().with_mode(limit.mode()) != *limit
        {
            self.resets.push(format!("route {name}: rate limit, every caller starts with a full burst"));
        }
        if let (Some(former), Some(breaker)) = (&before.circuit_breaker, &after.circuit_breaker)
            && let (Some(settings), Some(others)) =
                (BreakerSettings::new(former), BreakerSettings::new(breaker))
            && is_judging(former.mode())
            && settings != others
        {
            self.resets.push(format!("route {name}: circuit breaker starts closed"));
        }
    }

    /// Routes whose names are gone. One that is the same but for its name was renamed, and a name is what state hangs on.
    fn departed(&mut self, before: &GatewayConfig, after: &GatewayConfig) {
        let (former, present) = (by_name(before), by_name(after));
        let mut added: HashMap<String, Vec<&Route>> = HashMap::new();
        for route in after.routes().filter(|route| !former.contains_key(name(route))) {
            added.entry(route.matches.path.to_string()).or_default().push(route);
        }
        for gone in before.routes().filter(|route| !present.contains_key(name(route))) {
            let is_same = |route: &&Route| Route { name: gone.name.clone(), ..(*route).clone() } == *gone;
            let candidates = added.get_mut(&gone.matches.path.to_string());
            let renamed = candidates.and_then(|routes| {
                let index = routes.iter().position(is_same)?;
                Some(routes.swap_remove(index))
            });
            let old = name(gone);
            match renamed {
                Some(route) => self.resets.push(format!(
                    "route {old} is now {}: its limits, breaker and counters begin anew",
                    name(route)
                )),
                None => self.warnings.push(format!("route {old} is removed")),
            }
        }
    }
}

/// Whether rate limits are counted where nothing was counted yet.
fn counts_elsewhere(before: &RateLimitBackend, after: &RateLimitBackend) -> bool {
    match (before, after) {
        (RateLimitBackend::Memory(before), RateLimitBackend::Memory(after)) => {
            before.max_keys != after.max_keys
        }
        (RateLimitBackend::Redis(before), RateLimitBackend::Redis(after)) => {
            before.servers != after.servers || before.key_prefix != after.key_prefix
        }
        _ => true,
    }
}

/// Whether a provider's keys are not those that were fetched before.
fn fetches_anew(before: &Provider, after: &Provider) -> bool {
    match (&before.kind, &after.kind) {
        (ProviderKind::Jwks(before), ProviderKind::Jwks(after)) => {
            let is_fetched_alike = before.url == after.url
                && before.cache_ttl == after.cache_ttl
                && before.http_timeout == after.http_timeout;
            !is_fetched_alike
        }
        // A shared secret is not fetched.
        (_, ProviderKind::Hmac(_)) => false,
        (ProviderKind::Hmac(_), ProviderKind::Jwks(_)) => true,
    }
}

#[cfg(test)]
mod tests;
