//! Reads which service a peer has asked about a route's requests.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{ExternalAuth, PolicyError},
    names::UpstreamUrl,
    problem::{KeyPath, Problems},
};

pub(super) fn external_auth(
    message: &v1::ExternalAuth,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<ExternalAuth> {
    let v1::ExternalAuth { url, timeout_us, request_headers, forward_headers, user_header, on_failure } =
        message;
    let mut fields = Fields { at: *at, problems };
    let url = fields.take("url", UpstreamUrl::new(url));
    let timeout = fields.period("timeout_seconds", *timeout_us);
    let request_headers = fields.parse_all("request_headers", request_headers);
    let forward_headers = fields.parse_all("forward_headers", forward_headers);
    let user_header = match user_header.as_str() {
        "" => Some(None),
        name => fields.take("user_header", name.parse()).map(Some),
    };
    let on_failure = fields.take("on_failure", on_failure.parse());
    let service = ExternalAuth {
        url: url?,
        timeout: timeout?,
        request_headers: request_headers?,
        forward_headers: forward_headers?,
        user_header: user_header?,
        on_failure: on_failure?,
    };
    let report = |errors: Vec<PolicyError>| {
        for PolicyError { key, error } in errors {
            fields.take::<()>(key, Err(error));
        }
    };
    service.checked().map_err(report).ok()
}
