//! The keys that say which answers of a route are compressed, by the same rules.

use apigw_proto::v1;

use super::Keys;

impl Keys {
    pub(super) fn compression(&mut self, compression: v1::Compression) {
        let v1::Compression { algorithms, min_bytes, content_types } = compression;
        self.truth("compression.enabled", true);
        self.list("compression.algorithms", algorithms);
        self.count("compression.min_bytes", min_bytes);
        self.list("compression.content_types", content_types);
    }
}
