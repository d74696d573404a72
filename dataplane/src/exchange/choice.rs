//! Which endpoint a request goes to, and how its client is kept with the one that answers it. Which one that is the engine
//! says.

use apigw_config::names::Scheme;
use apigw_engine::{
    fields::Fields,
    snapshot::{Affinity, Backend, Endpoint, Snapshot},
};
use http::header::SET_COOKIE;

use super::record::Record;
use crate::{connection::Client, worker::Worker};

/// The endpoint that a request goes to first, and what it is found by once more.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) backend: &'a Backend,
    pub(super) endpoint: &'a Endpoint,
    pub(super) affinity: Affinity,
    /// How the client speaks, as far as somebody wants to know.
    scheme: Scheme,
}

/// Chooses by what the request says before its route changes any of its fields. A cookie that says so stays here.
pub(super) fn choose<'a>(
    worker: &Worker,
    client: &Client,
    snapshot: &Snapshot,
    backend: &'a Backend,
    record: &Record,
    headers: &mut Fields,
) -> Choice<'a> {
    let affinity = backend.take_affinity(headers, record.client());
    let endpoint = worker.endpoint(backend, affinity);
    let scheme = if backend.has_sessions() {
        client.peer.scheme_of_client(headers, &snapshot.settings().server.trusted_proxies)
    } else {
        client.peer.scheme()
    };
    Choice { backend, endpoint, affinity, scheme }
}

impl Choice<'_> {
    /// Has the client come back to the endpoint that has answered, if it would not.
    pub(super) fn keep_client(&self, record: &Record, headers: &mut Fields) {
        if !self.backend.has_sessions() {
            return;
        }
        let answered = record.upstream().map(|upstream| upstream.id);
        let cookie = answered.and_then(|id| self.backend.set_cookie(self.affinity, id, self.scheme));
        headers.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
}
