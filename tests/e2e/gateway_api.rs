//! The public cases of the Gateway API's `HTTPRoute` (`tests/e2e/cases/gateway-api.README.md`), said in this gateway's
//! language and sent to a running one.
//!
//! Each suite runs, or stands in [`NOT_SAID`] with the reason why it cannot be said.

/// Where many requests count together.
mod shares;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use apigw_tests::{
    client::{Connection, Response},
    gateway::Gateway,
    origin::{Origin, ok},
};
use hyper::Uri;
use serde_json::{Map, Value, json};

use crate::cases::cases;

/// Suites that the file's language cannot say, and why.
const NOT_SAID: [(&str, &str); 7] = [
    ("GatewayHTTPListenerIsolation", "a host that some routes are for is not kept from those for wider ones"),
    (
        "HTTPRouteCORS",
        "origins with wildcards, methods and header fields with *, exposed fields, credentials",
    ),
    ("HTTPRouteHTTPSListener", "certificates with routes of their own"),
    ("HTTPRouteHTTPSListenerDetectMisdirectedRequests", "certificates with routes of their own"),
    ("HTTPRouteInvalidNonExistentBackendRef", "a route without an upstream: refused when the file is read"),
    ("HTTPRouteNoBackendRefs", "a route without an upstream: refused when the file is read"),
    (
        "HTTPRouteRequestHeaderModifierBackendWeights",
        "header fields that one of several backends alone is told",
    ),
];

/// Suites that other tests say: what their upstream must do is more than an answer.
const SAID_ELSEWHERE: [(&str, &str); 2] =
    [("HTTPRouteBackendProtocolH2C", "http2.rs"), ("HTTPRouteBackendProtocolWebSocket", "websockets.rs")];

