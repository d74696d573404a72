//! Backends with several endpoints, as clients see them.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use apigw_tests::{
    certificates::{Authority, Flaw, Identity},
    client::{self, Connection},
    configuration::ConfigFile,
    gate::Gate,
    gateway::{DataPlane, Fleet, Gateway, Source, gwctl, gwctl_json},
    load::{Load, Reuse, await_spread},
    origin::{Origin, ok},
    waiting::eventually,
};
use serde_json::Value;

/// Endpoints that say who they are.
fn endpoints<const N: usize>() -> [Origin; N] {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    std::array::from_fn(|index| Origin::saying(NAMES[index]))
}

/// A file with one backend of these endpoints with their weights, to which its one route sends.
fn document(endpoints: &[(&Origin, u32)]) -> String {
    let mut text = String::from("backends:\n  - name: pool\n    endpoints:\n");
    for (origin, weight) in endpoints {
        let _ = writeln!(text, "      - {{url: \"{}\", weight: {weight}}}", origin.url());
    }
    text + "routes:\n  - {name: all, match: {path_prefix: /}, backend: pool}\n"
}

/// How often each endpoint answers among so many requests on one connection, which one worker serves.
fn spread(gateway: &DataPlane, requests: u32) -> BTreeMap<String, u32> {
    let mut connection = Connection::open(gateway.traffic());
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(connection.get("/x").text()).or_default() += 1;
    }
    counts
}

fn counts(expected: &[(&str, u32)]) -> BTreeMap<String, u32> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn requests_are_spread_by_the_weights() {
    let [a, b, c] = endpoints();
    let gateway = Gateway::standalone(document(&[(&a, 1), (&b, 3), (&c, 6)]));
    let spread = spread(&gateway.data_plane, 100);
    assert_eq!(spread, counts(&[("a", 10), ("b", 30), ("c", 60)]));
}

#[test]
fn endpoints_are_told_their_own_name_and_the_path_they_have() {
    let mirror = || Origin::answering(|request| ok(request.line()));
    let (a, b) = (mirror(), mirror());
    let text = document(&[(&a, 1), (&b, 1)]).replace("\", weight", "/base\", weight");
    let gateway = Gateway::standalone(text);
    let mut connection = Connection::open(gateway.address());
    for _ in 0..4 {
        assert_eq!(connection.get("/x?y").text(), "GET /base/x?y");
    }
    for origin in [a, b] {
        let authority = origin.address().to_string();
        let requests = origin.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests.iter().all(|request| request.head.field("host") == Some(&authority)));
    }
}

#[test]
fn weights_and_endpoints_change_under_load_and_no_request_fails() {
    let origins = endpoints::<3>();
    let [a, b, c] = &origins;
    let gateway = Gateway::standalone(document(&[(a, 1), (b, 1)]));
    let load = Load::start(gateway.address(), "/x", 4, Reuse::MustSucceed, |_| Ok(()));
    let check = |endpoints: &[(&Origin, u32)], shares: [usize; 3]| {
        gateway.file.save(document(endpoints));
        await_spread(&[a, b, c], &shares);
    };
    check(&[(a, 1), (b, 3)], [1, 3, 0]);
    check(&[(a, 1), (b, 3), (c, 8)], [1, 3, 8]);
    check(&[(c, 8)], [0, 0, 1]);
    check(&[(a, 5), (c, 5)], [1, 0, 1]);
    load.stop().is_flawless();
}

#[test]
fn an_endpoint_that_is_taken_away_finishes_what_it_is_at() {
    let gate = Gate::new();
    let passed = gate.clone();
    let slow = Origin::scripted(move |peer| {
        peer.request()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
        passed.pass()?;
        peer.send("done")
    });
    let [other] = endpoints();
    let gateway = Gateway::standalone(document(&[(&slow, 1)]));
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/x", "");
    slow.await_request(0);
    let mark = format!("  - {{name: mark, match: {{path_prefix: /mark}}, upstream: \"{}\"}}\n", other.url());
    gateway.file.save(document(&[(&other, 1)]) + &mark);
    eventually("the edit is in force", || {
        let routes = gwctl_json(gateway.data_plane.admin(), &["routes"]);
        routes[1].is_object().then_some(())
    });
    assert_eq!(client::get(gateway.address(), "/x").text(), "a");
    gate.open();
    assert_eq!(connection.response().text(), "halfdone");
}

#[test]
fn operators_see_what_each_endpoint_is_at() {
    let gate = Gate::new();
    let passed = gate.clone();
    let slow = Origin::scripted(move |peer| {
        peer.request()?;
        passed.pass()?;
        peer.send(ok("done"))
    });
    let gateway = Gateway::standalone(document(&[(&slow, 3)]));
    let rows = || gwctl_json(gateway.data_plane.admin(), &["backends"]);
    let idle = rows();
    assert_eq!(
        (idle[0]["backend"].as_str(), idle[0]["url"].as_str(), idle[0]["weight"].as_u64()),
        (Some("pool"), Some(slow.url().as_str()), Some(3))
    );
    assert_eq!(idle[0]["in_flight"], 0);
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/x", "");
    slow.await_request(0);
    assert_eq!(rows()[0]["in_flight"], 1);
    gate.open();
    assert_eq!(connection.response().text(), "done");
    eventually("it is idle again", || (rows()[0]["in_flight"] == 0).then_some(()));
}

