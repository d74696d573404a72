//! When a route's requests are sent again. Nothing here sends one.

use crate::names::{MethodName, Percent, Period, RetryConditions, RetryCount};

/// `routes[].retry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How many attempts a request may have beside the first.
    pub attempts: RetryCount,
    /// After what.
    pub on: RetryConditions,
    /// The share of the requests of the last seconds that retries may be.
    pub budget: Percent,
    /// Methods beside those that may be sent twice by what they are (RFC 9110 section 9.2.2).
    pub methods: Vec<MethodName>,
}

/// `routes[].hedge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// How long a request may be without an answer before a second endpoint is asked as well.
    pub after: Period,
}

impl Retry {
    /// The budget where the file names none.
    pub const DEFAULT_BUDGET: Percent = Percent::FIFTH;
}
