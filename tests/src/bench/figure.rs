//! What is measured of a gateway, each kind of figure with its name and unit.

use std::collections::BTreeMap;

/// What one measurement gave.
pub type Sample = BTreeMap<Figure, f64>;

/// A kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Processor time of all of a gateway's processes for a request.
    Cpu,
    /// Of it, in their own code.
    User,
    /// Of it, in the system.
    System,
    /// The processor time, relative to the reference's in the same round.
    Ratio,
    /// Requests in a second at full load.
    Rate,
    /// Half of the answers took no longer, at full load.
    P50,
    /// 99 of 100 took no longer, at full load.
    P99,
    /// Requests in a second, where half of the reference's peak was asked for.
    HalfRate,
    /// Half of the answers took no longer then.
    HalfP50,
    /// 99 of 100 took no longer then.
    HalfP99,
    /// Memory after the load, pages that are shared counted in each process.
    Resident,
    /// Memory after the load, pages that are shared counted once.
    Proportional,
    /// From the start of the program to its first 200.
    Ready,
    /// Connections that wait.
    Waiting,
    /// Memory for each of them, pages that are shared counted in each process.
    ResidentEach,
    /// Memory for each of them, pages that are shared counted once.
    ProportionalEach,
    /// Edits.
    Changes,
    /// Requests that failed meanwhile.
    Failed,
    /// From the save until half of the edits were in force for everybody.
    EnforcedP50,
    /// The same for 99 of 100.
    EnforcedP99,
    /// The same for the last.
    EnforcedMost,
    /// 99 of 100 answers took no longer, without edits.
    CalmP99,
    /// 99 of 100 answers took no longer, with edits.
    ChangingP99,
    /// The latter relative to the former.
    Slowdown,
}

/// What is shown of a cost.
pub const OF_COST: &[Figure] = &[
    Figure::Cpu,
    Figure::User,
    Figure::System,
    Figure::Ratio,
    Figure::Rate,
    Figure::P50,
    Figure::P99,
    Figure::Resident,
    Figure::Proportional,
    Figure::Ready,
];

/// What is shown of a cost and of latencies.
pub const OF_COST_AND_LATENCY: &[Figure] = &[
    Figure::Cpu,
    Figure::User,
    Figure::System,
    Figure::Ratio,
    Figure::Rate,
    Figure::P50,
    Figure::P99,
    Figure::HalfRate,
    Figure::HalfP50,
    Figure::HalfP99,
    Figure::Resident,
    Figure::Proportional,
    Figure::Ready,
];

/// What is shown of connections that wait.
pub const OF_IDLE: &[Figure] = &[
    Figure::Waiting,
    Figure::ResidentEach,
    Figure::ProportionalEach,
    Figure::Resident,
    Figure::Proportional,
];

/// What is shown of edits.
pub const OF_RELOAD: &[Figure] = &[
    Figure::Changes,
    Figure::Failed,
    Figure::EnforcedP50,
    Figure::EnforcedP99,
    Figure::EnforcedMost,
    Figure::CalmP99,
    Figure::ChangingP99,
    Figure::Slowdown,
    Figure::Resident,
];

impl Figure {
    /// What stands above its column.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs/request",
            Self::User => "user",
            Self::System => "system",
            Self::Ratio => "ratio",
            Self::Rate => "requests/s",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::HalfRate => "at requests/s",
            Self::HalfP50 => "p50 ms then",
            Self::HalfP99 => "p99 ms then",
            Self::Resident => "RSS MiB",
            Self::Proportional => "PSS MiB",
            Self::Ready => "ready ms",
            Self::Waiting => "connections",
            Self::ResidentEach => "RSS KiB each",
            Self::ProportionalEach => "PSS KiB each",
            Self::Changes => "edits",
            Self::Failed => "failed requests",
            Self::EnforcedP50 => "in force p50 ms",
            Self::EnforcedP99 => "p99 ms",
            Self::EnforcedMost => "longest ms",
            Self::CalmP99 => "answers p99 ms without edits",
            Self::ChangingP99 => "with edits",
            Self::Slowdown => "ratio",
        }
    }

    /// What it is called in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_us_per_request",
            Self::User => "user_us_per_request",
            Self::System => "system_us_per_request",
            Self::Ratio => "cpu_ratio_to_reference",
            Self::Rate => "requests_per_second",
            Self::P50 => "p50_ms",
            Self::P99 => "p99_ms",
            Self::HalfRate => "half_requests_per_second",
            Self::HalfP50 => "half_p50_ms",
            Self::HalfP99 => "half_p99_ms",
            Self::Resident => "rss_mib",
            Self::Proportional => "pss_mib",
            Self::Ready => "ready_ms",
            Self::Waiting => "connections",
            Self::ResidentEach => "rss_kib_each",
            Self::ProportionalEach => "pss_kib_each",
            Self::Changes => "edits",
            Self::Failed => "failed",
            Self::EnforcedP50 => "enforced_p50_ms",
            Self::EnforcedP99 => "enforced_p99_ms",
            Self::EnforcedMost => "enforced_longest_ms",
            Self::CalmP99 => "p99_ms_without_edits",
            Self::ChangingP99 => "p99_ms_with_edits",
            Self::Slowdown => "p99_ratio",
        }
    }

    /// Digits behind the point.
    #[must_use]
    pub fn decimals(self) -> usize {
        match self {
            Self::Rate | Self::HalfRate | Self::Ready | Self::Waiting | Self::Changes | Self::Failed => 0,
            Self::Cpu | Self::User | Self::System | Self::Resident | Self::Proportional => 1,
            Self::EnforcedP50 | Self::EnforcedP99 | Self::EnforcedMost => 1,
            Self::Ratio | Self::Slowdown | Self::ResidentEach | Self::ProportionalEach => 2,
            Self::P50 | Self::P99 | Self::HalfP50 | Self::HalfP99 | Self::CalmP99 | Self::ChangingP99 => 2,
        }
    }

    /// What stands beside an axis of a chart.
    #[must_use]
    pub fn axis(self) -> &'static str {
        match self {
            Self::Cpu => "processor time for a request in µs",
            Self::Ratio => "processor time for a request, relative to nginx that only forwards",
            Self::Rate => "requests in a second",
            Self::Proportional => "memory in MiB",
            Self::Ready => "start to first answer in ms",
            Self::ProportionalEach => "memory for each connection in KiB",
            other => other.heading(),
        }
    }
    /// What it is called in the name of a file.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Cpu => "cost",
            Self::Rate => "rate",
            Self::Proportional => "memory",
            Self::Ready => "start",
            other => other.key(),
        }
    }
}
