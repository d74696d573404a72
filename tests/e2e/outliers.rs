//! Endpoints that fail the requests they are given, and what becomes of further ones.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use apigw_tests::{
    client::{self, Connection},
    gateway::{Gateway, gwctl_json},
    log,
    origin::{Origin, ok, refusing},
    waiting::eventually,
};
use serde_json::Value;

/// An upstream that says its name, or fails.
struct Endpoint {
    origin: Origin,
    is_failing: Arc<AtomicBool>,
}

impl Endpoint {
    fn named(name: &'static str) -> Self {
        let is_failing = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_failing);
        let origin = Origin::answering(move |_| {
            if told.load(Ordering::Acquire) {
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".into()
            } else {
                ok(name)
            }
        });
        Self { origin, is_failing }
    }

    fn failing(name: &'static str) -> Self {
        let endpoint = Self::named(name);
        endpoint.is_failing.store(true, Ordering::Release);
        endpoint
    }

    fn recover(&self) {
        self.is_failing.store(false, Ordering::Release);
    }

    fn url(&self) -> String {
        self.origin.url()
    }
}

/// A file with one backend of these endpoints that are left out so, to which its one route sends.
fn document(urls: &[String], outlier: &str) -> String {
    let mut text = String::from("backends:\n  - name: pool\n");
    let _ = writeln!(text, "    health: {{outlier: {outlier}}}\n    endpoints:");
    for url in urls {
        let _ = writeln!(text, "      - {{url: \"{url}\"}}");
    }
    text + "routes:\n  - {name: all, match: {path_prefix: /}, backend: pool}\n"
}

/// Who answers a number of requests; empty for a failure.
fn answering(gateway: &Gateway) -> BTreeSet<String> {
    let mut connection = Connection::open(gateway.address());
    (0..20)
        .map(|_| {
            let answer = connection.get("/x");
            if answer.status() == 200 { answer.text() } else { String::new() }
        })
        .collect()
}

fn row(gateway: &Gateway, endpoint: usize) -> Value {
    gwctl_json(gateway.data_plane.admin(), &["backends"])[endpoint].clone()
}

/// Sends requests until an endpoint is left out.
fn await_ejection(gateway: &Gateway, endpoint: usize) -> Value {
    eventually(&format!("endpoint {endpoint} is ejected"), || {
        answering(gateway);
        Some(row(gateway, endpoint)).filter(|row| row["health"] == "ejected")
    })
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

#[test]
fn an_endpoint_that_fails_requests_is_given_none_for_a_while() {
    let (a, b) = (Endpoint::named("a"), Endpoint::failing("b"));
    let gateway = Gateway::standalone(document(
        &[a.url(), b.url()],
        "{consecutive_failures: 3, ejection_seconds: 3600}",
    ));
    let seen = await_ejection(&gateway, 1);
    assert_eq!(seen["reason"], "requests_failed");
    assert!(seen["ejected_until"].is_string() && seen["since"].is_string(), "{seen}");
    assert_eq!(answering(&gateway), only("a"));
    assert_eq!(b.origin.requests().len(), 3, "and not one more");
    let url = b.url();
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.count("apigw_endpoint_ejections_total", &[("endpoint", &url)]), 1);
    assert_eq!(metrics.value("apigw_endpoint_healthy", &[("endpoint", &url)]), Some(0.0));
    let is_told = |line: &str| log::event(line).filter(|event| event["message"] == "endpoint is ejected");
    let told = gateway.data_plane.program().stderr().first(is_told).expect("there is a line");
    assert_eq!((told["backend"].as_str(), told["seconds"].as_f64()), (Some("pool"), Some(3600.0)));
}

#[test]
fn an_ejected_endpoint_returns_by_itself() {
    let (a, b) = (Endpoint::named("a"), Endpoint::failing("b"));
    let gateway = Gateway::standalone(document(
        &[a.url(), b.url()],
        "{consecutive_failures: 2, ejection_seconds: 0.2}",
    ));
    eventually("it is ejected", || {
        answering(&gateway);
        let count = gateway.data_plane.metrics().count("apigw_endpoint_ejections_total", &[]);
        (count > 0).then_some(())
    });
    b.recover();
    eventually("it answers again", || answering(&gateway).contains("b").then_some(()));
    assert_eq!(row(&gateway, 1)["health"], "healthy");
}

