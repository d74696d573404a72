//! What must hold of any configuration on its way, and of any bytes that a peer may send instead.

use proptest::prelude::*;

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
    let expected = "31d7b2a4c3246ed1811fa4c27d17f6147652e969867433836cb796c1be3c5e88";
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
    assert_eq!(twice, ["routes[0]: not a route, as every resource after the first must be"]);
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
    use apigw_proto::v1;
    use prost::Message as _;

    let route = v1::Route {
        name: "a b".into(),
        path_prefix: "x".into(),
        upstream: "locahost:9001".into(),
        rate_limit: Some(v1::RateLimit { enabled: true, rps: f64::NAN, burst: -1.0, scope: "planet".into() }),
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
        "routes[0].rate_limit.rps",
        "routes[0].rate_limit.burst",
        "routes[0].circuit_breaker.failure_threshold",
        "routes[0].circuit_breaker.open_seconds",
        "routes[0].circuit_breaker.half_open_max_in_flight",
    ];
    assert_eq!(paths, expected);
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
