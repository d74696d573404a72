//! What an operator sees: admin endpoints and metrics.

use std::{collections::BTreeSet, fs};

use apigw_tests::{
    certificates::Authority,
    client,
    configuration::{ConfigFile, Document},
    gate::Gate,
    gateway::{ADMIN_KEY, Fleet, Gateway, gwctl_json},
    issuer::{Issuer, bearer, token},
    load::at_once,
    origin::{Origin, ok, refusing},
    programs::Programs,
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    auth::{KEY, with_issuer, with_keys},
    callers::KEYS,
};

#[test]
fn providers_and_their_keys_are_shown() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let file = with_issuer(&issuer).route("all", "/", origin.url()).with("auth_required: true");
    let gateway = with_keys(&file);
    let auth = gateway.data_plane.says("/-/auth");
    assert_eq!(auth["mode"], "jwks");
    assert_eq!((&auth["jwks"]["url"], &auth["jwks"]["key_count"]), (&issuer.url().into(), &1.into()));
    let fetched = auth["jwks"]["fetched_at"].as_str().unwrap_or_default();
    assert!(fetched.starts_with("20") && fetched.ends_with('Z'), "not RFC 3339 in UTC: {auth}");
    let provider = &auth["providers"][0];
    assert_eq!((&provider["provider"], &provider["mode"]), (&json!("default"), &json!("jwks")));
    assert_eq!(provider["jwks"]["key_count"], 1);
    assert_eq!(auth["providers"].as_array().map(Vec::len), Some(1));
}

#[test]
fn secrets_of_providers_are_not_shown() {
    let origin = Origin::saying("in");
    let file = Document::new()
        .auth("mode: hmac")
        .auth("hmac_secret: \"do-not-show\"")
        .route("all", "/", origin.url())
        .with("auth_required: true");
    let gateway = Gateway::with_key(file);
    let auth = gateway.data_plane.says("/-/auth");
    assert_eq!((&auth["mode"], &auth["jwks"]), (&json!("hmac"), &json!(null)));
    assert!(!auth.to_string().contains("do-not-show"), "{auth}");
}

#[test]
fn limits_are_live_and_only_of_what_is_limited() {
    let origin = Origin::saying("in");
    let file = Document::new()
        .route("free", "/free", origin.url())
        .route("all", "/", origin.url())
        .with("concurrency: { max_in_flight: 7 }")
        .with("circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }");
    let gateway = Gateway::with_key(file);
    assert_eq!(client::get(gateway.address(), "/").status(), 200);
    eventually("nothing is under way", || {
        (gateway.data_plane.limits("all")["concurrency"]["in_flight"] == 0).then_some(())
    });
    let row = gateway.data_plane.limits("all");
    assert_eq!(row["concurrency"], json!({"max_in_flight": 7, "in_flight": 0, "mode": "enforce"}));
    let breaker = &row["circuit_breaker"];
    assert_eq!((&breaker["state"], &breaker["failures"]), (&json!("closed"), &json!(0)));
    assert_eq!(breaker["half_open_in_flight"], 0);
    let free = gateway.data_plane.limits("free");
    assert!(free.get("concurrency").is_none_or(serde_json::Value::is_null), "{free}");
    assert!(free.get("circuit_breaker").is_none_or(serde_json::Value::is_null), "{free}");
}

