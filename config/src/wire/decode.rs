//! From what a peer sent to the model, by the same constructors as a file, with every problem at once.
//!
//! A problem names the key as a file would have it (`routes[3].upstream`), has no file and no position.

mod route;

use std::str::FromStr;

use apigw_proto::v1;
use prost::Message as _;

use self::route::route;
use super::{Resource, ResourceKind};
use crate::{
    model::{
        Admin, Auth, ByteCount, ConfigError, GatewayConfig, Jwks, MemoryBackend, RateLimitBackend,
        RedisBackend, Route, Secret, Server, Settings, Upstream,
    },
    names::{Algorithms, Period, ServerAddress, Span, UpstreamUrl, ValueError},
    problem::{KeyPath, Problem, Problems},
};

/// Decodes a configuration.
///
/// # Errors
/// Everything wrong with it; at least one problem.
pub fn decode<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Result<GatewayConfig, Vec<Problem>> {
    let mut problems = Problems::of("");
    let mut resources = resources.into_iter();
    let settings = decode_settings(resources.next(), &mut problems);
    let at = KeyPath::Top.key("routes");
    let routes = resources.enumerate();
    let routes: Vec<_> = routes
        .filter_map(|(index, resource)| decode_route(resource, &at.index(index), &mut problems))
        .collect();
    let (settings, routes) = problems.or(settings.map(|settings| (settings, routes)))?;
    GatewayConfig::new(settings, routes).map_err(|errors| {
        let mut problems = Problems::of("");
        for error in errors {
            report_conflict(&error, &mut problems);
        }
        problems.into_sorted()
    })
}

fn report_conflict(error: &ConfigError, problems: &mut Problems) {
    let at = KeyPath::Top.key("routes");
    match error {
        ConfigError::NoRoutes => problems.report(None, &at, error),
        ConfigError::DuplicateName { second, .. } => {
            problems.report(None, &at.index(*second).key("name"), error);
        }
        ConfigError::NoAuth { route } => problems.report(None, &at.index(*route).key("auth_required"), error),
    }
}

fn decode_settings(resource: Option<&Resource>, problems: &mut Problems) -> Option<Settings> {
    let settings = resource.filter(|r| r.entry().kind == ResourceKind::Settings && r.entry().name.is_empty());
    let Some(resource) = settings else {
        problems.report(None, &KeyPath::Top, "the first resource is not the unnamed settings");
        return None;
    };
    match v1::Settings::decode(resource.bytes().as_ref()) {
        Ok(message) => settings_from(message, problems),
        Err(error) => {
            problems.report(None, &KeyPath::Top, format_args!("the settings are not readable: {error}"));
            None
        }
    }
}

fn decode_route(resource: &Resource, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Route> {
    if resource.entry().kind != ResourceKind::Route {
        problems.report(None, at, "not a route, as every resource after the first must be");
        return None;
    }
    match v1::Route::decode(resource.bytes().as_ref()) {
        Ok(message) if message.name != resource.entry().name => {
            let message =
                format_args!("is {:?} in a resource named {:?}", message.name, resource.entry().name);
            problems.report(None, &at.key("name"), message);
            None
        }
        Ok(message) => route(message, at, problems),
        Err(error) => {
            problems.report(None, at, format_args!("not readable: {error}"));
            None
        }
    }
}

/// What belongs to one message: its place, and where its problems go.
struct Fields<'a, 'p> {
    at: KeyPath<'a>,
    problems: &'p mut Problems,
}

impl Fields<'_, '_> {
    /// A value as its constructor judged it.
    fn take<T>(&mut self, key: &str, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.problems.report(None, &self.at.key(key), error)).ok()
    }

    /// A message that must be there.
    fn needed<T>(&mut self, key: &str, message: Option<T>) -> Option<T> {
        self.take(key, message.ok_or(ValueError::Missing))
    }

    /// Each text of a list; every illegal one is a problem.
    fn parse_all<T: FromStr<Err = ValueError>>(&mut self, key: &str, texts: &[String]) -> Option<Vec<T>> {
        let mut values = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.problems.report(None, &self.at.key(key).index(index), error),
            }
        }
        (values.len() == texts.len()).then_some(values)
    }

    fn period(&mut self, key: &str, micros: u64) -> Option<Period> {
        self.take(key, Period::from_micros(micros))
    }
}

fn settings_from(message: v1::Settings, problems: &mut Problems) -> Option<Settings> {
    let mut top = Fields { at: KeyPath::Top, problems };
    let server = top.needed("server", message.server);
    let server = server.and_then(|message| server_from(&message, top.problems));
    let upstream = top.needed("upstream", message.upstream);
    let upstream = upstream.and_then(|message| upstream_from(&message, top.problems));
    let auth = match message.auth {
        None => Some(None),
        Some(message) => auth_from(message, top.problems).map(Some),
    };
    let rate_limit = top.needed("rate_limit", message.rate_limit);
    let rate_limit = rate_limit.and_then(|message| rate_limit_from(message, top.problems));
    let admin = match message.admin {
        None => Some(None),
        Some(v1::Admin { address }) => {
            let mut fields = Fields { at: KeyPath::Top.key("admin"), problems: top.problems };
            fields.take("addr", address.parse()).map(|address| Some(Admin { address }))
        }
    };
    Some(Settings {
        server: server?,
        upstream: upstream?,
        auth: auth?,
        rate_limit: rate_limit?,
        admin: admin?,
    })
}

