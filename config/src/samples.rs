//! Configurations for tests: one that says everything, and any that is legal.

mod any;

pub(crate) use self::any::any_config;
use crate::{
    model::{
        Admin, Auth, Backend, CircuitBreaker, Concurrency, Destination, Endpoint, GatewayConfig, Jwks,
        PathChange, Provider, ProviderKind, RateLimit, RateLimitScope, Route, Server, Settings,
    },
    names::{
        Algorithms, BackendName, PathPrefix, Period, ProviderName, RouteName, Span, UpstreamUrl, Weight,
    },
};

/// The configuration of the example file, with an admin address besides.
pub(crate) fn full() -> GatewayConfig {
    let mut server = Server::default();
    server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let provider = issuer(vec!["http://127.0.0.1:9009".into()]);
    let admin = Admin { address: "127.0.0.1:9901".parse().unwrap() };
    let settings =
        Settings { server, auth: Some(provider.into()), admin: Some(admin), ..Settings::default() };
    let users = Route {
        path_change: PathChange::Strip(PathPrefix::new("/api").unwrap()),
        auth_required: true,
        rate_limit: Some(RateLimit::enabled(5.0, 10.0, Some(RateLimitScope::User)).unwrap().into()),
        concurrency: Concurrency { max_in_flight: 50, ..Concurrency::default() },
        circuit_breaker: Some(CircuitBreaker::enabled(5, 10_000_000, 1).unwrap().into()),
        ..route("users", "/api/users/", "http://127.0.0.1:9001")
    };
    let public = route("public", "/public/", "http://127.0.0.1:9999");
    GatewayConfig::new(settings, vec![users, public]).unwrap()
}

/// The same, with a backend that its second route sends to.
pub(crate) fn with_backend() -> GatewayConfig {
    let (settings, _, mut routes) = full().into_parts();
    let name = BackendName::new("orders").unwrap();
    let endpoint = Endpoint {
        url: UpstreamUrl::new("http://127.0.0.1:9002").unwrap(),
        weight: Weight::default(),
        drains: false,
        resolution: crate::model::Resolution::Together,
    };
    routes[1].destination = Destination::Backend(name.clone());
    let backend = Backend::new(name, vec![endpoint], None).unwrap();
    GatewayConfig::with_backends(settings, vec![backend], routes).unwrap()
}

/// A configuration whose size on the wire is up to the caller.
pub(crate) fn with_issuer_of_length(length: usize) -> GatewayConfig {
    let auth = Some(Auth::from(issuer(vec!["x".repeat(length)])));
    let routes = vec![route("users", "/", "http://127.0.0.1:9001")];
    GatewayConfig::new(Settings { auth, ..Settings::default() }, routes).unwrap()
}

fn issuer(issuers: Vec<String>) -> Provider {
    let jwks = Jwks {
        url: UpstreamUrl::new("http://127.0.0.1:9009/.well-known/jwks.json").unwrap(),
        algorithms: Algorithms::default(),
        cache_ttl: Period::seconds(300),
        http_timeout: Period::seconds(3),
    };
    Provider {
        name: ProviderName::default(),
        kind: ProviderKind::Jwks(jwks),
        issuers,
        audiences: vec!["apigw".into()],
        leeway: Span::seconds(30),
    }
}

fn route(name: &str, prefix: &str, upstream: &str) -> Route {
    Route::new(
        RouteName::new(name).unwrap(),
        PathPrefix::new(prefix).unwrap(),
        UpstreamUrl::new(upstream).unwrap(),
    )
}
