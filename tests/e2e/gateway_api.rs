//! The public cases of the Gateway API's `HTTPRoute` (`tests/e2e/cases/gateway-api.README.md`), said in this gateway's
//! language and sent to a running one.
//!
//! Each suite runs, or stands in [`NOT_SAID`] with the reason why it cannot be said.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use apigw_tests::{
    client::Connection,
    gateway::Gateway,
    origin::{Origin, ok},
};
use serde_json::{Value, json};

use crate::cases::cases;

/// Suites that the file's language cannot say, and why.
const NOT_SAID: [(&str, &str); 18] = [
    ("GatewayHTTPListenerIsolation", "a host that some routes are for is not kept from those for wider ones"),
    ("HTTPRoute303Redirect", "redirects of a route"),
    ("HTTPRoute307Redirect", "redirects of a route"),
    (
        "HTTPRouteBackendRequestHeaderModifier",
        "changes of header fields, which header_changes.rs tests: not translated yet",
    ),
    ("HTTPRouteBackendRequestRedirect", "redirects of a route"),
    (
        "HTTPRouteCORS",
        "origins with wildcards, methods and header fields with *, exposed fields, credentials",
    ),
    ("HTTPRouteHTTPSListener", "certificates with routes of their own"),
    ("HTTPRouteHTTPSListenerDetectMisdirectedRequests", "certificates with routes of their own"),
    ("HTTPRouteInvalidNonExistentBackendRef", "a route without an upstream: refused when the file is read"),
    ("HTTPRouteNoBackendRefs", "a route without an upstream: refused when the file is read"),
    ("HTTPRouteRedirectHostAndStatus", "redirects of a route"),
    ("HTTPRouteRedirectPath", "redirects of a route"),
    ("HTTPRouteRedirectPortAndScheme", "redirects of a route"),
    ("HTTPRouteRedirectScheme", "redirects of a route"),
    ("HTTPRouteRequestHeaderModifierBackendWeights", "several upstreams of a route"),
    (
        "HTTPRouteResponseHeaderModifier",
        "changes of header fields, which header_changes.rs tests: not translated yet",
    ),
    ("HTTPRouteRewriteHost", "rewriting"),
    ("HTTPRouteRewritePath", "rewriting of paths beyond strip_prefix"),
];

/// Suites that other tests say: what their upstream must do is more than an answer.
const SAID_ELSEWHERE: [(&str, &str); 3] = [
    ("HTTPRouteBackendProtocolH2C", "http2.rs"),
    ("HTTPRouteBackendProtocolWebSocket", "websockets.rs"),
    ("HTTPRouteWeight", "several upstreams of a route"),
];

