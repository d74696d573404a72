//! Whose certificates make a route's callers known, as operators read it.

use apigw_proto::v1;
use serde::Serialize;

/// Names, one of which a certificate must have.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct MtlsJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub common_names: Vec<String>,
}

impl From<v1::Mtls> for MtlsJson {
    fn from(mtls: v1::Mtls) -> Self {
        let v1::Mtls { dns_names, uris, emails, common_names } = mtls;
        Self { dns_names, uris, emails, common_names }
    }
}
