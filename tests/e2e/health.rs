//! Endpoints that are asked whether they are well, and what becomes of requests when they are not.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use apigw_tests::{
    certificates::Authority,
    client::Connection,
    gateway::{DataPlane, Gateway, gwctl_json},
    load::{Load, Reuse},
    log,
    origin::{Origin, Peer, ok, refusing},
    waiting::eventually,
};
use serde_json::Value;

/// An upstream that says its name, and for its health what it is told to.
struct Endpoint {
    origin: Origin,
    is_well: Arc<AtomicBool>,
}

impl Endpoint {
    fn named(name: &'static str) -> Self {
        let is_well = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&is_well);
        let origin = Origin::answering(move |request| match request.line() {
            "GET /healthz" if !told.load(Ordering::Acquire) => {
                "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into()
            }
            _ => ok(name),
        });
        Self { origin, is_well }
    }

    fn become_well(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::Release);
    }
}

const CHECK: &str = "{path: /healthz, interval_seconds: 0.1, timeout_seconds: 10}";

/// A file with one backend of these endpoints that are checked so, to which its one route sends.
fn document(urls: &[String], check: &str) -> String {
    let mut text = String::from("backends:\n  - name: pool\n");
    let _ = writeln!(text, "    health: {{active: {check}}}\n    endpoints:");
    for url in urls {
        let _ = writeln!(text, "      - {{url: \"{url}\"}}");
    }
    text + "routes:\n  - {name: all, match: {path_prefix: /}, backend: pool}\n"
}

fn pool(endpoints: &[&Endpoint], check: &str) -> String {
    let urls: Vec<_> = endpoints.iter().map(|endpoint| endpoint.origin.url()).collect();
    document(&urls, check)
}

/// Who answers a number of requests.
fn answering(gateway: &Gateway) -> BTreeSet<String> {
    let mut connection = Connection::open(gateway.address());
    (0..20).map(|_| connection.get("/x").text()).collect()
}

fn rows(data_plane: &DataPlane) -> Value {
    gwctl_json(data_plane.admin(), &["backends"])
}

/// Waits until an endpoint is as healthy as that.
fn await_health(gateway: &Gateway, endpoint: usize, health: &str) -> Value {
    eventually(&format!("endpoint {endpoint} is {health}"), || {
        let row = rows(&gateway.data_plane)[endpoint].clone();
        (row["health"] == health).then_some(row)
    })
}

/// Waits until an endpoint was checked.
fn await_check(gateway: &Gateway, url: &str) {
    eventually("it was checked", || {
        let count = gateway.data_plane.metrics().count("apigw_endpoint_checks_total", &[("endpoint", url)]);
        (count > 0).then_some(())
    });
}

#[test]
fn an_endpoint_that_fails_its_checks_is_given_no_requests_until_it_passes_again() {
    let (a, b) = (Endpoint::named("a"), Endpoint::named("b"));
    let gateway = Gateway::standalone(pool(&[&a, &b], CHECK));
    assert_eq!(answering(&gateway).len(), 2);
    assert_eq!(
        (&rows(&gateway.data_plane)[1]["health"], &rows(&gateway.data_plane)[1]["since"]),
        (&"healthy".into(), &Value::Null)
    );
    await_check(&gateway, &b.origin.url());

    b.become_well(false);
    let row = await_health(&gateway, 1, "unhealthy");
    assert_eq!(row["reason"], "status_503");
    assert!(row["since"].is_string(), "{row}");
    assert_eq!(answering(&gateway), BTreeSet::from(["a".to_owned()]));
    let url = b.origin.url();
    let of_b = [("backend", "pool"), ("endpoint", url.as_str())];
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.value("apigw_endpoint_healthy", &of_b), Some(0.0));
    assert_eq!(metrics.value("apigw_endpoint_healthy", &[("endpoint", &a.origin.url())]), Some(1.0));
    assert!(metrics.count("apigw_endpoint_checks_total", &[of_b[1], ("outcome", "failure")]) >= 2);
    let told = gateway
        .data_plane
        .program()
        .stderr()
        .first(|line| log::event(line).filter(|event| event["message"] == "endpoint is unhealthy"));
    let told = told.expect("there is a line");
    assert_eq!(
        (&told["backend"], &told["endpoint"], &told["reason"]),
        (&"pool".into(), &url.as_str().into(), &"status_503".into())
    );

    b.become_well(true);
    await_health(&gateway, 1, "healthy");
    assert_eq!(answering(&gateway).len(), 2);
}

#[test]
fn endpoints_that_say_that_they_leave_cost_no_request() {
    let endpoints = ["a", "b", "c"].map(Endpoint::named);
    let [a, b, c] = &endpoints;
    let gateway = Gateway::standalone(pool(&[a, b, c], CHECK));
    let load = Load::start(gateway.address(), "/x", 4, Reuse::MustSucceed, |_| Ok(()));
    for (index, endpoint) in endpoints.iter().enumerate().cycle().take(6) {
        endpoint.become_well(false);
        await_health(&gateway, index, "unhealthy");
        endpoint.become_well(true);
        await_health(&gateway, index, "healthy");
    }
    load.stop().is_flawless();
}

#[test]
fn where_no_endpoint_is_healthy_all_are_used() {
    let (a, b) = (Endpoint::named("a"), Endpoint::named("b"));
    let gateway = Gateway::standalone(pool(&[&a, &b], CHECK));
    a.become_well(false);
    b.become_well(false);
    for endpoint in [0, 1] {
        await_health(&gateway, endpoint, "unhealthy");
    }
    assert_eq!(answering(&gateway).len(), 2);
    let unguided = gateway.data_plane.metrics().count("apigw_backend_unguided_requests_total", &[]);
    assert_eq!(unguided, 20);
    let told = gateway
        .data_plane
        .program()
        .stderr()
        .first(|line| line.contains("no endpoint is healthy").then_some(()));
    assert!(told.is_some(), "the log says so");
}

