//! Endpoints that are about to be taken away.

use std::fmt::Write as _;

use apigw_tests::{
    client::{self, Connection},
    gate::Gate,
    gateway::{Fleet, Gateway, gwctl, gwctl_json},
    load::{Load, Reuse},
    log,
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

#[test]
fn an_operator_drains_an_endpoint_under_load_and_the_file_changes_nothing_of_it() {
    let gate = Gate::new();
    let (leaving, staying) = (holding(&gate), Origin::saying("staying"));
    let endpoints = [(leaving.url(), ""), (staying.url(), "")];
    let gateway = Gateway::standalone(document(&endpoints, ""));
    let admin = gateway.data_plane.admin();
    let mut held = held_by(&leaving, &gateway);
    let load = Load::start(gateway.address(), "/x", 4, Reuse::MustSucceed, |_| Ok(()));
    await_traffic(&leaving, 100);
    let rows = gwctl_json(admin, &["drain", &format!("{}/any/path", leaving.url())]);
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    assert_eq!((&rows[0]["backend"], &rows[0]["health"]), (&"pool".into(), &"draining".into()));
    let seen = row(&gateway, 0);
    assert!(seen["reason"] == "operator" && seen["since"].is_string(), "{seen}");
    let told = gateway.data_plane.program().stderr();
    let told = told
        .first(|line| log::event(line).filter(|event| event["message"] == "endpoint drained by an operator"));
    let told = told.expect("there is a line");
    assert_eq!((&told["backend"], &told["endpoint"]), (&"pool".into(), &leaving.url().into()));
    eventually("it is at one request only", || (row(&gateway, 0)["in_flight"] == 1).then_some(()));
    let given = leaving.requests().len();
    await_traffic(&staying, 300);
    gateway.file.save(document(&[(leaving.url(), ", weight: 7"), (staying.url(), "")], ""));
    eventually("the edit is in force", || (row(&gateway, 0)["weight"] == 7).then_some(()));
    assert_eq!(row(&gateway, 0)["since"], seen["since"]);
    await_traffic(&staying, 300);
    assert_eq!(leaving.requests().len(), given);
    gate.open();
    assert_eq!(held.response().text(), "halfdone");
    let rows = gwctl_json(admin, &["undrain", &leaving.url()]);
    assert_eq!(rows[0]["health"], "healthy");
    await_traffic(&leaving, 100);
    load.stop().is_flawless();
}

#[test]
fn what_cannot_be_drained_is_refused_with_its_reason() {
    let [a, b] = ["a", "b"].map(Origin::saying);
    let gateway = Gateway::standalone(document(&[(a.url(), ""), (b.url(), "")], ""));
    let refused = |arguments: &[&str]| {
        let finished = gwctl(gateway.data_plane.admin(), arguments);
        assert_eq!(finished.code, Some(1), "{arguments:?}: {finished:?}");
        finished.stderr
    };
    let unknown = refused(&["drain", "http://127.0.0.1:1"]);
    assert!(unknown.contains("no backend has an endpoint at http://127.0.0.1:1"), "{unknown}");
    let elsewhere = refused(&["drain", &a.url(), "--backend", "other"]);
    assert!(elsewhere.contains("backend other has no endpoint at http://127.0.0.1"), "{elsewhere}");
    let malformed = refused(&["undrain", "pool"]);
    assert!(malformed.contains("not an absolute http or https URL"), "{malformed}");
    let _ = gwctl_json(gateway.data_plane.admin(), &["drain", &a.url(), "--backend", "pool"]);
    let last = refused(&["drain", &b.url()]);
    assert!(last.contains("no other endpoint of the backend would take requests"), "{last}");
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/x").text(), "b");
    }
}

#[test]
fn those_that_a_change_of_the_file_leaves_are_given_requests_however_they_are() {
    let [a, b, c] = ["a", "b", "c"].map(Origin::saying);
    let left = [(a.url(), ""), (b.url(), "")];
    let gateway = Gateway::standalone(document(&[left.as_slice(), &[(c.url(), "")]].concat(), ""));
    for origin in [&a, &b] {
        let _ = gwctl_json(gateway.data_plane.admin(), &["drain", &origin.url()]);
    }
    assert_eq!(client::get(gateway.address(), "/x").text(), "c");
    gateway.file.save(document(&left, ""));
    eventually("the other one has gone", || {
        let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
        (rows.as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let mut connection = Connection::open(gateway.address());
    let mut answers = [(); 4].map(|()| connection.get("/x").text());
    answers.sort_unstable();
    assert_eq!(answers, ["a", "a", "b", "b"]);
    assert_eq!(row(&gateway, 0)["health"], "draining");
}

#[test]
fn nobody_else_being_well_gives_one_that_an_operator_drains_nothing() {
    let leaving = Origin::saying("leaving");
    let refusing = format!("http://{}", refusing());
    let health = "    health: {active: {tcp: true, interval_seconds: 0.1, timeout_seconds: 10}}\n";
    let gateway = Gateway::standalone(document(&[(leaving.url(), ""), (refusing, "")], health));
    await_health(&gateway, 1, "unhealthy");
    let _ = gwctl_json(gateway.data_plane.admin(), &["drain", &leaving.url()]);
    for _ in 0..10 {
        assert_eq!(client::get(gateway.address(), "/x").status(), 502);
    }
}

#[test]
fn an_order_to_the_control_plane_reaches_every_data_plane() {
    let [a, b] = ["a", "b"].map(Origin::saying);
    let fleet = Fleet::start(document(&[(a.url(), ""), (b.url(), "")], ""), 2);
    let control_plane = fleet.control_plane.address();
    let healths = |rows: &Value| {
        let rows = rows.as_array().expect("there are rows").iter();
        rows.map(|row| row["health"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let drained = gwctl_json(control_plane, &["drain", &b.url()]);
    assert_eq!(healths(&drained), ["draining"; 2]);
    for data_plane in &fleet.data_planes {
        for _ in 0..6 {
            assert_eq!(client::get(data_plane.traffic(), "/x").text(), "a");
        }
    }
    let shown = gwctl_json(control_plane, &["backends"]);
    assert_eq!(healths(&shown), ["healthy", "draining", "healthy", "draining"]);
    // Asked itself, one takes it back for itself.
    let _ = gwctl_json(fleet.data_planes[0].admin(), &["undrain", &b.url()]);
    let shown = gwctl_json(control_plane, &["backends"]);
    assert_eq!(healths(&shown).iter().filter(|health| *health == "draining").count(), 1);
    let undrained = gwctl_json(control_plane, &["undrain", &b.url()]);
    assert_eq!(healths(&undrained), ["healthy"; 2]);
}
