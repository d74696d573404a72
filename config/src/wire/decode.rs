//! From what a peer sent to the model, by the same constructors as a file, with every problem at once.
//!
//! A problem names the key as a file would have it (`routes[3].upstream`), has no file and no position.

mod auth;
mod backend;
mod compression;
mod external_auth;
mod header_changes;
mod health;
mod mirror;
mod mtls;
mod policy;
mod rate_limit;
mod retry;
mod rewrite;
mod route;
mod route_match;
mod split;
mod timeouts;
mod tls;
mod tracing;

use std::{collections::BTreeSet, fmt::Display, num::NonZeroU32, str::FromStr, sync::Arc};

use apigw_proto::v1;
use prost::Message as _;

use self::{
    auth::auth, backend::backend, rate_limit::rate_limit_backend, route::route, tls::server_tls,
    tracing::tracing,
};
use super::{
    Leaf, LeafError, Resource, ResourceKind,
    content::Meaning,
    features::{self, Feature},
};
use crate::{
    model::{
        AddressLists, Admin, Backend, BackendPlace, ConfigError, EncodedSlash, GatewayConfig, PathRules,
        PolicyError, ProxyProtocol, Route, Server, Settings, Upstream,
    },
    names::{ByteCount, Period, PolicyMode, ValueError},
    problem::{KeyPath, Problem, Problems},
};

/// Decodes a configuration.
///
/// # Errors
/// Everything wrong with it; at least one problem.
pub fn decode<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Result<GatewayConfig, Vec<Problem>> {
    let mut decoding = Decoding::new();
    let mut resources = resources.into_iter();
    let settings = decoding.settings(resources.next());
    let (mut backends, mut routes) = (Vec::new(), Vec::new());
    for resource in resources {
        match decoding.next_kind(resource) {
            ResourceKind::Backend => backends.extend(decoding.backend(resource)),
            ResourceKind::Settings | ResourceKind::Route => routes.extend(decoding.route(resource)),
        }
    }
    decoding.finish()?;
    let settings = Arc::new(settings.ok_or_else(without_settings)?);
    let backends = backends.into_iter().map(|(backend, _)| Arc::new(backend)).collect();
    let routes = routes.into_iter().map(|(route, _)| Arc::new(route)).collect();
    GatewayConfig::of_groups(settings, vec![backends], vec![routes]).map_err(|errors| conflicts(&errors))
}

/// A list of resources that is decoded from its beginning, all of it or in parts.
pub(super) struct Decoding {
    problems: Problems,
    /// How many resources were seen.
    place: usize,
    /// How many of them were backends.
    backends: usize,
}

impl Decoding {
    pub(super) fn new() -> Self {
        Self { problems: Problems::of(""), place: 0, backends: 0 }
    }

    /// Passes over a leaf that was decoded before; what has a meaning has no problem of its own.
    pub(super) fn pass(&mut self, leaf: &Leaf) {
        self.place += leaf.resources().len();
        if leaf.kind() == Some(ResourceKind::Backend) {
            self.backends += leaf.resources().len();
        }
    }

    /// Whether such a leaf may come next, whatever is in it.
    pub(super) fn may_follow(&self, leaf: &Leaf) -> bool {
        match leaf.kind() {
            Some(ResourceKind::Settings) => self.place == 0,
            Some(ResourceKind::Backend) => self.place > 0 && !self.has_routes(),
            Some(ResourceKind::Route) => self.place > 0,
            None => false,
        }
    }

    fn has_routes(&self) -> bool {
        self.place > 1 + self.backends
    }

    /// As what the next resource is to be read: what stands in a wrong place is told as the route that it should be.
    fn next_kind(&self, resource: &Resource) -> ResourceKind {
        match resource.entry().kind {
            ResourceKind::Backend if !self.has_routes() => ResourceKind::Backend,
            _ => ResourceKind::Route,
        }
    }

    /// What the next leaf means, and what it requires; none if there is a problem.
    pub(super) fn leaf(&mut self, leaf: &Leaf) -> Option<(Meaning, BTreeSet<Feature>)> {
        if self.place == 0 {
            // The rules of the cuts leave nothing else in the leaf of the settings.
            let settings = self.settings(leaf.resources().first())?;
            let required = features::of_settings((&settings).into());
            return Some((Meaning::Settings(Arc::new(settings)), required));
        }
        // No leaf has resources of two kinds.
        if leaf.resources().first().is_some_and(|first| self.next_kind(first) == ResourceKind::Backend) {
            let backends = leaf.resources().iter().filter_map(|resource| self.backend(resource));
            let (backends, messages): (Vec<_>, Vec<_>) =
                backends.map(|(backend, message)| (Arc::new(backend), message)).unzip();
            let is_whole = backends.len() == leaf.resources().len();
            return is_whole.then(|| (Meaning::Backends(backends.into()), features::of_backends(messages)));
        }
        let routes: Vec<_> = leaf.resources().iter().filter_map(|resource| self.route(resource)).collect();
        if routes.len() < leaf.resources().len() {
            return None;
        }
        let (routes, messages): (Vec<_>, Vec<_>) =
            routes.into_iter().map(|(route, message)| (Arc::new(route), message)).unzip();
        Some((Meaning::Routes(routes.into()), features::of_routes(messages)))
    }