#[test]
fn the_last_endpoint_is_never_ejected() {
    let (a, b) = (Endpoint::failing("a"), Endpoint::failing("b"));
    let outlier = "{consecutive_failures: 1, ejection_seconds: 3600, max_ejected_percent: 100}";
    let gateway = Gateway::standalone(document(&[a.url(), b.url()], outlier));
    answering(&gateway);
    answering(&gateway);
    let health = [0, 1].map(|endpoint| row(&gateway, endpoint)["health"].as_str().map(str::to_owned));
    let ejected = health.iter().filter(|health| health.as_deref() == Some("ejected")).count();
    assert_eq!(ejected, 1, "{health:?}");
    a.recover();
    b.recover();
    assert_eq!(answering(&gateway).len(), 1, "the other one answers");
}

#[test]
fn who_does_not_listen_is_ejected() {
    let a = Endpoint::named("a");
    let urls = [a.url(), format!("http://{}", refusing())];
    let gateway = Gateway::standalone(document(&urls, "{consecutive_failures: 2, ejection_seconds: 3600}"));
    await_ejection(&gateway, 1);
    assert_eq!(answering(&gateway), only("a"));
}

#[test]
fn a_share_of_failures_ejects() {
    let a = Endpoint::named("a");
    let every_other = AtomicBool::new(false);
    let b = Origin::answering(move |_| {
        if every_other.fetch_xor(true, Ordering::AcqRel) {
            ok("b")
        } else {
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".into()
        }
    });
    let outlier = "{consecutive_failures: 0, failure_percent: 50, minimum_requests: 6, window_seconds: 3600, \
                   ejection_seconds: 3600}";
    let gateway = Gateway::standalone(document(&[a.url(), b.url()], outlier));
    await_ejection(&gateway, 1);
    // The seventh is the first failure with enough requests beside it.
    assert_eq!(b.requests().len(), 7);
}

#[test]
fn clients_that_hang_up_eject_nobody() {
    let a = Endpoint::named("a");
    let silent = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let gateway = Gateway::standalone(document(
        &[a.url(), silent.url()],
        "{consecutive_failures: 1, ejection_seconds: 3600}",
    ));
    for asked in 0..5 {
        eventually("a request is held", || {
            let mut connection = Connection::open(gateway.address());
            connection.ask("GET", "/x", "");
            eventually("it has come somewhere", || {
                (silent.requests().len() > asked || connection.has_input()).then_some(())
            });
            (silent.requests().len() > asked).then_some(())
        });
        eventually("its client has left", || (silent.ended() > asked).then_some(()));
    }
    assert_eq!(row(&gateway, 1)["health"], "healthy");
}

#[test]
fn an_ejection_outlives_an_edit_and_ends_with_its_rules() {
    let (a, b) = (Endpoint::named("a"), Endpoint::failing("b"));
    let outlier = "{consecutive_failures: 1, ejection_seconds: 3600}";
    let text = document(&[a.url(), b.url()], outlier);
    let gateway = Gateway::standalone(&text);
    let before = await_ejection(&gateway, 1);
    let heavier = text.replace(&format!("\"{}\"", b.url()), &format!("\"{}\", weight: 7", b.url()));
    gateway.file.save(&heavier);
    let after =
        eventually("the edit is in force", || Some(row(&gateway, 1)).filter(|row| row["weight"] == 7));
    assert_eq!((&after["health"], &after["since"]), (&before["health"], &before["since"]));
    assert_eq!(answering(&gateway), only("a"));
    gateway.file.save(heavier.replace(&format!("    health: {{outlier: {outlier}}}\n"), ""));
    eventually("it is let in", || Some(row(&gateway, 1)).filter(|row| row["health"] == "healthy"));
    b.recover();
    assert!(answering(&gateway).contains("b"));
    assert_eq!(client::get(gateway.address(), "/x").status(), 200);
}

#[test]
fn an_ejected_endpoint_returns_early_when_no_other_is_healthy() {
    let (a, b) = (Endpoint::failing("a"), Endpoint::named("b"));
    let outlier = "{consecutive_failures: 3, ejection_seconds: 3600}";
    let active = "active: {tcp: true, interval_seconds: 0.2, timeout_seconds: 60, unhealthy_threshold: 1}";
    let gateway = Gateway::standalone(document(&[a.url(), b.url()], &format!("{outlier}, {active}")));
    await_ejection(&gateway, 0);
    a.recover();
    assert_eq!(answering(&gateway), only("b"));
    drop(b);
    eventually("checks find that it is gone", || (row(&gateway, 1)["health"] == "unhealthy").then_some(()));
    assert_eq!(row(&gateway, 0)["health"], "ejected");
    assert_eq!(answering(&gateway), only("a"));
}
