//! What must hold of any configuration on its way, and of any bytes that a peer may send instead.

use apigw_proto::v1;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{model::GatewayConfig, samples};

fn decode_error(resources: &[Resource]) -> Vec<String> {
    decode(resources).expect_err("these must be refused").iter().map(ToString::to_string).collect()
}

fn hash_of(config: &GatewayConfig) -> Hash {
    root_hash(encode(config).expect("samples are small").iter().map(Resource::entry))
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(config in samples::any_config()) {
        let resources = encode(&config).expect("samples are small");
        prop_assert_eq!(decode(&resources), Ok(config));
    }

    #[test]
    fn equal_configurations_have_equal_hashes_and_others_do_not(
        (a, b) in (samples::any_config(), samples::any_config())
    ) {
        prop_assert_eq!(hash_of(&a), hash_of(&a.clone()));
        prop_assert_eq!(a == b, hash_of(&a) == hash_of(&b));
    }

    #[test]
    fn damaged_bytes_are_read_or_refused_but_never_panic(
        config in samples::any_config(),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut resources = encode(&config).expect("samples are small");
        let chosen = which.index(resources.len());
        let bytes = resources[chosen].bytes().to_vec();
        let (kind, name) = (resources[chosen].entry().kind, resources[chosen].entry().name.clone());
        let place = place.index(bytes.len());

        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        for damaged in [bytes[..place].to_vec(), flipped] {
            resources[chosen] = Resource::new(kind, name.clone(), damaged.into());
            if let Err(problems) = decode(&resources) {
                prop_assert!(!problems.is_empty());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_but_never_panic(
        settings in prop::collection::vec(any::<u8>(), 0..200),
        route in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let settings = Resource::new(ResourceKind::Settings, String::new(), settings.into());
        let route = Resource::new(ResourceKind::Route, "users".into(), route.into());
        if let Err(problems) = decode(&[settings, route]) {
            prop_assert!(!problems.is_empty());
        }
    }
}

#[test]
fn the_hash_of_a_configuration_does_not_change_between_builds() {
    let expected = "a310d65575cabf9d6b865c48ef41ab4724bbcc34a5af0fea9f0fb4c285b21619";
    assert_eq!(hash_of(&samples::full()).to_string(), expected);
}

#[test]
fn settings_come_first_and_routes_keep_their_order() {
    let resources = encode(&samples::full()).expect("it is small");
    let entries: Vec<_> = resources.iter().map(|r| (r.entry().kind, r.entry().name.as_str())).collect();
    let expected =
        [(ResourceKind::Settings, ""), (ResourceKind::Route, "users"), (ResourceKind::Route, "public")];
    assert_eq!(entries, expected);
}

#[test]
fn a_resource_is_what_its_place_and_name_say() {
    let legal = encode(&samples::full()).expect("it is small");
    let [settings, users, public] = &legal[..] else { panic!("settings and two routes") };

    assert_eq!(decode_error(&[]), ["the first resource is not the unnamed settings"]);
    let first = decode_error(&[users.clone(), public.clone()]);
    assert_eq!(first, ["the first resource is not the unnamed settings"]);
    let twice = decode_error(&[settings.clone(), settings.clone()]);
    assert_eq!(
        twice,
        ["routes[0]: not a route, as every resource after the settings and the backends must be"]
    );
    let renamed = Resource::new(ResourceKind::Route, "other".into(), users.bytes().clone());
    let renamed = decode_error(&[settings.clone(), renamed]);
    assert_eq!(renamed, [r#"routes[0].name: is "users" in a resource named "other""#]);
}

#[test]
fn the_rules_across_routes_hold_for_a_peer_too() {
    let legal = encode(&samples::full()).expect("it is small");
    let [settings, users, _] = &legal[..] else { panic!("settings and two routes") };
    assert_eq!(decode_error(std::slice::from_ref(settings)), ["routes: at least one route is needed"]);
    assert_eq!(
        decode_error(&[settings.clone(), users.clone(), users.clone()]),
        [r#"routes[1].name: the name "users" is already taken by routes[0]"#]
    );
}

#[test]
fn every_problem_of_a_peer_is_reported_with_its_key() {
    let route = v1::Route {
        name: "a b".into(),
        path_prefix: "x".into(),
        upstream: "locahost:9001".into(),
        rate_limit: Some(v1::RateLimit {
            enabled: true,
            rps: f64::NAN,
            burst: -1.0,
            scope: "planet".into(),
            mode: "sometimes".into(),
        }),
        circuit_breaker: Some(v1::CircuitBreaker { enabled: true, ..Default::default() }),
        ..Default::default()
    };
    let route = Resource::new(ResourceKind::Route, "a b".into(), route.encode_to_vec().into());
    let settings = v1::Settings { server: Some(v1::Server::default()), ..Default::default() };
    let settings = Resource::new(ResourceKind::Settings, String::new(), settings.encode_to_vec().into());
    let problems = decode(&[settings, route]).expect_err("nothing of it is legal");
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    let expected = [
        "server.max_header_bytes",
        "server.max_body_bytes",
        "server.read_header_timeout_seconds",
        "server.read_timeout_seconds",
        "server.write_timeout_seconds",
        "server.idle_timeout_seconds",
        "server.addr",
        "upstream",
        "rate_limit",
        "routes[0].name",
        "routes[0].match.path_prefix",
        "routes[0].upstream",
        "routes[0].rate_limit.scope",
        "routes[0].rate_limit.mode",
        "routes[0].rate_limit.rps",
        "routes[0].rate_limit.burst",
        "routes[0].circuit_breaker.failure_threshold",
        "routes[0].circuit_breaker.open_seconds",
        "routes[0].circuit_breaker.half_open_max_in_flight",
    ];
    assert_eq!(paths, expected);
}

/// The paths of the problems of what a peer sends.
fn paths_of(settings: &v1::Settings, route: &v1::Route) -> Vec<String> {
    let name = route.name.clone();
    let route = Resource::new(ResourceKind::Route, name, route.encode_to_vec().into());
    let settings = Resource::new(ResourceKind::Settings, String::new(), settings.encode_to_vec().into());
    let problems = decode(&[settings, route]).expect_err("not all of it is legal");
    problems.into_iter().map(|problem| problem.path).collect()
}

/// A name that is none, and a value that is missing.
fn bad_claims<M: FromIterator<(String, String)>>() -> M {
    [("a b".to_owned(), "x".to_owned()), ("c".to_owned(), String::new())].into_iter().collect()
}

fn nothing_adaptive(mode: &str) -> v1::Concurrency {
    let adaptive = Some(v1::AdaptiveConcurrency::default());
    v1::Concurrency { mode: mode.into(), adaptive, ..v1::Concurrency::default() }
}

/// With nothing in it that is legal.
fn illegal_auth() -> v1::RouteAuth {
    v1::RouteAuth {
        providers: vec!["a b".into()],
        required_scopes: vec!["r".into(), "\"".into()],
        required_claims: bad_claims(),
        forward_claims: bad_claims(),
        mode: "x".into(),
        any: vec!["password".into()],
        all: Vec::new(),
        external: None,
        mtls: None,
    }
}

#[test]
fn every_policy_of_a_peer_is_judged() {
    let route = v1::Route {
        name: "a".into(),
        path_prefix: "/".into(),
        upstream: "http://h".into(),
        auth: Some(illegal_auth()),
        address_lists: Some(v1::AddressLists {
            allow: vec!["x".into()],
            deny: vec!["10.0.0.1".into(), "y".into()],
            mode: "x".into(),
        }),
        concurrency: Some(nothing_adaptive("x")),
        circuit_breaker: Some(v1::CircuitBreaker {
            failure_rate: Some(v1::FailureRate::default()),
            mode: "x".into(),
            ..v1::CircuitBreaker::default()
        }),
        cors: Some(v1::Cors {
            allow_methods: vec!["get".into()],
            allow_headers: vec!["a b".into()],
            max_age_us: u64::MAX,
            mode: "x".into(),
            ..v1::Cors::default()
        }),
        max_header_bytes: u64::MAX,
        max_body_bytes: u64::MAX,
        ..v1::Route::default()
    };
    let expected = [
        "allow_cidrs[0]",
        "deny_cidrs[1]",
        "cidrs_mode",
        "auth.any[0]",
        "auth.providers[0]",
        "auth.required_scopes[1]",
        "auth.required_claims.\"a b\"",
        "auth.required_claims.c",
        "auth.forward_claims.\"a b\"",
        "auth.forward_claims.c",
        "auth.mode",
        "concurrency.mode",
        "concurrency.adaptive",
        "circuit_breaker.failure_percent",
        "circuit_breaker.window_seconds",
        "circuit_breaker.minimum_requests",
        "circuit_breaker.mode",
        "cors.allow_origins",
        "cors.allow_methods[0]",
        "cors.allow_headers[0]",
        "cors.max_age_seconds",
        "cors.mode",
        "max_header_bytes",
        "max_body_bytes",
    ];
    let legal = samples::full().settings().into();
    assert_eq!(paths_of(&legal, &route), expected.map(|path| format!("routes[0].{path}")));
}

#[test]
fn every_word_about_a_service_of_a_peer_is_judged() {
    let external = v1::ExternalAuth {
        request_headers: vec!["host".into()],
        forward_headers: vec!["x-a".into(), "cookie".into()],
        user_header: "a b".into(),
        cache: Some(v1::ServiceCache { ttl_us: 0, ignore: vec!["path".into(), "cookie".into()] }),
        ..v1::ExternalAuth::default()
    };
    let auth = v1::RouteAuth { external: Some(external), ..v1::RouteAuth::default() };
    let route = v1::Route { auth: Some(auth), ..samples::full().route(1).unwrap().into() };
    let keys = [
        "cache.ttl_seconds",
        "cache.ignore[1]",
        "url",
        "timeout_seconds",
        "request_headers[0]",
        "forward_headers[1]",
        "user_header",
        "on_failure",
    ];
    let settings = samples::full().settings().into();
    assert_eq!(paths_of(&settings, &route), keys.map(|key| format!("routes[0].auth.external.{key}")));
}

#[test]
fn every_provider_and_backend_of_a_peer_is_judged() {
    use v1::{provider::Kind, rate_limit_backend::Backend};

    let route = v1::Route::from(samples::full().route(1).unwrap());
    let with = |auth: Vec<v1::Provider>, backend: Backend| v1::Settings {
        auth: Some(v1::Auth { providers: auth, ..v1::Auth::default() }),
        rate_limit: Some(v1::RateLimitBackend { backend: Some(backend) }),
        ..v1::Settings::from(samples::full().settings())
    };
    let provider = |kind| v1::Provider { name: "a".into(), kind, ..v1::Provider::default() };
    let hmac = || provider(Some(Kind::Hmac(v1::Hmac { secret: "s".into() })));
    let memory = |max_keys| Backend::Memory(v1::MemoryBackend { cleanup_us: 1, ttl_us: 1, max_keys });
    let settings = with(vec![provider(None), provider(Some(Kind::Jwks(v1::Jwks::default())))], memory(999));
    let expected = [
        "auth.providers[0].jwks",
        "auth.providers[1].jwks.url",
        "auth.providers[1].jwks.cache_ttl_seconds",
        "auth.providers[1].jwks.http_timeout_seconds",
        "auth.providers[1].jwks.algorithms",
        "rate_limit.memory.max_keys",
    ];
    let mut paths = paths_of(&settings, &route);
    let mut expected = expected.map(str::to_owned);
    paths.sort();
    expected.sort();
    assert_eq!(paths, expected);

    let redis = v1::RedisBackend { username: "u".into(), ..v1::RedisBackend::default() };
    let expected = ["addr", "password", "timeout_seconds", "on_failure", "key_prefix"];
    let settings = with(vec![hmac()], Backend::Redis(redis));
    assert_eq!(paths_of(&settings, &route), expected.map(|key| format!("rate_limit.redis.{key}")));

    assert_eq!(paths_of(&with(vec![], memory(1_000)), &route), ["auth.providers"]);
    let twice = with(vec![hmac(), hmac()], memory(1_000));
    assert_eq!(paths_of(&twice, &route), ["auth.providers[1].name"]);
}

#[test]
fn the_rules_of_callers_and_sizes_hold_for_a_peer_too() {
    let (settings, _, routes) = samples::full().into_parts();
    let settings = v1::Settings::from(&settings);
    let legal = v1::Route::from(&routes[0]);
    let auth = |name: &str| {
        Some(v1::RouteAuth { providers: vec!["default".into(), name.into()], ..v1::RouteAuth::default() })
    };
    let unknown = v1::Route { auth: auth("staff"), ..legal.clone() };
    assert_eq!(paths_of(&settings, &unknown), ["routes[0].auth.providers[1]"]);
    let open = v1::Route { auth: auth("default"), auth_required: false, ..legal.clone() };
    assert_eq!(paths_of(&settings, &open), ["routes[0].auth"]);
    let large = v1::Route { max_header_bytes: (1 << 20) + 1, ..legal };
    assert_eq!(paths_of(&settings, &large), ["routes[0].max_header_bytes"]);
}

#[test]
fn a_resource_over_the_bound_is_refused_and_one_at_the_bound_travels() {
    let fits = |length| {
        let mut config = samples::with_issuer_of_length(0);
        let overhead = encode(&config).expect("it is small")[0].bytes().len();
        config = samples::with_issuer_of_length(length - overhead);
        encode(&config).map(|resources| resources[0].bytes().len())
    };
    // The length prefixes of the text and of the messages around it grow by a few bytes with the text.
    let growth = fits(MAX_RESOURCE_BYTES - 100).expect("it is below the bound") - (MAX_RESOURCE_BYTES - 100);
    assert_eq!(fits(MAX_RESOURCE_BYTES - growth), Ok(MAX_RESOURCE_BYTES));
    let bytes = MAX_RESOURCE_BYTES + 1;
    assert_eq!(fits(bytes - growth), Err(WireError::SettingsTooLarge { bytes }));
}

#[test]
fn what_a_peer_says_of_requests_is_judged() {
    use v1::field_match::Value;

    let legal = v1::Settings::from(samples::full().settings());
    let field = |name: &str, value| v1::FieldMatch { name: name.into(), value };
    let route = v1::Route {
        name: "a".into(),
        upstream: "http://h".into(),
        route_match: Some(v1::RouteMatch {
            hosts: vec!["a".into(), "*".into()],
            path_regex: "(".into(),
            methods: vec!["get".into()],
            headers: vec![field("a b", Some(Value::Exact("\n".into()))), field("a", None)],
            query: vec![field("", Some(Value::Regex("[".into())))],
            ..v1::RouteMatch::default()
        }),
        ..v1::Route::default()
    };
    let expected = [
        "path_regex",
        "hosts[1]",
        "methods[0]",
        "headers[0].name",
        "headers[0].exact",
        "headers[1].exact",
        "query[0].name",
        "query[0].regex",
    ];
    assert_eq!(paths_of(&legal, &route), expected.map(|path| format!("routes[0].match.{path}")));
    let several = v1::RouteMatch { path: "/a".into(), ..v1::RouteMatch::default() };
    let several = v1::Route { path_prefix: "/a".into(), route_match: Some(several), ..route };
    assert_eq!(paths_of(&legal, &several), ["routes[0].match.path"]);
}
