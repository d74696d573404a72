//! How long a route waits. Nothing here reads a clock.

use crate::names::Period;

/// `routes[].timeouts`. Each none: as the settings say, or no limit where they say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// From the end of a request's head to the last byte of its answer, all attempts included.
    pub total: Option<Period>,
    /// Until a connection to the upstream is ready for a request, its TLS included.
    pub connect: Option<Period>,
    /// From the last byte of a request to the head of its answer.
    pub first_byte: Option<Period>,
    /// Between two bytes, once the answer has begun.
    pub idle: Option<Period>,
}

impl Timeouts {
    /// Whether the route has none of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
