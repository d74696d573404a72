//! Reads which service a peer has asked about a route's requests.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{ExternalAuth, PolicyError, ServiceCache},
    names::UpstreamUrl,
    problem::{KeyPath, Problems},
};

pub(super) fn external_auth(
    message: &v1::ExternalAuth,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<ExternalAuth> {
    let v1::ExternalAuth {
        url,
        timeout_us,
        request_headers,
        forward_headers,
        user_header,
        on_failure,
        cache,
    } = message;
    let cache = match cache {
        None => Some(None),
        Some(cache) => service_cache(cache, at, problems).map(Some),
    };
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
        cache: cache?,
    };
    judged(service.checked(), &mut fields)
}

fn service_cache(
    message: &v1::ServiceCache,
    service: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<ServiceCache> {
    let v1::ServiceCache { ttl_us, ignore } = message;
    let mut fields = Fields { at: service.key("cache"), problems };
    let ttl = fields.period("ttl_seconds", *ttl_us);
    let ignore = fields.parse_all("ignore", ignore);
    let cache = ServiceCache { ttl: ttl?, ignore: ignore? };
    judged(cache.checked(), &mut fields)
}

fn judged<T>(judgement: Result<T, Vec<PolicyError>>, fields: &mut Fields<'_, '_>) -> Option<T> {
    let report = |errors: Vec<PolicyError>| {
        for PolicyError { key, error } in errors {
            fields.take::<()>(key, Err(error));
        }
    };
    judgement.map_err(report).ok()
}
