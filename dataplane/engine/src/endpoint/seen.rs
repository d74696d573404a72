//! What an operator sees of an endpoint.

use std::time::Duration;

use super::{CheckFailure, CheckTally};

/// What an operator sees of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointSeen {
    /// Whether it is given requests.
    pub standing: Standing,
    /// Since when; none: from the beginning.
    pub since: Option<Duration>,
    /// How often it was asked.
    pub checks: CheckTally,
    /// How often it was ejected.
    pub ejections: u64,
}

/// Whether an endpoint is given requests, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is.
    #[default]
    Healthy,
    /// Checks say that it is not well.
    Unhealthy(CheckFailure),
    /// It has failed requests, and is given none until then.
    Ejected(Duration),
    /// It is to finish what it is at.
    Draining(DrainedBy),
}

/// Who says that an endpoint drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainedBy {
    /// The configuration, whoever else does.
    File,
    /// Somebody, by name of the endpoint.
    Operator,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy(_) => "unhealthy",
            Self::Ejected(_) => "ejected",
            Self::Draining(_) => "draining",
        }
    }

    /// Why it is not healthy, in a word; none: it is.
    #[must_use]
    pub fn reason(self) -> Option<String> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy(failure) => Some(failure.to_string()),
            Self::Ejected(_) => Some("requests_failed".into()),
            Self::Draining(DrainedBy::File) => Some("configured".into()),
            Self::Draining(DrainedBy::Operator) => Some("operator".into()),
        }
    }
}
