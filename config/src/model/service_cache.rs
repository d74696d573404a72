//! `routes[].auth.external.cache`: for how long a service's yes holds, and for which requests. Nothing here remembers one.

use std::{fmt, str::FromStr};

use super::PolicyError;
use crate::names::{Period, ValueError, check_distinct};

/// For how long and for which requests a service's yes holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCache {
    /// From the question on.
    pub ttl: Period,
    /// What may differ between two requests that one yes holds for.
    pub ignore: Vec<QuestionPart>,
}

/// What a service is told of a request beside the header fields that the file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuestionPart {
    /// Its method.
    Method,
    /// The host that it is for.
    Host,
    /// Its path.
    Path,
    /// Its query.
    Query,
    /// Where it comes from.
    ClientIp,
}

impl QuestionPart {
    /// Each of them once.
    pub const ALL: [Self; 5] = [Self::Method, Self::Host, Self::Path, Self::Query, Self::ClientIp];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::ClientIp => "client_ip",
        }
    }
}

impl fmt::Display for QuestionPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for QuestionPart {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let unknown = || ValueError::UnknownChoice {
            choices: "method, host, path, query, client_ip",
            text: text.into(),
        };
        Self::ALL.into_iter().find(|part| part.as_str() == text).ok_or_else(unknown)
    }
}

impl ServiceCache {
    /// The longest that a yes may hold: so long somebody passes whom the service does not let pass any more.
    pub const MAX_TTL: Period = Period::seconds(3_600);

    /// What it says, if its parts are within their bounds.
    ///
    /// # Errors
    /// Every part that is not.
    pub(crate) fn checked(self) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if self.ttl > Self::MAX_TTL {
            let error = ValueError::OutOfRange { range: "above 0 and at most 3600 seconds" };
            errors.push(PolicyError { key: "ttl_seconds", error });
        }
        if let Err(error) = check_distinct(&self.ignore) {
            errors.push(PolicyError { key: "ignore", error });
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}
