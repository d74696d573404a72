//! What a configuration asks of the build that runs it, as names that an offer can carry.
//!
//! A field that an older build does not know is nothing to it: it would run the configuration without the policy, and
//! nobody would notice. So each field that restricts requests has a feature, and a build refuses what requires a feature
//! that it does not have. Here every field of the messages is named once; one that is added does not compile until it is
//! decided which feature it needs. Nothing here knows who runs what.

/// Of what becomes of messages, and of the gateway's own answers.
mod answers;
/// Of what says who callers are, and of what a route asks of them.
mod auth;
/// Of a backend.
mod backend;
/// Of what says which backends take a request.
mod destination;
/// Of a rate limit, and of where it is counted.
mod rate_limit;

use std::{collections::BTreeSet, fmt};

use apigw_proto::v1;

use crate::{model::GatewayConfig, names::PolicyMode};

/// A policy, or a part of one, that not every build enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Tokens are checked by a list of providers.
    AuthProviders,
    /// Callers are known by API keys, which no upstream is shown.
    ApiKeys,
    /// Callers are known by passwords.
    BasicAuth,
    /// Routes say which callers they serve.
    RouteAuth,
    /// Routes say in how callers make themselves known.
    AuthMethods,
    /// A service is asked about requests.
    ExternalAuth,
    /// What it says is remembered.
    ExternalAuthCache,
    /// Callers are known by their certificates.
    Mtls,
    /// Rate limits.
    RateLimit,
    /// Rate limits count by the route, a header field or a claim.
    RateLimitScope,
    /// Rate limits are counted in Redis.
    RateLimitRedis,
    /// How Redis is reached, and what follows when it is not.
    RateLimitRedisOptions,
    /// Limits of what is under way at once.
    Concurrency,
    /// Such limits follow the upstream's latency.
    AdaptiveConcurrency,
    /// Circuit breakers.
    CircuitBreaker,
    /// Breakers open by the share of failures.
    CircuitBreakerFailureRate,
    /// Requests are taken from some addresses only.
    AddressLists,
    /// Pages of other origins are answered for.
    Cors,
    /// A route's own limit of a head.
    MaxHeaderBytes,
    /// A route's own limit of a body.
    MaxBodyBytes,
    /// Clients are spoken to in TLS.
    ServerTls,
    /// Upstreams are told of clients' certificates, and clients cannot tell them.
    ClientCertificateForwarding,
    /// Proxies say first of each connection whom it is of.
    ProxyProtocol,
    /// Endpoints of named backends share the requests of a route.
    Backends,
    /// HTTP/2 is spoken to endpoints.
    BackendHttp2,
    /// Endpoints are asked whether they are well.
    BackendHealth,
    /// Endpoints that fail requests are left out.
    BackendOutlier,
    /// Endpoints are given no new requests.
    BackendDrain,
    /// Endpoints that come or return take their share slowly.
    BackendSlowStart,
    /// Each address of a name is an endpoint.
    BackendEachAddress,
    /// Clients are kept with endpoints by a cookie.
    BackendSessionCookie,
    /// Backends share the requests of a route.
    Split,
    /// Another backend is sent copies of a route's requests.
    Mirror,
    /// A policy judges without consequences, or not at all.
    PolicyMode,
    /// Routes are chosen by more than a prefix of the path.
    RouteMatch,
    /// Header fields are changed.
    HeaderChanges,
    /// Answers say what a preset says.
    AnswerPreset,
    /// Answers are compressed.
    Compression,
    /// Routes wait for as long as they say themselves.
    Timeouts,
    /// Requests are sent again as routes say.
    Retry,
    /// A second endpoint is asked where the first is slow.
    Hedge,
    /// Routes are answered by the gateway.
    OwnAnswers,
    /// Paths and hosts are rewritten.
    Rewrite,
    /// Requests are parts of traces, which are collected.
    Tracing,
}

