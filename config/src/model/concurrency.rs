//! How many requests of a route may be under way at once. What a limit does is the engine's business.

use crate::names::{PolicyMode, ValueError};

/// `routes[].concurrency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concurrency {
    /// Requests at once; 0: no limit of this kind.
    pub max_in_flight: u32,
    /// A limit that follows the upstream; none: no limit of this kind. A route has one of the two.
    pub adaptive: Option<AdaptiveConcurrency>,
    /// What follows from the judgement.
    pub mode: PolicyMode,
}

/// `routes[].concurrency.adaptive`: between what bounds the limit is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveConcurrency {
    min: u32,
    max: u32,
}

impl Concurrency {
    /// Whether there is any limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.max_in_flight > 0 || self.adaptive.is_some()
    }

    /// Whether there are two.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.max_in_flight > 0 && self.adaptive.is_some()
    }
}

impl AdaptiveConcurrency {
    /// Below this the limit does not fall, unless the file says otherwise.
    pub const DEFAULT_MIN: u32 = 5;
    /// Above this it does not rise, unless the file says otherwise.
    pub const DEFAULT_MAX: u32 = 1_000;

    /// Takes bounds, both included.
    ///
    /// # Errors
    /// When the lower is 0, which would let nobody pass, or above the upper.
    pub fn new(min: u32, max: u32) -> Result<Self, ValueError> {
        if min == 0 || min > max {
            return Err(ValueError::OutOfRange { range: "min at least 1, max at least min" });
        }
        Ok(Self { min, max })
    }

    /// The lowest limit.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min
    }

    /// The highest limit.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }
}
