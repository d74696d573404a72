//! Providers of tokens, and what routes ask of callers.

use super::{check, check_route, legal, problems};
use crate::{
    model::{Provider, ProviderKind, RouteAuth},
    names::{ProviderName, TokenScope},
};

/// A configuration with these providers, and with a route that has this `auth` in column 95.
fn with(providers: &str, auth: &str) -> String {
    let route = "{name: a, match: {path_prefix: /}, upstream: 'http://h', auth_required: true, auth: ";
    format!("auth: {providers}\nroutes: [ {route}{auth} }} ]\n")
}

const TWO: &str = "{providers: [{name: a, hmac_secret: s}, {name: b, jwks: {url: 'http://h/k'}}]}";

#[track_caller]
fn check_auth(auth: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:2:{problem}")).collect();
    assert_eq!(problems(&with(TWO, auth)), expected, "{auth}");
}

#[test]
fn providers_are_read_with_their_keys() {
    let config = legal(&with(
        "{providers: [{name: m, hmac_secret: s, issuers: [i], audiences: [a, b]}, {name: k, jwks: {url: 'http://h/k', \
         issuers: [j], audiences: [c], leeway_seconds: 5, http_timeout_seconds: 1}}]}",
        "{}",
    ));
    let [machines, keys] = config.settings().auth.as_ref().unwrap().providers() else { panic!("two") };
    let said = |provider: &Provider| {
        let Provider { name, issuers, audiences, leeway, .. } = provider;
        (name.to_string(), issuers.concat(), audiences.concat(), leeway.micros())
    };
    assert_eq!(said(machines), ("m".into(), "i".into(), "ab".into(), 30_000_000));
    assert_eq!(said(keys), ("k".into(), "j".into(), "c".into(), 5_000_000));
    assert!(matches!(&machines.kind, ProviderKind::Hmac(secret) if secret.reveal() == "s"));
    assert!(matches!(&keys.kind, ProviderKind::Jwks(jwks) if jwks.http_timeout.micros() == 1_000_000));
}

#[test]
fn there_is_one_provider_of_a_mode_or_a_list() {
    let reason = "either the one provider of a mode, or a list of providers";
    for (other, found) in
        [("mode: hmac", "mode"), ("hmac_secret: s", "hmac_secret"), ("jwks: {url: ''}", "jwks")]
    {
        let text = format!("auth: {{providers: [{{name: a, hmac_secret: s}}], {other}}}");
        check(&text, &[&format!("g.yaml:1:19 auth.providers: not beside \"{found}\": {reason}")]);
    }
    check("auth: {providers: []}", &["g.yaml:1:19 auth.providers: at least one provider is needed"]);
    check("auth: {providers: }", &["g.yaml:1:7 auth.mode: missing"]);
    check("auth: {providers: {}}", &["g.yaml:1:19 auth.providers: expected a list, found a mapping"]);
    legal(
        "auth: {providers: [{name: a, hmac_secret: s}], mode: }\nroutes: [{name: a, match: {path_prefix: /}, upstream: 'http://h'}]",
    );
}