/// The same with a way to choose.
fn balanced(endpoints: &[(&Origin, u32)], balance: &str) -> String {
    document(endpoints).replace("routes:", &format!("    balance: {{{balance}}}\nroutes:"))
}

#[test]
fn the_less_busy_endpoint_is_chosen() {
    let gate = Gate::new();
    let passed = gate.clone();
    let stuck = Origin::scripted(move |peer| {
        peer.request()?;
        passed.pass()?;
        peer.send(ok("stuck"))
    });
    let [free] = endpoints();
    let gateway = Gateway::standalone(balanced(&[(&stuck, 1), (&free, 1)], "policy: least_requests"));
    let mut waiting = Vec::new();
    eventually("one request is stuck", || {
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/x", "");
        eventually("it has come somewhere", || {
            (stuck.requests().len() == 1 || connection.has_input()).then_some(())
        });
        waiting.push(connection);
        (stuck.requests().len() == 1).then_some(())
    });
    assert_eq!(spread(&gateway.data_plane, 50), counts(&[("a", 50)]));
    gate.open();
}

#[test]
fn a_key_finds_its_endpoint_on_every_data_plane() {
    let origins = endpoints::<3>();
    let [a, b, c] = &origins;
    let pool = [(a, 1), (b, 1), (c, 1)];
    let by_header = Gateway::standalone(balanced(&pool, "policy: hash, header: x-user"));
    let by_cookie = Gateway::standalone(balanced(&pool, "policy: hash, cookie: user"));
    let mut found = BTreeMap::new();
    for user in 0..30 {
        let (header, cookie) = (format!("x-user: u{user}\r\n"), format!("cookie: a=b; user=u{user}\r\n"));
        let answer = |gateway: &Gateway, field: &str| client::get_with(gateway.address(), "/x", field).text();
        let first = answer(&by_header, &header);
        assert_eq!(
            [answer(&by_header, &header), answer(&by_cookie, &cookie)],
            [first.clone(), first.clone()]
        );
        *found.entry(first).or_insert(0) += 1;
    }
    assert_eq!(found.len(), 3, "{found:?}");
    let by_address = Gateway::standalone(balanced(&pool, "policy: hash, ip: true"));
    assert_eq!(spread(&by_address.data_plane, 9).len(), 1);
    assert_eq!(spread(&by_header.data_plane, 9), counts(&[("a", 3), ("b", 3), ("c", 3)]), "without a key");
}

#[test]
fn an_edit_of_one_backend_leaves_connections_alone() {
    let [a, b] = endpoints();
    let text = |weight: u32| {
        format!(
            "backends:\n  - {{name: a, endpoints: [{{url: \"{0}\", weight: {weight}}}]}}\n  \
             - {{name: b, endpoints: [{{url: \"{1}\"}}]}}\nroutes:\n  \
             - {{name: a, match: {{path_prefix: /a}}, backend: a}}\n  \
             - {{name: b, match: {{path_prefix: /b}}, backend: b}}\n  \
             - {{name: mark, match: {{path_prefix: /mark}}, upstream: \"{0}\", max_body_bytes: {weight}}}\n",
            a.url(),
            b.url()
        )
    };
    let file = ConfigFile::new(text(1));
    // Unused connections are each worker's own.
    let flags = ["--listen", "127.0.0.1:0", "--workers", "1"];
    let data_plane = DataPlane::start_with(Source::File(file.path()), &flags);
    for path in ["/a", "/b"] {
        let _ = data_plane.serves(path);
    }
    file.save(text(7));
    eventually("the edit is in force", || {
        let routes = gwctl_json(data_plane.admin(), &["routes"]);
        (routes[2]["max_body_bytes"] == 7).then_some(())
    });
    for path in ["/a", "/b"] {
        let _ = data_plane.serves(path);
    }
    assert_eq!((a.connections(), b.connections()), (1, 1));
}

#[test]
fn backends_reach_data_planes_and_operators_over_the_control_plane() {
    let [a, b] = endpoints();
    let fleet = Fleet::start(document(&[(&a, 1), (&b, 1)]), 1);
    let _ = fleet.synchronised();
    assert_eq!(spread(&fleet.data_planes[0], 4), counts(&[("a", 2), ("b", 2)]));
    for endpoint in [fleet.control_plane.address(), fleet.data_planes[0].admin()] {
        let route = &gwctl_json(endpoint, &["routes"])[0];
        assert_eq!((route["upstream"].as_str(), route["backend"].as_str()), (Some(""), Some("pool")));
        let explained = gwctl_json(endpoint, &["explain", "GET", "http://h/x"]);
        assert_eq!(explained["upstream"]["backend"], "pool");
        assert_eq!(explained["upstream"]["url"], a.url());
    }
    fleet.file.save(document(&[(&a, 1), (&b, 3)]));
    eventually("the weight is in force", || {
        (spread(&fleet.data_planes[0], 4) == counts(&[("a", 1), ("b", 3)])).then_some(())
    });
    let differs = gwctl(fleet.control_plane.address(), &["diff", "--output", "json"]);
    let changes: Value = serde_json::from_str(&differs.stdout).expect("an answer in JSON");
    let change = &changes["changes"][0];
    assert_eq!((change["kind"].as_str(), change["name"].as_str()), (Some("backend"), Some("pool")));
    assert_eq!(change["to"][1], format!("{} weight 3", b.url()));
}