#[test]
fn the_first_check_finds_who_does_not_listen() {
    let a = Endpoint::named("a");
    let urls = [a.origin.url(), format!("http://{}", refusing())];
    let gateway =
        Gateway::standalone(document(&urls, "{tcp: true, interval_seconds: 3600, unhealthy_threshold: 100}"));
    let row = await_health(&gateway, 1, "unhealthy");
    assert_eq!(row["reason"], "upstream_unreachable");
    assert_eq!(answering(&gateway), BTreeSet::from(["a".to_owned()]));
    assert!(
        a.origin.requests().iter().all(|request| request.line() == "GET /x"),
        "only connections were made"
    );
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_not_healthy() {
    let a = Endpoint::named("a");
    let silent = Origin::scripted(Peer::until_closed);
    let check = "{path: /healthz, interval_seconds: 3600, timeout_seconds: 0.2}";
    let gateway = Gateway::standalone(document(&[silent.url()], check));
    assert_eq!(await_health(&gateway, 0, "unhealthy")["reason"], "upstream_timeout");
    drop(a);
}

#[test]
fn what_checks_found_is_kept_across_edits_and_forgotten_with_the_checks() {
    let (a, b) = (Endpoint::named("a"), Endpoint::named("b"));
    b.become_well(false);
    let once = "{path: /healthz, interval_seconds: 3600}";
    let gateway = Gateway::standalone(pool(&[&a, &b], once));
    let before = await_health(&gateway, 1, "unhealthy");
    let edited = pool(&[&a, &b], once)
        .replace(&format!("\"{}\"", b.origin.url()), &format!("\"{}\", weight: 7", b.origin.url()));
    gateway.file.save(&edited);
    let row = eventually("the edit is in force", || {
        let row = rows(&gateway.data_plane)[1].clone();
        (row["weight"] == 7).then_some(row)
    });
    assert_eq!((&row["health"], &row["since"]), (&before["health"], &before["since"]));
    assert_eq!(answering(&gateway), BTreeSet::from(["a".to_owned()]));
    let checks = b.origin.requests().iter().filter(|request| request.line() == "GET /healthz").count();
    assert_eq!(checks, 1, "checks that stay the same go on");

    gateway.file.save(edited.replace(&format!("    health: {{active: {once}}}\n"), ""));
    await_health(&gateway, 1, "healthy");
    assert_eq!(answering(&gateway).len(), 2);
}

#[test]
fn checks_speak_what_the_backend_speaks() {
    let authority = Authority::new();
    let identity = authority.identity();
    let upstream = Endpoint::named("a");
    let (certificate, key) = (identity.path("cert.pem"), identity.path("key.pem"));
    let files = format!("{{cert_file: \"{}\", key_file: \"{}\"}}", certificate.display(), key.display());
    let secure = Gateway::standalone(format!(
        "server: {{tls: {{certificates: [{files}]}}}}\n\
         routes: [{{name: all, match: {{path_prefix: /}}, upstream: \"{}\"}}]\n",
        upstream.origin.url()
    ));
    let url = format!("https://127.0.0.1:{}", secure.address().port());
    // Another path than that of the gateway which stands in for an upstream.
    let check = "{path: \"/health?full=1\", interval_seconds: 3600, timeout_seconds: 10}";
    let with = |keys: &str| {
        document(std::slice::from_ref(&url), check)
            .replace("    endpoints:", &format!("{keys}    endpoints:"))
    };
    let trusted = format!("    tls: {{ca_file: \"{}\"}}\n", identity.path("ca.pem").display());
    for http2 in ["", "    http2: true\n"] {
        let asked = upstream.origin.requests().len();
        let gateway = Gateway::standalone(with(&format!("{trusted}{http2}")));
        await_check(&gateway, &url);
        assert_eq!(rows(&gateway.data_plane)[0]["health"], "healthy", "{http2}");
        let request = upstream.origin.request(asked);
        assert_eq!(request.line(), "GET /health?full=1");
        assert_eq!(request.head.field("user-agent"), Some("apigw-health-check"));
    }
    let stranger = Authority::new().identity();
    let foreign = format!("    tls: {{ca_file: \"{}\"}}\n", stranger.path("ca.pem").display());
    let gateway = Gateway::standalone(with(&foreign));
    assert_eq!(await_health(&gateway, 0, "unhealthy")["reason"], "upstream_tls");
}

#[test]
fn a_thousand_endpoints_are_not_asked_all_at_once() {
    // Of all addresses of loopback, so that each is an endpoint of its own.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there is a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    let held = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
    let holding = Arc::clone(&held);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            holding.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    });
    let urls: Vec<_> =
        (0..1_000).map(|n| format!("http://127.0.{}.{}:{port}", 1 + n / 250, 1 + n % 250)).collect();
    let other = Origin::saying("served");
    let check = "{path: /healthz, interval_seconds: 0.1, timeout_seconds: 3600}";
    let text = document(&urls, check)
        + &format!("  - {{name: other, match: {{path_prefix: /other}}, upstream: \"{}\"}}\n", other.url());
    let gateway = Gateway::standalone(text);
    let count = || held.lock().unwrap_or_else(PoisonError::into_inner).len();
    eventually("as many are asked as may be", || (count() >= 256).then_some(()));
    let mut connection = Connection::open(gateway.address());
    for _ in 0..500 {
        assert_eq!(connection.get("/other").text(), "served");
    }
    assert_eq!(count(), 256);
}
