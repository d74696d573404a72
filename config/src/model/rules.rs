//! The rules that no part of a configuration can break by itself, also for one of which not everything could be read.

use std::collections::{HashMap, HashSet};

use super::{
    Auth, AuthMethods, BackendGroup, ClientAuthMode, Combination, Destination, Mirror, Route, RouteAuth,
    Server, Settings,
};
use crate::names::{AuthMethod, BackendName, ByteCount, ProviderName, RouteName};

/// A rule that no single part of a configuration can break by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A gateway without routes refuses everything, which nobody means to configure.
    #[error("at least one route is needed")]
    NoRoutes,
    /// Two routes have one name.
    #[error("the name \"{name}\" is already taken by routes[{first}]")]
    DuplicateName {
        /// The name both have.
        name: RouteName,
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
    /// Two backends have one name.
    #[error("the name \"{name}\" is already taken by backends[{first}]")]
    DuplicateBackend {
        /// The name both have.
        name: BackendName,
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
    /// A route sends its requests to a backend that does not exist.
    #[error("there is no backend named \"{name}\"")]
    UnknownBackend {
        /// Index of the route.
        route: usize,
        /// Where it says so.
        place: BackendPlace,
        /// The name that none has.
        name: BackendName,
    },
    /// A route wants its callers known, and nothing says how.
    #[error("needs an auth section: nothing says how callers are known")]
    NoAuth {
        /// Index of the route.
        route: usize,
    },
    /// A route says which callers it serves, and serves everybody.
    #[error("has no effect without auth_required: true, as callers stay unknown")]
    AuthNotRequired {
        /// Index of the route.
        route: usize,
    },
    /// A route wants its callers known by tokens, as it does not say otherwise, and no provider issues any.
    #[error("needs auth.providers, or auth.any or auth.all in the route: nothing says how callers are known")]
    NoProvider {
        /// Index of the route.
        route: usize,
    },
    /// A route has a method in which nobody can make himself known.
    #[error("{method} needs {key}, which the file does not have")]
    MethodNotConfigured {
        /// Index of the route.
        route: usize,
        /// Where the method stands.
        combination: Combination,
        /// Index in that list.
        entry: usize,
        /// The method.
        method: AuthMethod,
        /// The key that is missing.
        key: &'static str,
    },
    /// A route knows callers by certificates that nobody is asked for.
    #[error(
        "mtls needs server.tls.client_auth with the mode optional or required: clients are not asked for certificates"
    )]
    NoClientCertificates {
        /// Index of the route.
        route: usize,
        /// Where the method stands.
        combination: Combination,
        /// Index in that list.
        entry: usize,
    },
    /// A route accepts the tokens of a provider that does not exist.
    #[error("the auth section has no provider named \"{name}\"")]
    UnknownProvider {
        /// Index of the route.
        route: usize,
        /// Index in the route's list of providers.
        entry: usize,
        /// The name that nobody has.
        name: ProviderName,
    },
    /// A route allows larger heads than the server reads before it knows the route.
    #[error("must not be above server.max_header_bytes, which is {limit}")]
    HeaderBytesAboveServer {
        /// Index of the route.
        route: usize,
        /// What the server allows.
        limit: u64,
    },
}

/// Where a route names a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendPlace {
    /// In `backend`.
    Backend,
    /// In the entry of `split` with this index.
    Split(usize),
    /// In `mirror`.
    Mirror,
}

/// Whether a configuration says how callers are known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callers<'a> {
    Unknown,
    /// It does, but not readably.
    Unread,
    Known(&'a Auth),
}

/// Whether clients are asked for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    Unasked,
    /// They are, or nobody can read whether they are.
    Possible,
}

impl ClientCertificates {
    pub(crate) fn of(server: &Server) -> Self {
        match server.tls.as_ref().map(|tls| tls.client_auth.mode()) {
            None | Some(ClientAuthMode::None) => Self::Unasked,
            Some(ClientAuthMode::Optional | ClientAuthMode::Required) => Self::Possible,
        }
    }
}

/// What the rules look at of the backends.
#[derive(Debug, Clone)]
pub(crate) enum BackendFacts<'a> {
    /// They could not be read as a list.
    Unread,
    /// Their names in the order of the file; none: it could not be read.
    Named(Vec<Option<&'a BackendName>>),
}

impl<'a> BackendFacts<'a> {
    pub(crate) fn of_groups(groups: &'a [BackendGroup]) -> Self {
        Self::Named(
            groups.iter().flat_map(|group| group.iter()).map(|backend| Some(backend.name())).collect(),
        )
    }
}

/// The names that routes may use.
struct KnownBackends<'a>(Option<HashSet<&'a BackendName>>);

impl<'a> KnownBackends<'a> {
    fn new(facts: &BackendFacts<'a>, errors: &mut Vec<ConfigError>) -> Self {
        let BackendFacts::Named(names) = facts else { return Self(None) };
        let mut owners: HashMap<&BackendName, usize> = HashMap::with_capacity(names.len());
        for (second, name) in names.iter().enumerate() {
            let Some(name) = *name else { continue };
            let first = *owners.entry(name).or_insert(second);
            if first != second {
                errors.push(ConfigError::DuplicateBackend { name: name.clone(), first, second });
            }
        }
        // One whose name could not be read may be the one that is meant.
        let is_whole = names.iter().all(Option::is_some);
        Self(is_whole.then(|| owners.into_keys().collect()))
    }