#[test]
fn control_plane_tells_of_each_data_plane_what_it_is_at() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        waiting.pass()?;
        peer.send("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    });
    let file = Document::new()
        .route("all", "/", origin.url())
        .with("concurrency: { max_in_flight: 1 }")
        .with("circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 600, half_open_max_in_flight: 1 }");
    let fleet = Fleet::start(file, 2);
    let busy = &fleet.data_planes[0];
    let mut under_way = client::Connection::open(busy.traffic());
    under_way.ask("GET", "/", "");
    origin.await_request(0);
    assert_eq!(client::get(busy.traffic(), "/").status(), 503);
    let rows = || {
        let limits = gwctl_json(fleet.control_plane.address(), &["limits"]);
        let port = format!(":{}", busy.admin().port());
        let is_busy =
            |row: &serde_json::Value| row["data_plane"].as_str().is_some_and(|id| id.ends_with(&port));
        let (busy, idle): (Vec<_>, Vec<_>) =
            limits.as_array().cloned().unwrap_or_default().into_iter().partition(is_busy);
        assert_eq!((busy.len(), idle.len()), (1, 1), "{limits}");
        (busy[0].clone(), idle[0].clone())
    };
    let (one, other) = rows();
    assert_eq!(
        (&one["concurrency"]["in_flight"], &other["concurrency"]["in_flight"]),
        (&json!(1), &json!(0))
    );
    assert_eq!((&one["rejections"], &other["rejections"]), (&json!({"too_busy": 1}), &json!({})));
    gate.open();
    assert_eq!(under_way.response().status(), 500);
    eventually("the breaker is seen open", || (rows().0["circuit_breaker"]["state"] == "open").then_some(()));
    let (one, other) = rows();
    assert!(one["circuit_breaker"]["retry_after_seconds"].as_f64().is_some_and(|left| left > 0.0), "{one}");
    assert_eq!(other["circuit_breaker"]["state"], "closed", "the other has seen nothing");
}

#[test]
fn every_admin_endpoint_wants_the_key() {
    let origin = Origin::saying("in");
    let file = || Document::new().route("all", "/api", origin.url());
    let (with, without) = (Gateway::with_key(file()), Gateway::standalone(file()));
    for path in ["/-/status", "/-/routes", "/-/limits", "/-/auth"] {
        for address in [with.data_plane.admin(), with.address()] {
            assert_eq!(client::get(address, path).status(), 401, "{path}");
            let wrong = format!("X-Admin-Key: {ADMIN_KEY}x\r\n");
            assert_eq!(client::get_with(address, path, &wrong).status(), 401, "{path}");
            let right = format!("X-Admin-Key: {ADMIN_KEY}\r\n");
            assert_eq!(client::get_with(address, path, &right).status(), 200, "{path}");
        }
        for address in [without.data_plane.admin(), without.address()] {
            let any = "X-Admin-Key: \r\n";
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let answer = client::request(address, method, path, any);
                assert_eq!(answer.status(), 404, "{method} {path}: it does not exist");
            }
        }
    }
}

#[test]
fn admin_endpoints_leave_the_traffic_address_when_they_have_their_own() {
    let origin = Origin::answering(|_| ok("upstream"));
    let file = Document::new().route("all", "/", origin.url()).to_string();
    let gateway = Gateway::with_key(format!("admin: {{ addr: \"127.0.0.1:0\" }}\n{file}"));
    for path in ["/healthz", "/readyz", "/metrics", "/-/status"] {
        assert_eq!(client::get(gateway.address(), path).text(), "upstream", "{path}");
    }
}

#[test]
fn data_plane_that_drains_is_alive_and_not_ready() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        waiting.pass()?;
        peer.send(ok("finished"))
    });
    let mut gateway = Gateway::standalone(Document::new().route("all", "/", origin.url()));
    let mut under_way = client::Connection::open(gateway.address());
    under_way.ask("GET", "/", "");
    origin.await_request(0);
    let admin = gateway.data_plane.admin();
    assert_eq!(client::get(admin, "/readyz").status(), 200);
    gateway.data_plane.program().signal(Signal::TERM);
    eventually("it is not ready", || (client::get(admin, "/readyz").status() == 503).then_some(()));
    assert_eq!(client::get(admin, "/healthz").status(), 200);
    gate.open();
    assert_eq!(under_way.response().text(), "finished");
    assert_eq!(gateway.data_plane.program_mut().ended().code(), Some(0));
}

#[test]
fn nothing_is_found_at_unknown_places() {
    let origin = Origin::saying("in");
    let gateway = Gateway::with_key(Document::new().route("all", "/api", origin.url()));
    for path in ["/", "/-/", "/-/nothing", "/metrics/", "/apigw.v1.Gateway/Status"] {
        let answer =
            client::get_with(gateway.data_plane.admin(), path, &format!("X-Admin-Key: {ADMIN_KEY}\r\n"));
        assert_eq!(answer.status(), 404, "{path}: {answer:?}");
    }
}