/// A file with one backend that has these keys of `tls`, and one endpoint.
fn secured(gateway: &Gateway, tls: &str) -> String {
    let url = format!("https://127.0.0.1:{}", gateway.address().port());
    format!(
        "backends:\n  - name: pool\n    endpoints: [{{url: \"{url}\"}}]\n    tls: {{{tls}}}\n\
         routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: pool}}\n"
    )
}

/// An upstream that speaks TLS: a gateway with this certificate and further keys of its `server.tls`.
fn secure_upstream(shown: &Identity, rest: &str, upstream: &Origin) -> Gateway {
    let (certificate, key) = (shown.path("cert.pem"), shown.path("key.pem"));
    let files = format!("{{cert_file: \"{}\", key_file: \"{}\"}}", certificate.display(), key.display());
    Gateway::standalone(format!(
        "server: {{tls: {{certificates: [{files}]{rest}}}}}\n\
         routes: [{{name: all, match: {{path_prefix: /}}, upstream: \"{}\"}}]\n",
        upstream.url()
    ))
}

fn file_key(key: &str, identity: &Identity, file: &str) -> String {
    format!("{key}: \"{}\"", identity.path(file).display())
}

/// What a gateway in front of a secure upstream answers, and why.
fn outcome(text: impl std::fmt::Display) -> (u16, String) {
    let gateway = Gateway::standalone(text);
    let answer = client::get(gateway.address(), "/x");
    let id = answer.field("x-request-id").expect("an id");
    let why = gateway.data_plane.access(id)["why"].as_str().unwrap_or_default().to_owned();
    (answer.status(), why)
}

#[test]
fn endpoints_are_judged_by_the_authorities_and_the_name_that_the_file_gives() {
    let ([upstream], authority, stranger) = (endpoints(), Authority::new(), Authority::new());
    let (good, foreign) = (authority.identity(), stranger.identity());
    let elsewhere = authority.identity_with(Flaw::OtherName, &authority);
    let (ok, refused) = ((200, "ok".to_owned()), (502, "upstream_tls".to_owned()));
    let (own, other) = (file_key("ca_file", &good, "ca.pem"), file_key("ca_file", &foreign, "ca.pem"));
    let secure = secure_upstream(&good, "", &upstream);
    assert_eq!(outcome(secured(&secure, &own)), ok);
    assert_eq!(outcome(secured(&secure, &other)), refused);
    assert_eq!(outcome(secured(&secure, &format!("{own}, server_name: elsewhere.example"))), refused);
    let named = secure_upstream(&elsewhere, "", &upstream);
    assert_eq!(outcome(secured(&named, &own)), refused);
    assert_eq!(outcome(secured(&named, &format!("{own}, server_name: Elsewhere.example"))), ok);
}

#[test]
fn endpoints_are_shown_a_certificate_where_the_file_names_one() {
    let ([upstream], authority) = (endpoints(), Authority::new());
    let (server, client) = (authority.identity(), authority.identity());
    let wanted = format!(", client_auth: {{mode: required, {}}}", file_key("ca_file", &client, "ca.pem"));
    let secure = secure_upstream(&server, &wanted, &upstream);
    let ca_file = file_key("ca_file", &server, "ca.pem");
    let shown = [
        ca_file.clone(),
        file_key("cert_file", &client, "cert.pem"),
        file_key("key_file", &client, "key.pem"),
    ];
    assert_eq!(outcome(secured(&secure, &shown.join(", "))), (200, "ok".into()));
    // In TLS 1.3 it is refused after the handshake, when the request is on its way.
    assert_eq!(outcome(secured(&secure, &ca_file)).0, 502);
}

#[test]
fn files_of_backends_are_renewed_while_they_are_in_use() {
    let ([upstream], before, after) = (endpoints(), Authority::new(), Authority::new());
    let (old, new) = (before.identity(), after.identity());
    let (first, second) = (secure_upstream(&old, "", &upstream), secure_upstream(&new, "", &upstream));
    let ca_file = file_key("ca_file", &old, "ca.pem");
    let gateway = Gateway::standalone(secured(&first, &ca_file));
    assert_eq!(client::get(gateway.address(), "/x").status(), 200);
    gateway.file.save(secured(&second, &ca_file));
    eventually("the authority of before is no good", || {
        (client::get(gateway.address(), "/x").status() == 502).then_some(())
    });
    fs::rename(new.path("ca.pem"), old.path("ca.pem")).expect("both are there");
    eventually("the new authority is believed", || {
        (client::get(gateway.address(), "/x").status() == 200).then_some(())
    });
}
