//! Requests that are sent once more: where to, how often, with which body, and what is never sent twice.

use std::{fmt::Write as _, time::Duration};

use apigw_tests::{
    client::{self, Connection},
    gateway::{Gateway, gwctl_json},
    load::{Load, Reuse, at_once},
    origin::{Origin, Peer, ok, refusing},
    waiting::eventually,
};
use serde_json::json;

/// A route with these further keys, to a backend of these endpoints.
fn pool(endpoints: &[String], keys: &str) -> String {
    let mut text = String::from("backends:\n  - name: pool\n    endpoints:\n");
    for url in endpoints {
        let _ = writeln!(text, "      - {{url: \"{url}\"}}");
    }
    text + &format!("routes:\n  - {{name: all, match: {{path_prefix: /}}, backend: pool, {keys}}}\n")
}

fn gateway(endpoints: &[&Origin], keys: &str) -> Gateway {
    Gateway::standalone(pool(&endpoints.iter().map(|origin| origin.url()).collect::<Vec<_>>(), keys))
}

/// Takes requests and ends their connections.
fn resetting() -> Origin {
    Origin::scripted(|peer| peer.request().map(|_| ()))
}

fn unwell() -> Origin {
    Origin::answering(|_| "HTTP/1.1 503 Unwell\r\nContent-Length: 6\r\n\r\nunwell".into())
}

/// What operators see of the route.
fn limits(gateway: &Gateway) -> serde_json::Value {
    gwctl_json(gateway.data_plane.admin(), &["limits"])[0].clone()
}

/// How often requests were sent once more for this reason.
fn retries(gateway: &Gateway, reason: &str) -> u64 {
    gateway
        .data_plane
        .metrics()
        .count("apigw_upstream_retries_total", &[("route", "all"), ("reason", reason)])
}

/// Asks until the first endpoint was met first, so that there was another attempt; gives the line in the log.
fn line_of_a_retry(gateway: &Gateway, method: &str, status: u16) -> serde_json::Value {
    for number in 0..100 {
        let id = format!("{method}-{number}");
        let answer = client::request(gateway.address(), method, "/", &format!("X-Request-Id: {id}\r\n"));
        assert_eq!(answer.status(), status, "{answer:?}");
        let line = gateway.data_plane.access(&id);
        if line.get("attempts").is_some() {
            return line;
        }
    }
    panic!("no request was sent twice");
}

#[test]
fn who_is_down_costs_a_detour() {
    let well = Origin::saying("well");
    let down = refusing();
    let gateway =
        Gateway::standalone(pool(&[format!("http://{down}"), well.url()], "retry: {budget_percent: 0.001}"));
    for method in ["GET", "POST"] {
        let line = line_of_a_retry(&gateway, method, 200);
        let failed = json!([{ "upstream": down.to_string(), "why": "upstream_unreachable" }]);
        assert_eq!((&line["attempts"], &line["failed_attempts"]), (&json!(2), &failed));
        assert_eq!(line["upstream"], well.address().to_string());
    }
    assert_eq!(well.request(0).head.field("host"), Some(well.address().to_string().as_str()));
    assert!(retries(&gateway, "connect_failure") >= 2);
    let row = limits(&gateway);
    assert_eq!((&row["retry"]["retries"], &row["retry"]["max_retries"]), (&json!(0), &json!(30)));
}

#[test]
fn endpoints_that_are_killed_under_load_cost_no_request() {
    let endpoints: [Origin; 3] = std::array::from_fn(|_| Origin::saying("ok"));
    let gateway = gateway(&endpoints.each_ref(), "retry: {attempts: 3, budget_percent: 100}");
    let load = Load::start(gateway.address(), "/", 8, Reuse::MustSucceed, |_| Ok(()));
    let [first, second, last] = endpoints;
    for dying in [first, second] {
        let before = load.answered();
        eventually("there is traffic", || (load.answered() > before + 100).then_some(()));
        drop(dying);
    }
    let before = load.answered();
    eventually("the last one has all of it", || (load.answered() > before + 200).then_some(()));
    load.stop().is_flawless();
    assert!(!last.requests().is_empty() && retries(&gateway, "connect_failure") > 0);
}