    /// All problems, if there are any.
    pub(super) fn finish(self) -> Result<(), Vec<Problem>> {
        self.problems.or(Some(()))
    }

    fn settings(&mut self, resource: Option<&Resource>) -> Option<Settings> {
        self.place = 1;
        decode_settings(resource, &mut self.problems)
    }

    fn backend(&mut self, resource: &Resource) -> Option<(Backend, v1::Backend)> {
        let index = self.backends;
        (self.place, self.backends) = (self.place + 1, self.backends + 1);
        decode_backend(resource, &KeyPath::Top.key("backends").index(index), &mut self.problems)
    }

    fn route(&mut self, resource: &Resource) -> Option<(Route, v1::Route)> {
        let index = self.place - self.backends - 1;
        self.place += 1;
        decode_route(resource, &KeyPath::Top.key("routes").index(index), &mut self.problems)
    }
}

/// What is told of leaves that are cut where they should not be.
pub(super) fn of_order(error: &LeafError) -> Vec<Problem> {
    problem(&KeyPath::Top, error)
}

/// What is told of a list that does not begin with its settings.
pub(super) fn without_settings() -> Vec<Problem> {
    problem(&KeyPath::Top, "the first resource is not the unnamed settings")
}

fn problem(at: &KeyPath<'_>, message: impl Display) -> Vec<Problem> {
    let mut problems = Problems::of("");
    problems.report(None, at, message);
    problems.into_sorted()
}

/// The broken rules across routes, as problems.
pub(super) fn conflicts(errors: &[ConfigError]) -> Vec<Problem> {
    let mut problems = Problems::of("");
    errors.iter().for_each(|error| report_conflict(error, &mut problems));
    problems.into_sorted()
}

fn report_conflict(error: &ConfigError, problems: &mut Problems) {
    let at = KeyPath::Top.key("routes");
    match error {
        ConfigError::NoRoutes => problems.report(None, &at, error),
        ConfigError::DuplicateName { second, .. } => {
            problems.report(None, &at.index(*second).key("name"), error);
        }
        ConfigError::DuplicateBackend { second, .. } => {
            problems.report(None, &KeyPath::Top.key("backends").index(*second).key("name"), error);
        }
        ConfigError::UnknownBackend { route, place, .. } => {
            let path = at.index(*route);
            match place {
                BackendPlace::Backend => problems.report(None, &path.key("backend"), error),
                BackendPlace::Mirror => problems.report(None, &path.key("mirror").key("backend"), error),
                BackendPlace::Split(part) => {
                    problems.report(None, &path.key("split").index(*part).key("backend"), error);
                }
            }
        }
        ConfigError::NoAuth { route } | ConfigError::NoProvider { route } => {
            problems.report(None, &at.index(*route).key("auth_required"), error);
        }
        ConfigError::MethodNotConfigured { route, combination, entry, .. }
        | ConfigError::NoClientCertificates { route, combination, entry } => {
            let path = at.index(*route);
            problems.report(None, &path.key("auth").key(combination.key()).index(*entry), error);
        }
        ConfigError::AuthNotRequired { route } => problems.report(None, &at.index(*route).key("auth"), error),
        ConfigError::UnknownProvider { route, entry, .. } => {
            let path = at.index(*route);
            problems.report(None, &path.key("auth").key("providers").index(*entry), error);
        }
        ConfigError::HeaderBytesAboveServer { route, .. } => {
            problems.report(None, &at.index(*route).key("max_header_bytes"), error);
        }
    }
}

fn decode_settings(resource: Option<&Resource>, problems: &mut Problems) -> Option<Settings> {
    let settings = resource.filter(|r| r.entry().kind == ResourceKind::Settings && r.entry().name.is_empty());
    let Some(resource) = settings else {
        problems.report(None, &KeyPath::Top, "the first resource is not the unnamed settings");
        return None;
    };
    match v1::Settings::decode(resource.bytes().as_ref()) {
        Ok(message) => settings_from(message, problems),
        Err(error) => {
            problems.report(None, &KeyPath::Top, format_args!("the settings are not readable: {error}"));
            None
        }
    }
}

