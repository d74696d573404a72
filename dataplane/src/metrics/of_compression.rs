//! What is counted of answers that are compressed.

use std::sync::Arc;

use apigw_config::names::ContentCoding;
use prometheus::proto::{Metric, MetricFamily};

use super::{
    cells::Cell,
    families::{counter, counters},
    of_worker::WorkerCounters,
};

/// Of one worker. Only that worker may call what counts.
#[derive(Debug, Default)]
pub(crate) struct CompressionCounters {
    brotli: CodingCounters,
    zstandard: CodingCounters,
    gzip: CodingCounters,
    /// Answers that would have been compressed, if not as many had been as may at once.
    pub(crate) declined: Cell,
}

/// Of one coding.
#[derive(Debug, Default)]
pub(crate) struct CodingCounters {
    /// Answers that were begun.
    pub(crate) answers: Cell,
    /// What came of them.
    pub(crate) input_bytes: Cell,
    /// What it became.
    pub(crate) output_bytes: Cell,
}

impl CompressionCounters {
    pub(crate) fn of(&self, coding: ContentCoding) -> &CodingCounters {
        match coding {
            ContentCoding::Brotli => &self.brotli,
            ContentCoding::Zstandard => &self.zstandard,
            ContentCoding::Gzip => &self.gzip,
        }
    }
}

/// The sums over all workers.
pub(super) fn families(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
    let by_algorithm = |cell: fn(&CodingCounters) -> &Cell| -> Vec<Metric> {
        let sum = |coding| workers.iter().map(|worker| cell(worker.compression.of(coding)).read()).sum();
        let metric = |coding: ContentCoding| counter(&[("algorithm", coding.as_str())], sum(coding));
        ContentCoding::ALL.map(metric).to_vec()
    };
    let declined = workers.iter().map(|worker| worker.compression.declined.read()).sum();
    vec![
        counters(
            "apigw_compressed_answers_total",
            "Answers that were compressed.",
            by_algorithm(|counters| &counters.answers),
        ),
        counters(
            "apigw_compression_input_bytes_total",
            "Bytes of answers before they were compressed.",
            by_algorithm(|counters| &counters.input_bytes),
        ),
        counters(
            "apigw_compression_output_bytes_total",
            "Bytes of answers after they were compressed.",
            by_algorithm(|counters| &counters.output_bytes),
        ),
        counters(
            "apigw_compression_declined_total",
            "Answers not compressed because as many were as may be at once.",
            vec![counter(&[], declined)],
        ),
    ]
}