/// Names of the metrics that the documentation has a row for.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = fs::read_to_string(path).expect("the metrics have a page");
    let names = text.lines().filter_map(|line| line.strip_prefix("| `apigw_")?.split(['`', '{']).next());
    names.map(|name| format!("apigw_{name}")).collect()
}

#[test]
fn every_metric_has_its_row_and_every_row_its_metric() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let failing = Origin::answering(|_| "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".into());
    let limits = "rate_limit: { enabled: true, rps: 1000, burst: 1, scope: ip }";
    let breaker = "circuit_breaker: { enabled: true, failure_threshold: 5, open_seconds: 10, half_open_max_in_flight: 1 }";
    let file = with_issuer(&issuer)
        .rate_limit("backend: redis")
        .rate_limit(&format!("redis: {{ addr: \"{}\", on_failure: local }}", refusing()))
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("concurrency: { max_in_flight: 9 }")
        .with(limits)
        .with(breaker)
        .route("shadow", "/shadow", origin.url())
        .with("deny_cidrs: [\"127.0.0.0/8\"]")
        .with("cidrs_mode: shadow")
        .route("again", "/again", failing.url())
        .with("retry: { attempts: 10, on: [503] }");
    let gateway = with_keys(&file);
    // Four times ten retries are more than a quiet route has.
    let again = at_once(4, |_| client::get(gateway.address(), "/again").status());
    assert_eq!(again, [503; 4]);
    assert_eq!(client::get(gateway.address(), "/x").status(), 401);
    assert_eq!(client::get_with(gateway.address(), "/x", &bearer(&token(&KEY, "alice"))).status(), 200);
    assert_eq!(client::get(gateway.address(), "/shadow").status(), 200);
    gateway.file.save("routes: [");
    let identity = Authority::new().identity();
    let (certificate, key) = (identity.path("cert.pem"), identity.path("key.pem"));
    let files = format!("{{cert_file: {certificate:?}, key_file: {key:?}}}");
    let tls = format!("tls: {{certificates: [{files}]}}");
    let document = Document::new().server(&tls).server("proxy_protocol: {trusted: [127.0.0.1]}");
    let checked = "health: {active: {tcp: true}, outlier: {}}";
    let secured = Gateway::standalone(format!(
        "backends: [{{name: pool, endpoints: [{{url: \"{0}\"}}], {checked}}}]\n{1}",
        origin.url(),
        document.route("all", "/", origin.url()),
    ));
    let mut in_clear = client::Connection::open(secured.address());
    in_clear.send("PROXY UNKNOWN\r\n");
    assert_eq!(in_clear.get("/in-clear").status(), 400);
    let keys = ConfigFile::new(KEYS);
    let mirrored = Gateway::standalone(format!(
        "auth: {{api_keys: {{file: {1:?}}}}}\n\
         backends: [{{name: pool, endpoints: [{{url: \"{0}\"}}]}}]\n\
         routes: [{{name: all, match: {{path_prefix: /}}, upstream: \"{0}\", mirror: {{backend: pool}}, \
         auth_required: true, auth: {{any: [external], external: {{url: \"{0}\"}}}}}}]\n",
        origin.url(),
        keys.path(),
    ));
    assert_eq!(client::get(mirrored.address(), "/x").status(), 200);
    keys.save("keys: [");
    let exposed = eventually("a metric of each row is there, or the test is over", || {
        let planes = [&gateway.data_plane, &secured.data_plane, &mirrored.data_plane];
        let exposed: BTreeSet<_> = planes.into_iter().flat_map(|plane| plane.metrics().names()).collect();
        exposed.is_superset(&documented()).then_some(exposed)
    });
    let unexplained: Vec<_> = exposed.difference(&documented()).cloned().collect();
    assert_eq!(unexplained, Vec::<String>::new(), "metrics without a row in docs/metrics.md");
}

