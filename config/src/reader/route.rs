//! Reads one route.

use super::{
    Mapping, Place, Read, Reader,
    compression::CompressionInFile,
    destination::{BackendPositions, DestinationInFile, MirrorInFile},
    rewrite::RewriteInFile,
    route_auth::RouteAuthInFile,
    values::IfFilled,
};
use crate::{
    model::{
        AddressLists, AnswerChanges, Compression, Concurrency, Destination, HeaderChanges, PathChange, Route,
        RouteAuth, RouteFacts, Timeouts,
    },
    names::{ByteCount, PathPrefix, PolicyMode, RouteName, ValueError},
    problem::Position,
};

/// A route and what the rules across routes need of it, even where the rest cannot be read.
pub(super) struct RouteInFile {
    /// Without its `auth`; none where a part of it, or its `auth`, could not be read.
    route: Option<Route>,
    /// Apart, as the rules look at it even where the rest could not be read.
    auth: Option<RouteAuth>,
    pub(super) positions: Positions,
    name: Option<RouteName>,
    destination: Option<Destination>,
    mirror: Option<MirrorInFile>,
    auth_required: Option<bool>,
    max_header_bytes: Option<ByteCount>,
}

/// Where the values are that the rules across routes may complain of.
pub(super) struct Positions {
    pub(super) name: Position,
    pub(super) backends: BackendPositions,
    pub(super) auth_required: Position,
    pub(super) auth: Position,
    /// Of each of the providers that the route accepts.
    pub(super) providers: Vec<Position>,
    /// Of each of the methods in which callers make themselves known.
    pub(super) methods: Vec<Position>,
    pub(super) max_header_bytes: Position,
}

impl Positions {
    fn new(
        keys: &Mapping<'_, '_>,
        backends: BackendPositions,
        (providers, methods): (Vec<Position>, Vec<Position>),
    ) -> Self {
        Self {
            name: keys.position_of("name"),
            backends,
            auth_required: keys.position_of("auth_required"),
            auth: keys.position_of("auth"),
            providers,
            methods,
            max_header_bytes: keys.position_of("max_header_bytes"),
        }
    }
}

impl RouteInFile {
    /// What the rules across routes look at.
    pub(super) fn facts(&self) -> RouteFacts<'_> {
        RouteFacts {
            name: self.name.as_ref(),
            destination: self.destination.as_ref(),
            mirror: self.mirror.as_ref().and_then(|read| read.mirror.as_deref()),
            auth_required: self.auth_required,
            auth: self.auth.as_ref(),
            max_header_bytes: self.max_header_bytes,
        }
    }

    /// The route, if all of it could be read.
    pub(super) fn into_route(self) -> Option<Route> {
        Some(Route { auth: self.auth, ..self.route? })
    }
}

impl Read for RouteInFile {
    /// Never none: a route that cannot be read is one of the list all the same.
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(mut keys) = Mapping::open(place, reader) else {
            return Some(Self::unreadable(place.node.position));
        };
        let name: Option<RouteName> = keys.required("name");
        let matches = keys.required("match");
        let DestinationInFile { destination, mirror, backends } = DestinationInFile::read(&mut keys);
        let strip_prefix = keys.or("strip_prefix", IfFilled(None));
        let rewrite = keys.or("rewrite", RewriteInFile::default());
        let request_headers = keys.or("request_headers", HeaderChanges::default());
        let answers = answers(&mut keys);
        let address_lists = address_lists(&mut keys);
        let auth_required = keys.or("auth_required", false);
        let auth: Option<Option<RouteAuthInFile>> = keys.or("auth", None);
        // Of an `auth` that cannot be read nobody knows what it asks for.
        let auth_required = auth_required.filter(|_| auth.is_some());
        let (auth, callers) = auth.flatten().map(RouteAuthInFile::into_parts).unzip();
        let (providers, methods) = callers.unwrap_or_default();
        let rate_limit = keys.or("rate_limit", None);
        let concurrency = keys.or("concurrency", Concurrency::default());
        let circuit_breaker = keys.or("circuit_breaker", None);
        let timeouts = keys.or("timeouts", Timeouts::default());
        let retry = keys.or("retry", None);
        let hedge = keys.or("hedge", None);
        let cors = keys.or("cors", None);
        let max_header_bytes = keys.or("max_header_bytes", None);
        let max_body_bytes = keys.or("max_body_bytes", None);
        let positions = Positions::new(&keys, backends, (providers, methods));
        let path_change = path_change(&mut keys, strip_prefix, rewrite.as_ref());
        let route = || {
            let (response_headers, compression) = answers?;
            Some(Route {
                name: name.clone()?,
                matches: matches?,
                destination: destination.clone()?,
                mirror: mirror.as_ref()?.mirror.clone(),
                path_change: path_change?,
                host_rewrite: rewrite?.host,
                request_headers: request_headers?,
                response_headers,
                compression,
                address_lists: address_lists?,
                auth_required: auth_required?,
                auth: None,
                rate_limit: rate_limit?,
                concurrency: concurrency?,
                circuit_breaker: circuit_breaker?,
                timeouts: timeouts?,
                retry: retry?,
                hedge: hedge?,
                cors: cors?,
                max_header_bytes: max_header_bytes?,
                max_body_bytes: max_body_bytes?,
            })
        };
        let route = route().and_then(|route| keys.judged(route.checked()));
        keys.finish();

        let max_header_bytes = max_header_bytes.flatten();
        Some(Self { route, auth, positions, name, destination, mirror, auth_required, max_header_bytes })
    }
}

impl RouteInFile {
    fn unreadable(position: Position) -> Self {
        let positions = Positions {
            name: position,
            backends: BackendPositions::all_at(position),
            auth_required: position,
            auth: position,
            providers: Vec::new(),
            methods: Vec::new(),
            max_header_bytes: position,
        };
        Self {
            route: None,
            auth: None,
            positions,
            name: None,
            destination: None,
            mirror: None,
            auth_required: None,
            max_header_bytes: None,
        }
    }
}

/// What becomes of answers.
fn answers(keys: &mut Mapping<'_, '_>) -> Option<(AnswerChanges, Option<Box<Compression>>)> {
    let response_headers = keys.or("response_headers", AnswerChanges::default());
    let compression = keys.or("compression", CompressionInFile::default());
    Some((response_headers?, compression?.0))
}

/// What becomes of the path: one of two keys says it.
fn path_change(
    keys: &mut Mapping<'_, '_>,
    strip_prefix: Option<IfFilled<PathPrefix>>,
    rewrite: Option<&RewriteInFile>,
) -> Option<PathChange> {
    match (strip_prefix?.0, rewrite?.path.clone()) {
        (Some(_), Some(_)) => {
            keys.report("rewrite", ValueError::PathChangedTwice);
            None
        }
        (Some(prefix), None) => Some(PathChange::Strip(prefix)),
        (None, Some(rewrite)) => Some(PathChange::Rewrite(rewrite.into())),
        (None, None) => Some(PathChange::None),
    }
}

/// The keys that say from which addresses requests are taken; a server has the same.
pub(super) fn address_lists(keys: &mut Mapping<'_, '_>) -> Option<AddressLists> {
    let allow = keys.or("allow_cidrs", Vec::new());
    let deny = keys.or("deny_cidrs", Vec::new());
    let mode = keys.or("cidrs_mode", PolicyMode::Enforce);
    Some(AddressLists { allow: allow?, deny: deny?, mode: mode? })
}
