//! In which ways callers make themselves known.

use super::{check, legal, problems};
use crate::{
    model::{AuthMethods, Combination, CredentialFiles, ServiceFailure},
    names::AuthMethod,
};

const FILES: &str = "{api_keys: {file: k.yaml}, basic: {file: u}}";

/// A configuration with a route that has this `auth` in column 95.
fn with(auth: &str, route_auth: &str) -> String {
    let route = "{name: a, match: {path_prefix: /}, upstream: 'http://h', auth_required: true, auth: ";
    format!("auth: {auth}\nroutes: [ {route}{route_auth} }} ]\n")
}

#[track_caller]
fn check_auth(auth: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:2:{problem}")).collect();
    assert_eq!(problems(&with(FILES, auth)), expected, "{auth}");
}

#[test]
fn files_of_credentials_need_no_provider() {
    let config = legal(&with(
        "{api_keys: {file: k.yaml, header: My-Key}, basic: {file: u, realm: a realm}}",
        "{any: [api_key, basic]}",
    ));
    let auth = config.settings().auth.as_ref().unwrap();
    assert!(auth.providers().is_empty());
    let CredentialFiles { api_keys, basic } = auth.files();
    let (api_keys, basic) = (api_keys.as_ref().unwrap(), basic.as_ref().unwrap());
    assert_eq!((api_keys.file.as_str(), api_keys.header.name().as_str()), ("k.yaml", "my-key"));
    assert_eq!((basic.file.as_str(), basic.realm.as_str()), ("u", "a realm"));

    let config = legal(&with(FILES, "{all: [api_key, basic]}"));
    let CredentialFiles { api_keys, basic } = config.settings().auth.as_ref().unwrap().files();
    assert_eq!(api_keys.as_ref().unwrap().header.name().as_str(), "x-api-key");
    assert_eq!(basic.as_ref().unwrap().realm.as_str(), "apigw");
    let methods = AuthMethods::new(Combination::All, vec![AuthMethod::ApiKey, AuthMethod::Basic]).unwrap();
    assert_eq!(config.route(0).unwrap().auth.as_ref().unwrap().methods, Some(methods));
}

#[test]
fn what_files_of_credentials_say_is_judged() {
    check("auth: {api_keys: {}}", &["g.yaml:1:18 auth.api_keys.file: missing"]);
    check(
        "auth: {basic: {file: u, realm: 'a\"b'}}",
        &[
            "g.yaml:1:32 auth.basic.realm: contains '\"'; visible ASCII and spaces without quotes and backslashes are allowed",
        ],
    );
    check(
        "auth: {api_keys: {file: k, header: Authorization}}",
        &["g.yaml:1:36 auth.api_keys.header: must not be \"authorization\", which is not free to be written"],
    );
}

#[test]
fn ways_are_named_once_and_by_one_key() {
    check_auth("{any: []}", &["101 routes[0].auth.any: must not be empty"]);
    check_auth("{any: [basic, basic]}", &["101 routes[0].auth.any: has \"basic\" twice"]);
    check_auth(
        "{any: [password]}",
        &["102 routes[0].auth.any[0]: must be one of jwt, api_key, basic, external, mtls: \"password\""],
    );
    check_auth(
        "{any: [basic], all: [api_key]}",
        &["115 routes[0].auth.all: not beside \"any\": a route has one of them"],
    );
}

#[test]
fn ways_need_what_the_auth_section_has() {
    check_auth(
        "{any: [api_key, jwt]}",
        &["111 routes[0].auth.any[1]: jwt needs auth.providers, which the file does not have"],
    );
    check_auth(
        "{}",
        &[
            "83 routes[0].auth_required: needs auth.providers, or auth.any or auth.all in the route: nothing says how callers are known",
        ],
    );
    check_auth(
        "{any: [api_key], providers: [staff]}",
        &["123 routes[0].auth.providers: has no effect: callers do not make themselves known by tokens here"],
    );
    assert_eq!(
        problems(&with("{basic: {file: u}}", "{all: [basic, api_key]}")),
        ["g.yaml:2:109 routes[0].auth.all[1]: api_key needs auth.api_keys, which the file does not have"]
    );
    let both = with("{mode: hmac, hmac_secret: s, basic: {file: u}}", "{all: [basic, jwt]}");
    assert_eq!(
        problems(&both),
        [
            "g.yaml:2:101 routes[0].auth.all: jwt and basic are both sent in Authorization, of which a request has one"
        ]
    );
}

/// A route without an `auth` section whose service is this, from column 36 of its second line on.
fn with_service(service: &str) -> String {
    let route = "{name: a, match: {path_prefix: /}, upstream: 'http://h', auth_required: true";
    format!("routes: [ {route},\n auth: {{any: [external], external: {service}}} }} ]\n")
}

#[test]
fn a_service_needs_no_auth_section_and_has_defaults() {
    let config = legal(&with_service("{url: 'http://auth/check'}"));
    let auth = config.route(0).unwrap().auth.as_ref().unwrap();
    let service = auth.external.as_ref().unwrap();
    assert_eq!((service.url.path(), service.timeout.micros()), ("/check", 1_000_000));
    let told: Vec<_> = service.request_headers.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["authorization", "cookie"]);
    assert_eq!((service.forward_headers.len(), &service.user_header), (0, &None));
    assert_eq!((service.on_failure, auth.second_opinion()), (ServiceFailure::Deny, None));
}