fn server_from(message: &v1::Server, problems: &mut Problems) -> Option<Server> {
    let mut fields = Fields { at: KeyPath::Top.key("server"), problems };
    let addresses = fields.parse_all("addr", &message.addresses);
    let trusted_proxies = fields.parse_all("trusted_proxies", &message.trusted_proxies);
    let max_header_bytes = fields.take("max_header_bytes", ByteCount::new(message.max_header_bytes));
    let max_body_bytes = fields.take("max_body_bytes", ByteCount::new(message.max_body_bytes));
    let read_header_timeout = fields.period("read_header_timeout_seconds", message.read_header_timeout_us);
    let read_timeout = fields.period("read_timeout_seconds", message.read_timeout_us);
    let write_timeout = fields.period("write_timeout_seconds", message.write_timeout_us);
    let idle_timeout = fields.period("idle_timeout_seconds", message.idle_timeout_us);
    let server = addresses.and_then(|list| fields.take("addr", Server::default().with_addresses(list)));
    let mut server = server?;
    server.trusted_proxies = trusted_proxies?;
    server.max_header_bytes = max_header_bytes?;
    server.max_body_bytes = max_body_bytes?;
    server.read_header_timeout = read_header_timeout?;
    server.read_timeout = read_timeout?;
    server.write_timeout = write_timeout?;
    server.idle_timeout = idle_timeout?;
    Some(server)
}

fn upstream_from(message: &v1::Upstream, problems: &mut Problems) -> Option<Upstream> {
    let mut fields = Fields { at: KeyPath::Top.key("upstream"), problems };
    let count = |number: u64| {
        u32::try_from(number).map_err(|_| ValueError::OutOfRange { range: "from 0 to 4294967295" })
    };
    let dial_timeout = fields.period("dial_timeout_seconds", message.dial_timeout_us);
    let tls_handshake_timeout =
        fields.period("tls_handshake_timeout_seconds", message.tls_handshake_timeout_us);
    let response_header_timeout =
        fields.period("response_header_timeout_seconds", message.response_header_timeout_us);
    let idle_connection_timeout =
        fields.period("idle_conn_timeout_seconds", message.idle_connection_timeout_us);
    let max_idle_connections = fields.take("max_idle_conns", count(message.max_idle_connections));
    let per_host = fields.take("max_idle_conns_per_host", count(message.max_idle_connections_per_host));
    Some(Upstream {
        dial_timeout: dial_timeout?,
        tls_handshake_timeout: tls_handshake_timeout?,
        response_header_timeout: response_header_timeout?,
        idle_connection_timeout: idle_connection_timeout?,
        max_idle_connections: max_idle_connections?,
        max_idle_connections_per_host: per_host?,
    })
}

fn auth_from(message: v1::Auth, problems: &mut Problems) -> Option<Auth> {
    let top = KeyPath::Top.key("auth");
    let mut fields = Fields { at: top, problems };
    match fields.needed("mode", message.mode)? {
        v1::auth::Mode::Hmac(v1::Hmac { secret }) => {
            fields.take("hmac_secret", Secret::new(secret)).map(Auth::Hmac)
        }
        v1::auth::Mode::Jwks(message) => {
            let mut fields = Fields { at: top.key("jwks"), problems: fields.problems };
            let url = fields.take("url", UpstreamUrl::new(&message.url));
            let algorithms = fields.parse_all("algorithms", &message.algorithms);
            let algorithms = algorithms.and_then(|list| fields.take("algorithms", Algorithms::new(list)));
            let cache_ttl = fields.period("cache_ttl_seconds", message.cache_ttl_us);
            let http_timeout = fields.period("http_timeout_seconds", message.http_timeout_us);
            let leeway = fields.take("leeway_seconds", Span::from_micros(message.leeway_us));
            Some(Auth::Jwks(Jwks {
                url: url?,
                issuers: message.issuers,
                audiences: message.audiences,
                algorithms: algorithms?,
                cache_ttl: cache_ttl?,
                http_timeout: http_timeout?,
                leeway: leeway?,
            }))
        }
    }
}

fn rate_limit_from(message: v1::RateLimitBackend, problems: &mut Problems) -> Option<RateLimitBackend> {
    use v1::rate_limit_backend::Backend;
    let top = KeyPath::Top.key("rate_limit");
    let mut fields = Fields { at: top, problems };
    match fields.needed("backend", message.backend)? {
        Backend::Memory(v1::MemoryBackend { cleanup_us, ttl_us }) => {
            let mut fields = Fields { at: top.key("memory"), problems: fields.problems };
            let cleanup = fields.period("cleanup_seconds", cleanup_us);
            let ttl = fields.period("ttl_seconds", ttl_us);
            Some(RateLimitBackend::Memory(MemoryBackend { cleanup: cleanup?, ttl: ttl? }))
        }
        Backend::Redis(v1::RedisBackend { address, password, database }) => {
            let mut fields = Fields { at: top.key("redis"), problems: fields.problems };
            let address = fields.take("addr", ServerAddress::new(&address))?;
            Some(RateLimitBackend::Redis(RedisBackend {
                address,
                password: Secret::new(password).ok(),
                database,
            }))
        }
    }
}