/// All that this build enforces.
pub const KNOWN: [Feature; 44] = [
    Feature::AuthProviders,
    Feature::ApiKeys,
    Feature::BasicAuth,
    Feature::RouteAuth,
    Feature::AuthMethods,
    Feature::ExternalAuth,
    Feature::ExternalAuthCache,
    Feature::Mtls,
    Feature::RateLimit,
    Feature::RateLimitScope,
    Feature::RateLimitRedis,
    Feature::RateLimitRedisOptions,
    Feature::Concurrency,
    Feature::AdaptiveConcurrency,
    Feature::CircuitBreaker,
    Feature::CircuitBreakerFailureRate,
    Feature::AddressLists,
    Feature::Cors,
    Feature::MaxHeaderBytes,
    Feature::MaxBodyBytes,
    Feature::ServerTls,
    Feature::ClientCertificateForwarding,
    Feature::ProxyProtocol,
    Feature::Backends,
    Feature::BackendHttp2,
    Feature::BackendHealth,
    Feature::BackendOutlier,
    Feature::BackendDrain,
    Feature::BackendSlowStart,
    Feature::BackendEachAddress,
    Feature::BackendSessionCookie,
    Feature::Split,
    Feature::Mirror,
    Feature::PolicyMode,
    Feature::RouteMatch,
    Feature::HeaderChanges,
    Feature::AnswerPreset,
    Feature::Compression,
    Feature::Timeouts,
    Feature::Retry,
    Feature::Hedge,
    Feature::OwnAnswers,
    Feature::Rewrite,
    Feature::Tracing,
];

impl Feature {
    /// The name in a message. It never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthProviders => "auth.providers",
            Self::ApiKeys => "auth.api_keys",
            Self::BasicAuth => "auth.basic",
            Self::RouteAuth => "route.auth",
            Self::AuthMethods => "route.auth.methods",
            Self::ExternalAuth => "route.auth.external",
            Self::ExternalAuthCache => "route.auth.external.cache",
            Self::Mtls => "route.auth.mtls",
            Self::RateLimit => "rate_limit",
            Self::RateLimitScope => "rate_limit.scope",
            Self::RateLimitRedis => "rate_limit.redis",
            Self::RateLimitRedisOptions => "rate_limit.redis_options",
            Self::Concurrency => "concurrency",
            Self::AdaptiveConcurrency => "concurrency.adaptive",
            Self::CircuitBreaker => "circuit_breaker",
            Self::CircuitBreakerFailureRate => "circuit_breaker.failure_rate",
            Self::AddressLists => "address_lists",
            Self::Cors => "cors",
            Self::MaxHeaderBytes => "max_header_bytes",
            Self::MaxBodyBytes => "max_body_bytes",
            Self::ServerTls => "server.tls",
            Self::ClientCertificateForwarding => "server.tls.client_auth.forward",
            Self::ProxyProtocol => "server.proxy_protocol",
            Self::Backends => "backends",
            Self::BackendHttp2 => "backends.http2",
            Self::BackendHealth => "backends.health",
            Self::BackendOutlier => "backends.health.outlier",
            Self::BackendDrain => "backends.endpoints.drain",
            Self::BackendSlowStart => "backends.slow_start",
            Self::BackendEachAddress => "backends.endpoints.each_address",
            Self::BackendSessionCookie => "backends.session_cookie",
            Self::Split => "route.split",
            Self::Mirror => "route.mirror",
            Self::PolicyMode => "policy_mode",
            Self::RouteMatch => "route.match",
            Self::HeaderChanges => "route.headers",
            Self::AnswerPreset => "route.response_headers.preset",
            Self::Compression => "route.compression",
            Self::Timeouts => "route.timeouts",
            Self::Retry => "route.retry",
            Self::Hedge => "route.hedge",
            Self::OwnAnswers => "route.answers",
            Self::Rewrite => "route.rewrite",
            Self::Tracing => "tracing",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this build enforces what has that name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|feature| feature.name() == name)
}

/// What a build must enforce to run a configuration as it is meant.
#[must_use]
pub fn required(config: &GatewayConfig) -> BTreeSet<Feature> {
    let mut required = of_settings(config.settings().into());
    required.extend(of_backends(config.backends().iter().map(|backend| backend.as_ref().into())));
    required.extend(of_routes(config.routes().map(Into::into)));
    required
}

