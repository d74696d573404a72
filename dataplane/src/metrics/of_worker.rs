//! What is counted of one worker's connections.

use std::{collections::BTreeMap, sync::Arc};

use prometheus::proto::{Metric, MetricFamily};

use super::{
    cells::{Cell, Reasons},
    families::{counter, counters, gauge, gauges, to_f64},
    of_compression::CompressionCounters,
};

/// What one worker counts beside requests. Only that worker may call what counts.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    /// Connections of clients since the start.
    pub(crate) accepted: Cell,
    /// Connections of clients that there was no place for.
    pub(crate) turned_away: Cell,
    /// Times that the system gave no connection although one was there.
    pub(crate) failed_accepts: Cell,
    /// Connections of clients now.
    pub(crate) open: Cell,
    /// Connections to upstreams that were made.
    pub(crate) connects: Cell,
    /// And those that could not be.
    pub(crate) failed_connects: Cell,
    /// Handshakes with upstreams that failed, or took too long.
    pub(crate) failed_upstream_handshakes: Cell,
    /// Requests sent a second time, on another connection.
    pub(crate) repetitions: Cell,
    /// Connections to upstreams that wait for a request.
    pub(crate) idle_upstream: Cell,
    /// Connections to the rate limit server.
    pub(crate) rate_limit_connections: Cell,
    /// What is made of answers.
    pub(crate) compression: CompressionCounters,
    rate_limit_backend_failures: Reasons,
    /// By outcome.
    handshakes: Reasons,
    /// By outcome.
    proxy_headers: Reasons,
}

/// How it ended that a proxy was to say whom a connection is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeaderOutcome {
    /// It did.
    Success,
    /// It went away.
    Closed,
    /// It said something else.
    Malformed,
    /// It took too long.
    Timeout,
}

impl ProxyHeaderOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
        }
    }
}

/// How a client's handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeOutcome {
    /// Requests can be read.
    Success,
    /// The two do not come together, or the client went away.
    Failure,
    /// It took too long.
    Timeout,
    /// The client does not speak TLS.
    InClear,
}

impl HandshakeOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::InClear => "in_clear",
        }
    }
}

impl WorkerCounters {
    /// Counts a request that the rate limit server gave no decision for.
    pub(crate) fn rate_limit_backend_failed(&self, reason: &'static str) {
        self.rate_limit_backend_failures.add(reason);
    }

    /// Counts the end of a client's handshake.
    pub(crate) fn handshake_ended(&self, outcome: HandshakeOutcome) {
        self.handshakes.add(outcome.label());
    }

    /// Counts the end of a header of the PROXY protocol.
    pub(crate) fn proxy_header_ended(&self, outcome: ProxyHeaderOutcome) {
        self.proxy_headers.add(outcome.label());
    }

    /// Counts a client's connection for as long as the result lives.
    pub(crate) fn client_connected(self: &Arc<Self>) -> OpenConnection {
        self.accepted.add(1);
        self.open.add(1);
        OpenConnection(Arc::clone(self))
    }
}

/// A client's connection that counts as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<WorkerCounters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.subtract(1);
    }
}

/// Failures of the rate limit server, by reason.
pub(super) fn backend_failures(workers: &[Arc<WorkerCounters>]) -> BTreeMap<&'static str, u64> {
    let mut sum = BTreeMap::new();
    workers.iter().for_each(|worker| worker.rate_limit_backend_failures.add_to(&mut sum));
    sum
}

/// The sums over all workers.
pub(super) fn families(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
    [of_clients(workers), of_upstreams(workers), of_rate_limits(workers)].concat()
}

/// What all workers have counted in a cell.
fn sum(workers: &[Arc<WorkerCounters>], cell: fn(&WorkerCounters) -> &Cell) -> u64 {
    workers.iter().map(|worker| cell(worker).read()).sum()
}

fn of_clients(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
    vec![
        counters(
            "apigw_tls_handshakes_total",
            "Handshakes of clients that ended.",
            by_outcome(workers, |worker| &worker.handshakes),
        ),
        counters(
            "apigw_proxy_protocol_headers_total",
            "Headers of the PROXY protocol that were awaited.",
            by_outcome(workers, |worker| &worker.proxy_headers),
        ),
        counters(
            "apigw_client_connections_total",
            "Connections of clients that were accepted.",
            vec![counter(&[], sum(workers, |worker| &worker.accepted))],
        ),
        counters(
            "apigw_client_connections_refused_total",
            "Connections of clients above the most that there may be.",
            vec![counter(&[], sum(workers, |worker| &worker.turned_away))],
        ),
        counters(
            "apigw_accept_failures_total",
            "Times that no connection could be accepted, as without file descriptors.",
            vec![counter(&[], sum(workers, |worker| &worker.failed_accepts))],
        ),
        gauges(
            "apigw_client_connections",
            "Connections of clients now.",
            vec![gauge(&[], to_f64(sum(workers, |worker| &worker.open)))],
        ),
    ]
}

/// What all workers have counted, a counter for each outcome.
fn by_outcome(workers: &[Arc<WorkerCounters>], counted: fn(&WorkerCounters) -> &Reasons) -> Vec<Metric> {
    let mut sums = BTreeMap::new();
    workers.iter().for_each(|worker| counted(worker).add_to(&mut sums));
    sums.iter().map(|(outcome, count)| counter(&[("outcome", outcome)], *count)).collect()
}

fn of_upstreams(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
    vec![
        counters(
            "apigw_upstream_connects_total",
            "Attempts to connect to an upstream.",
            vec![
                counter(&[("outcome", "success")], sum(workers, |worker| &worker.connects)),
                counter(&[("outcome", "failure")], sum(workers, |worker| &worker.failed_connects)),
            ],
        ),
        counters(
            "apigw_upstream_tls_failures_total",
            "Handshakes with upstreams that failed.",
            vec![counter(&[], sum(workers, |worker| &worker.failed_upstream_handshakes))],
        ),
        counters(
            "apigw_upstream_repetitions_total",
            "Requests sent once more because a kept connection had been closed.",
            vec![counter(&[], sum(workers, |worker| &worker.repetitions))],
        ),
        gauges(
            "apigw_upstream_idle_connections",
            "Connections to upstreams that wait for a request.",
            vec![gauge(&[], to_f64(sum(workers, |worker| &worker.idle_upstream)))],
        ),
    ]
}

fn of_rate_limits(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
    let failures = backend_failures(workers);
    let failures = failures.iter().map(|(reason, count)| counter(&[("reason", reason)], *count));
    vec![
        gauges(
            "apigw_rate_limit_backend_connections",
            "Workers that are connected to the rate limit server.",
            vec![gauge(&[], to_f64(sum(workers, |worker| &worker.rate_limit_connections)))],
        ),
        counters(
            "apigw_rate_limit_backend_failures_total",
            "Requests that the rate limit server gave no decision for.",
            failures.collect(),
        ),
    ]
}
