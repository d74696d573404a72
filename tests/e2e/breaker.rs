//! Circuit breakers: opened by failures of the upstream and by nothing else, tried exactly, closed by a success.

use apigw_tests::{
    client::{self, Connection, Response},
    configuration::Document,
    gate::Gate,
    gateway::Gateway,
    load::at_once,
    origin::{Origin, ok, refusing},
    waiting::eventually,
};
use serde_json::{Value, json};

fn breaker(threshold: u32, open_seconds: f64, trials: u32) -> String {
    format!(
        "circuit_breaker: {{ enabled: true, failure_threshold: {threshold}, open_seconds: {open_seconds}, half_open_max_in_flight: {trials} }}"
    )
}

fn guarded(upstream: &str, breaker: &str) -> Document {
    Document::new().route("all", "/", upstream).with(breaker)
}

/// An upstream that does as the path says: `/500` and other numbers are statuses, `/reset` breaks the connection, `/cut`
/// breaks the answer off, `/wait` answers when the gate opens, and `/stream` begins to answer and ends then.
fn obedient(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::scripted(move |peer| {
        loop {
            let request = peer.request()?;
            match request.line().strip_prefix("GET /").unwrap_or_default() {
                "reset" => return Ok(()),
                "cut" => return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
                "wait" => {
                    gate.pass()?;
                    peer.send(ok("waited"))?;
                }
                "stream" => {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
                    gate.pass()?;
                    peer.send("done")?;
                }
                status => peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))?,
            }
        }
    })
}

fn ask(gateway: &Gateway, path: &str) -> u16 {
    client::get(gateway.address(), path).status()
}

/// The row of `/-/limits`.
fn row(gateway: &Gateway) -> Value {
    gateway.data_plane.limits("all")["circuit_breaker"].clone()
}

/// As `/metrics` has it.
fn state(gateway: &Gateway) -> &'static str {
    match gateway.data_plane.metrics().count("apigw_circuit_breaker_state", &[("route", "all")]) {
        0 => "closed",
        1 => "open",
        2 => "half_open",
        other => panic!("{other} is no state of a breaker"),
    }
}

fn await_state(gateway: &Gateway, word: &str) {
    eventually(&format!("the breaker is {word}"), || (state(gateway) == word).then_some(()));
}

fn is_open(answer: &Response) -> bool {
    answer.status() == 503 && answer.json()["error"] == "circuit_open"
}

#[test]
fn failures_in_a_row_open_it_and_it_says_when_to_come_again() {
    let origin = obedient(&Gate::new());
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(3, 60.0, 1)));
    assert_eq!(state(&gateway), "closed");
    assert_eq!(["/500", "/503", "/599"].map(|path| ask(&gateway, path)), [500, 503, 599]);
    let answer = client::get_with(gateway.address(), "/200", "X-Request-Id: fourth\r\n");
    assert_eq!((answer.status(), answer.field("content-type")), (503, Some("application/json")));
    assert_eq!(
        answer.text(),
        "{\"error\":\"circuit_open\",\"message\":\"upstream temporarily unavailable\",\"route\":\"all\",\"request_id\":\"fourth\"}"
    );
    let seconds: u64 = answer.field("retry-after").and_then(|text| text.parse().ok()).expect("a Retry-After");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(gateway.data_plane.access("fourth")["why"], "breaker_open");
    assert_eq!(origin.requests().len(), 3, "the fourth reached the upstream");
    assert_eq!(state(&gateway), "open");
    let row = row(&gateway);
    assert_eq!((&row["state"], &row["failures"]), (&json!("open"), &json!(3)), "{row}");
    let left = row["retry_after_seconds"].as_f64().unwrap_or_default();
    assert!(left > 0.0 && left <= 60.0 && !row["opens_at"].is_null(), "{row}");
    let metrics = gateway.data_plane.metrics();
    assert_eq!(metrics.count("apigw_rejections_total", &[("route", "all"), ("reason", "breaker_open")]), 1);
}

#[test]
fn success_in_between_starts_the_count_anew() {
    let origin = obedient(&Gate::new());
    let gateway = Gateway::standalone(guarded(&origin.url(), &breaker(3, 60.0, 1)));
    for _ in 0..3 {
        assert_eq!(["/500", "/500", "/200"].map(|path| ask(&gateway, path)), [500, 500, 200]);
    }
}

#[test]
fn answers_that_blame_the_client_are_no_failures() {
    let origin = obedient(&Gate::new());
    let gateway = Gateway::standalone(guarded(&origin.url(), &breaker(1, 60.0, 1)));
    for status in [400, 401, 403, 404, 408, 429, 499, 302, 200] {
        assert_eq!(ask(&gateway, &format!("/{status}")), status);
    }
}

