//! Cells that one thread counts in and others read.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::proto::{Bucket, Histogram, Metric};

use super::families::{metric, to_f64};

/// Upper bounds of duration histograms, in seconds: those of Prometheus's own clients, and three below for what a fast
/// upstream takes.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A number that only the thread that owns it changes: no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds; only its owner may.
    pub(crate) fn add(&self, amount: u64) {
        self.set(self.read().wrapping_add(amount));
    }

    /// Takes away; only its owner may.
    pub(crate) fn subtract(&self, amount: u64) {
        self.set(self.read().wrapping_sub(amount));
    }

    /// Sets; only its owner may.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number; anybody may ask.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// By bound; the last one is above all bounds.
    buckets: [Cell; BOUNDS.len() + 1],
    micros: Cell,
}

impl Durations {
    pub(super) fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].add(1);
        self.micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Durations of several owners together.
#[derive(Debug, Default)]
pub(super) struct DurationSum {
    buckets: [u64; BOUNDS.len() + 1],
    micros: u64,
}

impl DurationSum {
    pub(super) fn add(&mut self, durations: &Durations) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += bucket.read();
        }
        self.micros = self.micros.wrapping_add(durations.micros.read());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buckets.iter().all(|count| *count == 0)
    }

    /// As a histogram.
    pub(super) fn metric(&self, labels: &[(&str, &str)]) -> Metric {
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (bound, count) in BOUNDS.iter().zip(&self.buckets) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(self.buckets.iter().sum());
        histogram.set_sample_sum(to_f64(self.micros) / 1e6);
        let mut metric = metric(labels);
        metric.set_histogram(histogram);
        metric
    }
}

/// Counts by reason code. The codes are a closed set; the lock is one that hardly anybody else ever holds.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Mutex<BTreeMap<&'static str, u64>>);

impl Reasons {
    pub(crate) fn add(&self, reason: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Adds what was counted to a sum.
    pub(crate) fn add_to(&self, sum: &mut BTreeMap<&'static str, u64>) {
        for (reason, count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            *sum.entry(reason).or_default() += count;
        }
    }
}
