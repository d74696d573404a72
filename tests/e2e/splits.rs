//! Backends that share the requests of a route, as clients and operators see them.

use std::{collections::BTreeMap, net::SocketAddr};

use apigw_tests::{
    client::{self, Connection},
    gateway::{Gateway, gwctl, gwctl_json},
    load::{Load, Reuse, await_spread},
    origin::{Origin, ok, refusing},
    waiting::eventually,
};

/// A file whose one route is shared by these backends, each with one endpoint, as `split` says.
fn document(backends: &[(&str, SocketAddr)], split: &str) -> String {
    let backend = |(name, address): &(&str, SocketAddr)| {
        format!("  - {{name: {name}, endpoints: [{{url: \"http://{address}\"}}]}}\n")
    };
    let backends: String = backends.iter().map(backend).collect();
    format!("backends:\n{backends}routes:\n  - {{name: all, match: {{path_prefix: /}}, {split}}}\n")
}

fn counted(answers: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer).or_default() += 1;
    }
    counts
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn requests_are_spread_by_the_weights_and_one_without_takes_none() {
    let [a, b, c] = ["a", "b", "c"].map(Origin::saying);
    let backends = [("a", a.address()), ("b", b.address()), ("c", c.address())];
    let split = "split: [{backend: a, weight: 70}, {backend: b, weight: 30}, {backend: c, weight: 0}]";
    let gateway = Gateway::standalone(document(&backends, split));
    // One connection, which one worker serves.
    let mut connection = Connection::open(gateway.address());
    let answers = (0..200).map(|_| connection.get("/x").text());
    assert_eq!(counted(answers), counts(&[("a", 140), ("b", 60)]));
}

#[test]
fn a_caller_stays_with_its_backend_on_every_data_plane_and_few_move_when_weights_change() {
    let [a, b] = ["a", "b"].map(Origin::saying);
    let backends = [("a", a.address()), ("b", b.address())];
    let with = |weight: u32, key: &str| {
        let split = format!("split: [{{backend: a, weight: 9}}, {{backend: b, weight: {weight}}}]");
        document(&backends, &format!("{split}, split_by: {{{key}}}"))
    };
    let found = |gateway: &Gateway, field: fn(u32) -> String| {
        let answer = |user| client::get_with(gateway.address(), "/x", &field(user)).text();
        (0..60).map(answer).collect::<Vec<_>>()
    };
    let by_cookie = |user| format!("cookie: x=y; user=u{user}\r\n");
    let gateway = Gateway::standalone(with(9, "cookie: user"));
    let before = found(&gateway, by_cookie);
    assert_eq!(before, found(&gateway, by_cookie));
    assert!(before.contains(&"a".to_owned()) && before.contains(&"b".to_owned()), "{before:?}");
    let other = Gateway::standalone(with(9, "header: x-user"));
    assert_eq!(before, found(&other, |user| format!("x-user: u{user}\r\n")));

    gateway.file.save(with(90, "cookie: user"));
    eventually("the weights are in force", || {
        let routes = gwctl_json(gateway.data_plane.admin(), &["routes"]);
        (routes[0]["split"][1]["weight"] == 90).then_some(())
    });
    let after = found(&gateway, by_cookie);
    assert_ne!(before, after);
    let moved_back = before.iter().zip(&after).filter(|(before, after)| *before == "b" && *after == "a");
    assert_eq!(moved_back.count(), 0);
}

#[test]
fn weights_and_backends_change_under_load_and_no_request_fails() {
    let origins = ["a", "b"].map(Origin::saying);
    let [a, b] = &origins;
    let backends = [("a", a.address()), ("b", b.address())];
    let gateway = Gateway::standalone(document(&backends, "backend: a"));
    let load = Load::start(gateway.address(), "/x", 4, Reuse::MustSucceed, |_| Ok(()));
    for (split, shares) in [
        ("split: [{backend: a, weight: 3}, {backend: b, weight: 1}]", [3, 1]),
        ("split: [{backend: a, weight: 1}, {backend: b, weight: 4}]", [1, 4]),
        ("split: [{backend: a, weight: 0}, {backend: b}]", [0, 1]),
        ("backend: a", [1, 0]),
    ] {
        gateway.file.save(document(&backends, split));
        await_spread(&[a, b], &shares);
    }
    load.stop().is_flawless();
}