#[test]
fn broken_connections_and_answers_are_failures() {
    let origin = obedient(&Gate::new());
    let opens = |upstream: &str, path: &str| {
        let gateway = Gateway::standalone(guarded(upstream, &breaker(2, 60.0, 1)));
        for _ in 0..2 {
            // Of an answer that is broken off, the client has seen the head.
            let _ = client::try_get(gateway.address(), path);
        }
        eventually(&format!("{path} opens the breaker"), || {
            is_open(&client::get(gateway.address(), "/200")).then_some(())
        });
    };
    opens(&origin.url(), "/reset");
    opens(&origin.url(), "/cut");
    opens(&format!("http://{}", refusing()), "/");
}

#[test]
fn refusals_of_the_gateway_are_no_failures() {
    let origin = obedient(&Gate::new());
    let file = guarded(&origin.url(), &breaker(1, 60.0, 1))
        .server("max_body_bytes: 4")
        .server("read_timeout_seconds: 0.2")
        .with("rate_limit: { enabled: true, rps: 0.01, burst: 1, scope: \"header:x-key\" }");
    let gateway = Gateway::with_key(file);
    let with = |key: &str| client::get_with(gateway.address(), "/200", &format!("X-Key: {key}\r\n")).status();
    assert_eq!([with("a"), with("a"), with("a"), with("b")], [200, 429, 429, 200]);
    // These have been passed on in part before it shows what they are.
    for (number, body) in (0..).zip(["5\r\nlarge\r\n0\r\n\r\n", "none\r\n", "4\r\nslow"]) {
        let mut connection = Connection::open(gateway.address());
        let head = format!(
            "POST /200 HTTP/1.1\r\nHost: h\r\nX-Key: body-{number}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        connection.send(head + body);
        assert!((400..500).contains(&connection.response().status()), "{body:?}");
    }
    assert_eq!(state(&gateway), "closed");
}

#[test]
fn trials_are_exactly_as_many_as_allowed_and_a_success_closes() {
    let gate = Gate::new();
    let origin = obedient(&gate);
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(1, 0.2, 2)));
    assert_eq!(ask(&gateway, "/500"), 500);
    await_state(&gateway, "half_open");
    assert_eq!(row(&gateway)["state"], "half_open");
    let refused = std::sync::atomic::AtomicUsize::new(0);
    let answers = at_once(10, |_| {
        let answer = client::get(gateway.address(), "/wait");
        // The eighth who is refused lets the two trials end.
        if is_open(&answer) && refused.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 7 {
            assert_eq!(row(&gateway)["half_open_in_flight"], 2);
            gate.open();
        }
        answer
    });
    assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 2);
    assert_eq!(answers.iter().filter(|answer| is_open(answer)).count(), 8);
    assert!(
        answers.iter().filter(|answer| is_open(answer)).all(|answer| answer.field("retry-after").is_some())
    );
    await_state(&gateway, "closed");
    assert_eq!([(); 5].map(|()| ask(&gateway, "/200")), [200; 5]);
}

#[test]
fn failed_trial_opens_it_again() {
    let origin = obedient(&Gate::new());
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(2, 0.2, 1)));
    assert_eq!(["/500", "/500"].map(|path| ask(&gateway, path)), [500, 500]);
    for _ in 0..2 {
        await_state(&gateway, "half_open");
        assert_eq!(ask(&gateway, "/500"), 500, "one trial is let through");
        assert_ne!(state(&gateway), "closed", "one failure is enough");
    }
    await_state(&gateway, "half_open");
    assert_eq!(ask(&gateway, "/200"), 200);
    await_state(&gateway, "closed");
}

#[test]
fn trial_is_judged_by_its_head_so_that_a_long_stream_keeps_nothing_closed() {
    let gate = Gate::new();
    let origin = obedient(&gate);
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(1, 0.2, 1)));
    assert_eq!(ask(&gateway, "/500"), 500);
    await_state(&gateway, "half_open");
    let mut stream = Connection::open(gateway.address());
    stream.ask("GET", "/stream", "");
    assert_eq!(stream.head().status(), 200);
    await_state(&gateway, "closed");
    assert_eq!(ask(&gateway, "/200"), 200);
    gate.open();
}

