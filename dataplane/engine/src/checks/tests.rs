//! What files demand of themselves, and what comes of it.

use std::time::Duration;

use apigw_config::wire::{Resource, Revision, encode, root_hash};

use super::*;
use crate::explain::ReadFiles;

const ROUTES: &str = r#"
auth: {mode: hmac, hmac_secret: "0123456789abcdef0123456789abcdef"}
routes:
  - {name: all, match: {path_prefix: /}, upstream: "http://h:1"}
  - {name: admin, match: {path_prefix: /admin/}, upstream: "http://h:2/base", auth_required: true}
  - {name: audit, match: {path_prefix: /admin/audit}, upstream: "http://h:2", auth_required: true, auth: {mode: shadow}}
"#;

fn read(text: &str) -> (Snapshot, Checks) {
    let (config, checks) = apigw_config::read_with_checks("test.yaml", text.as_bytes()).unwrap();
    let resources = encode(&config).unwrap();
    let root_hash = root_hash(resources.iter().map(Resource::entry));
    (Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, None).unwrap(), checks)
}

fn failures(demands: &str, previous: Option<&Snapshot>) -> Vec<Option<String>> {
    let (snapshot, checks) = read(&format!("{ROUTES}{demands}"));
    let now = UnixTime::new(Duration::ZERO);
    let at_rest = AtRest::new(snapshot.settings(), now);
    let failure = |outcome: Outcome| match outcome.finding {
        Finding::Passed => None,
        Finding::Failed(failure) => Some(failure),
        Finding::Unjudged => Some("unjudged".into()),
    };
    judge(&snapshot, &checks, previous, &at_rest).into_iter().map(failure).collect()
}

fn failure(demand: &str) -> Option<String> {
    failures(demand, None).pop().unwrap()
}

fn test(request: &str, expect: &str) -> Option<String> {
    failure(&format!("tests:\n  - {{name: t, request: {{{request}}}, expect: {{{expect}}}}}\n"))
}

#[test]
fn a_test_that_is_met_passes() {
    assert_eq!(test("path: /x?y=1", "route: all, upstream_path: '/x?y=1'"), None);
    assert_eq!(test("path: /admin/x", "route: admin, status: 401, reason: jwt_missing"), None);
    assert_eq!(test("path: /admin/x, claims: {sub: a}", "upstream_path: /base/admin/x"), None);
    assert_eq!(test("path: /a%2fb", "status: 400"), None);
}

#[test]
fn a_test_that_is_not_met_says_what_it_found() {
    assert_eq!(test("path: /x", "route: admin").unwrap(), "expected route admin, found all");
    assert_eq!(test("path: /x", "status: 401").unwrap(), "expected status 401, found none");
    assert_eq!(
        test("path: /admin/x", "upstream_path: /base/admin/x").unwrap(),
        "expected upstream_path /base/admin/x, found none; expected it to be sent upstream, found 401 jwt_missing"
    );
}

#[test]
fn a_policy_counts_where_it_is_enforced() {
    let under =
        |prefix: &str| failure(&format!("invariants: [ {{routes_under: {prefix}, require: auth}} ]\n"));
    assert_eq!(under("/admin/").unwrap(), "without it: audit");
    assert_eq!(under("/admin/users"), None);
    // What no longer prefix serves, a shorter one does.
    assert_eq!(under("/admin").unwrap(), "without it: all, audit");
    assert_eq!(under("/other").unwrap(), "without it: all");
}

#[test]
fn a_change_that_removes_too_many_routes_is_told() {
    let (before, _) =
        read(&format!("{ROUTES}  - {{name: old, match: {{path_prefix: /old}}, upstream: \"http://h\"}}\n"));
    let removed = |percent: u32| {
        failures(&format!("invariants: [ {{max_routes_removed_percent: {percent}}} ]\n"), Some(&before))
    };
    assert_eq!(removed(25), [None]);
    assert_eq!(removed(24), [Some("1 of 4 would be: old".into())]);
}

#[test]
fn a_failure_has_its_place() {
    let text = format!("{ROUTES}tests:\n  - {{name: t, request: {{path: /x}}, expect: {{status: 401}}}}\n");
    let (snapshot, checks) = read(&text);
    let at_rest = AtRest::new(snapshot.settings(), UnixTime::new(Duration::ZERO));
    let outcomes = judge(&snapshot, &checks, None, &at_rest);
    let source = Source { file: "g.yaml", content: text.as_bytes() };
    let problem = outcomes[0].problem(source).unwrap();
    assert_eq!(problem.to_string(), "g.yaml:8:5 tests[0]: t: expected status 401, found none");
}

