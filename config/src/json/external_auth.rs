//! The service that is asked about a route's requests, as operators read it.

use apigw_proto::v1;
use serde::Serialize;

use super::Number;

/// A service that says whether requests may pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct ExternalAuthJson {
    pub url: String,
    pub timeout_seconds: Number,
    pub request_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forward_headers: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_header: String,
    pub on_failure: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<ServiceCacheJson>,
}

/// For how long its yes holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct ServiceCacheJson {
    pub ttl_seconds: Number,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}

impl From<v1::ExternalAuth> for ExternalAuthJson {
    fn from(service: v1::ExternalAuth) -> Self {
        let v1::ExternalAuth {
            url,
            timeout_us,
            request_headers,
            forward_headers,
            user_header,
            on_failure,
            cache,
        } = service;
        let timeout_seconds = Number::seconds(timeout_us);
        let cache = cache.map(Into::into);
        Self { url, timeout_seconds, request_headers, forward_headers, user_header, on_failure, cache }
    }
}

impl From<v1::ServiceCache> for ServiceCacheJson {
    fn from(cache: v1::ServiceCache) -> Self {
        let v1::ServiceCache { ttl_us, ignore } = cache;
        Self { ttl_seconds: Number::seconds(ttl_us), ignore }
    }
}
