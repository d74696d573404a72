//! Reads the top level, and applies the rules across routes to whatever could be read of them.

use super::{Mapping, Place, Reader, route::RouteInFile};
use crate::{
    model::{Callers, ConfigError, GatewayConfig, RouteFacts, Settings, conflicts},
    problem::{KeyPath, Position},
    yaml::Value,
};

pub(super) fn read(place: Place<'_>, reader: &mut Reader) -> Option<GatewayConfig> {
    if place.node.is_null() {
        report(&ConfigError::NoRoutes, &[], place, reader);
        return None;
    }
    let mut keys = Mapping::open(place, reader)?;
    let defaults = Settings::default();
    let server = keys.or("server", defaults.server);
    let upstream = keys.or("upstream", defaults.upstream);
    let auth = keys.or("auth", None);
    let rate_limit = keys.or("rate_limit", defaults.rate_limit);
    let admin = keys.or("admin", None);
    let routes: Option<Vec<RouteInFile>> = keys.or("routes", Vec::new());
    keys.finish();

    let routes = routes?;
    // A section that cannot be read is one that is there.
    let callers = if auth.as_ref().is_none_or(Option::is_some) { Callers::Known } else { Callers::Unknown };
    let facts =
        routes.iter().map(|route| RouteFacts { name: route.name.as_ref(), needs_auth: route.needs_auth });
    let errors = conflicts(callers, facts);
    for error in &errors {
        report(error, &routes, place, reader);
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
    };
    let routes = routes.into_iter().map(|route| route.route).collect::<Option<Vec<_>>>()?;
    GatewayConfig::new(settings, routes).ok()
}

fn report(error: &ConfigError, routes: &[RouteInFile], place: Place<'_>, reader: &mut Reader) {
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
            let Position { line, column } = routes[*first].name_position;
            let message = format_args!("{error} in line {line}, column {column}");
            problems.report(Some(routes[*second].name_position), &path.index(*second).key("name"), message);
        }
        ConfigError::NoAuth { route } => {
            let position = routes[*route].needs_auth_position;
            problems.report(Some(position), &path.index(*route).key("auth_required"), error);
        }
    }
}