#[test]
fn an_endpoint_that_flaps_under_load_costs_no_request() {
    let flapping = Origin::scripted(|peer| {
        peer.request()?;
        if peer.number() % 2 == 0 {
            return Ok(());
        }
        peer.send("HTTP/1.1 503 Unwell\r\nContent-Length: 6\r\n\r\nunwell")
    });
    let [well, other] = ["a", "b"].map(Origin::saying);
    let retry = "retry: {attempts: 2, on: [connect_failure, reset, 503], budget_percent: 100}";
    let breaker = "circuit_breaker: {enabled: true, failure_threshold: 1, open_seconds: 60, half_open_max_in_flight: 1}";
    let gateway = gateway(&[&flapping, &well, &other], &format!("{retry}, {breaker}"));
    let load = Load::start(gateway.address(), "/", 4, Reuse::MustSucceed, |_| Ok(()));
    eventually("there is traffic", || (load.answered() > 300).then_some(()));
    load.stop().is_flawless();
    assert!(retries(&gateway, "reset") > 0 && retries(&gateway, "status") > 0);
    assert_eq!(limits(&gateway)["circuit_breaker"]["state"], "closed", "it hears the last");
}

#[test]
fn retries_do_not_multiply_an_outage() {
    let unwell = unwell();
    let gateway = gateway(&[&unwell], "retry: {attempts: 10, on: [503]}");
    let answers = at_once(20, |_| {
        let mut connection = Connection::open(gateway.address());
        (0..20).map(|_| connection.get("/").status()).filter(|status| *status == 503).count()
    });
    assert_eq!(answers.iter().sum::<usize>(), 400, "what comes last is passed on");
    let requests = unwell.requests().len();
    // A fifth; or, if that took several windows of ten seconds, a little more. Unbounded, there would be 4,400.
    assert!((401..700).contains(&requests), "{requests}");
    let refused = [("route", "all")];
    assert!(gateway.data_plane.metrics().count("apigw_upstream_retries_refused_total", &refused) > 0);
    let row = limits(&gateway);
    assert!(row["retry"]["refused"].as_u64() > Some(0), "{row}");
}

#[test]
fn what_may_have_been_done_is_not_sent_twice() {
    let origin = resetting();
    let gateway = gateway(&[&origin], "retry: {attempts: 3}");
    for method in ["POST", "PATCH"] {
        assert_eq!(client::request(gateway.address(), method, "/", "").status(), 502);
    }
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(client::request(gateway.address(), "PUT", "/", "").status(), 502);
    assert_eq!(origin.requests().len(), 6);
}

/// An upstream that ends the first connection once it has the request, and says `ok` on others.
fn failing_once() -> Origin {
    Origin::scripted(|peer: &mut Peer| {
        loop {
            peer.request()?;
            if peer.number() == 0 {
                return Ok(());
            }
            peer.send(ok("ok"))?;
        }
    })
}

/// Sends this, framed so, and gives the status.
fn sent(gateway: &Gateway, method: &str, framing: &str, body: &[u8]) -> u16 {
    let mut connection = Connection::open(gateway.address());
    connection.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
    connection.send(body);
    connection.response().status()
}

