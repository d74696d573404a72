//! `routes[].mirror`: a backend that is shown a route's requests. Nothing here shows one.

use crate::names::{BackendName, Percent};

/// Who is sent copies of a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// The name of a backend of the configuration.
    pub backend: BackendName,
    /// Of how many of the requests.
    pub percent: Percent,
}

impl Mirror {
    /// All requests.
    pub const DEFAULT_PERCENT: Percent = Percent::literal(100);
}
