//! Reads where a peer has traces sent.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::Tracing,
    names::{CollectorUrl, SampleRatio},
    problem::{KeyPath, Problems},
};

pub(super) fn tracing(message: &v1::Tracing, problems: &mut Problems) -> Option<Tracing> {
    let v1::Tracing { otlp_endpoint, sample_ratio } = message;
    let mut fields = Fields { at: KeyPath::Top.key("tracing"), problems };
    let otlp_endpoint = fields.take("otlp_endpoint", CollectorUrl::new(otlp_endpoint));
    let sample_ratio = fields.take("sample_ratio", SampleRatio::new(*sample_ratio));
    Some(Tracing { otlp_endpoint: otlp_endpoint?, sample_ratio: sample_ratio? })
}
