//! From the model to the messages of the API. It reads what is legal and so has nothing to check but sizes.

mod backend;
mod compression;
mod external_auth;
mod route;
mod split;

use apigw_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message as _;

use super::{MAX_LEAVES, Resource, ResourceKind};
use crate::{
    model::{
        AddressLists, Admin, ApiKeyFile, Auth, Backend, CertificateFiles, CertificateForwarding,
        CredentialFiles, EncodedSlash, GatewayConfig, Jwks, PathRules, Provider, ProviderKind, ProxyProtocol,
        RateLimitBackend, RedisBackend, RedisCredentials, RedisTransport, Route, Server, ServerTls, Settings,
        Tracing, Upstream, UserFile,
    },
    names::{AddressRange, Algorithm, PolicyMode, ServerAddress},
};

/// The most bytes of one resource: it travels in one message, beside a few bytes of framing.
pub const MAX_RESOURCE_BYTES: usize = MAX_MESSAGE_BYTES - 1_024;

/// Why a configuration cannot travel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A list of the settings (ranges, issuers, audiences) is too long.
    #[error(
        "everything that is neither a route nor a backend takes {bytes} bytes on the wire, more than {MAX_RESOURCE_BYTES}"
    )]
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
    /// A backend has too many endpoints, or very long names for them.
    #[error("the backend {name:?} takes {bytes} bytes on the wire, more than {MAX_RESOURCE_BYTES}")]
    BackendTooLarge {
        /// The backend's name.
        name: String,
        /// What it takes.
        bytes: usize,
    },
    /// Somebody has chosen routes whose hashes cut the list into small pieces.
    #[error("the list of routes has {count} leaves, more than {MAX_LEAVES}")]
    TooManyLeaves {
        /// How many.
        count: usize,
    },
}

/// Encodes a configuration: the settings first, then the backends and the routes in order.
///
/// # Errors
/// When a part is larger than [`MAX_RESOURCE_BYTES`].
pub fn encode(config: &GatewayConfig) -> Result<Vec<Resource>, WireError> {
    let settings = std::iter::once(settings_resource(config.settings()));
    let backends = config.backends().iter().map(|backend| backend_resource(backend));
    settings.chain(backends).chain(config.routes().map(route_resource)).collect()
}

pub(super) fn settings_resource(settings: &Settings) -> Result<Resource, WireError> {
    let bytes = v1::Settings::from(settings).encode_to_vec();
    if bytes.len() > MAX_RESOURCE_BYTES {
        return Err(WireError::SettingsTooLarge { bytes: bytes.len() });
    }
    Ok(Resource::new(ResourceKind::Settings, String::new(), bytes.into()))
}

pub(super) fn backend_resource(backend: &Backend) -> Result<Resource, WireError> {
    let name = backend.name().to_string();
    let bytes = v1::Backend::from(backend).encode_to_vec();
    if bytes.len() > MAX_RESOURCE_BYTES {
        return Err(WireError::BackendTooLarge { name, bytes: bytes.len() });
    }
    Ok(Resource::new(ResourceKind::Backend, name, bytes.into()))
}

pub(super) fn route_resource(route: &Route) -> Result<Resource, WireError> {
    let name = route.name.to_string();
    let bytes = v1::Route::from(route).encode_to_vec();
    if bytes.len() > MAX_RESOURCE_BYTES {
        return Err(WireError::RouteTooLarge { name, bytes: bytes.len() });
    }
    Ok(Resource::new(ResourceKind::Route, name, bytes.into()))
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
            tracing: settings.tracing.as_ref().map(Into::into),
        }
    }
}

impl From<&Tracing> for v1::Tracing {
    fn from(Tracing { otlp_endpoint, sample_ratio }: &Tracing) -> Self {
        Self { otlp_endpoint: otlp_endpoint.as_url().as_str().into(), sample_ratio: sample_ratio.get() }
    }
}

impl From<&Server> for v1::Server {
    fn from(server: &Server) -> Self {
        Self {
            addresses: server.addresses().iter().map(ToString::to_string).collect(),
            trusted_proxies: server.trusted_proxies.iter().map(ToString::to_string).collect(),
            address_lists: address_lists(&server.address_lists),
            paths: paths(server.paths),
            max_header_bytes: server.max_header_bytes.get(),
            max_body_bytes: server.max_body_bytes.get(),
            read_header_timeout_us: server.read_header_timeout.micros(),
            read_timeout_us: server.read_timeout.micros(),
            write_timeout_us: server.write_timeout.micros(),
            idle_timeout_us: server.idle_timeout.micros(),
            drain_timeout_us: unless(Server::DEFAULT_DRAIN_TIMEOUT.micros(), server.drain_timeout.micros()),
            max_connections: unless(Server::DEFAULT_MAX_CONNECTIONS.get(), server.max_connections.get()),
            websocket_idle_timeout_us: websocket_idle_timeout(server),
            tls: server.tls.as_ref().map(Into::into),
            proxy_protocol: server.proxy_protocol.as_ref().map(Into::into),
        }
    }
}

impl From<&ProxyProtocol> for v1::ProxyProtocol {
    fn from(protocol: &ProxyProtocol) -> Self {
        Self { trusted: protocol.trusted().iter().map(ToString::to_string).collect() }
    }
}

