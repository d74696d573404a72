//! Configurations for tests: one that says everything, and any that is legal.

use proptest::{prelude::*, sample::select};

use crate::{
    model::{
        Admin, Auth, ByteCount, CircuitBreaker, GatewayConfig, Jwks, MemoryBackend, RateLimit,
        RateLimitBackend, RateLimitScope, RedisBackend, Route, Secret, Server, Settings, Upstream,
    },
    names::{Algorithm, Algorithms, PathPrefix, Period, RouteName, ServerAddress, Span, UpstreamUrl},
};

/// The configuration of the example file, with an admin address besides.
pub(crate) fn full() -> GatewayConfig {
    let mut server = Server::default();
    server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let jwks = jwks(vec!["http://127.0.0.1:9009".into()]);
    let admin = Admin { address: "127.0.0.1:9901".parse().unwrap() };
    let settings =
        Settings { server, auth: Some(Auth::Jwks(jwks)), admin: Some(admin), ..Settings::default() };
    let users = Route {
        strip_prefix: Some(PathPrefix::new("/api").unwrap()),
        auth_required: true,
        rate_limit: Some(RateLimit::enabled(5.0, 10.0, Some(RateLimitScope::User)).unwrap()),
        max_in_flight: 50,
        circuit_breaker: Some(CircuitBreaker::enabled(5, 10_000_000, 1).unwrap()),
        ..route("users", "/api/users/", "http://127.0.0.1:9001")
    };
    GatewayConfig::new(settings, vec![users, route("public", "/public/", "http://127.0.0.1:9999")]).unwrap()
}

/// A configuration whose size on the wire is up to the caller.
pub(crate) fn with_issuer_of_length(length: usize) -> GatewayConfig {
    let auth = Some(Auth::Jwks(jwks(vec!["x".repeat(length)])));
    let routes = vec![route("users", "/", "http://127.0.0.1:9001")];
    GatewayConfig::new(Settings { auth, ..Settings::default() }, routes).unwrap()
}

fn jwks(issuers: Vec<String>) -> Jwks {
    Jwks {
        url: UpstreamUrl::new("http://127.0.0.1:9009/.well-known/jwks.json").unwrap(),
        issuers,
        audiences: vec!["apigw".into()],
        algorithms: Algorithms::default(),
        cache_ttl: Period::seconds(300),
        http_timeout: Period::seconds(3),
        leeway: Span::seconds(30),
    }
}

fn route(name: &str, prefix: &str, upstream: &str) -> Route {
    Route {
        name: RouteName::new(name).unwrap(),
        path_prefix: PathPrefix::new(prefix).unwrap(),
        upstream: UpstreamUrl::new(upstream).unwrap(),
        strip_prefix: None,
        auth_required: false,
        rate_limit: None,
        max_in_flight: 0,
        circuit_breaker: None,
    }
}