#[test]
fn a_body_is_sent_again_byte_for_byte() {
    let body: Vec<u8> = (0..60_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let text = String::from_utf8_lossy(&[b'x'; 9]).into_owned();
    let chunked = format!("9\r\n{text}\r\n9\r\n{text}\r\n0\r\nX-Sum: 7\r\n\r\n");
    let cases: [(&str, String, &[u8], &[u8]); 3] = [
        ("PUT", format!("Content-Length: {}", body.len()), &body, &body),
        ("POST", "Transfer-Encoding: chunked".into(), chunked.as_bytes(), &[b'x'; 18]),
        ("POST", "Transfer-Encoding: chunked".into(), b"0\r\n\r\n", b""),
    ];
    for (method, framing, sent_body, content) in cases {
        let origin = failing_once();
        let gateway = gateway(&[&origin], "retry: {methods: [POST]}");
        assert_eq!(sent(&gateway, method, &framing, sent_body), 200, "{framing}");
        let requests = origin.requests();
        let [first, second] = requests.as_slice() else { panic!("{requests:?}") };
        assert!(first.body == content && second.body == content, "{framing}");
        assert_eq!(first.trailers, second.trailers);
        let name = framing.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert_eq!(first.head.field(&name), second.head.field(&name));
        assert!(second.head.field(&name).is_some(), "{framing}");
    }
}

#[test]
fn a_body_that_is_too_large_to_be_kept_is_sent_once() {
    let origin = failing_once();
    let gateway = gateway(&[&origin], "retry: {}");
    let body = vec![b'x'; (64 << 10) + 1];
    assert_eq!(sent(&gateway, "PUT", &format!("Content-Length: {}", body.len()), &body), 502);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_silent_endpoint_gives_way_to_another() {
    let silent = Origin::scripted(|peer| {
        peer.request()?;
        peer.until_closed()
    });
    let well = Origin::saying("well");
    let keys = "retry: {on: [timeout]}, timeouts: {first_byte_seconds: 0.5}";
    let gateway = gateway(&[&silent, &well], keys);
    let line = line_of_a_retry(&gateway, "GET", 200);
    let failed = json!([{ "upstream": silent.address().to_string(), "why": "upstream_timeout" }]);
    assert_eq!(line["failed_attempts"], failed);
    eventually("the silent one is told", || (silent.ended() > 0).then_some(()));
}

#[test]
fn the_total_holds_for_all_attempts_together() {
    let origin = Origin::answering_after(Duration::from_millis(200), |_| {
        "HTTP/1.1 503 Unwell\r\nContent-Length: 0\r\n\r\n".into()
    });
    let gateway = gateway(&[&origin], "retry: {attempts: 10, on: [503]}, timeouts: {total_seconds: 0.9}");
    let answer = client::get_with(gateway.address(), "/", "X-Request-Id: late\r\n");
    assert_eq!(answer.status(), 504);
    let line = gateway.data_plane.access("late");
    assert_eq!(line["why"], "total_timeout");
    assert_eq!(line["failed_attempts"][0]["status"], 503, "{line}");
}

#[test]
fn a_client_that_leaves_between_attempts_is_not_waited_for() {
    let origin = unwell();
    let keys = "retry: {attempts: 10, on: [503]}, concurrency: {max_in_flight: 1}";
    let gateway = gateway(&[&origin], keys);
    let mut connection = Connection::open(gateway.address());
    connection.ask("GET", "/", "X-Request-Id: gone\r\n");
    origin.await_request(1);
    drop(connection);
    let line = gateway.data_plane.access("gone");
    assert_eq!((&line["status"], &line["why"]), (&json!(499), &json!("client_disconnected")));
    assert_eq!(limits(&gateway)["concurrency"]["in_flight"], 0);
}

#[test]
fn what_was_counted_outlives_a_change_of_the_budget() {
    let unwell = unwell();
    let text = |percent| pool(&[unwell.url()], &format!("retry: {{on: [503], budget_percent: {percent}}}"));
    let gateway = Gateway::standalone(text(20));
    let state = || limits(&gateway)["retry"].clone();
    assert_eq!(client::get(gateway.address(), "/").status(), 503);
    assert_eq!(state()["retries"], 1);
    let before = gwctl_json(gateway.data_plane.admin(), &["routes"]);
    gateway.file.save(text(50));
    eventually("the change is in force", || {
        (gwctl_json(gateway.data_plane.admin(), &["routes"]) != before).then_some(())
    });
    // What has passed counts less and less; nothing else can take it away within two windows.
    assert_eq!(state()["max_retries"], 30);
    assert_eq!(client::get(gateway.address(), "/").status(), 503);
    assert_eq!(state()["retries"], 2);
}
