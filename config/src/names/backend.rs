//! How the endpoints of a backend share the work.

use std::num::NonZeroU16;

use super::ValueError;

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
