//! What checks in a row say of an endpoint. Nothing here asks it.

use std::fmt;

use apigw_config::model::ActiveCheck;
use http::StatusCode;

use super::Change;
use crate::rejection::{Rejection, UpstreamFailure};

/// Why a check was not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    /// There was no answer, or no connection.
    NoAnswer(UpstreamFailure),
    /// The answer was not that of one that is well.
    Status(StatusCode),
}

impl fmt::Display for CheckFailure {
    /// The word that the access log has for such an upstream, or `status_` and the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(failure) => f.write_str(Rejection::from(*failure).answer().reason),
            Self::Status(status) => write!(f, "status_{}", status.as_u16()),
        }
    }
}

/// What was found out so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checked {
    /// Why the last failed check failed; none: the endpoint is well, or nobody has found otherwise.
    unwell: Option<CheckFailure>,
    /// How many checks in a row, up to the last one, say otherwise.
    against: u32,
    has_begun: bool,
}

impl Checked {
    /// Checks begin anew. What is known is believed until the first of them.
    pub(super) fn begin(&mut self) {
        *self = Self { unwell: self.unwell, ..Self::default() };
    }

    /// Why it is not well; none: it is.
    pub(super) fn unwell(self) -> Option<CheckFailure> {
        self.unwell
    }

    /// The first check decides alone: an endpoint that comes up broken is not to be given requests until it has failed
    /// often enough, nor is one that is well to be waited for.
    pub(super) fn take(&mut self, outcome: Result<(), CheckFailure>, check: &ActiveCheck) -> Option<Change> {
        let needed = match self.unwell {
            _ if !self.has_begun => 1,
            None => check.unhealthy_threshold().get(),
            Some(_) => check.healthy_threshold().get(),
        };
        self.has_begun = true;
        match (self.unwell, outcome) {
            (None, Ok(())) => {
                self.against = 0;
                None
            }
            (Some(_), Err(failure)) => {
                (self.unwell, self.against) = (Some(failure), 0);
                None
            }
            (None, Err(_)) | (Some(_), Ok(())) if self.against + 1 < needed => {
                self.against += 1;
                None
            }
            (None, Err(failure)) => {
                (self.unwell, self.against) = (Some(failure), 0);
                Some(Change::BecameUnhealthy(failure))
            }
            (Some(_), Ok(())) => {
                (self.unwell, self.against) = (None, 0);
                Some(Change::BecameHealthy)
            }
        }
    }
}