#[test]
fn clients_that_hang_up_open_nothing() {
    let gate = Gate::new();
    let origin = obedient(&gate);
    for path in ["/wait", "/stream"] {
        let file = guarded(&origin.url(), &breaker(1, 60.0, 1)).with("concurrency: { max_in_flight: 100 }");
        let gateway = Gateway::with_key(file);
        let seen = origin.requests().len();
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let mut connection = Connection::open(gateway.address());
                connection.ask("GET", path, "");
                connection
            })
            .collect();
        origin.await_request(seen + 63);
        drop(clients);
        eventually("nothing is under way", || {
            let metrics = gateway.data_plane.metrics();
            (metrics.value("apigw_in_flight_requests", &[("route", "all")]) == Some(0.0)).then_some(())
        });
        let row = row(&gateway);
        assert_eq!((&row["state"], &row["failures"]), (&json!("closed"), &json!(0)), "{path}");
        assert_eq!(ask(&gateway, "/200"), 200);
    }
    gate.open();
}

#[test]
fn client_that_hangs_up_gives_his_trial_back() {
    let gate = Gate::new();
    let origin = obedient(&gate);
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(1, 0.2, 1)));
    assert_eq!(ask(&gateway, "/500"), 500);
    await_state(&gateway, "half_open");
    for trial in 1..=5 {
        let mut connection = Connection::open(gateway.address());
        connection.ask("GET", "/wait", "");
        origin.await_request(trial);
        assert!(is_open(&client::get(gateway.address(), "/200")), "the only trial is under way");
        drop(connection);
        eventually("the trial is given back", || {
            let row = row(&gateway);
            (row["state"] == "half_open" && row["half_open_in_flight"] == 0).then_some(())
        });
    }
    assert_eq!(ask(&gateway, "/200"), 200);
    await_state(&gateway, "closed");
    gate.open();
}

#[test]
fn what_was_seen_stays_seen_unless_the_breaker_itself_is_edited() {
    let (origin, another) = (obedient(&Gate::new()), Origin::saying("in"));
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(2, 60.0, 1)));
    assert_eq!(["/500", "/500"].map(|path| ask(&gateway, path)), [500, 500]);
    gateway.edit(&guarded(&origin.url(), &breaker(2, 60.0, 1)), &another);
    assert_eq!(state(&gateway), "open", "another route was edited");
    assert!(is_open(&client::get(gateway.address(), "/200")));
    gateway.edit(&guarded(&origin.url(), &breaker(3, 60.0, 1)), &another);
    assert_eq!(state(&gateway), "closed", "the breaker was edited");
    assert_eq!(ask(&gateway, "/200"), 200);
}

#[test]
fn share_of_failures_opens_it_without_a_row() {
    let origin = obedient(&Gate::new());
    let share = "circuit_breaker: { enabled: true, open_seconds: 60, half_open_max_in_flight: 1, failure_percent: 50, minimum_requests: 10, window_seconds: 600 }";
    let gateway = Gateway::with_key(guarded(&origin.url(), share));
    for round in 0..5 {
        assert_eq!(state(&gateway), "closed", "after {} requests", 2 * round);
        assert_eq!(["/200", "/500"].map(|path| ask(&gateway, path)), [200, 500]);
    }
    await_state(&gateway, "open");
}

#[test]
fn shadowed_breaker_tells_and_lets_pass() {
    let origin = obedient(&Gate::new());
    let shadow = "circuit_breaker: { enabled: true, failure_threshold: 1, open_seconds: 60, half_open_max_in_flight: 1, mode: shadow }";
    let gateway = Gateway::with_key(guarded(&origin.url(), shadow));
    assert_eq!(ask(&gateway, "/500"), 500);
    let answer = client::get_with(gateway.address(), "/200", "X-Request-Id: passed\r\n");
    assert_eq!(answer.status(), 200);
    let line = gateway.data_plane.access("passed");
    assert_eq!((&line["why"], &line["shadow"]), (&"ok".into(), &"breaker_open".into()), "{line}");
    let labels = [("route", "all"), ("reason", "breaker_open")];
    assert_eq!(gateway.data_plane.metrics().count("apigw_shadow_rejections_total", &labels), 1);
}

#[test]
fn clients_that_do_not_read_until_the_upstream_gives_up_open_nothing() {
    const LENGTH: usize = 1 << 28;
    // Made beforehand: the client is to hold up the answer for as long as it sleeps.
    let body = vec![b'x'; LENGTH];
    let origin = Origin::scripted(move |peer| {
        peer.request()?;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"))?;
        peer.send(&body)
    });
    let gateway = Gateway::with_key(guarded(&origin.url(), &breaker(1, 60.0, 1)));
    let mut client = Connection::open(gateway.address());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: slow\r\n\r\n");
    let head = client.head();
    std::thread::sleep(std::time::Duration::from_secs(2));
    // As an upstream does whose writing takes too long.
    origin.close_connections();
    assert!(client.read_body(&head, "GET", &mut std::io::sink()).is_err(), "the answer is cut off");
    assert_eq!(gateway.data_plane.access("slow")["why"], "upstream_truncated");
    assert_eq!(state(&gateway), "closed");
}
