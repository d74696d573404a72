//! From the model to the messages of the API. It reads what is legal and so has nothing to check but sizes.

use apigw_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message as _;

use super::{Resource, ResourceKind};
use crate::{
    model::{
        Admin, Auth, CircuitBreaker, GatewayConfig, Jwks, RateLimit, RateLimitBackend, RateLimitScope, Route,
        Secret, Server, Settings, Upstream,
    },
    names::{Algorithm, PathPrefix},
};

/// The most bytes of one resource: it travels in one message, beside a few bytes of framing.
pub const MAX_RESOURCE_BYTES: usize = MAX_MESSAGE_BYTES - 1_024;

/// Why a configuration cannot travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A list of the settings (ranges, issuers, audiences) is too long.
    #[error("everything that is not a route takes {bytes} bytes on the wire, more than {MAX_RESOURCE_BYTES}")]
    SettingsTooLarge {
        /// What it takes.
        bytes: usize,
    },
    /// A route has too much to say.
    #[error("the route {name:?} takes {bytes} bytes on the wire, more than {MAX_RESOURCE_BYTES}")]
    RouteTooLarge {
        /// The route's name.
        name: String,
        /// What it takes.
        bytes: usize,
    },
}

/// Encodes a configuration: the settings first, then the routes in order.
///
/// # Errors
/// When a part is larger than [`MAX_RESOURCE_BYTES`].
pub fn encode(config: &GatewayConfig) -> Result<Vec<Resource>, WireError> {
    let mut resources = Vec::with_capacity(config.routes().len() + 1);
    let settings = v1::Settings::from(config.settings()).encode_to_vec();
    if settings.len() > MAX_RESOURCE_BYTES {
        return Err(WireError::SettingsTooLarge { bytes: settings.len() });
    }
    resources.push(Resource::new(ResourceKind::Settings, String::new(), settings.into()));
    for route in config.routes() {
        let name = route.name.to_string();
        let bytes = v1::Route::from(route).encode_to_vec();
        if bytes.len() > MAX_RESOURCE_BYTES {
            return Err(WireError::RouteTooLarge { name, bytes: bytes.len() });
        }
        resources.push(Resource::new(ResourceKind::Route, name, bytes.into()));
    }
    Ok(resources)
}

impl From<&Settings> for v1::Settings {
    fn from(settings: &Settings) -> Self {
        Self {
            server: Some((&settings.server).into()),
            upstream: Some((&settings.upstream).into()),
            auth: settings.auth.as_ref().map(Into::into),
            rate_limit: Some((&settings.rate_limit).into()),
            admin: settings
                .admin
                .as_ref()
                .map(|Admin { address }| v1::Admin { address: address.to_string() }),
        }
    }
}

impl From<&Server> for v1::Server {
    fn from(server: &Server) -> Self {
        Self {
            addresses: server.addresses().iter().map(ToString::to_string).collect(),
            trusted_proxies: server.trusted_proxies.iter().map(ToString::to_string).collect(),
            max_header_bytes: server.max_header_bytes.get(),
            max_body_bytes: server.max_body_bytes.get(),
            read_header_timeout_us: server.read_header_timeout.micros(),
            read_timeout_us: server.read_timeout.micros(),
            write_timeout_us: server.write_timeout.micros(),
            idle_timeout_us: server.idle_timeout.micros(),
        }
    }
}

impl From<&Upstream> for v1::Upstream {
    fn from(upstream: &Upstream) -> Self {
        Self {
            dial_timeout_us: upstream.dial_timeout.micros(),
            tls_handshake_timeout_us: upstream.tls_handshake_timeout.micros(),
            response_header_timeout_us: upstream.response_header_timeout.micros(),
            idle_connection_timeout_us: upstream.idle_connection_timeout.micros(),
            max_idle_connections: upstream.max_idle_connections.into(),
            max_idle_connections_per_host: upstream.max_idle_connections_per_host.into(),
        }
    }
}

impl From<&Auth> for v1::Auth {
    fn from(auth: &Auth) -> Self {
        let mode = match auth {
            Auth::Jwks(jwks) => v1::auth::Mode::Jwks(jwks.into()),
            Auth::Hmac(secret) => v1::auth::Mode::Hmac(v1::Hmac { secret: secret.reveal().into() }),
        };
        Self { mode: Some(mode) }
    }
}

impl From<&Jwks> for v1::Jwks {
    fn from(jwks: &Jwks) -> Self {
        let algorithms = jwks.algorithms.as_slice().iter().copied().map(Algorithm::name);
        Self {
            url: jwks.url.as_str().into(),
            issuers: jwks.issuers.clone(),
            audiences: jwks.audiences.clone(),
            algorithms: algorithms.map(Into::into).collect(),
            cache_ttl_us: jwks.cache_ttl.micros(),
            http_timeout_us: jwks.http_timeout.micros(),
            leeway_us: jwks.leeway.micros(),
        }
    }
}

impl From<&RateLimitBackend> for v1::RateLimitBackend {
    fn from(backend: &RateLimitBackend) -> Self {
        use v1::rate_limit_backend::Backend;
        let backend = match backend {
            RateLimitBackend::Memory(memory) => Backend::Memory(v1::MemoryBackend {
                cleanup_us: memory.cleanup.micros(),
                ttl_us: memory.ttl.micros(),
            }),
            RateLimitBackend::Redis(redis) => Backend::Redis(v1::RedisBackend {
                address: redis.address.as_str().into(),
                password: redis.password.as_ref().map_or_else(String::new, |p| Secret::reveal(p).into()),
                database: redis.database,
            }),
        };
        Self { backend: Some(backend) }
    }
}

impl From<&Route> for v1::Route {
    fn from(route: &Route) -> Self {
        Self {
            name: route.name.to_string(),
            path_prefix: route.path_prefix.to_string(),
            upstream: route.upstream.as_str().into(),
            strip_prefix: route.strip_prefix.as_ref().map_or("", PathPrefix::as_str).into(),
            auth_required: route.auth_required,
            rate_limit: route.rate_limit.as_ref().map(Into::into),
            concurrency: Some(v1::Concurrency { max_in_flight: route.max_in_flight }),
            circuit_breaker: route.circuit_breaker.as_ref().map(Into::into),
        }
    }
}

impl From<&RateLimit> for v1::RateLimit {
    fn from(limit: &RateLimit) -> Self {
        Self {
            enabled: limit.is_enabled(),
            rps: limit.requests_per_second(),
            burst: limit.burst(),
            scope: limit.scope().map_or("", RateLimitScope::as_str).into(),
        }
    }
}

impl From<&CircuitBreaker> for v1::CircuitBreaker {
    fn from(breaker: &CircuitBreaker) -> Self {
        Self {
            enabled: breaker.is_enabled(),
            failure_threshold: breaker.failure_threshold(),
            open_us: breaker.open_micros(),
            half_open_max_in_flight: breaker.half_open_max_in_flight(),
        }
    }
}
