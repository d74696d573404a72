//! What comes out of a file that is as it should be.

use super::{EXAMPLE, legal};
use crate::{
    model::{
        Auth, Concurrency, Destination, GatewayConfig, MaxKeys, PathChange, Provider, ProviderKind,
        RateLimitBackend, RateLimitScope, RedisBackend, RedisCredentials, RedisFailure, RedisServers,
        RedisTransport, Route, Settings,
    },
    names::{Algorithm, KeyPrefix, PathPrefix, Period, Secret, ServerAddress, Span},
    samples,
    wire::{Resource, decode, encode},
};

/// A configuration of one small route and these sections.
fn with(sections: &str) -> GatewayConfig {
    legal(&format!("{sections}\nroutes:\n  - {{name: a, match: {{path_prefix: /}}, upstream: 'http://h'}}\n"))
}

fn providers_of(sections: &str) -> Vec<Provider> {
    with(sections).settings().auth.as_ref().map(Auth::providers).unwrap_or_default().to_vec()
}

#[test]
fn the_models_example_means_what_it_says() {
    let (settings, _, routes) = legal(EXAMPLE).into_parts();
    let (expected, [users, public]) = (samples::full().into_parts(), [&routes[0], &routes[1]]);
    assert_eq!(Settings { admin: expected.0.admin.clone(), ..settings }, expected.0);
    assert_eq!(users, &expected.2[0]);
    assert_eq!((public.name.as_str(), public.auth_required), ("public", false));
    assert_eq!(public.concurrency.max_in_flight, 50);
    let limit = public.rate_limit.as_ref().expect("it has one");
    assert!(limit.is_enabled());
    assert_eq!(
        (limit.requests_per_second(), limit.burst(), limit.scope()),
        (20.0, 40.0, Some(&RateLimitScope::Ip))
    );
}

#[test]
fn what_a_file_says_survives_the_wire() {
    let everything = include_str!("../../../examples/everything.yaml");
    for text in [EXAMPLE, everything, include_str!("../../../examples/providers.yaml")] {
        let config = legal(text);
        let resources: Vec<Resource> = encode(&config).unwrap();
        assert_eq!(decode(&resources), Ok(config));
    }
}

#[test]
fn what_is_absent_or_null_has_its_default() {
    for sections in
        ["", "server:\nupstream: ~\nauth: null\nrate_limit: {}\nadmin:", "server: {addr: }\nupstream: {}"]
    {
        assert_eq!(with(sections).settings(), &Settings::default(), "{sections}");
    }
    assert_eq!(with("admin: {}").settings().admin.as_ref().unwrap().address.to_string(), "127.0.0.1:9901");
    let config = with("");
    let route = config.route(0).unwrap();

    let Destination::Upstream(url) = &route.destination else { panic!("it is a URL") };
    assert_eq!(route, &Route::new(route.name.clone(), PathPrefix::new("/").unwrap(), url.clone()));
    assert_eq!((route.auth_required, &route.path_change), (false, &PathChange::None));
    assert_eq!(route.concurrency, Concurrency::default());
    assert_eq!((&route.rate_limit, &route.circuit_breaker), (&None, &None));
}

#[test]
fn the_defaults_are_those_of_the_go_model() {
    let (Settings { server, upstream, rate_limit, .. }, _, _) = with("").into_parts();
    assert_eq!(server.addresses(), [":8080".parse().unwrap()]);
    assert_eq!(server.trusted_proxies, []);
    assert_eq!((server.max_header_bytes.get(), server.max_body_bytes.get()), (1 << 20, 1 << 20));
    let timeouts =
        [server.read_header_timeout, server.read_timeout, server.write_timeout, server.idle_timeout];
    assert_eq!(timeouts, [5, 15, 60, 60].map(Period::seconds));
    let timeouts = [
        upstream.dial_timeout,
        upstream.tls_handshake_timeout,
        upstream.response_header_timeout,
        upstream.idle_connection_timeout,
    ];
    assert_eq!(timeouts, [5, 5, 15, 90].map(Period::seconds));
    assert_eq!((upstream.max_idle_connections, upstream.max_idle_connections_per_host), (100, 20));
    let RateLimitBackend::Memory(memory) = rate_limit else { panic!("memory is the default") };
    assert_eq!([memory.cleanup, memory.ttl], [60, 300].map(Period::seconds));
    assert_eq!(memory.max_keys.get(), 1_000_000);
}