#[test]
fn every_reason_is_in_the_operators_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");
    let text = fs::read_to_string(path).expect("operators have a page");
    let rows: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next()).collect();
    let told = Programs::built().output("gwctl", &["reasons", "-o", "json"]);
    let reasons: Vec<serde_json::Value> = serde_json::from_str(&told.stdout).expect("gwctl lists them");
    assert!(reasons.len() > 40, "{told:?}");
    let names: Vec<_> = reasons.iter().filter_map(|reason| reason["reason"].as_str()).collect();
    let is_there = |name: &&str| rows.iter().any(|row| row.split('`').any(|word| word == *name));
    assert_eq!(names.into_iter().filter(|name| !is_there(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn labels_are_of_configured_names_and_closed_sets() {
    let (origin, issuer) = (Origin::saying("in"), Issuer::serving(&[&KEY]));
    let file = with_issuer(&issuer)
        .route("all", "/", origin.url())
        .with("auth_required: true")
        .with("rate_limit: { enabled: true, rps: 1000, burst: 1000, scope: \"header:x-key\" }");
    let gateway = with_keys(&file);
    for mark in ["mark-1", "mark-2"] {
        let fields = format!("X-Key: {mark}\r\nUser-Agent: {mark}\r\n{}", bearer(&token(&KEY, mark)));
        assert_eq!(client::get_with(gateway.address(), &format!("/{mark}"), &fields).status(), 200);
        let mut connection = client::Connection::open(gateway.address());
        connection.ask(&mark.to_uppercase(), "/", "");
        assert_eq!(connection.response().status(), 401);
    }
    let text = gateway.data_plane.metrics().text().to_ascii_lowercase();
    let told: Vec<_> = text.lines().filter(|line| line.contains("mark-")).collect();
    assert_eq!(told, Vec::<&str>::new(), "a client can make series");
}

#[test]
fn address_lists_of_the_server_hold_for_admin_places_on_the_traffic_address() {
    let origin = Origin::saying("in");
    let file = Document::new().server("deny_cidrs: [127.0.0.0/8]").route("all", "/", origin.url());
    let gateway = Gateway::with_key(file);
    let key = format!("X-Admin-Key: {ADMIN_KEY}\r\n");
    for (path, status) in [
        ("/", 403),
        ("/metrics", 403),
        ("/-/status", 403),
        ("/-/limits", 403),
        ("/healthz", 200),
        ("/readyz", 200),
    ] {
        assert_eq!(client::get_with(gateway.address(), path, &key).status(), status, "{path}");
    }
    assert_eq!(client::get_with(gateway.data_plane.admin(), "/metrics", &key).status(), 200);
}

#[test]
fn admin_key_stays_here_when_its_path_was_mistyped() {
    let origin = Origin::saying("in");
    let gateway = Gateway::with_key(Document::new().route("all", "/", origin.url()));
    for (key, expected) in [(ADMIN_KEY, None), ("the upstream's own", Some("the upstream's own"))] {
        let answer = client::get_with(gateway.address(), "/-/limit", &format!("X-Admin-Key: {key}\r\n"));
        assert_eq!(answer.status(), 200);
        assert_eq!(
            origin
                .requests()
                .last()
                .and_then(|request| request.head.field("x-admin-key").map(str::to_owned))
                .as_deref(),
            expected
        );
    }
}

#[test]
fn two_admin_keys_open_nothing() {
    let origin = Origin::saying("");
    let gateway = Gateway::with_key(Document::new().route("all", "/", origin.url()));
    let admin = gateway.data_plane.admin();
    let one = format!("X-Admin-Key: {ADMIN_KEY}\r\n");
    assert_eq!(client::get_with(admin, "/-/routes", &one).status(), 200);
    for two in [one.repeat(2), format!("{one}X-Admin-Key: other\r\n"), format!("X-Admin-Key: other\r\n{one}")]
    {
        assert_eq!(client::get_with(admin, "/-/routes", &two).status(), 401, "{two}");
    }
}