fn decode_backend(
    resource: &Resource,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<(Backend, v1::Backend)> {
    match v1::Backend::decode(resource.bytes().as_ref()) {
        Ok(message) if message.name != resource.entry().name => {
            report_name(&message.name, resource, at, problems);
            None
        }
        Ok(message) => backend(&message, at, problems).map(|backend| (backend, message)),
        Err(error) => {
            problems.report(None, at, format_args!("not readable: {error}"));
            None
        }
    }
}

fn report_name(name: &str, resource: &Resource, at: &KeyPath<'_>, problems: &mut Problems) {
    let message = format_args!("is {name:?} in a resource named {:?}", resource.entry().name);
    problems.report(None, &at.key("name"), message);
}

fn decode_route(
    resource: &Resource,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<(Route, v1::Route)> {
    if resource.entry().kind != ResourceKind::Route {
        problems.report(
            None,
            at,
            "not a route, as every resource after the settings and the backends must be",
        );
        return None;
    }
    match v1::Route::decode(resource.bytes().as_ref()) {
        Ok(message) if message.name != resource.entry().name => {
            report_name(&message.name, resource, at, problems);
            None
        }
        Ok(message) => route(&message, at, problems).map(|route| (route, message)),
        Err(error) => {
            problems.report(None, at, format_args!("not readable: {error}"));
            None
        }
    }
}

/// What belongs to one message: its place, and where its problems go.
struct Fields<'a, 'p> {
    at: KeyPath<'a>,
    problems: &'p mut Problems,
}

impl Fields<'_, '_> {
    /// A value as its constructor judged it.
    fn take<T>(&mut self, key: &str, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.problems.report(None, &self.at.key(key), error)).ok()
    }

    /// A message that must be there.
    fn needed<T>(&mut self, key: &str, message: Option<T>) -> Option<T> {
        self.take(key, message.ok_or(ValueError::Missing))
    }

    /// Each text of a list; every illegal one is a problem.
    fn parse_all<T: FromStr<Err = ValueError>>(&mut self, key: &str, texts: &[String]) -> Option<Vec<T>> {
        let mut values = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.problems.report(None, &self.at.key(key).index(index), error),
            }
        }
        (values.len() == texts.len()).then_some(values)
    }

    fn period(&mut self, key: &str, micros: u64) -> Option<Period> {
        self.take(key, Period::from_micros(micros))
    }

    /// What follows from a policy's judgement; where nothing is said, it is enforced.
    fn mode(&mut self, key: &str, text: &str) -> Option<PolicyMode> {
        if text.is_empty() { Some(PolicyMode::Enforce) } else { self.take(key, text.parse()) }
    }

    /// The lists of a server or a route, which have no section of their own in a file.
    fn address_lists(&mut self, message: Option<&v1::AddressLists>) -> Option<AddressLists> {
        let Some(v1::AddressLists { allow, deny, mode }) = message else {
            return Some(AddressLists::default());
        };
        let allow = self.parse_all("allow_cidrs", allow);
        let deny = self.parse_all("deny_cidrs", deny);
        let mode = self.mode("cidrs_mode", mode);
        Some(AddressLists { allow: allow?, deny: deny?, mode: mode? })
    }

    /// Which paths a server takes.
    fn paths(&mut self, message: Option<&v1::PathRules>) -> Option<PathRules> {
        let Some(v1::PathRules { encoded_slash, keeps_empty_segments }) = message else {
            return Some(PathRules::default());
        };
        let encoded_slash = match encoded_slash.as_str() {
            "" => Some(EncodedSlash::Reject),
            text => self.take("paths.encoded_slash", text.parse()),
        };
        Some(PathRules { encoded_slash: encoded_slash?, merge_slashes: !keeps_empty_segments })
    }

    /// Values that depend on each other, as their constructor judged them.
    fn judged<T>(&mut self, result: Result<T, Vec<PolicyError>>) -> Option<T> {
        match result {
            Ok(policy) => Some(policy),
            Err(errors) => {
                for PolicyError { key, error } in errors {
                    self.problems.report(None, &self.at.key(key), error);
                }
                None
            }
        }
    }
}

/// A value could not be read; the problems say why.
struct Reported;

fn settings_from(message: v1::Settings, problems: &mut Problems) -> Option<Settings> {
    let mut top = Fields { at: KeyPath::Top, problems };
    let server = top.needed("server", message.server);
    let server = server.and_then(|message| server_from(&message, top.problems));
    let upstream = top.needed("upstream", message.upstream);
    let upstream = upstream.and_then(|message| upstream_from(&message, top.problems));
    let auth = match message.auth {
        None => Some(None),
        Some(message) => auth(message, top.problems).map(Some),
    };
    let rate_limit = top.needed("rate_limit", message.rate_limit);
    let rate_limit = rate_limit.and_then(|message| rate_limit_backend(message, top.problems));
    let admin = match message.admin {
        None => Some(None),
        Some(v1::Admin { address }) => {
            let mut fields = Fields { at: KeyPath::Top.key("admin"), problems: top.problems };
            fields.take("addr", address.parse()).map(|address| Some(Admin { address }))
        }
    };
    let tracing = match message.tracing {
        None => Some(None),
        Some(message) => tracing(&message, top.problems).map(Some),
    };
    Some(Settings {
        server: server?,
        upstream: upstream?,
        auth: auth?,
        rate_limit: rate_limit?,
        admin: admin?,
        tracing: tracing?,
    })
}

