//! The checked configuration: what the rest of apigw may hold.
//!
//! Fields are public where every combination of legal values is legal; where values depend on each other the fields are
//! private and one constructor keeps the rule. Defaults are those of the Go model.

mod route;

use std::collections::HashMap;

pub use self::route::{CircuitBreaker, PolicyError, RateLimit, RateLimitScope, Route};
use crate::names::{
    AddressRange, Algorithms, ListenAddress, Period, RouteName, ServerAddress, Span, UpstreamUrl, ValueError,
};

/// A whole legal configuration: at least one route, names unique, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    settings: Settings,
    routes: Vec<Route>,
}

/// A rule that no single part of a configuration can break by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A gateway without routes refuses everything, which nobody means to configure.
    #[error("at least one route is needed")]
    NoRoutes,
    /// Two routes have one name.
    #[error("the name \"{name}\" is already taken by routes[{first}]")]
    DuplicateName {
        /// The name both have.
        name: RouteName,
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
    /// A route wants its callers known, and nothing says how.
    #[error("needs an auth section: nothing says how callers are known")]
    NoAuth {
        /// Index of the route.
        route: usize,
    },
}

impl GatewayConfig {
    /// Puts a configuration together.
    ///
    /// # Errors
    /// Every broken rule: no route at all, names given twice, callers to be known without a way to know them.
    pub fn new(settings: Settings, routes: Vec<Route>) -> Result<Self, Vec<ConfigError>> {
        let callers = if settings.auth.is_some() { Callers::Known } else { Callers::Unknown };
        let facts = routes
            .iter()
            .map(|route| RouteFacts { name: Some(&route.name), needs_auth: route.auth_required });
        let errors = conflicts(callers, facts);
        if errors.is_empty() { Ok(Self { settings, routes }) } else { Err(errors) }
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

/// Whether a configuration says how callers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    Known,
    Unknown,
}

/// What the rules across routes look at. A part that could not be read breaks none of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteFacts<'a> {
    pub(crate) name: Option<&'a RouteName>,
    pub(crate) needs_auth: bool,
}

/// The rules across routes, also for a configuration of which not everything could be read.
pub(crate) fn conflicts<'a>(
    callers: Callers,
    routes: impl Iterator<Item = RouteFacts<'a>>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut owners: HashMap<&RouteName, usize> = HashMap::with_capacity(routes.size_hint().0);
    let mut count = 0;
    for (index, route) in routes.enumerate() {
        count += 1;
        if let Some(name) = route.name {
            let first = *owners.entry(name).or_insert(index);
            if first != index {
                errors.push(ConfigError::DuplicateName { name: name.clone(), first, second: index });
            }
        }
        if route.needs_auth && callers == Callers::Unknown {
            errors.push(ConfigError::NoAuth { route: index });
        }
    }
    if count == 0 {
        errors.push(ConfigError::NoRoutes);
    }
    errors
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

/// A text that must not appear in logs or answers; not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    ///
    /// # Errors
    /// When it is empty: that keeps nobody out.
    pub fn new(text: String) -> Result<Self, ValueError> {
        if text.is_empty() { Err(ValueError::Empty) } else { Ok(Self(text)) }
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
    /// RS256 where the file names none.
    pub algorithms: Algorithms,
    /// How long a fetched key set counts as fresh.
    pub cache_ttl: Period,
    /// For one fetch.
    pub http_timeout: Period,
    /// Allowance for clocks that differ.
    pub leeway: Span,
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
    /// Where it answers.
    pub address: ServerAddress,
    /// None: none is sent.
    pub password: Option<Secret>,
    /// Number of the database.
    pub database: u32,
}

/// `admin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where the admin endpoints and the gRPC API answer.
    pub address: ListenAddress,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1:9901".parse().expect("the default address is one") }
    }
}