#[test]
fn the_defaults_of_an_issuer_are_those_of_the_go_model() {
    let settings = with("auth: {mode: jwks, jwks: {url: 'http://h/k'}}").into_parts().0;
    let [provider] = settings.auth.as_ref().unwrap().providers() else { panic!("a mode has one provider") };
    let ProviderKind::Jwks(jwks) = &provider.kind else { panic!("the mode is jwks") };
    assert_eq!([jwks.cache_ttl, jwks.http_timeout], [300, 3].map(Period::seconds));
    assert_eq!((provider.leeway, jwks.algorithms.as_slice()), (Span::seconds(30), &[Algorithm::Rs256][..]));
    assert_eq!(
        (provider.name.as_str(), &provider.issuers, &provider.audiences),
        ("default", &vec![], &vec![])
    );
}

#[test]
fn addresses_are_one_or_a_list() {
    let addresses = |sections| {
        let config = with(sections);
        config.settings().server.addresses().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(addresses("server: {addr: ':80'}"), [":80"]);
    assert_eq!(addresses("server: {addr: [':80', '[::1]:81']}"), [":80", "[::1]:81"]);
}

#[test]
fn modes_and_backends_choose_their_section() {
    let kind = |sections| providers_of(sections).remove(0).kind;
    let jwks = kind("auth: {mode: jwks, jwks: {url: 'http://h/k', algorithms: [ES256, EdDSA]}}");
    let ProviderKind::Jwks(jwks) = jwks else { panic!("the mode is jwks") };
    assert_eq!(jwks.algorithms.as_slice().iter().map(|a| a.name()).collect::<Vec<_>>(), ["ES256", "EdDSA"]);

    let hmac = kind("auth: {mode: hmac, hmac_secret: s, jwks: {url: ''}}");
    let ProviderKind::Hmac(secret) = hmac else { panic!("the mode is hmac") };
    assert_eq!(secret.reveal(), "s");

    let redis = "rate_limit: {backend: redis, redis: {addr: 'h:1', password: p, db: 3}}";
    let RateLimitBackend::Redis(redis) = with(redis).into_parts().0.rate_limit else { panic!("it is redis") };
    let address = ServerAddress::new("h:1").unwrap();
    let expected = RedisBackend {
        servers: RedisServers::single(vec![address], 3).unwrap(),
        credentials: Some(RedisCredentials { username: None, password: Secret::new("p".into()).unwrap() }),
        transport: RedisTransport::Plain,
        timeout: Period::milliseconds(5),
        on_failure: RedisFailure::Local,
        key_prefix: KeyPrefix::new("apigw").unwrap(),
        local_max_keys: MaxKeys::default(),
    };
    assert_eq!(redis, expected);
}

#[test]
fn disabled_policies_may_be_empty() {
    let config = legal(
        "routes:\n  - {name: a, match: {path_prefix: /}, upstream: 'http://h', strip_prefix: '', \
         rate_limit: {rps: 0.5, scope: ''}, circuit_breaker: {open_seconds: 0}}",
    );
    let route = config.route(0).unwrap();
    let limit = route.rate_limit.as_ref().unwrap();
    assert_eq!((limit.is_enabled(), limit.requests_per_second(), limit.scope()), (false, 0.5, None));
    assert!(!route.circuit_breaker.as_ref().unwrap().is_enabled());
    assert_eq!(route.path_change, PathChange::None);
}