/// What the settings ask for.
pub(super) fn of_settings(settings: v1::Settings) -> BTreeSet<Feature> {
    let mut needs = Needs::default();
    needs.settings(settings);
    needs.0
}

/// What these backends ask for.
pub(super) fn of_backends(backends: impl IntoIterator<Item = v1::Backend>) -> BTreeSet<Feature> {
    let mut needs = Needs::default();
    backends.into_iter().for_each(|backend| needs.named_backend(backend));
    needs.0
}

/// What these routes ask for.
pub(super) fn of_routes(routes: impl IntoIterator<Item = v1::Route>) -> BTreeSet<Feature> {
    let mut needs = Needs::default();
    routes.into_iter().for_each(|route| needs.route(route));
    needs.0
}

/// What was found to be required. Each method takes one message apart, without `..`: what needs no feature, because
/// every build knows it or because it restricts nothing, is passed over by name.
#[derive(Default)]
struct Needs(BTreeSet<Feature>);

impl Needs {
    fn add(&mut self, feature: Feature) {
        self.0.insert(feature);
    }

    /// A policy, or a part of it, in a mode. One that is off is not missed.
    fn policy(&mut self, feature: Feature, mode: &str) {
        if mode != PolicyMode::Off.as_str() {
            self.add(feature);
        }
        if !mode.is_empty() {
            self.add(Feature::PolicyMode);
        }
    }

    fn settings(&mut self, settings: v1::Settings) {
        let v1::Settings { server, upstream, auth, rate_limit, admin, tracing } = settings;
        server.into_iter().for_each(|server| self.server(server));
        if let Some(v1::Upstream {
            dial_timeout_us: _,
            tls_handshake_timeout_us: _,
            response_header_timeout_us: _,
            idle_connection_timeout_us: _,
            max_idle_connections: _,
            max_idle_connections_per_host: _,
        }) = upstream
        {}
        auth.into_iter().for_each(|auth| self.auth(auth));
        rate_limit.into_iter().for_each(|backend| self.rate_limit_backend(backend));
        if let Some(v1::Admin { address: _ }) = admin {}
        if let Some(v1::Tracing { otlp_endpoint: _, sample_ratio: _ }) = tracing {
            self.add(Feature::Tracing);
        }
    }

    fn server(&mut self, server: v1::Server) {
        let v1::Server {
            addresses: _,
            trusted_proxies: _,
            max_header_bytes: _,
            max_body_bytes: _,
            read_header_timeout_us: _,
            read_timeout_us: _,
            write_timeout_us: _,
            idle_timeout_us: _,
            websocket_idle_timeout_us: _,
            address_lists,
            // A build that does not know them refuses more.
            paths: _,
            drain_timeout_us: _,
            // Every build has some bound, if only that of its system.
            max_connections: _,
            tls,
            proxy_protocol,
        } = server;
        address_lists.into_iter().for_each(|lists| self.address_lists(&lists));
        // What it says of the server's certificates is no feature of its own: a build that reads it does all of it.
        if let Some(v1::ServerTls {
            addresses: _,
            redirect_to_https: _,
            certificates: _,
            min_version: _,
            client_auth: _,
            client_ca_file: _,
            handshake_timeout_us: _,
            forward_client_certificate,
        }) = tls
        {
            self.add(Feature::ServerTls);
            if !forward_client_certificate.is_empty() {
                self.add(Feature::ClientCertificateForwarding);
            }
        }
        if let Some(v1::ProxyProtocol { trusted: _ }) = proxy_protocol {
            self.add(Feature::ProxyProtocol);
        }
    }

    fn address_lists(&mut self, lists: &v1::AddressLists) {
        let v1::AddressLists { allow, deny, mode } = lists;
        if !allow.is_empty() || !deny.is_empty() {
            self.policy(Feature::AddressLists, mode);
        }
    }

