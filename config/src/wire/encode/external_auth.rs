//! The service that is asked about a route's requests.

use apigw_proto::v1;

use crate::model::{ExternalAuth, ServiceCache};

impl From<&ExternalAuth> for v1::ExternalAuth {
    fn from(service: &ExternalAuth) -> Self {
        let ExternalAuth { url, timeout, request_headers, forward_headers, user_header, on_failure, cache } =
            service;
        Self {
            url: url.as_str().into(),
            timeout_us: timeout.micros(),
            request_headers: request_headers.iter().map(ToString::to_string).collect(),
            forward_headers: forward_headers.iter().map(|header| header.name().to_string()).collect(),
            user_header: user_header.as_ref().map_or_else(String::new, ToString::to_string),
            on_failure: on_failure.as_str().into(),
            cache: cache.as_ref().map(Into::into),
        }
    }
}

impl From<&ServiceCache> for v1::ServiceCache {
    fn from(cache: &ServiceCache) -> Self {
        let ServiceCache { ttl, ignore } = cache;
        Self { ttl_us: ttl.micros(), ignore: ignore.iter().map(|part| part.as_str().into()).collect() }
    }
}