fn suites() -> Vec<Value> {
    cases(include_str!("cases/gateway-api.json"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// A server that says who it is and what it saw, after a second where the query asks for that.
fn backend(name: &'static str) -> Origin {
    let failed = Mutex::new(BTreeMap::new());
    Origin::answering(move |request| {
        let (method, path) = request.line().split_once(' ').unwrap_or_default();
        if path.ends_with("?delay=1s") {
            thread::sleep(Duration::from_secs(1));
        }
        if let Some(failure) = failure(path, &failed) {
            return failure;
        }
        let host = request.head.field("x-forwarded-host");
        let fields = request.head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let fields: BTreeMap<_, _> = fields.collect();
        let seen = json!({
            "backend": name, "method": method, "path": path, "host": host, "headers": fields,
        });
        ok(&seen.to_string())
    })
}

/// What a request is answered with whose query asks for so many failures first.
fn failure(path: &str, failed: &Mutex<BTreeMap<String, u32>>) -> Option<String> {
    let asked =
        |name: &str| path.split(['?', '&']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let most: u32 = asked("succeedAfter")?.parse().ok()?;
    let before = {
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failed.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    };
    if before >= most {
        return None;
    }
    if let Some(millis) = asked("delayRetry").and_then(|delay| delay.strip_suffix("ms")?.parse().ok()) {
        thread::sleep(Duration::from_millis(millis));
    }
    Some(format!("HTTP/1.1 {} Failed\r\nContent-Length: 0\r\n\r\n", asked("responseCode")?))
}

/// In which order routes stand in the file: no case depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsGiven,
    Reversed,
}

/// One route of the file for each match of each rule on one address.
fn file(suite: &Value, address: &str, urls: &BTreeMap<&str, String>, order: Order) -> String {
    let listeners = suite["listeners"].as_array().expect("listeners");
    let is_here = |parent: &Value| {
        listeners
            .iter()
            .any(|listener| listener["id"] == parent["listener"] && listener["address"] == address)
    };
    let mut entries = Vec::new();
    for route in suite["routes"].as_array().expect("routes") {
        let parents: Vec<_> =
            route["parents"].as_array().expect("parents").iter().filter(|p| is_here(p)).collect();
        if parents.is_empty() {
            continue;
        }
        let serves_all = parents.iter().any(|parent| parent.get("hostnames").is_none());
        let mut hosts: Vec<_> = parents.iter().flat_map(|parent| texts(&parent["hostnames"])).collect();
        hosts.sort();
        hosts.dedup();
        let hosts = if serves_all { Vec::new() } else { hosts };
        for (number, rule) in route["rules"].as_array().expect("rules").iter().enumerate() {
            let upstream = &urls[text(&rule["backendRefs"][0]["name"])];
            let every = json!([{}]);
            let matches = rule.get("matches").unwrap_or(&every).as_array().expect("matches");
            for (index, criteria) in matches.iter().enumerate() {
                let name = format!("{}/{number}/{index}", text(&route["name"]));
                let mut entry =
                    json!({ "name": name, "match": said(criteria, &hosts), "upstream": upstream });
                add_timeouts(rule, &mut entry);
                add_retry(rule, &mut entry);
                entries.push(entry.to_string());
            }
        }
    }
    if order == Order::Reversed {
        entries.reverse();
    }
    // JSON is YAML.
    entries.iter().fold("routes:\n".to_owned(), |mut file, entry| {
        let _ = writeln!(file, "- {entry}");
        file
    })
}

/// The timeouts of a rule of theirs. There, one of no length is none.
fn add_timeouts(rule: &Value, entry: &mut Value) {
    for (theirs, ours) in [("request", "total_seconds"), ("backendRequest", "first_byte_seconds")] {
        let Some(time) = rule["timeouts"][theirs].as_str().filter(|time| *time != "0s") else { continue };
        let millis: f64 =
            time.strip_suffix("ms").and_then(|millis| millis.parse().ok()).expect("milliseconds");
        entry["timeouts"][ours] = json!(millis / 1_000.0);
    }
}

/// The retries of a rule of theirs. There, resets and timeouts are reasons without being named, and nothing is said of a share.
fn add_retry(rule: &Value, entry: &mut Value) {
    let Some(retry) = rule.get("retry") else { return };
    let words = ["connect_failure", "reset", "timeout"].map(Value::from);
    let codes = retry["codes"].as_array().cloned().unwrap_or_default();
    let on: Vec<_> = words.into_iter().chain(codes).collect();
    entry["retry"] = json!({ "attempts": retry["attempts"], "on": on, "budget_percent": 100 });
}

/// A match of theirs as one of ours.
fn said(criteria: &Value, hosts: &[String]) -> Value {
    let path = criteria.get("path").map_or("/", |path| text(&path["value"]));
    let (key, path) = match criteria.get("path").and_then(|path| path["type"].as_str()) {
        Some("Exact") => ("path", path),
        // There, a prefix with a slash at its end is the same without.
        _ => ("path_prefix", path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)),
    };
    let mut said = json!({ key: path, "hosts": hosts });
    if let Some(method) = criteria.get("method") {
        said["methods"] = json!([method]);
    }
    for (theirs, ours) in [("headers", "headers"), ("queryParams", "query")] {
        let mut fields: Vec<Value> = Vec::new();
        for field in criteria[theirs].as_array().into_iter().flatten() {
            assert!(field.get("type").is_none_or(|kind| kind == "Exact"), "{field}");
            // Of several with one name, the first counts.
            let is_known =
                fields.iter().any(|known| text(&known["name"]).eq_ignore_ascii_case(text(&field["name"])));
            if !is_known {
                fields.push(json!({ "name": field["name"], "exact": field["value"] }));
            }
        }
        said[ours] = Value::Array(fields);
    }
    said
}

fn check_case(case: &Value, gateway: &Gateway) {
    let (request, expected) = (&case["request"], &case["expected"]);
    let host = request["host"].as_str().unwrap_or("gw.example");
    let fields = request["headers"].as_object().into_iter().flatten();
    let fields = fields.fold(String::new(), |text, (name, value)| {
        text + &format!("{name}: {}\r\n", value.as_str().unwrap_or_default())
    });
    let mut connection = Connection::open(gateway.address());
    let (method, path) = (text(&request["method"]), text(&request["path"]));
    connection.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    let answer = connection.response();
    assert_eq!(Some(u64::from(answer.status())), expected["status"].as_u64(), "{case}: {answer:?}");
    let seen = if answer.status() == 200 { answer.json() } else { Value::Null };
    if let Some(backend) = expected.get("backend") {
        assert_eq!(&seen["backend"], backend, "{case}");
    }
    for (key, value) in expected["request_seen_by_backend"].as_object().into_iter().flatten() {
        match key.as_str() {
            "headers" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    assert_eq!(&seen["headers"][name.to_ascii_lowercase()], value, "{name} of {case}");
                }
            }
            "absent_headers" => {
                for name in texts(value) {
                    assert!(seen["headers"].get(name.to_ascii_lowercase()).is_none(), "{name} of {case}");
                }
            }
            _ => assert_eq!(&seen[key], value, "{key} of {case}"),
        }
    }
}

