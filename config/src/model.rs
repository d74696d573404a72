//! The checked configuration: what the rest of apigw may hold.
//!
//! Fields are public where every combination of legal values is legal; where values depend on each other the fields are
//! private and one constructor keeps the rule. Defaults are those of the Go model.

use std::collections::HashSet;

use crate::names::{
    AddressRange, Algorithm, ListenAddress, PathPrefix, Period, RouteName, UpstreamUrl, ValueError,
};

/// A whole legal configuration: at least one route, names unique, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    settings: Settings,
    routes: Vec<Route>,
}

/// Why settings and routes do not make a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A gateway without routes refuses everything, which nobody means to configure.
    #[error("at least one route is needed")]
    NoRoutes,
    /// Two routes have one name.
    #[error("the name {name:?} is already taken by routes[{first}]")]
    DuplicateName {
        /// The name both have.
        name: String,
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
}

impl GatewayConfig {
    /// Puts a configuration together.
    ///
    /// # Errors
    /// When there is no route, or two have the same name.
    pub fn new(settings: Settings, routes: Vec<Route>) -> Result<Self, ConfigError> {
        if routes.is_empty() {
            return Err(ConfigError::NoRoutes);
        }
        let mut names = HashSet::with_capacity(routes.len());
        for (second, route) in routes.iter().enumerate() {
            if !names.insert(&route.name) {
                let first = routes.iter().position(|other| other.name == route.name).unwrap_or(second);
                return Err(ConfigError::DuplicateName { name: route.name.to_string(), first, second });
            }
        }
        Ok(Self { settings, routes })
    }

    /// Everything that is not a route.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The routes, in the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Takes the configuration apart.
    #[must_use]
    pub fn into_parts(self) -> (Settings, Vec<Route>) {
        (self.settings, self.routes)
    }
}

/// Everything that is not a route.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// The traffic side.
    pub server: Server,
    /// Connections to upstreams.
    pub upstream: Upstream,
    /// How callers are known; none: the file has no `auth` section.
    pub auth: Option<Auth>,
    /// Where rate limits are counted.
    pub rate_limit: RateLimitBackend,
    /// The admin address; none: the file has no `admin` section.
    pub admin: Option<Admin>,
}

/// `server`: listeners and what a client may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// At least one.
    addresses: Vec<ListenAddress>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<AddressRange>,
    /// The most bytes of a request's head.
    pub max_header_bytes: ByteCount,
    /// The most bytes of a request's body.
    pub max_body_bytes: ByteCount,
    /// From the first byte of a request to the end of its head.
    pub read_header_timeout: Period,
    /// For a request's body to arrive.
    pub read_timeout: Period,
    /// For a client to accept bytes of a response.
    pub write_timeout: Period,
    /// Between two requests on one connection.
    pub idle_timeout: Period,
}

impl Server {
    /// The addresses to listen on, at least one.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The same server on other addresses.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_addresses(mut self, addresses: Vec<ListenAddress>) -> Result<Self, ValueError> {
        if addresses.is_empty() {
            return Err(ValueError::Empty);
        }
        self.addresses = addresses;
        Ok(self)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            addresses: vec![":8080".parse().expect("the default address is one")],
            trusted_proxies: Vec::new(),
            max_header_bytes: ByteCount::MEBIBYTE,
            max_body_bytes: ByteCount::MEBIBYTE,
            read_header_timeout: Period::seconds(5),
            read_timeout: Period::seconds(15),
            write_timeout: Period::seconds(60),
            idle_timeout: Period::seconds(60),
        }
    }
}

/// A number of bytes: 1 to 2^53, so that every program can write it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(u64);

impl ByteCount {
    /// 1,048,576.
    pub const MEBIBYTE: Self = Self(1 << 20);

    /// Takes a number of bytes.
    ///
    /// # Errors
    /// When it is 0 or above 2^53.
    pub fn new(bytes: u64) -> Result<Self, ValueError> {
        if (1..=1 << 53).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(ValueError::OutOfRange { range: "from 1 to 9007199254740992 bytes" })
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// `upstream`: connections to upstreams.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// To establish a connection.
    pub dial_timeout: Period,
    /// To finish a TLS handshake.
    pub tls_handshake_timeout: Period,
    /// From the request's last byte to the head of its response.
    pub response_header_timeout: Period,
    /// How long an unused connection is kept.
    pub idle_connection_timeout: Period,
    /// Unused connections kept altogether.
    pub max_idle_connections: u32,
    /// Unused connections kept for one upstream.
    pub max_idle_connections_per_host: u32,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            dial_timeout: Period::seconds(5),
            tls_handshake_timeout: Period::seconds(5),
            response_header_timeout: Period::seconds(15),
            idle_connection_timeout: Period::seconds(90),
            max_idle_connections: 100,
            max_idle_connections_per_host: 20,
        }
    }
}

/// `auth`: how callers are known.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// Tokens signed by an issuer whose keys are fetched.
    Jwks(Jwks),
    /// HS256 tokens signed with a shared secret.
    Hmac(Secret),
}

/// A text that must not appear in logs or answers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret; it may be empty where the place allows that.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself; the caller keeps it out of what people read.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// `auth.jwks`: an issuer's key set and what its tokens must say.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwks {
    /// Where the key set is.
    pub url: UpstreamUrl,
    /// Accepted `iss`; empty: any.
    pub issuers: Vec<String>,
    /// Accepted `aud`; empty: any.
    pub audiences: Vec<String>,
    /// At least one; RS256 where the file names none.
    pub algorithms: Vec<Algorithm>,
    /// How long a fetched key set counts as fresh.
    pub cache_ttl: Period,
    /// For one fetch.
    pub http_timeout: Period,
    /// Allowance for clocks that differ, in microseconds; may be 0.
    pub leeway_micros: u64,
}

/// `rate_limit`: where rate limits are counted.
#[derive(Debug, Clone, PartialEq)]
pub enum RateLimitBackend {
    /// In this data plane.
    Memory(MemoryBackend),
    /// In a Redis server shared by several data planes.
    Redis(RedisBackend),
}

impl Default for RateLimitBackend {
    fn default() -> Self {
        Self::Memory(MemoryBackend::default())
    }
}

/// `rate_limit.memory`.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryBackend {
    /// How often unused keys are swept.
    pub cleanup: Period,
    /// How long an unused key is kept at least.
    pub ttl: Period,
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self { cleanup: Period::seconds(60), ttl: Period::seconds(300) }
    }
}

/// `rate_limit.redis`.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisBackend {
    /// `HOST:PORT`, not empty.
    pub address: String,
    /// Empty: none is sent.
    pub password: Secret,
    /// Number of the database.
    pub database: u32,
}

/// `admin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where the admin endpoints and the gRPC API answer.
    pub address: ListenAddress,
}

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
            errors.push(PolicyError { key: "scope", error: ValueError::Empty });
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
