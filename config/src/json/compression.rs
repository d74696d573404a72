//! Which answers of a route are compressed, as operators see it in JSON.

use apigw_proto::v1;
use serde::Serialize;

/// A route's compression, where it is enabled.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct CompressionJson {
    pub enabled: bool,
    pub algorithms: Vec<String>,
    pub min_bytes: u64,
    pub content_types: Vec<String>,
}

impl From<v1::Compression> for CompressionJson {
    fn from(compression: v1::Compression) -> Self {
        let v1::Compression { algorithms, min_bytes, content_types } = compression;
        Self { enabled: true, algorithms, min_bytes, content_types }
    }
}
