//! The answer of a route that asks nobody.

use apigw_engine::{
    client::client_scheme,
    head::RequestHead,
    own_answer::{OwnAnswer, Reply},
    path::NormalPath,
    rejection::Rejection,
    snapshot::{Route, Snapshot},
};
use http::header::{CONTENT_TYPE, LOCATION};

use super::{forwarding::X_FORWARDED_PROTO, record::Record, response::Response, response_body::Source};
use crate::connection::Client;

pub(super) fn reply(
    answer: &OwnAnswer,
    (client, snapshot): (&Client, &Snapshot),
    record: &mut Record,
    route: &Route<'_>,
    head: &RequestHead,
    path: &NormalPath<'_>,
) -> Result<Response<Source>, Rejection> {
    let server = &snapshot.settings().server;
    let told = head.headers.get(X_FORWARDED_PROTO).and_then(|told| told.to_str().ok());
    let scheme = client_scheme((client.peer.address(), client.peer.scheme()), told, &server.trusted_proxies);
    let Reply { status, location, content_type, body } =
        answer.reply(route.config, head, path, scheme, server.paths)?;
    record.set_status(status);
    let mut response = Response::new(status, Source::Own(body));
    response.headers.extend(location.map(|location| (LOCATION, location)));
    response.headers.extend(content_type.map(|media_type| (CONTENT_TYPE, media_type)));
    Ok(response)
}
