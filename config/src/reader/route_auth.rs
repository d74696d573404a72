//! Reads what a route asks of its callers.

use std::collections::BTreeMap;

use super::{Mapping, Place, Read, Reader, values::Located};
use crate::{
    model::{AuthMethods, Combination, ForwardedClaims, RouteAuth},
    names::{AuthMethod, PolicyMode, ProviderName, ValueError},
    problem::Position,
};

/// A route's `auth`, and where the names in it are, for the rule that somebody must have them.
pub(super) struct RouteAuthInFile {
    auth: RouteAuth,
    /// Of each of the route's providers.
    provider_positions: Vec<Position>,
    /// Of each of its methods.
    method_positions: Vec<Position>,
}

impl RouteAuthInFile {
    /// What it says; where its providers are, and its methods.
    pub(super) fn into_parts(self) -> (RouteAuth, (Vec<Position>, Vec<Position>)) {
        (self.auth, (self.provider_positions, self.method_positions))
    }
}

impl Read for RouteAuthInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let methods = methods(&mut keys);
        let external = keys.or("external", None);
        let mtls = keys.or("mtls", None);
        let providers: Option<Vec<Located<ProviderName>>> = keys.or("providers", Vec::new());
        let required_scopes = keys.or("required_scopes", Vec::new());
        let required_claims = keys.or("required_claims", BTreeMap::new());
        let forward_claims = keys.or("forward_claims", ForwardedClaims::default());
        let mode = keys.or("mode", PolicyMode::Enforce);
        let read = || {
            let MethodsInFile { methods, positions: method_positions } = methods?;
            let (provider_positions, providers) = unzipped(providers?);
            let auth = RouteAuth {
                methods,
                external: external?,
                mtls: mtls?,
                providers,
                required_scopes: required_scopes?,
                required_claims: required_claims?,
                forward_claims: forward_claims?,
                mode: mode?,
            };
            let auth = keys.judged(auth.checked())?;
            Some(Self { auth, provider_positions, method_positions })
        };
        let read = read();
        keys.finish();
        read
    }
}

/// In how callers make themselves known: one of two keys says it, or none. And where each of them stands.
#[derive(Default)]
struct MethodsInFile {
    methods: Option<AuthMethods>,
    positions: Vec<Position>,
}

fn methods(keys: &mut Mapping<'_, '_>) -> Option<MethodsInFile> {
    let any: Option<Option<Vec<Located<AuthMethod>>>> = keys.or("any", None);
    let all: Option<Option<Vec<Located<AuthMethod>>>> = keys.or("all", None);
    if keys.has("any") && keys.has("all") {
        keys.report("all", ValueError::AnyAndAll);
        return None;
    }
    let (combination, methods) = match (any?, all?) {
        (None, None) => return Some(MethodsInFile::default()),
        (Some(methods), _) => (Combination::Any, methods),
        (None, Some(methods)) => (Combination::All, methods),
    };
    let (positions, methods) = unzipped(methods);
    let methods = keys.taken(combination.key(), AuthMethods::new(combination, methods))?;
    Some(MethodsInFile { methods: Some(methods), positions })
}

fn unzipped<T>(located: Vec<Located<T>>) -> (Vec<Position>, Vec<T>) {
    located.into_iter().map(|Located { position, value }| (position, value)).unzip()
}