#[test]
fn what_is_said_of_a_service_is_judged() {
    for (service, expected) in [
        ("{}", "36 routes[0].auth.external.url: missing"),
        ("{url: h}", "42 routes[0].auth.external.url: not an absolute http or https URL: \"h\""),
        (
            "{url: 'http://h', timeout_seconds: 61}",
            "71 routes[0].auth.external.timeout_seconds: must be above 0 and at most 60 seconds",
        ),
        (
            "{url: 'http://h', forward_headers: [authorization]}",
            "72 routes[0].auth.external.forward_headers[0]: must not be \"authorization\", which is not free to be written",
        ),
        (
            "{url: 'http://h', forward_headers: [x-a, x_a]}",
            "71 routes[0].auth.external.forward_headers: has \"x_a\" twice",
        ),
        (
            "{url: 'http://h', request_headers: [host]}",
            "72 routes[0].auth.external.request_headers[0]: must not be \"host\", which is not free to be written",
        ),
        (
            "{url: 'http://h', on_failure: local}",
            "66 routes[0].auth.external.on_failure: must be one of allow, deny: \"local\"",
        ),
        ("{url: 'http://h', cache: {}}", "61 routes[0].auth.external.cache.ttl_seconds: missing"),
        (
            "{url: 'http://h', cache: {ttl_seconds: 3601}}",
            "75 routes[0].auth.external.cache.ttl_seconds: must be above 0 and at most 3600 seconds",
        ),
        (
            "{url: 'http://h', cache: {ttl_seconds: 1, ignore: [path, path]}}",
            "86 routes[0].auth.external.cache.ignore: has \"path\" twice",
        ),
        (
            "{url: 'http://h', cache: {ttl_seconds: 1, ignore: [cookie]}}",
            "87 routes[0].auth.external.cache.ignore[0]: must be one of method, host, path, query, client_ip: \"cookie\"",
        ),
    ] {
        assert_eq!(problems(&with_service(service)), [format!("g.yaml:2:{expected}")], "{service}");
    }
    let names: Vec<_> = (0..33).map(|number| format!("x-{number}")).collect();
    let service = |count: usize| {
        with_service(&format!("{{url: 'http://h', request_headers: [{}]}}", names[..count].join(", ")))
    };
    legal(&service(32));
    let cached = legal(&with_service("{url: 'http://h', cache: {ttl_seconds: 3600}}"));
    let auth = cached.route(0).unwrap().auth.as_ref().unwrap();
    let cache = auth.external.as_ref().unwrap().cache.as_ref().unwrap();
    assert_eq!((cache.ttl.micros(), cache.ignore.len()), (3_600_000_000, 0));
    let expected = "g.yaml:2:71 routes[0].auth.external.request_headers: 33 entries, more than 32";
    assert_eq!(problems(&service(33)), [expected]);
}

#[test]
fn a_service_is_named_where_it_is_asked() {
    check_auth(
        "{any: [api_key, external]}",
        &["101 routes[0].auth.any: external needs the section external beside it, which names the service"],
    );
    let besides = legal(&with(FILES, "{any: [api_key], external: {url: 'http://h'}}"));
    assert!(besides.route(0).unwrap().auth.as_ref().unwrap().second_opinion().is_some());
    // Without a list, a token is wanted, too.
    check_auth(
        "{external: {url: 'http://h'}}",
        &[
            "83 routes[0].auth_required: needs auth.providers, or auth.any or auth.all in the route: nothing says how callers are known",
        ],
    );
}

#[test]
fn what_is_said_of_certificates_is_judged() {
    let with = |certificates: &str| {
        let server = "server: {tls: {certificates: [{cert_file: c, key_file: k}], client_auth: {mode: required, ca_file: a}}}";
        let route = "{name: a, match: {path_prefix: /}, upstream: 'http://h', auth_required: true";
        format!("{server}\nroutes: [ {route},\n auth: {{any: [mtls], mtls: {certificates}}} }} ]\n")
    };
    legal(&with("{uris: ['spiffe://a/*'], emails: ['*@a'], common_names: [a], dns_names: ['*.a']}"));
    for (certificates, expected) in [
        (
            "{}",
            "28 routes[0].auth.mtls.dns_names: missing, as are uris, emails and common_names: nobody would be let in",
        ),
        (
            "{dns_names: ['*']}",
            "41 routes[0].auth.mtls.dns_names[0]: not a host such as \"api.example.com\" or \"*.example.com\", without a port: \"*\"",
        ),
        (
            "{uris: ['spiffe://*']}",
            "36 routes[0].auth.mtls.uris[0]: not a URI such as \"spiffe://prod.example/ns/shop/*\", with * only behind the last /: \"spiffe://*\"",
        ),
        (
            "{emails: [a]}",
            "38 routes[0].auth.mtls.emails[0]: not an address such as \"ops@example.com\" or \"*@example.com\": \"a\"",
        ),
    ] {
        assert_eq!(problems(&with(certificates)), [format!("g.yaml:3:{expected}")], "{certificates}");
    }
    let names: Vec<_> = (0..257).map(|number| format!("h{number}")).collect();
    legal(&with(&format!("{{dns_names: [{}]}}", names[..256].join(", "))));
    let expected = "g.yaml:3:40 routes[0].auth.mtls.dns_names: 257 entries, more than 256";
    assert_eq!(problems(&with(&format!("{{dns_names: [{}]}}", names.join(", ")))), [expected]);
}

#[test]
fn certificates_count_where_they_are_asked_for() {
    check_auth(
        "{any: [api_key, mtls]}",
        &[
            "101 routes[0].auth.any: mtls needs the section mtls beside it, which says whose certificates count",
        ],
    );
    check_auth(
        "{any: [api_key], mtls: {dns_names: [a]}}",
        &["118 routes[0].auth.mtls: has no effect: mtls is none of the ways in any or all"],
    );
    check_auth(
        "{any: [api_key, mtls], mtls: {dns_names: [a]}}",
        &[
            "111 routes[0].auth.any[1]: mtls needs server.tls.client_auth with the mode optional or required: clients are not asked for certificates",
        ],
    );
}
