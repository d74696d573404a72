//! How the endpoints of a backend share the work.

use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

use super::{ValueError, check_length};

/// Name of a cookie: 1 to 200 characters of a token (RFC 6265 section 4.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CookieName(Arc<str>);

impl CookieName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that no token has.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.chars().all(is_token) {
            Ok(Self(text.into()))
        } else {
            Err(ValueError::NotACookie { text: text.into() })
        }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers take a cookie of this name only with `Secure`
    /// ([RFC 6265bis section 4.1.3](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3)).
    #[must_use]
    pub fn is_for_secure_alone(&self) -> bool {
        let begins_with = |prefix: &str| {
            self.0.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
        };
        begins_with("__Secure-") || begins_with("__Host-")
    }
}

/// How long clients keep a cookie, in whole seconds: 1 to 34,560,000, the 400 days that browsers allow at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieLifetime(NonZeroU32);

impl CookieLifetime {
    const MAX: u32 = 400 * 86_400;

    /// Takes seconds.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn new(seconds: u32) -> Result<Self, ValueError> {
        let seconds = NonZeroU32::new(seconds).filter(|seconds| seconds.get() <= Self::MAX);
        seconds.map(Self).ok_or(ValueError::OutOfRange { range: "from 1 to 34560000 whole seconds" })
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.get()
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

/// A share of a route's requests, in proportion to the weights beside it: 0 to 1,000. With 0 there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitWeight(Option<Weight>);

impl SplitWeight {
    /// Takes a weight.
    ///
    /// # Errors
    /// When it is above [`Weight::MAX`].
    pub fn new(weight: u32) -> Result<Self, ValueError> {
        if weight == 0 {
            return Ok(Self(None));
        }
        let weight = Weight::new(weight).map_err(|_above| ValueError::OutOfRange { range: "from 0 to 1000" });
        weight.map(|weight| Self(Some(weight)))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.map_or(0, Weight::get)
    }

    /// The weight; none: there are no requests for it.
    #[must_use]
    pub fn as_weight(self) -> Option<Weight> {
        self.0
    }
}

impl Default for SplitWeight {
    /// That of all where the file says nothing.
    fn default() -> Self {
        Self(Some(Weight::default()))
    }
}

/// How many checks in a row say the same: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckCount(NonZeroU32);

impl CheckCount {
    const MAX: u32 = 100;

    /// Takes a number.
    ///
    /// # Errors
    /// When it is 0 or above 100.
    pub fn new(count: u32) -> Result<Self, ValueError> {
        let count = NonZeroU32::new(count).filter(|count| count.get() <= Self::MAX);
        count.map(Self).ok_or(ValueError::OutOfRange { range: "from 1 to 100" })
    }

    /// For defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn literal(count: u32) -> Self {
        assert!(count <= Self::MAX, "there are at most 100");
        Self(NonZeroU32::new(count).expect("it is not zero"))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for Weight {
    /// That of all where the file says nothing.
    fn default() -> Self {
        Self(NonZeroU16::MIN)
    }
}
