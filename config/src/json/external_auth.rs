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
}

impl From<v1::ExternalAuth> for ExternalAuthJson {
    fn from(service: v1::ExternalAuth) -> Self {
        let v1::ExternalAuth { url, timeout_us, request_headers, forward_headers, user_header, on_failure } =
            service;
        let timeout_seconds = Number::seconds(timeout_us);
        Self { url, timeout_seconds, request_headers, forward_headers, user_header, on_failure }
    }
}
