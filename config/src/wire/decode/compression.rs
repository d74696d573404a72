//! Reads which answers of a peer's route are compressed.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::Compression,
    names::{ByteCount, ContentCodings, MediaRanges},
    problem::{KeyPath, Problems},
};

pub(super) fn compression(
    message: &v1::Compression,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<Compression> {
    let v1::Compression { algorithms, min_bytes, content_types } = message;
    let mut fields = Fields { at: *at, problems };
    let algorithms = fields.parse_all("algorithms", algorithms);
    let algorithms = algorithms.and_then(|list| fields.take("algorithms", ContentCodings::new(list)));
    let min_bytes = fields.take("min_bytes", ByteCount::new(*min_bytes));
    let content_types = fields.parse_all("content_types", content_types);
    let content_types = content_types.and_then(|list| fields.take("content_types", MediaRanges::new(list)));
    Some(Compression { algorithms: algorithms?, min_bytes: min_bytes?, content_types: content_types? })
}
