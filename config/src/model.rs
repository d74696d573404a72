//! The checked configuration: what the rest of apigw may hold.
//!
//! Fields are public where every combination of legal values is legal; where values depend on each other the fields are
//! private and one constructor keeps the rule. Defaults are those of the Go model.

use std::num::NonZeroU32;

mod auth;
mod backend;
mod checks;
mod circuit_breaker;
mod compression;
mod concurrency;
mod credentials;
mod external_auth;
mod gateway_config;
mod header_changes;
mod health;
mod mirror;
mod mtls;
mod own_answer;
mod paths;
mod proxy_protocol;
mod rate_limit;
mod rate_limit_backend;
mod retry;
mod rewrite;
mod route;
mod route_auth;
mod route_match;
mod rules;
mod service_cache;
mod session_cookie;
mod split;
mod timeouts;
mod tls;
mod tracing;

pub(crate) use self::{
    auth::provider_conflicts,
    gateway_config::CommonEnds,
    rules::{BackendFacts, Callers, ClientCertificates, RouteFacts, SettingsFacts, conflicts},
};
pub use self::{
    auth::{Auth, AuthError, Jwks, Provider, ProviderKind},
    backend::{
        Backend, BackendError, BackendGroup, BackendTls, Backends, Balance, BalancePolicy, ClientAddress,
        Endpoint, HashKey, Protocol, Resolution,
    },
    checks::{Checks, Expectation, Invariant, RequestTest, Required, TestRequest},
    circuit_breaker::{CircuitBreaker, FailureRate},
    compression::Compression,
    concurrency::{AdaptiveConcurrency, Concurrency},
    credentials::{ApiKey, ApiKeyFile, ApiKeys, CredentialFiles, CredentialsError, User, UserFile, Users},
    external_auth::{ExternalAuth, ServiceFailure},
    gateway_config::{GatewayConfig, GroupChanges, RouteGroup, memory},
    header_changes::{AnswerChanges, HeaderChanges},
    health::{ActiveCheck, Health, Outlier, Probe},
    mirror::Mirror,
    mtls::Mtls,
    own_answer::{FixedAnswer, Redirect},
    paths::{EncodedSlash, PathRules},
    proxy_protocol::ProxyProtocol,
    rate_limit::{RateLimit, RateLimitScope},
    rate_limit_backend::{
        MaxKeys, MemoryBackend, RateLimitBackend, RedisBackend, RedisCredentials, RedisFailure, RedisServers,
        RedisTransport,
    },
    retry::{Hedge, Retry},
    rewrite::{HostRewrite, PathChange, PathRewrite, RegexRewrite},
    route::{AddressLists, Cors, Destination, PolicyError, Route},
    route_auth::{AuthMethods, Combination, ForwardedClaims, RouteAuth},
    route_match::{FieldMatch, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch},
    rules::{BackendPlace, ConfigError},
    service_cache::{QuestionPart, ServiceCache},
    session_cookie::SessionCookie,
    split::{Split, SplitError, SplitPart},
    timeouts::Timeouts,
    tls::{
        CertificateFiles, CertificateForwarding, ClientAuth, ClientAuthMode, PlainRequests, ServerTls,
        TlsListening, TlsVersion,
    },
    tracing::Tracing,
};
use crate::names::{AddressRange, ByteCount, ListenAddress, Period, TrafficAddress, ValueError};

/// Everything that is neither a route nor a backend.
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
    /// Which traces are collected, and where; none: the file has no `tracing` section.
    pub tracing: Option<Tracing>,
}

/// `server`: listeners and what a client may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// At least one.
    addresses: Vec<TrafficAddress>,
    /// Who says first of each connection whom it is of; none: nobody does.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS towards clients; none: all is in clear.
    pub tls: Option<ServerTls>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<AddressRange>,
    /// Who may send requests at all.
    pub address_lists: AddressLists,
    /// Which paths are taken.
    pub paths: PathRules,
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
    /// For requests under way to finish once the end has begun.
    pub drain_timeout: Period,
    /// The most connections of clients at once.
    pub max_connections: NonZeroU32,
    /// Between two bytes of a WebSocket, whoever sends them.
    pub websocket_idle_timeout: Period,
}

impl Server {
    /// For requests under way to finish where the file says nothing.
    pub const DEFAULT_DRAIN_TIMEOUT: Period = Period::seconds(30);

    /// The most connections where the file says nothing.
    pub const DEFAULT_MAX_CONNECTIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");

    /// The addresses to listen on, at least one.
    #[must_use]
    pub fn addresses(&self) -> &[TrafficAddress] {
        &self.addresses
    }

    /// The same server on other addresses.
    ///
    /// # Errors
    /// When there is none.
    pub fn with_addresses(mut self, addresses: Vec<TrafficAddress>) -> Result<Self, ValueError> {
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
            proxy_protocol: None,
            tls: None,
            trusted_proxies: Vec::new(),
            address_lists: AddressLists::default(),
            paths: PathRules::default(),
            max_header_bytes: ByteCount::MEBIBYTE,
            max_body_bytes: ByteCount::MEBIBYTE,
            read_header_timeout: Period::seconds(5),
            read_timeout: Period::seconds(15),
            write_timeout: Period::seconds(60),
            idle_timeout: Period::seconds(60),
            drain_timeout: Self::DEFAULT_DRAIN_TIMEOUT,
            max_connections: Self::DEFAULT_MAX_CONNECTIONS,
            websocket_idle_timeout: Period::seconds(300),
        }
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
