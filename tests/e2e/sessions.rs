//! Clients that are kept with their endpoints by a cookie, as they see it.

use std::{collections::BTreeSet, fmt::Write as _, process::Command};

use apigw_tests::{
    certificates::Authority,
    client::{self, Response},
    gateway::{Gateway, gwctl_json},
    origin::{Origin, Request, ok},
    waiting::eventually,
};

const COOKIE: &str = "{name: sticky, secret: \"a secret of enough bytes\"}";

/// A file with one backend of these endpoints with further keys, to which its one route sends.
fn document(urls: &[String], keys: &str) -> String {
    let mut text = format!("backends:\n  - name: pool\n    session_cookie: {COOKIE}\n{keys}    endpoints:\n");
    for url in urls {
        let _ = writeln!(text, "      - {{url: \"{url}\"}}");
    }
    text + "routes:\n  - {name: all, match: {path_prefix: /}, backend: pool}\n"
}

fn named<const N: usize>() -> [Origin; N] {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    std::array::from_fn(|index| Origin::saying(NAMES[index]))
}

fn urls<const N: usize>(origins: &[Origin; N]) -> [String; N] {
    origins.each_ref().map(Origin::url)
}

/// What comes before the attributes of the one cookie that an answer sets.
fn cookie_of(answer: &Response) -> Option<String> {
    answer.field("set-cookie").map(|set| set.split(';').next().unwrap_or_default().to_owned())
}

/// What a client with these cookies is answered.
fn ask(gateway: &Gateway, cookies: &str) -> Response {
    client::get_with(gateway.address(), "/x", &format!("Cookie: {cookies}\r\n"))
}

/// The cookie of a session with the endpoint that says this.
fn session_with(gateway: &Gateway, name: &str) -> String {
    eventually(&format!("{name} takes a turn"), || {
        let answer = client::get(gateway.address(), "/x");
        assert!(answer.field("set-cookie").is_some(), "{answer:?}");
        cookie_of(&answer).filter(|_| answer.text() == name)
    })
}

/// Asserts that a session is with the endpoint that says this, and needs no other cookie.
#[track_caller]
fn stays(gateway: &Gateway, cookie: &str, name: &str) {
    for _ in 0..10 {
        let answer = ask(gateway, cookie);
        assert_eq!((answer.text().as_str(), answer.field("set-cookie")), (name, None), "{cookie}");
    }
}

#[test]
fn a_client_stays_with_its_endpoint_and_is_told_so_once() {
    let origins = named::<3>();
    let gateway = Gateway::standalone(document(&urls(&origins), ""));
    let answer = client::get(gateway.address(), "/x");
    let told = answer.field("set-cookie").expect("there is a cookie").to_owned();
    let cookie = cookie_of(&answer).expect("it has a value");
    assert_eq!(told, format!("{cookie}; Path=/; HttpOnly; SameSite=Lax"));
    stays(&gateway, &format!("a=b; {cookie}; c=d"), &answer.text());
    let others: BTreeSet<_> = (0..9).map(|_| client::get(gateway.address(), "/x").text()).collect();
    assert_eq!(others.len(), 3, "those without one take turns");
}

#[test]
fn upstreams_are_shown_all_cookies_but_that_of_the_gateway() {
    let [origin] = named();
    let gateway = Gateway::standalone(document(&[origin.url()], ""));
    let cookie = cookie_of(&client::get(gateway.address(), "/x")).expect("one endpoint has sessions, too");
    for cookies in [format!("a=b; {cookie}; c=d"), cookie, "sticky=forged; e=f".into()] {
        assert_eq!(ask(&gateway, &cookies).text(), "a");
    }
    let seen: Vec<_> = origin.requests().iter().map(|request| cookies_of(request).join(" | ")).collect();
    assert_eq!(seen, ["", "a=b; c=d", "", "e=f"]);
}

fn cookies_of(request: &Request) -> Vec<&str> {
    request.head.values("cookie").collect()
}

#[test]
fn who_comes_with_another_value_is_given_a_new_one() {
    let origins = named::<2>();
    let gateway = Gateway::standalone(document(&urls(&origins), ""));
    for forged in ["sticky=", "sticky=AAAAAAAAAAAAAAAAAAAAAA", &format!("sticky={}", origins[0].url())] {
        let answer = ask(&gateway, forged);
        let cookie = cookie_of(&answer).unwrap_or_else(|| panic!("{forged}: {answer:?}"));
        assert_ne!(cookie, forged);
        stays(&gateway, &cookie, &answer.text());
    }
}

