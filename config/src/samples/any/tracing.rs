//! Any section about traces.

use proptest::{prelude::*, sample::select};

use crate::{
    model::Tracing,
    names::{CollectorUrl, SampleRatio},
};

pub(super) fn any_tracing() -> impl Strategy<Value = Tracing> {
    let endpoint = select(vec!["http://127.0.0.1:4317", "https://otel.internal", "unix:/run/otel.sock"]);
    (endpoint, 0.0..=1.0).prop_map(|(endpoint, ratio)| Tracing {
        otlp_endpoint: CollectorUrl::new(endpoint).unwrap(),
        sample_ratio: SampleRatio::new(ratio).unwrap(),
    })
}