fn run(suite: &Value, order: Order) {
    let origins =
        ["infra-backend-v1", "infra-backend-v2", "infra-backend-v3"].map(|name| (name, backend(name)));
    let urls: BTreeMap<_, _> = origins.iter().map(|(name, origin)| (*name, origin.url())).collect();
    let mut gateways: BTreeMap<String, Gateway> = BTreeMap::new();
    for case in suite["cases"].as_array().expect("cases") {
        let id = text(&case["id"]).replace('/', "-");
        let case: Value = serde_json::from_str(&case.to_string().replace("{uuid}", &id)).expect("JSON");
        let address = text(&case["request"]["address"]);
        let gateway = gateways
            .entry(address.to_owned())
            .or_insert_with(|| Gateway::standalone(file(suite, address, &urls, order)));
        check_case(&case, gateway);
    }
}

#[test]
fn public_cases_pass_in_whatever_order_routes_stand() {
    let left_out: Vec<_> = NOT_SAID.iter().chain(&SAID_ELSEWHERE).map(|(name, _)| *name).collect();
    for suite in suites().iter().filter(|suite| !left_out.contains(&text(&suite["name"]))) {
        run(suite, Order::AsGiven);
        run(suite, Order::Reversed);
    }
}

#[test]
fn every_public_suite_runs_or_is_left_out_for_a_reason() {
    let suites = suites();
    let names: Vec<_> = suites.iter().map(|suite| text(&suite["name"])).collect();
    assert_eq!(suites.iter().map(|suite| suite["cases"].as_array().map_or(0, Vec::len)).sum::<usize>(), 281);
    for (name, reason) in NOT_SAID.iter().chain(&SAID_ELSEWHERE) {
        assert!(names.contains(name) && !reason.is_empty(), "{name} is no suite");
    }
}