#[test]
fn a_session_holds_on_other_data_planes_and_in_later_configurations() {
    let origins = named::<3>();
    let [a, b, c] = urls(&origins);
    let gateway = Gateway::standalone(document(&[a.clone(), b.clone()], ""));
    let cookies = ["a", "b"].map(|name| session_with(&gateway, name));
    let other = Gateway::standalone(document(
        &[c.clone(), b.clone(), a.clone()],
        "    balance: {policy: least_requests}\n",
    ));
    for (cookie, name) in cookies.iter().zip(["a", "b"]) {
        stays(&other, cookie, name);
    }
    gateway.file.save(document(&[c, b], ""));
    let of_c = session_with(&gateway, "c");
    stays(&gateway, &cookies[1], "b");
    let moved = ask(&gateway, &cookies[0]);
    assert!(moved.text() != "a" && cookie_of(&moved).is_some(), "its endpoint is gone: {moved:?}");
    stays(&gateway, &of_c, "c");
}

/// Waits until an endpoint is how this says.
fn await_health(gateway: &Gateway, endpoint: usize, health: &str) {
    eventually(&format!("endpoint {endpoint} is {health}"), || {
        let rows = gwctl_json(gateway.data_plane.admin(), &["backends"]);
        (rows[endpoint]["health"] == health).then_some(())
    });
}

const CHECKED: &str = "    health: {active: {tcp: true, interval_seconds: 0.1, timeout_seconds: 10}}\n";

#[test]
fn a_session_leaves_an_endpoint_that_is_not_well_and_stays_where_it_goes() {
    let [a, b] = named();
    let gateway = Gateway::standalone(document(&[a.url(), b.url()], CHECKED));
    let cookie = session_with(&gateway, "a");
    drop(a);
    await_health(&gateway, 0, "unhealthy");
    let answer = ask(&gateway, &cookie);
    assert_eq!(answer.text(), "b");
    stays(&gateway, &cookie_of(&answer).expect("it has moved"), "b");
}

#[test]
fn an_endpoint_that_drains_keeps_its_sessions_as_long_as_it_is_well() {
    let [a, b] = named();
    let text = document(&[a.url(), b.url()], CHECKED);
    let gateway = Gateway::standalone(&text);
    let cookie = session_with(&gateway, "a");
    gateway.file.save(text.replace(&format!("\"{}\"", a.url()), &format!("\"{}\", drain: true", a.url())));
    await_health(&gateway, 0, "draining");
    stays(&gateway, &cookie, "a");
    let new: BTreeSet<_> = (0..10).map(|_| client::get(gateway.address(), "/x").text()).collect();
    assert_eq!(new, BTreeSet::from(["b".to_owned()]));
    drop(a);
    eventually("its sessions leave it", || (ask(&gateway, &cookie).text() == "b").then_some(()));
}

#[test]
fn an_endpoint_that_an_operator_drains_keeps_its_sessions() {
    let origins = named::<2>();
    let gateway = Gateway::standalone(document(&urls(&origins), ""));
    let cookie = session_with(&gateway, "a");
    let _ = gwctl_json(gateway.data_plane.admin(), &["drain", &origins[0].url()]);
    stays(&gateway, &cookie, "a");
    let new: BTreeSet<_> = (0..10).map(|_| client::get(gateway.address(), "/x").text()).collect();
    assert_eq!(new, BTreeSet::from(["b".to_owned()]));
}

#[test]
fn a_session_is_with_the_endpoint_that_has_answered_in_the_end() {
    let [a, b] = named();
    let text = document(&[a.url(), b.url()], "").replace("backend: pool", "backend: pool, retry: {}");
    let gateway = Gateway::standalone(text);
    let cookie = session_with(&gateway, "a");
    drop(a);
    let answer = ask(&gateway, &cookie);
    assert_eq!(answer.text(), "b");
    stays(&gateway, &cookie_of(&answer).expect("another one has answered"), "b");
}

#[test]
fn a_request_that_nobody_answers_begins_no_session() {
    let [a] = named();
    let gateway = Gateway::standalone(document(&[a.url()], ""));
    drop(a);
    let answer = client::get(gateway.address(), "/x");
    assert_eq!((answer.status(), answer.field("set-cookie")), (502, None));
}

