//! Which answers of a route are compressed.

use apigw_proto::v1;

use crate::model::Compression;

impl From<&Compression> for v1::Compression {
    fn from(Compression { algorithms, min_bytes, content_types }: &Compression) -> Self {
        Self {
            algorithms: algorithms.as_slice().iter().map(ToString::to_string).collect(),
            min_bytes: min_bytes.get(),
            content_types: content_types.as_slice().iter().map(ToString::to_string).collect(),
        }
    }
}