fn suites() -> Vec<Value> {
    cases(include_str!("cases/gateway-api.json"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// By which a request says what fields its answer is to have: `name: value`, each in a field of its own.
const ECHO: &str = "X-Echo-Set-Header";

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
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &request.head.fields {
            let joined = fields.entry(name.to_ascii_lowercase()).or_default();
            let separator = if joined.is_empty() { "" } else { "," };
            joined.extend([separator, value.as_str()]);
        }
        let seen = json!({
            "backend": name, "method": method, "path": path, "host": fields.get("host"), "headers": fields,
        });
        let wanted = request
            .head
            .values(&ECHO.to_ascii_lowercase())
            .fold(String::new(), |text, field| text + field + "\r\n");
        ok(&seen.to_string()).replacen("\r\n", &format!("\r\n{wanted}"), 1)
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
            let what_is_done = what_is_done(rule, urls);
            let every = json!([{}]);
            let matches = rule.get("matches").unwrap_or(&every).as_array().expect("matches");
            for (index, criteria) in matches.iter().enumerate() {
                let name = format!("{}/{number}/{index}", text(&route["name"]));
                let mut entry = json!({ "name": name, "match": said(criteria, &hosts) });
                entry.as_object_mut().expect("an object").extend(what_is_done.clone());
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
    // Who speaks TLS for a listener of theirs is a proxy in front of the gateway.
    let backend =
        |(name, url): (&&str, &String)| format!("- {{name: {name}, endpoints: [{{url: '{url}'}}]}}\n");
    let backends: String = urls.iter().map(backend).collect();
    let server = format!("server: {{ trusted_proxies: [127.0.0.1] }}\nbackends:\n{backends}routes:\n");
    entries.iter().fold(server, |mut file, entry| {
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

/// What a rule of theirs makes of its requests, as keys of a route of ours. There, upstreams are asked for the host that the
/// client has asked for.
fn what_is_done(rule: &Value, urls: &BTreeMap<&str, String>) -> Map<String, Value> {
    let backend = &rule["backendRefs"][0];
    let filters = [rule, backend].map(|place| place["filters"].as_array().into_iter().flatten());
    let mut keys = Map::new();
    let mut rewrite = json!({ "host": "${host}" });
    for filter in filters.into_iter().flatten() {
        match text(&filter["type"]) {
            "RequestRedirect" => {
                let theirs = &filter["requestRedirect"];
                let mut ours = json!({ "status": theirs["statusCode"] });
                for (theirs, key) in
                    [(&theirs["scheme"], "scheme"), (&theirs["hostname"], "host"), (&theirs["port"], "port")]
                {
                    if !theirs.is_null() {
                        ours[key] = theirs.clone();
                    }
                }
                say_path(&theirs["path"], &mut ours);
                keys.insert("redirect".into(), ours);
            }
            "URLRewrite" => {
                let theirs = &filter["urlRewrite"];
                if let Some(host) = theirs["hostname"].as_str() {
                    rewrite["host"] = host.into();
                }
                say_path(&theirs["path"], &mut rewrite);
            }
            "RequestHeaderModifier" => {
                keys.insert("request_headers".into(), changes(&filter["requestHeaderModifier"]));
            }
            "ResponseHeaderModifier" => {
                keys.insert("response_headers".into(), changes(&filter["responseHeaderModifier"]));
            }
            other => panic!("no translation of {other}"),
        }
    }
    if keys.contains_key("redirect") {
        return keys;
    }
    keys.insert("rewrite".into(), rewrite);
    match rule["backendRefs"].as_array().expect("backends").as_slice() {
        [alone] => keys.insert("upstream".into(), urls[text(&alone["name"])].as_str().into()),
        several => {
            let part = |theirs: &Value| json!({ "backend": theirs["name"], "weight": theirs["weight"] });
            keys.insert("split".into(), several.iter().map(part).collect())
        }
    };
    keys
}

fn say_path(theirs: &Value, ours: &mut Value) {
    match theirs["type"].as_str() {
        None => {}
        Some("ReplaceFullPath") => ours["path"] = theirs["replaceFullPath"].clone(),
        Some("ReplacePrefixMatch") => ours["prefix"] = theirs["replacePrefixMatch"].clone(),
        Some(other) => panic!("no translation of {other}"),
    }
}

fn changes(theirs: &Value) -> Value {
    let values = |key: &str| {
        let fields = theirs[key].as_array().into_iter().flatten();
        let fields = fields.map(|field| (text(&field["name"]).to_owned(), field["value"].clone()));
        Value::Object(fields.collect())
    };
    json!({ "set": values("set"), "add": values("add"), "remove": texts(&theirs["remove"]) })
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
    let mut host = request["host"].as_str().unwrap_or("gw.example").to_owned();
    if expected.get("redirect").is_some() {
        // As clients do, which are sent back to the port that they have asked.
        let _ = write!(host, ":{}", gateway.address().port());
    }
    let fields = request["headers"].as_object().into_iter().flatten();
    let mut fields = fields.fold(String::new(), |text, (name, value)| {
        text + &format!("{name}: {}\r\n", value.as_str().unwrap_or_default())
    });
    for (name, value) in case["backend_sets_headers"].as_object().into_iter().flatten() {
        let _ = write!(fields, "{ECHO}: {name}: {}\r\n", text(value));
    }
    let scheme = request["scheme"].as_str().unwrap_or("http");
    let _ = write!(fields, "X-Forwarded-Proto: {scheme}\r\n");
    let mut connection = Connection::open(gateway.address());
    let (method, path) = (text(&request["method"]), text(&request["path"]));
    connection.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    let answer = connection.response();
    assert_eq!(Some(u64::from(answer.status())), expected["status"].as_u64(), "{case}: {answer:?}");
    let seen = if answer.status() == 200 { answer.json() } else { Value::Null };
    if let Some(backend) = expected.get("backend") {
        assert_eq!(&seen["backend"], backend, "{case}");
    }
    check_seen(&expected["request_seen_by_backend"], &seen, case);
    check_answer(&expected["response"], &answer, case);
    if let Some(redirect) = expected.get("redirect") {
        check_redirect(redirect, &answer, gateway.address().port(), case);
    }
}

fn check_seen(expected: &Value, seen: &Value, case: &Value) {
    for (key, value) in expected.as_object().into_iter().flatten() {
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

fn check_answer(expected: &Value, answer: &Response, case: &Value) {
    for (key, value) in expected.as_object().into_iter().flatten() {
        match key.as_str() {
            "headers" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let values: Vec<_> = answer.head.values(name).collect();
                    assert_eq!(values.join(","), text(value), "{name} of {case}");
                }
            }
            "absent_headers" => {
                for name in texts(value) {
                    assert_eq!(answer.field(&name), None, "{name} of {case}");
                }
            }
            _ => panic!("{key} of {case}"),
        }
    }
}

/// Compares the parts of `Location` that a case names.
fn check_redirect(expected: &Value, answer: &Response, listener: u16, case: &Value) {
    let location: Uri = answer.field("location").expect("a redirect has a place").parse().expect("a URL");
    assert_eq!(location.scheme_str(), expected["scheme"].as_str(), "{case}");
    if let Some(host) = expected["host"].as_str() {
        assert_eq!(location.host(), Some(host), "{case}");
    }
    assert_eq!(location.path(), text(&expected["path"]), "{case}");
    let named = expected["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = if text(&expected["port_from"]) == "listener" { Some(listener) } else { named };
    assert_eq!(location.port_u16(), port, "{case}");
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
        if case.get("distribution").is_some() {
            shares::check(&case, gateway.address());
        } else {
            check_case(&case, gateway);
        }
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