#[test]
fn cookies_of_the_upstream_stay_and_the_route_may_take_all_away() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nSet-Cookie: two=2\r\nContent-Length: 0\r\n\r\n".into()
    });
    let with = |changes: &str| {
        let keys = format!("backend: pool, response_headers: {{{changes}}}");
        Gateway::standalone(document(&[origin.url()], "").replace("backend: pool", &keys))
    };
    let cookies = |gateway: &Gateway| {
        let answer = client::get(gateway.address(), "/x");
        let names =
            answer.head.values("set-cookie").map(|set| set.split('=').next().unwrap_or_default().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(cookies(&with("set: {x-other: y}, remove: [server]")), ["own", "two", "sticky"]);
    assert!(cookies(&with("remove: [set-cookie]")).is_empty());
}

#[test]
fn browsers_are_told_over_http_2_and_to_send_it_over_tls_only() {
    let (authority, origin) = (Authority::new(), Origin::saying("a"));
    let identity = authority.identity();
    let files = ["cert", "key"].map(|name| identity.path(&format!("{name}.pem")).display().to_string());
    let server = format!(
        "server: {{tls: {{certificates: [{{cert_file: \"{}\", key_file: \"{}\"}}]}}}}\n",
        files[0], files[1]
    );
    let gateway = Gateway::standalone(server + &document(&[origin.url()], ""));
    for version in ["--http1.1", "--http2"] {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", version, "--dump-header", "-", "--cacert"]);
        command.arg(identity.path("ca.pem"));
        command.arg(format!("https://localhost:{}/x", gateway.address().port()));
        let output = command.output().expect("curl is there");
        let told = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let told = told.lines().find(|line| line.starts_with("set-cookie: sticky="));
        let told = told.unwrap_or_else(|| panic!("{version}: {output:?}"));
        assert!(told.ends_with("; path=/; httponly; samesite=lax; secure"), "{version}: {told}");
    }
}

#[test]
fn a_proxy_in_front_may_say_that_clients_speak_tls() {
    let origin = Origin::saying("a");
    let trusting = "server: {trusted_proxies: [127.0.0.1]}\n".to_owned();
    for (server, is_secure) in [(trusting, true), (String::new(), false)] {
        let gateway = Gateway::standalone(server + &document(&[origin.url()], ""));
        let answer = client::get_with(gateway.address(), "/x", "X-Forwarded-Proto: https\r\n");
        let told = answer.field("set-cookie").expect("there is a cookie");
        assert_eq!(told.ends_with("; Secure"), is_secure, "{told}");
    }
}

#[test]
fn a_retry_finds_its_endpoint_by_the_key_that_the_request_came_with() {
    let origins = named::<4>();
    let gone = format!("http://{}", apigw_tests::origin::refusing());
    let mut all = urls(&origins).to_vec();
    all.push(gone);
    let keys = "    balance: {policy: hash, header: x-user}\n";
    let text = document(&all, keys).replace(&format!("    session_cookie: {COOKIE}\n"), "");
    let text = text.replace("backend: pool", "backend: pool, retry: {}, request_headers: {remove: [x-user]}");
    let gateway = Gateway::standalone(text);
    for user in 0..30 {
        let answers: BTreeSet<_> = (0..6)
            .map(|_| client::get_with(gateway.address(), "/x", &format!("X-User: u{user}\r\n")).text())
            .collect();
        assert_eq!(answers.len(), 1, "{user}: {answers:?}");
    }
    let retries = gateway.data_plane.metrics().count("apigw_upstream_retries_total", &[("route", "all")]);
    assert!(retries > 0, "nobody's key was with the one that is gone");
}

#[test]
fn weights_share_new_clients_and_no_others() {
    let mirror = || Origin::answering(|_| ok("x"));
    let (light, heavy) = (mirror(), mirror());
    let text = document(&[light.url(), heavy.url()], "");
    let text = text.replace(&format!("\"{}\"", heavy.url()), &format!("\"{}\", weight: 3", heavy.url()));
    let gateway = Gateway::standalone(text);
    let mut connection = client::Connection::open(gateway.address());
    let cookies: Vec<_> =
        (0..40).map(|_| cookie_of(&connection.get("/x")).expect("everybody is new")).collect();
    let seen = || [&light, &heavy].map(|origin| origin.requests().len());
    assert_eq!(seen(), [10, 30]);
    for _ in 0..20 {
        connection.ask("GET", "/x", &format!("Cookie: {}\r\n", cookies[0]));
        connection.response();
    }
    let of_first = seen();
    assert!(of_first == [30, 30] || of_first == [10, 50], "{of_first:?}");
}
