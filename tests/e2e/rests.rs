//! What is left of a request's body when its answer has come: it is thrown away and the connection goes on, or the answer says
//! that it is the last. A client that is told neither would lose the request it sends next.

use apigw_tests::{
    client::{Connection, Response},
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, ok},
};

/// The most that is thrown away.
const MOST_SKIPPED: usize = 1 << 20;

/// A gateway with one route, whose upstream answers as soon as a head has come.
fn gateway() -> (Origin, Gateway) {
    let origin = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.send(ok("early"))?;
        peer.body(&head, &mut Vec::new()).map(|_trailers| ())
    });
    let text = Document::new().server("read_timeout_seconds: 0.5").server("max_body_bytes: 10000000").route(
        "early",
        "/early",
        origin.url(),
    );
    let gateway = Gateway::standalone(text);
    (origin, gateway)
}

fn is_last(answer: &Response) -> bool {
    answer.head.lists("connection", "close")
}

/// Sends the head of a request and the beginning of its body, takes the answer, sends the rest, and asks again if it may.
fn check(path: &str, fields: &str, (beginning, rest): (&str, &str), goes_on: bool) {
    let (_origin, gateway) = gateway();
    let mut connection = Connection::open(gateway.address());
    connection.ask("POST", path, fields);
    connection.send(beginning);
    let answer = connection.response_to("POST");
    assert_eq!(is_last(&answer), !goes_on, "{path} {fields}");
    if goes_on {
        connection.send(rest);
        assert_eq!(connection.get("/early").text(), "early", "{path} {fields}");
    } else {
        assert_eq!(connection.until_closed(), b"", "{path} {fields}");
    }
}

#[test]
fn a_connection_goes_on_behind_a_body_that_a_refusal_did_not_wait_for() {
    check("/none", "Content-Length: 9\r\n", ("", "some more"), true);
    check("/none", "Content-Length: 9\r\n", ("some", " more"), true);
    check("/none", &format!("Content-Length: {MOST_SKIPPED}\r\n"), ("", &"x".repeat(MOST_SKIPPED)), true);
    check("/none", "Transfer-Encoding: chunked\r\n", ("4\r\nsome\r\n0\r\n\r\n", ""), true);
}

#[test]
fn a_refusal_that_does_not_wait_for_the_body_says_that_it_is_the_last() {
    check("/none", &format!("Content-Length: {}\r\n", MOST_SKIPPED + 1), ("", ""), false);
    // How much is to come is unknown; or whether any of it is.
    check("/none", "Transfer-Encoding: chunked\r\n", ("4\r\nsome\r\n", ""), false);
    check("/none", "Transfer-Encoding: chunked\r\n", ("4\r\nsome\n\n", ""), false);
    check("/none", "Content-Length: 4\r\nExpect: 100-continue\r\n", ("", ""), false);
}

#[test]
fn a_connection_goes_on_behind_a_body_that_an_upstream_did_not_wait_for() {
    check("/early", "Content-Length: 9\r\n", ("some", " more"), true);
    check("/early", "Transfer-Encoding: chunked\r\n", ("4\r\nsome\r\n", "0\r\n\r\n"), true);
    check(
        "/early",
        &format!("Content-Length: {MOST_SKIPPED}\r\n"),
        ("some", &"x".repeat(MOST_SKIPPED - 4)),
        true,
    );
    check("/early", &format!("Content-Length: {}\r\n", 2 * MOST_SKIPPED), ("some", ""), false);
}

#[test]
fn a_connection_is_closed_on_which_the_rest_of_a_body_does_not_come() {
    for path in ["/none", "/early"] {
        let (_origin, gateway) = gateway();
        let mut connection = Connection::open(gateway.address());
        connection.ask("POST", path, "Content-Length: 9\r\n");
        connection.send("some");
        assert!(!is_last(&connection.response_to("POST")), "{path}");
        assert_eq!(connection.until_closed(), b"", "{path}");
    }
}

#[test]
fn nothing_behind_a_body_that_is_none_is_taken_for_a_request() {
    let (_origin, gateway) = gateway();
    let mut connection = Connection::open(gateway.address());
    connection.ask("POST", "/early", "Transfer-Encoding: chunked\r\n");
    connection.send("4\r\nsome\r\n");
    assert_eq!(connection.response_to("POST").text(), "early");
    connection.send("x\r\n\r\nGET /early HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(connection.until_closed(), b"");
}

#[test]
fn a_body_without_end_is_not_read_without_end() {
    let (_origin, gateway) = gateway();
    let mut connection = Connection::open(gateway.address());
    connection.ask("POST", "/early", "Transfer-Encoding: chunked\r\n");
    connection.send("4\r\nsome\r\n");
    assert_eq!(connection.response_to("POST").text(), "early");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    // Beyond what is thrown away: the rest of the connection is.
    let taken = (0..1_000).take_while(|_| connection.try_send(&chunk).is_ok()).count();
    assert!(taken < 1_000, "{taken} chunks were taken");
}
