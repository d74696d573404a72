//! Reads one route.

use super::{Mapping, Place, Read, Reader, values::IfFilled};
use crate::{
    model::Route,
    names::{PathPrefix, RouteName},
    problem::Position,
};

/// A route and what the rules across routes need of it, even where the rest cannot be read.
pub(super) struct RouteInFile {
    pub(super) route: Option<Route>,
    pub(super) name: Option<RouteName>,
    pub(super) name_position: Position,
    pub(super) needs_auth: bool,
    pub(super) needs_auth_position: Position,
}

impl Read for RouteInFile {
    /// Never none: a route that cannot be read is one of the list all the same.
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let nowhere = place.node.position;
        let Some(mut keys) = Mapping::open(place, reader) else {
            return Some(Self {
                route: None,
                name: None,
                name_position: nowhere,
                needs_auth: false,
                needs_auth_position: nowhere,
            });
        };
        let name: Option<RouteName> = keys.required("name");
        let path_prefix = keys.required("match").map(|Match { path_prefix }| path_prefix);
        let upstream = keys.required("upstream");
        let strip_prefix = keys.or("strip_prefix", IfFilled(None));
        let auth_required = keys.or("auth_required", false);
        let rate_limit = keys.or("rate_limit", None);
        let concurrency = keys.or("concurrency", Concurrency { max_in_flight: 0 });
        let circuit_breaker = keys.or("circuit_breaker", None);
        let name_position = keys.position_of("name");
        let needs_auth_position = keys.position_of("auth_required");
        keys.finish();

        let route = || {
            Some(Route {
                name: name.clone()?,
                path_prefix: path_prefix?,
                upstream: upstream?,
                strip_prefix: strip_prefix?.0,
                auth_required: auth_required?,
                rate_limit: rate_limit?,
                max_in_flight: concurrency?.max_in_flight,
                circuit_breaker: circuit_breaker?,
            })
        };
        let route = route();
        let needs_auth = auth_required.unwrap_or(false);
        Some(Self { route, name, name_position, needs_auth, needs_auth_position })
    }
}

/// The `match` section.
struct Match {
    path_prefix: PathPrefix,
}

impl Read for Match {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let path_prefix = keys.required("path_prefix");
        keys.finish();

        Some(Self { path_prefix: path_prefix? })
    }
}

/// The `concurrency` section.
struct Concurrency {
    max_in_flight: u32,
}

impl Read for Concurrency {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let max_in_flight = keys.or("max_in_flight", 0);
        keys.finish();

        Some(Self { max_in_flight: max_in_flight? })
    }
}