    fn check(&self, index: usize, route: &RouteFacts<'_>, errors: &mut Vec<ConfigError>) {
        let Some(known) = &self.0 else { return };
        let named = route.destination.into_iter().flat_map(Destination::backends);
        let named = named.chain(route.mirror.map(|mirror| (BackendPlace::Mirror, &mirror.backend)));
        for (place, name) in named.filter(|(_, name)| !known.contains(name)) {
            errors.push(ConfigError::UnknownBackend { route: index, place, name: name.clone() });
        }
    }
}

/// What the rules look at beside the routes. A part that could not be read breaks none of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettingsFacts<'a> {
    pub(crate) callers: Callers<'a>,
    pub(crate) certificates: ClientCertificates,
    pub(crate) max_header_bytes: Option<ByteCount>,
}

impl<'a> From<&'a Settings> for SettingsFacts<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self {
            callers: settings.auth.as_ref().map_or(Callers::Unknown, Callers::Known),
            certificates: ClientCertificates::of(&settings.server),
            max_header_bytes: Some(settings.server.max_header_bytes),
        }
    }
}

/// What the rules look at of a route. A part that could not be read breaks none of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteFacts<'a> {
    pub(crate) name: Option<&'a RouteName>,
    pub(crate) destination: Option<&'a Destination>,
    pub(crate) mirror: Option<&'a Mirror>,
    pub(crate) auth_required: Option<bool>,
    pub(crate) auth: Option<&'a RouteAuth>,
    pub(crate) max_header_bytes: Option<ByteCount>,
}

impl<'a> From<&'a Route> for RouteFacts<'a> {
    fn from(route: &'a Route) -> Self {
        Self {
            name: Some(&route.name),
            destination: Some(&route.destination),
            mirror: route.mirror.as_deref(),
            auth_required: Some(route.auth_required),
            auth: route.auth.as_ref(),
            max_header_bytes: route.max_header_bytes,
        }
    }
}

/// Every broken rule.
pub(crate) fn conflicts<'a>(
    settings: SettingsFacts<'_>,
    backends: &BackendFacts<'_>,
    routes: impl Iterator<Item = RouteFacts<'a>>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let backends = KnownBackends::new(backends, &mut errors);
    let mut owners: HashMap<&RouteName, usize> = HashMap::with_capacity(routes.size_hint().0);
    let mut count = 0;
    for (index, route) in routes.enumerate() {
        count += 1;
        if let Some(name) = route.name {
            let first = *owners.entry(name).or_insert(index);
            if first != index {
                errors.push(ConfigError::DuplicateName { name: name.clone(), first, second: index });
            }
        }
        backends.check(index, &route, &mut errors);
        check_callers(index, &route, settings.callers, &mut errors);
        errors.extend(unasked_certificates(index, &route, settings.certificates));
        let limit = settings.max_header_bytes.filter(|limit| route.max_header_bytes > Some(*limit));
        errors.extend(
            limit.map(|limit| ConfigError::HeaderBytesAboveServer { route: index, limit: limit.get() }),
        );
    }
    if count == 0 {
        errors.push(ConfigError::NoRoutes);
    }
    errors
}

/// Whether a route knows callers by certificates where nobody shows any.
fn unasked_certificates(
    route: usize,
    facts: &RouteFacts<'_>,
    certificates: ClientCertificates,
) -> Option<ConfigError> {
    let methods = facts.auth?.methods.as_ref()?;
    let entry = methods.as_slice().iter().position(|method| *method == AuthMethod::Mtls)?;
    let error = ConfigError::NoClientCertificates { route, combination: methods.combination(), entry };
    (certificates == ClientCertificates::Unasked).then_some(error)
}

/// What a route says of its callers, against what the configuration can know of them.
fn check_callers(index: usize, route: &RouteFacts<'_>, callers: Callers<'_>, errors: &mut Vec<ConfigError>) {
    let methods = route.auth.and_then(|auth| auth.methods.as_ref());
    let needs_section =
        |methods: &AuthMethods| methods.as_slice().iter().any(|method| method.needed_key().is_some());
    if route.auth_required == Some(true)
        && matches!(callers, Callers::Unknown)
        && methods.is_none_or(needs_section)
    {
        errors.push(ConfigError::NoAuth { route: index });
    }
    if let (Some(true), None, Callers::Known(known)) = (route.auth_required, methods, callers)
        && !known.offers(AuthMethod::Jwt)
    {
        errors.push(ConfigError::NoProvider { route: index });
    }
    let Some(auth) = route.auth else { return };
    if route.auth_required == Some(false) && auth.needs_callers() {
        errors.push(ConfigError::AuthNotRequired { route: index });
    }
    let Callers::Known(known) = callers else { return };
    if let Some(methods) = methods {
        let combination = methods.combination();
        for (entry, &method) in methods.as_slice().iter().enumerate() {
            if let Some(key) = method.needed_key().filter(|_| !known.offers(method)) {
                errors.push(ConfigError::MethodNotConfigured {
                    route: index,
                    combination,
                    entry,
                    method,
                    key,
                });
            }
        }
    }
    for (entry, name) in auth.providers.iter().enumerate() {
        if known.provider(name).is_none() {
            errors.push(ConfigError::UnknownProvider { route: index, entry, name: name.clone() });
        }
    }
}
