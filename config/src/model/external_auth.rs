//! `routes[].auth.external`: a service that says whether a request may pass. Nothing here asks one.

use std::{collections::HashSet, str::FromStr};

use super::{PolicyError, ServiceCache};
use crate::names::{ForwardedHeader, HeaderName, Period, UpstreamUrl, ValueError, WritableHeader};

/// A service that is asked about each request of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAuth {
    /// Where it is asked, path included.
    pub url: UpstreamUrl,
    /// How long it may take, connecting included.
    pub timeout: Period,
    /// What it is told of a request's own header fields.
    pub request_headers: Vec<WritableHeader>,
    /// What the upstream is told of the header fields of its answer.
    pub forward_headers: Vec<ForwardedHeader>,
    /// The field of its answer that names the caller; none: it names nobody.
    pub user_header: Option<HeaderName>,
    /// What follows when it says nothing.
    pub on_failure: ServiceFailure,
    /// For how long its yes holds; none: for one request.
    pub cache: Option<ServiceCache>,
}

/// What becomes of a request that the service says nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceFailure {
    /// It passes.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

impl ServiceFailure {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl FromStr for ServiceFailure {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            _ => Err(ValueError::UnknownChoice { choices: "allow, deny", text: text.into() }),
        }
    }
}

impl ExternalAuth {
    /// How long it may take where the file does not say.
    pub const DEFAULT_TIMEOUT: Period = Period::seconds(1);

    /// The longest it may take: each request that waits for it holds memory and a connection.
    pub const MAX_TIMEOUT: Period = Period::seconds(60);

    /// The most header fields, each way.
    pub const MAX_HEADERS: usize = 32;

    /// What it is told where the file does not say: by what most callers make themselves known.
    ///
    /// # Panics
    /// Never: the names are free ones.
    #[must_use]
    pub fn default_request_headers() -> Vec<WritableHeader> {
        let header = |name| WritableHeader::new(name).expect("it is a free name");
        ["authorization", "cookie"].map(header).into()
    }

    /// What it says, if its parts are within their bounds.
    ///
    /// # Errors
    /// Every part that is not.
    pub(crate) fn checked(self) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut report = |key, error| errors.push(PolicyError { key, error });
        if self.timeout > Self::MAX_TIMEOUT {
            report("timeout_seconds", ValueError::OutOfRange { range: "above 0 and at most 60 seconds" });
        }
        let counts = [
            ("request_headers", self.request_headers.len()),
            ("forward_headers", self.forward_headers.len()),
        ];
        for (key, count) in counts.into_iter().filter(|(_, count)| *count > Self::MAX_HEADERS) {
            report(key, ValueError::TooMany { count, limit: Self::MAX_HEADERS });
        }
        let mut spellings = HashSet::new();
        if let Some(twice) = self.forward_headers.iter().find(|header| !spellings.insert(header.spelling())) {
            report("forward_headers", ValueError::Twice { text: twice.name().as_str().into() });
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}
