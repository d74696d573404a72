//! One route and its policies, as far as a file describes them. What they do to a request is the engine's business.

use crate::names::{PathPrefix, RouteName, UpstreamUrl, ValueError};

/// One entry of `routes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Unique in the configuration.
    pub name: RouteName,
    /// The paths it serves.
    pub path_prefix: PathPrefix,
    /// Where its requests go.
    pub upstream: UpstreamUrl,
    /// Removed from the path before it is sent.
    pub strip_prefix: Option<PathPrefix>,
    /// Whether a caller must be known.
    pub auth_required: bool,
    /// None: the file says nothing of it.
    pub rate_limit: Option<RateLimit>,
    /// Requests at once; 0: no limit.
    pub max_in_flight: u32,
    /// None: the file says nothing of it.
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// Whose requests a rate limit counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitScope {
    /// Of one client address.
    Ip,
    /// Of one token subject; without one, of the client address.
    User,
}

impl RateLimitScope {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::User => "user",
        }
    }
}

impl std::str::FromStr for RateLimitScope {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "ip" => Ok(Self::Ip),
            "user" => Ok(Self::User),
            _ => Err(ValueError::UnknownChoice { choices: "ip, user", text: text.into() }),
        }
    }
}

/// `routes[].rate_limit`. While disabled its numbers may be zero and its scope absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    enabled: bool,
    requests_per_second: f64,
    burst: f64,
    scope: Option<RateLimitScope>,
}

/// Which part of a policy is not legal, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct PolicyError {
    /// The key beneath the policy's own.
    pub key: &'static str,
    /// What is wrong with its value.
    pub error: ValueError,
}

impl RateLimit {
    /// The highest rate and burst.
    pub const MAX: f64 = 1e9;

    /// An enabled limit.
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
            Ok(Self { enabled: true, requests_per_second, burst, scope })
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
            Ok(Self { enabled: false, requests_per_second, burst, scope })
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
    pub fn scope(&self) -> Option<RateLimitScope> {
        self.scope
    }
}

/// `routes[].circuit_breaker`. While disabled its numbers may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    enabled: bool,
    failure_threshold: u32,
    open_micros: u64,
    half_open_max_in_flight: u32,
}

impl CircuitBreaker {
    const MAX_OPEN_MICROS: u64 = 86_400_000_000;

    /// An enabled breaker that stays open for `open_micros` microseconds.
    ///
    /// # Errors
    /// All that is wrong: each number must be above 0, the time at most a day.
    pub fn enabled(
        failure_threshold: u32,
        open_micros: u64,
        half_open_max_in_flight: u32,
    ) -> Result<Self, Vec<PolicyError>> {
        let above_zero = ValueError::OutOfRange { range: "above 0 while the breaker is enabled" };
        let mut errors = Vec::new();
        if failure_threshold == 0 {
            errors.push(PolicyError { key: "failure_threshold", error: above_zero.clone() });
        }
        if !(1..=Self::MAX_OPEN_MICROS).contains(&open_micros) {
            let range = "above 0 and at most 86400 seconds while the breaker is enabled";
            errors.push(PolicyError { key: "open_seconds", error: ValueError::OutOfRange { range } });
        }
        if half_open_max_in_flight == 0 {
            errors.push(PolicyError { key: "half_open_max_in_flight", error: above_zero });
        }
        if errors.is_empty() {
            Ok(Self { enabled: true, failure_threshold, open_micros, half_open_max_in_flight })
        } else {
            Err(errors)
        }
    }

    /// A disabled breaker, with what the file says of it all the same.
    ///
    /// # Errors
    /// When the time is above a day.
    pub fn disabled(
        failure_threshold: u32,
        open_micros: u64,
        half_open_max_in_flight: u32,
    ) -> Result<Self, Vec<PolicyError>> {
        if open_micros > Self::MAX_OPEN_MICROS {
            let error = ValueError::OutOfRange { range: "at most 86400 seconds" };
            return Err(vec![PolicyError { key: "open_seconds", error }]);
        }
        Ok(Self { enabled: false, failure_threshold, open_micros, half_open_max_in_flight })
    }

    /// Whether it is judged at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Consecutive failures that open it.
    #[must_use]
    pub fn failure_threshold(&self) -> u32 {
        self.failure_threshold
    }

    /// How long it stays open, in microseconds.
    #[must_use]
    pub fn open_micros(&self) -> u64 {
        self.open_micros
    }

    /// Trials at once while half open.
    #[must_use]
    pub fn half_open_max_in_flight(&self) -> u32 {
        self.half_open_max_in_flight
    }
}
