//! How many requests may come, and whose count together. Nothing here counts.

use std::{fmt, str::FromStr};

use super::PolicyError;
use crate::names::{ClaimName, HeaderName, PolicyMode, ValueError};

/// Whose requests a rate limit counts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateLimitScope {
    /// Of one client address.
    Ip,
    /// Of one token subject; without one, of the client address.
    User,
    /// All of the route.
    Route,
    /// Of one value of a request's header field; without it, of the client address.
    Header(HeaderName),
    /// Of one value of a token's claim; without it, of the client address.
    Claim(ClaimName),
}

impl fmt::Display for RateLimitScope {
    /// As in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip => f.write_str("ip"),
            Self::User => f.write_str("user"),
            Self::Route => f.write_str("route"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
        }
    }
}

impl FromStr for RateLimitScope {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match (text, text.split_once(':')) {
            ("ip", _) => Ok(Self::Ip),
            ("user", _) => Ok(Self::User),
            ("route", _) => Ok(Self::Route),
            (_, Some(("header", name))) => HeaderName::new(name).map(Self::Header),
            (_, Some(("claim", name))) => ClaimName::new(name).map(Self::Claim),
            _ => Err(ValueError::UnknownChoice {
                choices: "ip, user, route, header:NAME, claim:NAME",
                text: text.into(),
            }),
        }
    }
}

/// `routes[].rate_limit`. While disabled its numbers may be zero and its scope absent.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    enabled: bool,
    requests_per_second: f64,
    burst: f64,
    scope: Option<RateLimitScope>,
    mode: PolicyMode,
}

impl RateLimit {
    /// The highest rate and burst.
    pub const MAX: f64 = 1e9;

    /// An enabled limit, enforced.
    ///
    /// # Errors
    /// All that is wrong: a rate or burst that is not above 0 and at most [`Self::MAX`], no scope.
    pub fn enabled(
        requests_per_second: f64,
        burst: f64,
        scope: Option<RateLimitScope>,
    ) -> Result<Self, Vec<PolicyError>> {
        let range =
            ValueError::OutOfRange { range: "above 0 and at most 1000000000 while the limit is enabled" };
        let legal = |number: f64| number > 0.0 && number <= Self::MAX;
        let mut errors = Vec::new();
        if !legal(requests_per_second) {
            errors.push(PolicyError { key: "rps", error: range.clone() });
        }
        if !legal(burst) {
            errors.push(PolicyError { key: "burst", error: range });
        }
        if scope.is_none() {
            errors.push(PolicyError { key: "scope", error: ValueError::Missing });
        }
        if errors.is_empty() {
            Ok(Self { enabled: true, requests_per_second, burst, scope, mode: PolicyMode::Enforce })
        } else {
            Err(errors)
        }
    }

    /// A disabled limit, with what the file says of it all the same.
    ///
    /// # Errors
    /// All that is wrong: a rate or burst below 0 or above [`Self::MAX`].
    pub fn disabled(
        requests_per_second: f64,
        burst: f64,
        scope: Option<RateLimitScope>,
    ) -> Result<Self, Vec<PolicyError>> {
        let numbers = [("rps", requests_per_second), ("burst", burst)];
        let illegal = numbers.into_iter().filter(|(_, number)| !(0.0..=Self::MAX).contains(number));
        let range = ValueError::OutOfRange { range: "from 0 to 1000000000" };
        let errors: Vec<_> = illegal.map(|(key, _)| PolicyError { key, error: range.clone() }).collect();
        if errors.is_empty() {
            Ok(Self { enabled: false, requests_per_second, burst, scope, mode: PolicyMode::Enforce })
        } else {
            Err(errors)
        }
    }

    /// Whether it is judged at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Requests a second; fractions are allowed.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.requests_per_second
    }

    /// Requests that may come at once after a pause; fractions are allowed.
    #[must_use]
    pub fn burst(&self) -> f64 {
        self.burst
    }

    /// Whose requests are counted together; always there while enabled.
    #[must_use]
    pub fn scope(&self) -> Option<&RateLimitScope> {
        self.scope.as_ref()
    }

    /// The same limit in a mode.
    #[must_use]
    pub fn with_mode(self, mode: PolicyMode) -> Self {
        Self { mode, ..self }
    }

    /// What follows from its judgement.
    #[must_use]
    pub fn mode(&self) -> PolicyMode {
        self.mode
    }
}
