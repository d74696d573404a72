//! Any compression of answers.

use proptest::{prelude::*, sample::select};

use super::any_bytes;
use crate::{
    model::Compression,
    names::{ContentCoding, ContentCodings, MediaRanges},
};

pub(super) fn any_compression() -> impl Strategy<Value = Compression> {
    let codings =
        prop::sample::subsequence(ContentCoding::ALL.to_vec(), 1..=ContentCoding::ALL.len()).prop_shuffle();
    let ranges = select(vec!["text/*", "application/json", "application/*+xml"]);
    let ranges = prop::collection::vec(ranges.prop_map(|text| text.parse().unwrap()), 1..4);
    (codings, any_bytes(), ranges).prop_map(|(codings, min_bytes, ranges)| Compression {
        algorithms: ContentCodings::new(codings).unwrap(),
        min_bytes,
        content_types: MediaRanges::new(ranges).unwrap(),
    })
}
