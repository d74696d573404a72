//! The answer of a route that asks nobody.

use apigw_engine::{
    head::RequestHead,
    own_answer::{OwnAnswer, Reply},
    path::NormalPath,
    rejection::Rejection,
    snapshot::{Route, Snapshot},
};
use http::header::{CONTENT_TYPE, LOCATION};

use super::{record::Record, response::Response, response_body::Source};
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
    let scheme = client.peer.client_scheme(&head.headers, &server.trusted_proxies);
    let Reply { status, location, content_type, body } =
        answer.reply(route.config, head, path, scheme, server.paths)?;
    record.set_status(status);
    let mut response = Response::new(status, Source::Own(body));
    response.headers.extend(location.map(|location| (LOCATION, location)));
    response.headers.extend(content_type.map(|media_type| (CONTENT_TYPE, media_type)));
    Ok(response)
}