#[test]
fn a_provider_has_a_name_and_keys_or_a_secret() {
    let one = |provider: &str, expected: &[&str]| {
        let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:1:{problem}")).collect();
        check(
            &format!("auth: {{providers: [{provider}]}}"),
            &expected.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    };
    let which = "a provider has one of them";
    one(
        "{}",
        &[
            "20 auth.providers[0].name: missing",
            &format!("20 auth.providers[0].jwks: missing, as is \"hmac_secret\": {which}"),
        ],
    );
    one("x", &["20 auth.providers[0]: expected a mapping, found the text \"x\""]);
    one("{name: a, hmac_secret: ''}", &["43 auth.providers[0].hmac_secret: must not be empty"]);
    one("{name: a, jwks: {}}", &["36 auth.providers[0].jwks.url: missing"]);
    one("{name: a, jwks: {url: ''}}", &["36 auth.providers[0].jwks.url: missing"]);
    one(
        "{name: a, jwks: {url: x}, hmac_secret: s}",
        &[
            r#"42 auth.providers[0].jwks.url: not an absolute http or https URL: "x""#,
            &format!("59 auth.providers[0].hmac_secret: not beside \"jwks\": {which}"),
        ],
    );
    one(
        "{name: a, jwks: {url: 'http://h'}, issuers: [i], audiences: [a]}",
        &[
            "64 auth.providers[0].issuers: belongs in \"jwks\" where a provider has it",
            "80 auth.providers[0].audiences: belongs in \"jwks\" where a provider has it",
        ],
    );
    one(
        "{name: a b, hmac_secret: s, leeway_seconds: 1}",
        &[
            "27 auth.providers[0].name: contains ' '; letters, digits and -_.:/@ are allowed",
            "48 auth.providers[0].leeway_seconds: unknown key here, it belongs in auth.providers[].jwks",
        ],
    );
}

#[test]
fn names_of_providers_are_unique() {
    check(
        "auth: {providers: [{name: a, hmac_secret: s}, {name: a, hmac_secret: }]}",
        &[
            "g.yaml:1:47 auth.providers[1].jwks: missing, as is \"hmac_secret\": a provider has one of them",
            "g.yaml:1:54 auth.providers[1].name: the name \"a\" is already taken by auth.providers[0] in line 1, column 27",
        ],
    );
}

#[test]
fn a_route_says_what_it_asks_of_callers() {
    let config = legal(&with(
        TWO,
        "{providers: [b], required_scopes: [r, w], required_claims: {tier: gold, level: 3, ok: true}, \
         forward_claims: {sub: X-User}, mode: shadow}",
    ));
    let auth = config.route(0).unwrap().auth.clone().unwrap();
    let RouteAuth {
        methods,
        external,
        mtls,
        providers,
        required_scopes,
        required_claims,
        forward_claims,
        mode,
    } = auth;
    assert_eq!((methods, external, mtls), (None, None, None));
    assert_eq!(providers.iter().map(ProviderName::as_str).collect::<Vec<_>>(), ["b"]);
    assert_eq!(required_scopes.iter().map(TokenScope::as_str).collect::<Vec<_>>(), ["r", "w"]);
    let claims: Vec<_> =
        required_claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(claims, [("level", "3"), ("ok", "true"), ("tier", "gold")]);
    let headers: Vec<_> = forward_claims
        .as_map()
        .iter()
        .map(|(name, header)| (name.as_str(), header.name().as_str()))
        .collect();
    assert_eq!(headers, [("sub", "x-user")]);
    assert_eq!(mode.as_str(), "shadow");
}

#[test]
fn an_empty_auth_of_a_route_asks_nothing() {
    let auth = |text: &str| legal(&with(TWO, text)).route(0).unwrap().auth.clone();
    assert_eq!(auth("{}"), Some(RouteAuth::default()));
    assert_eq!(auth("~"), None);
}

#[test]
fn the_provider_of_a_mode_can_be_named() {
    legal(&with("{mode: hmac, hmac_secret: s}", "{providers: [default]}"));
    let unknown = "routes[0].auth.providers[1]: the auth section has no provider named \"staff\"";
    let text = with("{mode: hmac, hmac_secret: s}", "{providers: [default, staff]}");
    assert_eq!(problems(&text), [format!("g.yaml:2:117 {unknown}")]);
}

#[test]
fn what_a_route_asks_of_callers_is_judged() {
    check_auth(
        "{providers: [c, b, a b], required_scopes: ['a b'], required_claims: [], forward_claims: {sub: Host}, mode: on}",
        &[
            "114 routes[0].auth.providers[2]: contains ' '; letters, digits and -_.:/@ are allowed",
            r#"138 routes[0].auth.required_scopes[0]: not a scope (visible ASCII without spaces, quotes and backslashes): "a b""#,
            "163 routes[0].auth.required_claims: expected a mapping, found a list",
            r#"189 routes[0].auth.forward_claims.sub: must not be "host", which is not free to be written"#,
            r#"202 routes[0].auth.mode: must be one of enforce, shadow, off: "on""#,
        ],
    );
    check_auth(
        "{required_claims: {a: 1.5, b: , a: x, 'c d': x, e: ''}}",
        &[
            "117 routes[0].auth.required_claims.a: expected a text, a whole number, true or false, found the number 1.5",
            "123 routes[0].auth.required_claims.b: expected a text, a whole number, true or false, found nothing",
            "127 routes[0].auth.required_claims.a: written twice, first in line 2, column 114",
            "133 routes[0].auth.required_claims.\"c d\": contains ' '; only visible ASCII characters are allowed",
            "146 routes[0].auth.required_claims.e: must not be empty",
        ],
    );
    for other in ["X-User", "x_user"] {
        check_auth(
            &format!("{{forward_claims: {{sub: x-user, tenant: {other}}}}}"),
            &[&format!(
                "112 routes[0].auth.forward_claims: the header {:?} is written by two claims, or is spelled like one that is",
                other.to_lowercase()
            )],
        );
    }
    check_auth(
        "{providers: [c]}",
        &["108 routes[0].auth.providers[0]: the auth section has no provider named \"c\""],
    );
}

#[test]
fn what_a_route_asks_of_callers_needs_callers() {
    let route = |auth: &str| {
        format!(
            "{{name: a, match: {{path_prefix: /}}, upstream: 'http://h', auth: {auth}, auth_required: false}}"
        )
    };
    let expected = "74 routes[0].auth: has no effect without auth_required: true, as callers stay unknown";
    for auth in [
        "{providers: [a]}",
        "{required_scopes: [a]}",
        "{required_claims: {a: b}}",
        "{forward_claims: {a: b}}",
    ] {
        check_route(&route(auth), &[expected]);
    }
    check_route(&route("{mode: shadow}"), &[]);
}

#[test]
fn an_unreadable_auth_required_causes_no_other_problem() {
    let text = with(TWO, "{providers: [a]}").replace("auth_required: true", "auth_required: maybe");
    let all = problems(&text);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("auth_required: expected true or false"), "{all:?}");
}

#[test]
fn an_unreadable_route_does_not_hide_an_unknown_provider() {
    let text = with(TWO, "{providers: [c]}").replace("upstream: 'http://h'", "upstream: 'ftp://h'");
    assert_eq!(problems(&text).len(), 2);
}

#[test]
fn an_unreadable_auth_section_makes_no_provider_unknown() {
    let all = problems(&with("{providers: [{name: a}]}", "{providers: [b]}"));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("auth.providers[0].jwks"), "{all:?}");
}
