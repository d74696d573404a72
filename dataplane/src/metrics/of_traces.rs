//! What is counted of traces.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::families::{counter, counters};
use crate::traces::{Loss, Tally};

/// Tells what became of spans.
#[derive(Debug)]
pub(crate) struct TraceSeries(pub(crate) Arc<Tally>);

impl Collector for TraceSeries {
    fn desc(&self) -> Vec<&Desc> {
        // Descriptions only serve a registry, which would tell collectors apart by them; here is none.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let lost = |loss: Loss| counter(&[("reason", loss.label())], self.0.lost(loss));
        vec![
            counters(
                "apigw_trace_spans_exported_total",
                "Spans that the collector was told.",
                vec![counter(&[], self.0.exported())],
            ),
            counters(
                "apigw_trace_spans_dropped_total",
                "Spans that the collector was not told.",
                Loss::ALL.map(lost).to_vec(),
            ),
        ]
    }
}