#[test]
fn routes_that_serve_nothing_are_told_with_their_place() {
    let text = format!("{ROUTES}  - {{name: again, upstream: http://h, match: {{path_prefix: /}}}}\n");
    let (snapshot, _) = read(&text);
    let mut warnings = warnings(&snapshot);
    locate(&mut warnings, Source { file: "g.yaml", content: text.as_bytes() });
    let expected = "g.yaml:7:39 routes[3].match: again serves nothing: all wins wherever it matches";
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_test_that_a_file_of_credentials_decides_is_judged_by_it_or_not_at_all() {
    // The SHA-256 of `key-of-billing`; the password of alice is `secret`.
    let keys = "keys:\n- {name: billing, sha256: f7c28d1179e4b9f9b5df3f63b32285089c8f28b69f930e0a4e0e4b43e23d6ca6}\n";
    let users = "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";
    let text = r#"
auth: { api_keys: {file: keys}, basic: {file: users} }
routes:
  - {name: k, match: {path_prefix: /}, upstream: "http://h:1", auth_required: true, auth: {any: [api_key, basic]}}
tests:
  - {name: right key, request: {path: /, headers: {x-api-key: key-of-billing}}, expect: {route: k}}
  - {name: wrong key, request: {path: /, headers: {x-api-key: x}}, expect: {status: 401, reason: api_key_unknown}}
  - {name: right user, request: {path: /, headers: {authorization: Basic YWxpY2U6c2VjcmV0}}, expect: {status: 401}}
  - {name: nobody, request: {path: /}, expect: {status: 401, reason: api_key_missing}}
"#;
    let (snapshot, checks) = read(text);
    let findings = |files| {
        let at_rest = AtRest::new(snapshot.settings(), UnixTime::new(Duration::ZERO)).with(files);
        let outcomes = judge(&snapshot, &checks, None, &at_rest);
        outcomes.into_iter().map(|outcome| outcome.finding).collect::<Vec<_>>()
    };
    let unread = [Finding::Unjudged, Finding::Unjudged, Finding::Unjudged, Finding::Passed];
    assert_eq!(findings(ReadFiles::default()), unread);
    let files = ReadFiles {
        api_keys: Some((&apigw_config::read_api_keys("keys", keys.as_bytes()).unwrap()).into()),
        users: Some((&apigw_config::read_users("users", users.as_bytes()).unwrap()).into()),
    };
    let wrong = Finding::Failed("expected status 401, found none".into());
    assert_eq!(findings(files), [Finding::Passed, Finding::Passed, wrong, Finding::Passed]);
}

#[test]
fn a_yes_for_everybody_is_told_of() {
    let warned = |service: &str| {
        let text = format!(
            "routes:\n  - {{name: r, match: {{path_prefix: /}}, upstream: http://h, auth_required: true, \
             auth: {{any: [external], external: {{url: \"http://a\", {service}}}}}}}\n"
        );
        warnings(&read(&text).0).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = "ignore: [method, host, path, query, client_ip]";
    for told_apart in [
        format!("request_headers: [authorization], cache: {{ttl_seconds: 9, {all}}}"),
        "request_headers: [], cache: {ttl_seconds: 9, ignore: [path]}".into(),
        "request_headers: []".into(),
    ] {
        assert_eq!(warned(&told_apart), Vec::<String>::new(), "{told_apart}");
    }
    let expected = "routes[0].auth.external.cache: r lets everybody pass for one yes: name what tells callers apart in \
                    request_headers, or do not ignore client_ip";
    assert_eq!(warned(&format!("request_headers: [], cache: {{ttl_seconds: 9, {all}}}")), [expected]);
}

#[test]
fn scopes_that_no_caller_of_a_route_can_have_are_told_of() {
    let warned = |auth: &str| {
        let text = format!(
            "auth: {{mode: hmac, hmac_secret: \"0123456789abcdef0123456789abcdef\", basic: {{file: users}}, \
             api_keys: {{file: keys}}}}\nroutes:\n  - {{name: r, match: {{path_prefix: /}}, upstream: http://h, \
             auth_required: true, auth: {{{auth}}}}}\n"
        );
        let (snapshot, _) = read(&text);
        let mut warnings = warnings(&snapshot);
        locate(&mut warnings, Source { file: "g.yaml", content: text.as_bytes() });
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let scopes = "required_scopes: [\"a:read\"]";
    for served in [
        scopes.to_owned(),
        format!("any: [basic, api_key], {scopes}"),
        format!("all: [api_key, basic], {scopes}"),
        format!("any: [basic], mode: off, {scopes}"),
        "any: [basic]".into(),
    ] {
        assert!(warned(&served).is_empty(), "{served}");
    }
    let told = warned(&format!("all: [basic, api_key], {scopes}"));
    assert!(
        told.len() == 1
            && told[0].starts_with("g.yaml:3:")
            && told[0].ends_with(
                " routes[0].auth.required_scopes: r serves nobody: the first of all says who the caller is, and only \
                 jwt and api_key grant scopes"
            ),
        "{told:?}"
    );
    let told = warned(&format!("any: [basic], {scopes}"));
    assert!(told.len() == 1 && told[0].ends_with("only jwt and api_key grant scopes"), "{told:?}");
}
