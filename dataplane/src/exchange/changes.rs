//! What a route changes of header fields, with what is known of the request. Where nothing is changed, nothing is done.

use apigw_config::names::Scheme;
use apigw_engine::{
    answer_changes::ReadyAnswerChanges,
    callers::Caller,
    head::RequestHead,
    header_changes::{Facts, ReadyChanges},
    path::NormalPath,
    snapshot::{Route, Snapshot},
};
use http::header::HOST;

use super::record::Record;
use crate::connection::Client;

/// What becomes of the request's fields. Asked for before the gateway writes its own; made after that.
pub(super) fn of_request(
    client: &Client,
    record: &Record,
    route: &Route<'_>,
    head: &RequestHead,
    path: &NormalPath<'_>,
    caller: Option<&Caller>,
) -> Option<ReadyChanges> {
    let changes = &route.config.request_headers;
    let facts = || Facts { claims: caller.map(Caller::claims), ..facts(client, record, route, head, path) };
    (!changes.is_empty()).then(|| ReadyChanges::new(changes, &facts()))
}

/// Keeps what becomes of the answer, whoever answers.
pub(super) fn of_answer(
    (client, snapshot): (&Client, &Snapshot),
    record: &mut Record,
    route: &Route<'_>,
    head: &RequestHead,
    path: &NormalPath<'_>,
) {
    let changes = &route.config.response_headers;
    if !changes.is_empty() {
        let scheme = client.peer.client_scheme(&head.headers, &snapshot.settings().server.trusted_proxies);
        let changes = ReadyAnswerChanges::new(changes, &facts(client, record, route, head, path), scheme);
        record.answer_fields().set_changes(changes);
    }
    if let Some(rules) = &route.policies.compression {
        record.answer_fields().set_coding(rules.preferred(&head.headers));
    }
}

fn facts<'a>(
    client: &Client,
    record: &'a Record,
    route: &Route<'a>,
    head: &'a RequestHead,
    path: &'a NormalPath<'_>,
) -> Facts<'a> {
    let scheme: Scheme = client.peer.scheme();
    Facts {
        client: record.client(),
        host: head.headers.get(HOST),
        route: route.config.name.as_str(),
        request_id: record.request_id(),
        path: path.as_str(),
        method: &head.method,
        scheme,
        claims: None,
    }
}