/// Any legal configuration.
pub(crate) fn any_config() -> impl Strategy<Value = GatewayConfig> {
    let names = prop::collection::btree_set("[a-z0-9._:/@-]{1,12}", 1..6);
    let routes = names.prop_flat_map(|names| names.into_iter().map(any_route).collect::<Vec<_>>());
    (any_settings(), routes.prop_shuffle()).prop_map(|(settings, mut routes)| {
        for route in &mut routes {
            route.auth_required &= settings.auth.is_some();
        }
        GatewayConfig::new(settings, routes).unwrap()
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let address = select(vec![":8080", "127.0.0.1:0", "[::1]:8443"]).prop_map(|text| text.parse().unwrap());
    let admin = prop::option::of(address.clone().prop_map(|address| Admin { address }));
    let addresses = prop::collection::vec(address, 1..3);
    let ranges = select(vec!["10.0.0.0/8", "::1/128", "192.0.2.7"]).prop_map(|text| text.parse().unwrap());
    let ranges = prop::collection::vec(ranges, 0..3);
    let server = (addresses, ranges, any_bytes(), any_bytes(), [any_period(), any_period()]).prop_map(
        |(addresses, ranges, head, body, [read, write])| {
            let mut server = Server::default().with_addresses(addresses).unwrap();
            server.trusted_proxies = ranges;
            (server.max_header_bytes, server.max_body_bytes) = (head, body);
            (server.read_timeout, server.write_timeout) = (read, write);
            server
        },
    );
    let upstream = ([any_period(), any_period()], any::<u32>(), any::<u32>()).prop_map(
        |([dial_timeout, idle_connection_timeout], max_idle_connections, max_idle_connections_per_host)| {
            let timeouts = Upstream { dial_timeout, idle_connection_timeout, ..Upstream::default() };
            Upstream { max_idle_connections, max_idle_connections_per_host, ..timeouts }
        },
    );
    let auth = prop::option::of(any_auth());
    (server, upstream, auth, any_backend(), admin).prop_map(|(server, upstream, auth, rate_limit, admin)| {
        Settings { server, upstream, auth, rate_limit, admin }
    })
}

fn any_period() -> impl Strategy<Value = Period> {
    (1_u64..=86_400_000_000).prop_map(|micros| Period::from_micros(micros).unwrap())
}

fn any_bytes() -> impl Strategy<Value = ByteCount> {
    (1_u64..=1 << 53).prop_map(|bytes| ByteCount::new(bytes).unwrap())
}

fn any_secret() -> impl Strategy<Value = Secret> {
    ".{1,12}".prop_map(|text| Secret::new(text).unwrap())
}

fn any_auth() -> impl Strategy<Value = Auth> {
    let texts = || prop::collection::vec(".{0,12}", 0..3);
    let algorithms = ["RS256", "PS512", "ES384", "EdDSA"].map(|name| name.parse::<Algorithm>().unwrap());
    let algorithms = prop::collection::vec(select(algorithms.to_vec()), 1..4);
    let leeway = (0_u64..=86_400_000_000).prop_map(|micros| Span::from_micros(micros).unwrap());
    let jwks = (texts(), texts(), algorithms, any_period(), leeway).prop_map(
        |(issuers, audiences, algorithms, cache_ttl, leeway)| {
            let algorithms = Algorithms::new(algorithms).unwrap();
            Auth::Jwks(Jwks { audiences, algorithms, cache_ttl, leeway, ..jwks(issuers) })
        },
    );
    prop_oneof![jwks, any_secret().prop_map(Auth::Hmac)]
}

fn any_backend() -> impl Strategy<Value = RateLimitBackend> {
    let memory = [any_period(), any_period()]
        .prop_map(|[cleanup, ttl]| RateLimitBackend::Memory(MemoryBackend { cleanup, ttl }));
    let redis = (prop::option::of(any_secret()), any::<u32>()).prop_map(|(password, database)| {
        let address = ServerAddress::new("redis.internal:6379").unwrap();
        RateLimitBackend::Redis(RedisBackend { address, password, database })
    });
    prop_oneof![memory, redis]
}

fn any_route(name: String) -> impl Strategy<Value = Route> {
    let prefix = || "(/[a-z%~-]{1,6}){1,3}/?".prop_map(|text| PathPrefix::new(&text).unwrap());
    let upstream = "https?://[a-z]{1,8}(:[1-9][0-9]{0,3})?(/[a-z]{1,4})?";
    let upstream = upstream.prop_map(|text| UpstreamUrl::new(&text).unwrap());
    let strip_prefix = prop::option::of(prefix());
    let policies = (prop::option::of(any_limit()), any::<u32>(), prop::option::of(any_breaker()));
    (prefix(), upstream, strip_prefix, any::<bool>(), policies).prop_map(
        move |(path_prefix, upstream, strip_prefix, auth_required, policies)| {
            let (rate_limit, max_in_flight, circuit_breaker) = policies;
            let policies =
                Route { rate_limit, max_in_flight, circuit_breaker, ..route(&name, "/", "http://h") };
            Route { path_prefix, upstream, strip_prefix, auth_required, ..policies }
        },
    )
}

fn any_limit() -> impl Strategy<Value = RateLimit> {
    let scope = select(vec![RateLimitScope::Ip, RateLimitScope::User]);
    let enabled = (0.001..RateLimit::MAX, 0.001..RateLimit::MAX, scope.clone())
        .prop_map(|(rate, burst, scope)| RateLimit::enabled(rate, burst, Some(scope)).unwrap());
    let disabled = (0.0..RateLimit::MAX, 0.0..RateLimit::MAX, prop::option::of(scope))
        .prop_map(|(rate, burst, scope)| RateLimit::disabled(rate, burst, scope).unwrap());
    prop_oneof![enabled, disabled]
}

fn any_breaker() -> impl Strategy<Value = CircuitBreaker> {
    let enabled = (1_u32.., 1_u64..=86_400_000_000, 1_u32..)
        .prop_map(|(threshold, open, trials)| CircuitBreaker::enabled(threshold, open, trials).unwrap());
    let disabled = (any::<u32>(), 0_u64..=86_400_000_000, any::<u32>())
        .prop_map(|(threshold, open, trials)| CircuitBreaker::disabled(threshold, open, trials).unwrap());
    prop_oneof![enabled, disabled]
}