    /// How long is waited for a request, and how often it is sent.
    fn attempts(
        &mut self,
        timeouts: Option<v1::Timeouts>,
        retry: Option<&v1::Retry>,
        hedge: Option<v1::Hedge>,
    ) {
        if let Some(v1::Timeouts { total_us: _, connect_us: _, first_byte_us: _, idle_us: _ }) = timeouts {
            self.add(Feature::Timeouts);
        }
        if let Some(v1::Retry { attempts: _, on: _, budget_percent: _, methods: _ }) = retry {
            self.add(Feature::Retry);
        }
        if let Some(v1::Hedge { after_us: _ }) = hedge {
            self.add(Feature::Hedge);
        }
    }

    fn route(&mut self, route: v1::Route) {
        let v1::Route {
            name: _,
            path_prefix: _,
            upstream: _,
            // There is one of that name, which asks for what it needs.
            backend: _,
            strip_prefix: _,
            // Every build refuses unknown callers there, if only because none is known to it.
            auth_required: _,
            rate_limit,
            concurrency,
            circuit_breaker,
            auth,
            address_lists,
            cors,
            max_header_bytes,
            max_body_bytes,
            route_match,
            request_headers,
            response_headers,
            timeouts,
            retry,
            redirect,
            respond,
            rewrite,
            split,
            mirror,
            hedge,
            response_preset,
            compression,
        } = route;
        split.into_iter().for_each(|split| self.split(split));
        mirror.iter().for_each(|mirror| self.mirror(mirror));
        self.attempts(timeouts, retry.as_ref(), hedge);
        self.own_answers(redirect.as_ref(), respond.as_ref());
        rewrite.iter().for_each(|rewrite| self.rewrite(rewrite));
        request_headers.iter().chain(&response_headers).for_each(|changes| self.header_changes(changes));
        self.answer_preset(&response_preset);
        compression.iter().for_each(|compression| self.compression(compression));
        if let Some(v1::RouteMatch { hosts: _, path: _, path_regex: _, methods: _, headers: _, query: _ }) =
            route_match
        {
            self.add(Feature::RouteMatch);
        }
        rate_limit.into_iter().for_each(|limit| self.rate_limit(&limit));
        concurrency.into_iter().for_each(|concurrency| self.concurrency(&concurrency));
        circuit_breaker.into_iter().for_each(|breaker| self.circuit_breaker(breaker));
        auth.into_iter().for_each(|auth| self.route_auth(auth));
        address_lists.into_iter().for_each(|lists| self.address_lists(&lists));
        cors.into_iter().for_each(|cors| self.cors(cors));
        if max_header_bytes > 0 {
            self.add(Feature::MaxHeaderBytes);
        }
        if max_body_bytes > 0 {
            self.add(Feature::MaxBodyBytes);
        }
    }

    fn concurrency(&mut self, concurrency: &v1::Concurrency) {
        let v1::Concurrency { max_in_flight, adaptive, mode } = concurrency;
        if let Some(v1::AdaptiveConcurrency { min: _, max: _ }) = adaptive {
            self.policy(Feature::AdaptiveConcurrency, mode);
        }
        if *max_in_flight > 0 {
            self.policy(Feature::Concurrency, mode);
        }
    }

    fn circuit_breaker(&mut self, breaker: v1::CircuitBreaker) {
        let v1::CircuitBreaker {
            enabled,
            failure_threshold: _,
            open_us: _,
            half_open_max_in_flight: _,
            failure_rate,
            mode,
        } = breaker;
        if !enabled {
            return;
        }
        self.policy(Feature::CircuitBreaker, &mode);
        if let Some(v1::FailureRate { percent: _, window_us: _, minimum_requests: _ }) = failure_rate {
            self.policy(Feature::CircuitBreakerFailureRate, &mode);
        }
    }

    fn cors(&mut self, cors: v1::Cors) {
        let v1::Cors { allow_origins: _, allow_methods: _, allow_headers: _, max_age_us: _, mode } = cors;
        self.policy(Feature::Cors, &mode);
    }
}

/// A build that reads a rewrite does all of it.
fn path_rewrite_in_full(message: &v1::PathRewrite) {
    use v1::path_rewrite::Rewrite;
    match &message.rewrite {
        Some(Rewrite::Regex(v1::RegexRewrite { pattern: _, with: _ })) => {}
        Some(Rewrite::Path(_) | Rewrite::Prefix(_)) | None => {}
    }
}

#[cfg(test)]
mod tests;
