//! Reads one route of a peer.

use apigw_proto::v1;

use super::{
    Fields, Reported,
    auth::route_auth,
    compression::compression,
    header_changes::{answer_changes, header_changes},
    mirror::mirror,
    policy::{circuit_breaker, concurrency, cors, rate_limit},
    retry::{hedge, retry},
    rewrite::{fixed_answer, redirect, rewrite},
    route_match::route_match,
    split::split,
    timeouts::timeouts,
};
use crate::{
    model::{Destination, PathChange, PathRewrite, PolicyError, Route},
    names::{BackendName, ByteCount, PathPrefix, RouteName, UpstreamUrl, ValueError},
    problem::{KeyPath, Problem, Problems},
};

impl TryFrom<v1::Route> for Route {
    type Error = Vec<Problem>;

    /// Reads a route by itself; paths of problems start at the route.
    fn try_from(message: v1::Route) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::of("");
        let route = route(&message, &KeyPath::Top, &mut problems);
        problems.or(route)
    }
}

pub(super) fn route(message: &v1::Route, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Route> {
    let mut fields = Fields { at: *at, problems };
    let name = fields.take("name", RouteName::new(&message.name));
    let criteria = message.route_match.as_ref();
    let matches = route_match(&message.path_prefix, criteria, &at.key("match"), fields.problems);
    let destination = destination(message, &mut fields);
    let mirror = section(&mut fields, "mirror", message.mirror.as_ref(), mirror);
    let rewrite = section(&mut fields, "rewrite", message.rewrite.as_ref(), rewrite);
    let (path_rewrite, host_rewrite) = rewrite.map(Option::unwrap_or_default).ok().unzip();
    let path_change = path_change(&message.strip_prefix, path_rewrite.flatten(), &mut fields);
    let changes = message.request_headers.as_ref();
    let request_headers = section(&mut fields, "request_headers", changes, header_changes);
    let changes = (message.response_headers.as_ref(), message.response_preset.as_str());
    let response_headers = answer_changes(changes, &at.key("response_headers"), fields.problems);
    let compression = section(&mut fields, "compression", message.compression.as_ref(), compression);
    let address_lists = fields.address_lists(message.address_lists.as_ref());
    let auth = section(&mut fields, "auth", message.auth.as_ref(), route_auth);
    let rate_limit = section(&mut fields, "rate_limit", message.rate_limit.as_ref(), rate_limit);
    let concurrency = section(&mut fields, "concurrency", message.concurrency.as_ref(), concurrency);
    let breaker = message.circuit_breaker.as_ref();
    let circuit_breaker = section(&mut fields, "circuit_breaker", breaker, circuit_breaker);
    let timeouts = section(&mut fields, "timeouts", message.timeouts.as_ref(), timeouts);
    let retry = section(&mut fields, "retry", message.retry.as_ref(), retry);
    let hedge = section(&mut fields, "hedge", message.hedge.as_ref(), hedge);
    let cors = section(&mut fields, "cors", message.cors.as_ref(), cors);
    let max_header_bytes = own_bytes(&mut fields, "max_header_bytes", message.max_header_bytes);
    let max_body_bytes = own_bytes(&mut fields, "max_body_bytes", message.max_body_bytes);
    let route = Route {
        name: name?,
        matches: matches?,
        destination: destination?,
        mirror: mirror.ok()?.map(Box::new),
        path_change: path_change?,
        host_rewrite: host_rewrite?,
        request_headers: request_headers.ok()?.unwrap_or_default(),
        response_headers: response_headers?,
        compression: compression.ok()?.map(Box::new),
        address_lists: address_lists?,
        auth_required: message.auth_required,
        auth: auth.ok()?,
        rate_limit: rate_limit.ok()?.map(Box::new),
        concurrency: concurrency.ok()?.unwrap_or_default(),
        circuit_breaker: circuit_breaker.ok()?.map(Box::new),
        timeouts: timeouts.ok()?.unwrap_or_default(),
        retry: retry.ok()?.map(Box::new),
        hedge: hedge.ok()?,
        cors: cors.ok()?.map(Box::new),
        max_header_bytes: max_header_bytes.ok()?,
        max_body_bytes: max_body_bytes.ok()?,
    };
    checked(route, &mut Fields { at: *at, problems })
}

/// The route, if its parts go together.
fn checked(route: Route, fields: &mut Fields<'_, '_>) -> Option<Route> {
    let errors = match route.checked() {
        Ok(route) => return Some(route),
        Err(errors) => errors,
    };
    for PolicyError { key, error } in errors {
        fields.take::<()>(key, Err(error));
    }
    None
}

/// What becomes of the path: at most one of both says it.
fn path_change(
    stripped: &str,
    rewrite: Option<PathRewrite>,
    fields: &mut Fields<'_, '_>,
) -> Option<PathChange> {
    match (stripped, rewrite) {
        ("", None) => Some(PathChange::None),
        ("", Some(rewrite)) => Some(PathChange::Rewrite(rewrite.into())),
        (text, None) => fields.take("strip_prefix", PathPrefix::new(text)).map(PathChange::Strip),
        _ => fields.take("rewrite", Err(ValueError::PathChangedTwice)),
    }
}

/// Where the route's requests go: exactly one of the fields says it.
fn destination(message: &v1::Route, fields: &mut Fields<'_, '_>) -> Option<Destination> {
    let at = fields.at;
    let own = (&message.redirect, &message.respond);
    match (message.upstream.as_str(), message.backend.as_str(), &message.split, own) {
        ("", "", None, (Some(message), None)) => redirect(message, &at.key("redirect"), fields.problems)
            .map(|redirect| Destination::Redirect(redirect.into())),
        ("", "", None, (None, Some(message))) => {
            fixed_answer(message, &at.key("respond"), fields.problems).map(Destination::Respond)
        }
        ("", "", Some(message), (None, None)) => {
            split(message, &at, fields.problems).map(|split| Destination::Split(split.into()))
        }
        (url, "", None, (None, None)) => {
            fields.take("upstream", UpstreamUrl::new(url)).map(Destination::Upstream)
        }
        ("", name, None, (None, None)) => {
            fields.take("backend", BackendName::new(name)).map(Destination::Backend)
        }
        _ => fields.take("backend", Err(ValueError::SeveralDestinations)),
    }
}

/// A message that may be absent. What is there must be readable.
fn section<M, T>(
    fields: &mut Fields<'_, '_>,
    key: &str,
    message: Option<&M>,
    read: impl FnOnce(&M, &KeyPath<'_>, &mut Problems) -> Option<T>,
) -> Result<Option<T>, Reported> {
    let at = fields.at;
    match message {
        None => Ok(None),
        Some(message) => read(message, &at.key(key), fields.problems).map(Some).ok_or(Reported),
    }
}

/// A number of bytes that a route has for itself; 0: it has none.
fn own_bytes(fields: &mut Fields<'_, '_>, key: &str, bytes: u64) -> Result<Option<ByteCount>, Reported> {
    if bytes == 0 { Ok(None) } else { fields.take(key, ByteCount::new(bytes)).map(Some).ok_or(Reported) }
}
