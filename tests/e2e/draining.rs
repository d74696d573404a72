//! Endpoints that are about to be taken away.

use std::fmt::Write as _;

use apigw_tests::{
    client::{self, Connection},
    gate::Gate,
    gateway::{Gateway, gwctl_json},
    load::{Load, Reuse},
    origin::{Origin, ok, refusing},
    waiting::eventually,
};
use serde_json::Value;

/// A file with one backend of endpoints, to which its one route sends; each with its URL and what else is said of it.
fn document(endpoints: &[(String, &str)], keys: &str) -> String {
    let mut text = String::from("backends:\n  - name: pool\n    endpoints:\n");
    for (url, settings) in endpoints {
        let _ = writeln!(text, "      - {{url: \"{url}\"{settings}}}");
    }
    text + keys + "routes:\n  - {name: all, match: {path_prefix: /}, backend: pool}\n"
}

fn row(gateway: &Gateway, endpoint: usize) -> Value {
    gwctl_json(gateway.data_plane.admin(), &["backends"])[endpoint].clone()
}

/// Waits until an endpoint is how this says; gives its row.
fn await_health(gateway: &Gateway, endpoint: usize, health: &str) -> Value {
    eventually(&format!("endpoint {endpoint} is {health}"), || {
        Some(row(gateway, endpoint)).filter(|row| row["health"] == health)
    })
}

/// Waits until an upstream was asked so many times more.
fn await_traffic(origin: &Origin, requests: usize) {
    let before = origin.requests().len();
    eventually("there is traffic", || (origin.requests().len() >= before + requests).then_some(()));
}

/// Answers at once, but the rest of `/held` only when the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::scripted(move |peer| {
        loop {
            if peer.request()?.line() == "GET /held" {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
                gate.pass()?;
                peer.send("done")?;
            } else {
                peer.send(ok("leaving"))?;
            }
        }
    })
}

fn holds(origin: &Origin) -> bool {
    origin.requests().iter().any(|request| request.line() == "GET /held")
}

/// A request that an endpoint is at.
fn held_by(origin: &Origin, gateway: &Gateway) -> Connection {
    eventually("a request is held", || {
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/held", "");
        eventually("it has come somewhere", || (holds(origin) || connection.has_input()).then_some(()));
        holds(origin).then_some(connection)
    })
}

#[test]
fn an_endpoint_that_drains_ends_what_it_is_at_and_is_given_nothing_new() {
    let gate = Gate::new();
    let (leaving, staying) = (holding(&gate), Origin::saying("staying"));
    let text = document(&[(leaving.url(), ""), (staying.url(), "")], "");
    let draining = document(&[(leaving.url(), ", drain: true"), (staying.url(), "")], "");
    let gateway = Gateway::standalone(&text);
    let mut held = held_by(&leaving, &gateway);
    let load = Load::start(gateway.address(), "/x", 4, Reuse::MustSucceed, |_| Ok(()));
    await_traffic(&leaving, 100);
    gateway.file.save(draining);
    let seen = await_health(&gateway, 0, "draining");
    assert!(seen["reason"] == "configured" && seen["since"].is_string(), "{seen}");
    eventually("it is at one request only", || (row(&gateway, 0)["in_flight"] == 1).then_some(()));
    await_traffic(&staying, 100);
    let given = leaving.requests().len();
    await_traffic(&staying, 500);
    assert_eq!(leaving.requests().len(), given);
    let url = leaving.url();
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.value("apigw_endpoint_healthy", &[("endpoint", &url)]), Some(0.0));
    gate.open();
    assert_eq!(held.response().text(), "halfdone");
    eventually("it is idle", || (row(&gateway, 0)["in_flight"] == 0).then_some(()));
    gateway.file.save(&text);
    await_health(&gateway, 0, "healthy");
    await_traffic(&leaving, 100);
    load.stop().is_flawless();
}

#[test]
fn nobody_else_being_there_gives_it_nothing_either() {
    let leaving = Origin::saying("leaving");
    let refusing = format!("http://{}", refusing());
    let health = "    health: {active: {tcp: true, interval_seconds: 0.1}, outlier: {}}\n";
    let gateway = Gateway::standalone(document(&[(leaving.url(), ", drain: true"), (refusing, "")], health));
    await_health(&gateway, 1, "unhealthy");
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/x").status(), 502);
    }
    // Not even a check came.
    assert_eq!((leaving.connections(), row(&gateway, 0)["health"].as_str()), (0, Some("draining")));
}
