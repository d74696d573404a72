//! `backends[].health`: how it is found out which endpoints can be sent requests. Nothing here asks one.

use super::{FailureRate, PolicyError};
use crate::names::{CheckCount, Percent, Period, ProbePath, ValueError};

/// `backends[].health`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    /// Each endpoint is asked from time to time; none: it is not.
    pub active: Option<ActiveCheck>,
    /// One that fails the requests it is given is left out for a while; none: it is not.
    pub outlier: Option<Outlier>,
}

/// `backends[].health.active`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCheck {
    probe: Probe,
    interval: Period,
    timeout: Period,
    unhealthy_threshold: CheckCount,
    healthy_threshold: CheckCount,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// For this path, which is to be answered with a status from 200 to 399.
    Http(ProbePath),
    /// To take a connection.
    Tcp,
}

impl ActiveCheck {
    /// Between two checks, where the file says nothing.
    pub const DEFAULT_INTERVAL: Period = Period::seconds(5);
    /// For a check, where the file says nothing.
    pub const DEFAULT_TIMEOUT: Period = Period::seconds(1);
    /// Failed checks that make an endpoint unhealthy, where the file says nothing.
    pub const DEFAULT_UNHEALTHY_THRESHOLD: CheckCount = CheckCount::literal(2);
    /// Passed checks that make it healthy again, where the file says nothing.
    pub const DEFAULT_HEALTHY_THRESHOLD: CheckCount = CheckCount::literal(1);

    /// Shorter pauses would be a load of their own.
    const MIN_INTERVAL: Period = Period::milliseconds(100);

    /// Checks with a pause of `interval` between them, each of which may take as long as `timeout`.
    ///
    /// # Errors
    /// When the pause is below a tenth of a second.
    pub fn new(
        probe: Probe,
        interval: Period,
        timeout: Period,
        unhealthy_threshold: CheckCount,
        healthy_threshold: CheckCount,
    ) -> Result<Self, Vec<PolicyError>> {
        if interval < Self::MIN_INTERVAL {
            let error = ValueError::OutOfRange { range: "from 0.1 to 86400 seconds" };
            return Err(vec![PolicyError { key: "interval_seconds", error }]);
        }
        Ok(Self { probe, interval, timeout, unhealthy_threshold, healthy_threshold })
    }

    /// What is asked.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Between two checks.
    #[must_use]
    pub fn interval(&self) -> Period {
        self.interval
    }

    /// For one check, from the connection to the head of the answer.
    #[must_use]
    pub fn timeout(&self) -> Period {
        self.timeout
    }

    /// How many failed checks in a row make an endpoint unhealthy.
    #[must_use]
    pub fn unhealthy_threshold(&self) -> CheckCount {
        self.unhealthy_threshold
    }

    /// How many passed checks in a row make it healthy again.
    #[must_use]
    pub fn healthy_threshold(&self) -> CheckCount {
        self.healthy_threshold
    }
}

/// `backends[].health.outlier`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    consecutive_failures: u32,
    failure_rate: Option<FailureRate>,
    /// How long an endpoint is left out the first time.
    pub ejection: Period,
    /// The most endpoints that are left out at once, of all of a backend.
    pub max_ejected: Percent,
}

impl Outlier {
    /// Failed requests in a row, where the file says nothing.
    pub const DEFAULT_CONSECUTIVE_FAILURES: u32 = 5;
    /// How long an endpoint is left out the first time, where the file says nothing.
    pub const DEFAULT_EJECTION: Period = Period::seconds(10);
    /// The most endpoints that are left out, where the file says nothing.
    pub const DEFAULT_MAX_EJECTED: Percent = Percent::literal(50);

    /// Endpoints that fail so many requests in a row, or such a share of them; 0 in a row: only the share counts.
    ///
    /// # Errors
    /// When neither would ever be reached.
    pub fn new(
        consecutive_failures: u32,
        failure_rate: Option<FailureRate>,
        ejection: Period,
        max_ejected: Percent,
    ) -> Result<Self, Vec<PolicyError>> {
        if consecutive_failures == 0 && failure_rate.is_none() {
            let error = ValueError::OutOfRange { range: "above 0 without a failure_percent" };
            return Err(vec![PolicyError { key: "consecutive_failures", error }]);
        }
        Ok(Self { consecutive_failures, failure_rate, ejection, max_ejected })
    }

    /// Failed requests in a row; 0: only their share counts.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// The share of failed requests; none: only those in a row count.
    #[must_use]
    pub fn failure_rate(&self) -> Option<FailureRate> {
        self.failure_rate
    }
}