#[test]
fn a_backend_whose_checks_fail_leaves_its_share_to_the_other() {
    let well = Origin::saying("well");
    let backends = [("well", well.address()), ("down", refusing())];
    let checked = "}], health: {active: {tcp: true, interval_seconds: 0.1}}}\n";
    let text = document(&backends, "split: [{backend: well}, {backend: down, weight: 9}]");
    let gateway = Gateway::standalone(
        text.replace("}]}\n  - ", &format!("{checked}  - "))
            .replace("}]}\nroutes:", &format!("{checked}routes:")),
    );
    eventually("it is found out", || {
        let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
        (rows[1]["health"] == "unhealthy").then_some(())
    });
    let mut connection = Connection::open(gateway.address());
    let answers = (0..20).map(|_| connection.get("/x").text());
    assert_eq!(counted(answers), counts(&[("well", 20)]));
}

#[test]
fn a_request_that_is_sent_once_more_stays_with_its_backend() {
    let well = Origin::saying("well");
    let backends = [("well", well.address()), ("down", refusing())];
    let split = "split: [{backend: well}, {backend: down}], retry: {attempts: 1}";
    let gateway = Gateway::standalone(document(&backends, split));
    let mut connection = Connection::open(gateway.address());
    let answers = (0..10).map(|number| {
        connection.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: r{number}\r\n\r\n"));
        connection.response().status().to_string()
    });
    assert_eq!(counted(answers), counts(&[("200", 5), ("502", 5)]));
    assert_eq!(well.requests().len(), 5);
    let lines = (0..10).map(|number| {
        let line = gateway.data_plane.access(&format!("r{number}"));
        format!("{} {}", line["backend"].as_str().unwrap_or_default(), line["attempts"])
    });
    assert_eq!(counted(lines), counts(&[("well null", 5), ("down 2", 5)]));
}

#[test]
fn operators_are_told_which_backend_it_would_be() {
    let origin = Origin::answering(|request| ok(request.line()));
    let backends = [("old", origin.address()), ("new", origin.address())];
    let split = "split: [{backend: old, weight: 9}, {backend: new}], split_by: {header: x-user}";
    let gateway = Gateway::standalone(document(&backends, split));
    let told = |fields: &[&str]| {
        let arguments = [&["explain", "GET", "/x"], fields].concat();
        gwctl_json(gateway.data_plane.admin(), &arguments)
    };
    let kept = told(&["-H", "x-user: alice"]);
    let backend = kept["upstream"]["backend"].as_str().expect("a caller has a backend").to_owned();
    let step = |told: &serde_json::Value| {
        let policies = told["policies"].as_array().expect("there are some");
        let step = policies.iter().find(|step| step["policy"] == "split").expect("it is told");
        (step["detail"].as_str().unwrap_or_default().to_owned(), step["source"]["line"].as_u64())
    };
    assert_eq!(step(&kept), (format!("{backend} by header x-user"), Some(5)));
    let answer = client::get_with(gateway.address(), "/x", "X-User: alice\r\nX-Request-Id: seen\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(gateway.data_plane.access("seen")["backend"], backend.as_str());
    let turn = told(&[]);
    assert_eq!((turn["upstream"].get("backend"), &turn["upstream"]["path"]), (None, &"/x".into()));
    assert_eq!(step(&turn).0, "old 9, new 1, each in its turn");
    let table = gwctl(gateway.data_plane.admin(), &["routes"]).stdout;
    assert!(table.contains("old 9 / new 1, by header x-user"), "{table}");
}
