//! What backends are named and how their endpoints share the work.

use std::{fmt, num::NonZeroU16, sync::Arc};

use super::{ValueError, check_name};

/// Name of a backend: unique in a configuration; stands in logs and metric labels as it is.
///
/// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendName(Arc<str>);

impl BackendName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_name(text, Self::MAX_BYTES).map(|()| Self(text.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A share of the work, in proportion to the weights beside it: 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// The largest one.
    pub const MAX: u16 = 1_000;

    /// Takes a weight.
    ///
    /// # Errors
    /// When it is 0 or above [`Self::MAX`].
    pub fn new(weight: u32) -> Result<Self, ValueError> {
        let weight = u16::try_from(weight).ok().filter(|weight| *weight <= Self::MAX);
        let weight = weight.and_then(NonZeroU16::new);
        weight.map(Self).ok_or(ValueError::OutOfRange { range: "from 1 to 1000" })
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl Default for Weight {
    /// That of all where the file says nothing.
    fn default() -> Self {
        Self(NonZeroU16::MIN)
    }
}