impl From<&ServerTls> for v1::ServerTls {
    fn from(tls: &ServerTls) -> Self {
        Self {
            addresses: tls.listening.addresses().iter().map(ToString::to_string).collect(),
            redirect_to_https: tls.listening.redirect_port().is_some(),
            certificates: tls.certificates().iter().map(Into::into).collect(),
            min_version: tls.min_version.to_string(),
            client_auth: tls.client_auth.mode().to_string(),
            client_ca_file: tls.client_auth.ca_file().map_or_else(String::new, |path| path.as_str().into()),
            handshake_timeout_us: tls.handshake_timeout.micros(),
            forward_client_certificate: match tls.forwarding {
                CertificateForwarding::None => String::new(),
                forwarding => forwarding.to_string(),
            },
        }
    }
}

impl From<&CertificateFiles> for v1::CertificateFiles {
    fn from(files: &CertificateFiles) -> Self {
        Self { cert_file: files.cert_file.as_str().into(), key_file: files.key_file.as_str().into() }
    }
}

/// 0 where it is the default, so that files which do not name it keep the hash that older builds gave them.
fn websocket_idle_timeout(server: &Server) -> u64 {
    let timeout = server.websocket_idle_timeout;
    if timeout == Server::default().websocket_idle_timeout { 0 } else { timeout.micros() }
}

/// Absent where they say nothing, as nearly everywhere.
fn address_lists(lists: &AddressLists) -> Option<v1::AddressLists> {
    let texts = |ranges: &[AddressRange]| ranges.iter().map(ToString::to_string).collect();
    (*lists != AddressLists::default()).then(|| v1::AddressLists {
        allow: texts(&lists.allow),
        deny: texts(&lists.deny),
        mode: mode(lists.mode),
    })
}

/// Nothing, for what a message without it says as well.
fn unless<T: Copy + Default + PartialEq>(default: T, value: T) -> T {
    if value == default { T::default() } else { value }
}

/// Absent where they are those of nearly everybody.
fn paths(rules: PathRules) -> Option<v1::PathRules> {
    let encoded_slash = match rules.encoded_slash {
        EncodedSlash::Reject => "",
        EncodedSlash::Keep | EncodedSlash::Decode => rules.encoded_slash.as_str(),
    };
    (rules != PathRules::default()).then(|| v1::PathRules {
        encoded_slash: encoded_slash.into(),
        keeps_empty_segments: !rules.merge_slashes,
    })
}

/// Empty for a policy that is enforced, as nearly all are.
fn mode(mode: PolicyMode) -> String {
    match mode {
        PolicyMode::Enforce => String::new(),
        PolicyMode::Shadow | PolicyMode::Off => mode.as_str().into(),
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
        let CredentialFiles { api_keys, basic } = auth.files();
        Self {
            providers: auth.providers().iter().map(Into::into).collect(),
            api_keys: api_keys.as_ref().map(|ApiKeyFile { file, header }| v1::ApiKeyFile {
                file: file.as_str().into(),
                header: header.name().to_string(),
            }),
            basic: basic.as_ref().map(|UserFile { file, realm }| v1::UserFile {
                file: file.as_str().into(),
                realm: realm.as_str().into(),
            }),
        }
    }
}

impl From<&Provider> for v1::Provider {
    fn from(provider: &Provider) -> Self {
        let kind = match &provider.kind {
            ProviderKind::Jwks(jwks) => v1::provider::Kind::Jwks(jwks.into()),
            ProviderKind::Hmac(secret) => {
                v1::provider::Kind::Hmac(v1::Hmac { secret: secret.reveal().into() })
            }
        };
        Self {
            name: provider.name.to_string(),
            kind: Some(kind),
            issuers: provider.issuers.clone(),
            audiences: provider.audiences.clone(),
            leeway_us: provider.leeway.micros(),
        }
    }
}

impl From<&Jwks> for v1::Jwks {
    fn from(jwks: &Jwks) -> Self {
        let algorithms = jwks.algorithms.as_slice().iter().copied().map(Algorithm::name);
        Self {
            url: jwks.url.as_str().into(),
            algorithms: algorithms.map(Into::into).collect(),
            cache_ttl_us: jwks.cache_ttl.micros(),
            http_timeout_us: jwks.http_timeout.micros(),
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
                max_keys: memory.max_keys.get(),
            }),
            RateLimitBackend::Redis(redis) => Backend::Redis(redis.into()),
        };
        Self { backend: Some(backend) }
    }
}

impl From<&RedisBackend> for v1::RedisBackend {
    fn from(redis: &RedisBackend) -> Self {
        let (username, password) = match &redis.credentials {
            None => (String::new(), String::new()),
            Some(RedisCredentials { username, password }) => {
                (username.clone().unwrap_or_default(), password.reveal().to_owned())
            }
        };
        Self {
            addresses: redis.servers.addresses().iter().map(ServerAddress::as_str).map(Into::into).collect(),
            password,
            database: redis.servers.database(),
            username,
            cluster: redis.servers.is_cluster(),
            tls: redis.transport == RedisTransport::Tls,
            timeout_us: redis.timeout.micros(),
            on_failure: redis.on_failure.as_str().into(),
            key_prefix: redis.key_prefix.as_str().into(),
            local_max_keys: redis.local_max_keys.get(),
        }
    }
}