fn server_from(message: &v1::Server, problems: &mut Problems) -> Option<Server> {
    let mut fields = Fields { at: KeyPath::Top.key("server"), problems };
    let addresses = fields.parse_all("addr", &message.addresses);
    let trusted_proxies = fields.parse_all("trusted_proxies", &message.trusted_proxies);
    let address_lists = fields.address_lists(message.address_lists.as_ref());
    let paths = fields.paths(message.paths.as_ref());
    let max_header_bytes = fields.take("max_header_bytes", ByteCount::new(message.max_header_bytes));
    let max_body_bytes = fields.take("max_body_bytes", ByteCount::new(message.max_body_bytes));
    let read_header_timeout = fields.period("read_header_timeout_seconds", message.read_header_timeout_us);
    let read_timeout = fields.period("read_timeout_seconds", message.read_timeout_us);
    let write_timeout = fields.period("write_timeout_seconds", message.write_timeout_us);
    let idle_timeout = fields.period("idle_timeout_seconds", message.idle_timeout_us);
    let drain_timeout = match message.drain_timeout_us {
        0 => Some(Server::DEFAULT_DRAIN_TIMEOUT),
        micros => fields.period("drain_timeout_seconds", micros),
    };
    let max_connections = NonZeroU32::new(message.max_connections).unwrap_or(Server::DEFAULT_MAX_CONNECTIONS);
    // Absent where an older control plane has encoded it.
    let websocket_idle_timeout = match message.websocket_idle_timeout_us {
        0 => Some(Server::default().websocket_idle_timeout),
        micros => fields.period("websocket_idle_timeout_seconds", micros),
    };
    let server = addresses.and_then(|list| fields.take("addr", Server::default().with_addresses(list)));
    let tls = match &message.tls {
        None => Some(None),
        Some(message) => server_tls(message, fields.problems).map(Some),
    };
    let proxy_protocol = match &message.proxy_protocol {
        None => Some(None),
        Some(message) => proxy_protocol(message, fields.problems).map(Some),
    };
    let mut server = server?;
    server.proxy_protocol = proxy_protocol?;
    server.tls = tls?;
    server.trusted_proxies = trusted_proxies?;
    server.address_lists = address_lists?;
    server.paths = paths?;
    server.max_header_bytes = max_header_bytes?;
    server.max_body_bytes = max_body_bytes?;
    server.read_header_timeout = read_header_timeout?;
    server.read_timeout = read_timeout?;
    server.write_timeout = write_timeout?;
    server.idle_timeout = idle_timeout?;
    server.drain_timeout = drain_timeout?;
    server.max_connections = max_connections;
    server.websocket_idle_timeout = websocket_idle_timeout?;
    Some(server)
}

fn proxy_protocol(message: &v1::ProxyProtocol, problems: &mut Problems) -> Option<ProxyProtocol> {
    let server = KeyPath::Top.key("server");
    let mut fields = Fields { at: server.key("proxy_protocol"), problems };
    let trusted = fields.parse_all("trusted", &message.trusted)?;
    fields.take("trusted", ProxyProtocol::new(trusted))
}

fn upstream_from(message: &v1::Upstream, problems: &mut Problems) -> Option<Upstream> {
    let mut fields = Fields { at: KeyPath::Top.key("upstream"), problems };
    let count = |number: u64| {
        u32::try_from(number).map_err(|_| ValueError::OutOfRange { range: "from 0 to 4294967295" })
    };
    let dial_timeout = fields.period("dial_timeout_seconds", message.dial_timeout_us);
    let tls_handshake_timeout =
        fields.period("tls_handshake_timeout_seconds", message.tls_handshake_timeout_us);
    let response_header_timeout =
        fields.period("response_header_timeout_seconds", message.response_header_timeout_us);
    let idle_connection_timeout =
        fields.period("idle_conn_timeout_seconds", message.idle_connection_timeout_us);
    let max_idle_connections = fields.take("max_idle_conns", count(message.max_idle_connections));
    let per_host = fields.take("max_idle_conns_per_host", count(message.max_idle_connections_per_host));
    Some(Upstream {
        dial_timeout: dial_timeout?,
        tls_handshake_timeout: tls_handshake_timeout?,
        response_header_timeout: response_header_timeout?,
        idle_connection_timeout: idle_connection_timeout?,
        max_idle_connections: max_idle_connections?,
        max_idle_connections_per_host: per_host?,
    })
}
