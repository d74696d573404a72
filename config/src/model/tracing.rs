//! Which traces are collected, and where. Nothing here collects one.

use crate::names::{CollectorUrl, SampleRatio};

/// `tracing`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// Where spans are sent.
    pub otlp_endpoint: CollectorUrl,
    /// Of the requests that are part of no trace yet; of others whoever began it has decided.
    pub sample_ratio: SampleRatio,
}
