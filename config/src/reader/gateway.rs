//! Reads the top level, and applies the rules across routes to whatever could be read of them.

use super::{Mapping, Place, Reader, backend::BackendInFile, route::RouteInFile};
use crate::{
    model::{
        Auth, BackendFacts, BackendPlace, Callers, Checks, ClientCertificates, ConfigError, GatewayConfig,
        Server, Settings, SettingsFacts, conflicts,
    },
    problem::{KeyPath, Position},
    yaml::Value,
};

pub(super) fn read(place: Place<'_>, reader: &mut Reader) -> Option<(GatewayConfig, Checks)> {
    if place.node.is_null() {
        report(&ConfigError::NoRoutes, &[], &[], place, reader);
        return None;
    }
    let mut keys = Mapping::open(place, reader)?;
    let defaults = Settings::default();
    let server = keys.or("server", defaults.server);
    let upstream = keys.or("upstream", defaults.upstream);
    let auth: Option<Option<Auth>> = keys.or("auth", None);
    let rate_limit = keys.or("rate_limit", defaults.rate_limit);
    let admin = keys.or("admin", None);
    let tracing = keys.or("tracing", None);
    let backends: Option<Vec<BackendInFile>> = keys.or("backends", Vec::new());
    let routes: Option<Vec<RouteInFile>> = keys.or("routes", Vec::new());
    let tests = keys.or("tests", Vec::new());
    let invariants = keys.or("invariants", Vec::new());
    keys.finish();

    let routes = routes?;
    let callers = match &auth {
        None => Callers::Unread,
        Some(None) => Callers::Unknown,
        Some(Some(auth)) => Callers::Known(auth),
    };
    let max_header_bytes = server.as_ref().map(|server: &Server| server.max_header_bytes);
    // Of a section that cannot be read nobody knows what it asks for.
    let certificates = server.as_ref().map_or(ClientCertificates::Possible, ClientCertificates::of);
    let facts = SettingsFacts { callers, certificates, max_header_bytes };
    let backend_facts = match &backends {
        None => BackendFacts::Unread,
        Some(backends) => BackendFacts::Named(backends.iter().map(BackendInFile::name).collect()),
    };
    let errors = conflicts(facts, &backend_facts, routes.iter().map(RouteInFile::facts));
    let backends = backends.unwrap_or_default();
    for error in &errors {
        report(error, &backends, &routes, place, reader);
    }
    if !errors.is_empty() {
        return None;
    }
    let settings = Settings {
        server: server?,
        upstream: upstream?,
        auth: auth?,
        rate_limit: rate_limit?,
        admin: admin?,
        tracing: tracing?,
    };
    let backends = backends.into_iter().map(BackendInFile::into_backend).collect::<Option<Vec<_>>>()?;
    let routes = routes.into_iter().map(RouteInFile::into_route).collect::<Option<Vec<_>>>()?;
    let checks = Checks { tests: tests?, invariants: invariants? };
    GatewayConfig::with_backends(settings, backends, routes).ok().map(|config| (config, checks))
}

fn report(
    error: &ConfigError,
    backends: &[BackendInFile],
    routes: &[RouteInFile],
    place: Place<'_>,
    reader: &mut Reader,
) {
    let path = KeyPath::Top.key("routes");
    let start = place.node.position;
    let problems = &mut reader.problems;
    match error {
        ConfigError::NoRoutes => {
            let written = match &place.node.value {
                Value::Mapping(pairs) => pairs.iter().find(|pair| pair.key == "routes"),
                _ => None,
            };
            problems.report(Some(written.map_or(start, |pair| pair.value.position)), &path, error);
        }
        ConfigError::DuplicateName { first, second, .. } => {
            let Position { line, column } = routes[*first].positions.name;
            let message = format_args!("{error} in line {line}, column {column}");
            problems.report(Some(routes[*second].positions.name), &path.index(*second).key("name"), message);
        }
        ConfigError::DuplicateBackend { first, second, .. } => {
            let Position { line, column } = backends[*first].position;
            let message = format_args!("{error} in line {line}, column {column}");
            let path = KeyPath::Top.key("backends");
            problems.report(Some(backends[*second].position), &path.index(*second).key("name"), message);
        }
        ConfigError::UnknownBackend { route, place, .. } => {
            let position = Some(routes[*route].positions.backends.of(*place));
            let path = path.index(*route);
            match place {
                BackendPlace::Backend => problems.report(position, &path.key("backend"), error),
                BackendPlace::Mirror => problems.report(position, &path.key("mirror").key("backend"), error),
                BackendPlace::Split(part) => {
                    problems.report(position, &path.key("split").index(*part).key("backend"), error);
                }
            }
        }
        ConfigError::NoAuth { route } | ConfigError::NoProvider { route } => {
            let position = routes[*route].positions.auth_required;
            problems.report(Some(position), &path.index(*route).key("auth_required"), error);
        }
        ConfigError::MethodNotConfigured { route, combination, entry, .. }
        | ConfigError::NoClientCertificates { route, combination, entry } => {
            let position = routes[*route].positions.methods[*entry];
            let path = path.index(*route);
            problems.report(Some(position), &path.key("auth").key(combination.key()).index(*entry), error);
        }
        ConfigError::AuthNotRequired { route } => {
            let position = routes[*route].positions.auth;
            problems.report(Some(position), &path.index(*route).key("auth"), error);
        }
        ConfigError::UnknownProvider { route, entry, .. } => {
            let position = routes[*route].positions.providers[*entry];
            let path = path.index(*route);
            problems.report(Some(position), &path.key("auth").key("providers").index(*entry), error);
        }
        ConfigError::HeaderBytesAboveServer { route, .. } => {
            let position = routes[*route].positions.max_header_bytes;
            problems.report(Some(position), &path.index(*route).key("max_header_bytes"), error);
        }
    }
}
