//! The public cases of upstreams' answers (`tests/e2e/cases/bad-responses.json`): what a client sees of each, and that nothing of
//! it is anybody else's answer.

use std::io;

use apigw_tests::{
    client::{Connection, Response},
    configuration::Document,
    gateway::Gateway,
    origin::{Origin, Peer, ok},
};
use serde_json::Value;

use crate::cases::{bytes, cases, contains, is_set, words};

#[test]
fn every_public_answer_reaches_its_client_as_its_rfc_says() {
    let cases = cases(include_str!("cases/bad-responses.json"));
    let scripted = cases.clone();
    let origin = Origin::scripted(move |peer| script(peer, &scripted));
    let gateway = Gateway::standalone(Document::new().upstream("response_header_timeout_seconds: 1").route(
        "all",
        "/",
        origin.url(),
    ));
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let mut connection = Connection::open(gateway.address());
        let faults =
            [replay(case, number, &mut connection), next_requests(&mut connection, &gateway)].concat();
        if !faults.is_empty() {
            wrong.push(format!("{}: {}", case["id"], faults.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Answers `/N` as case N says, everything else with its path.
fn script(peer: &mut Peer, cases: &[Value]) -> io::Result<()> {
    loop {
        let request = peer.request()?;
        let path = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        match path[1..].parse::<usize>() {
            Ok(number) => {
                peer.send(bytes(&cases[number]["send"]))?;
                if is_set(&cases[number], "close_after") {
                    return Ok(());
                }
            }
            Err(_) => peer.send(ok(&path))?,
        }
    }
}

/// All that is wrong with what the client sees of a case.
fn replay(case: &Value, number: usize, connection: &mut Connection) -> Vec<String> {
    let expected = &case["expected"];
    let method = case["request_method"].as_str().unwrap_or("GET");
    connection.ask(method, &format!("/{number}"), "");
    let mut head = match connection.try_head() {
        Ok(head) => head,
        Err(error) => return vec![format!("no head: {error}")],
    };
    if expected["may_1xx"] == head.status() {
        head = connection.head();
    }
    let mut body = Vec::new();
    let read = connection.read_body(&head, method, &mut body);
    let is_bad_gateway = matches!(head.status(), 502 | 504);
    let is_cut = read.is_err() && expected["status"] == head.status();
    let answer = Response { head, body, trailers: read.unwrap_or_default() };
    let is_passed = expected["status"] == answer.status()
        && !is_cut
        && expected["body"].is_string()
        && answer.body == bytes(&expected["body"]);
    let is_right = match expected["verdict"].as_str() {
        Some("pass") => is_passed,
        Some("pass_lenient_ok") => is_passed || is_bad_gateway,
        Some("502") => is_bad_gateway || is_set(expected, "truncated") && is_cut,
        other => panic!("not a verdict: {other:?}"),
    };
    let mut faults = Vec::new();
    if !is_right {
        faults.push(format!("{}: {answer:?}", expected["verdict"]));
    }
    let seen = format!("{answer:?}").into_bytes();
    for field in words(&expected["no_fields"]) {
        if answer.head.values(&String::from_utf8_lossy(&field)).next().is_some() {
            faults.push(format!("field {}", String::from_utf8_lossy(&field)));
        }
    }
    // Parsed strictly: a lone CR in a head would have been an error already.
    for part in words(&expected["must_not_contain"]).into_iter().chain(words(&expected["never_body"])) {
        if contains(&answer.body, &part) || contains(&seen, &part) {
            faults.push(format!("contains {:?}", String::from_utf8_lossy(&part)));
        }
    }
    faults
}

/// Whatever came behind the answer is nobody's.
fn next_requests(connection: &mut Connection, gateway: &Gateway) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |connection: &mut Connection, path: &str| {
        let sent = connection.try_send(format!("GET {path} HTTP/1.1\r\nHost: gw.example\r\n\r\n"));
        // A connection whose answer was cut off has ended.
        if sent.is_ok()
            && let Ok(answer) = connection.try_response_to("GET")
            && answer.text() != path
        {
            faults.push(format!("{path} got {answer:?}"));
        }
    };
    check(connection, "/same");
    let mut other = Connection::open(gateway.address());
    check(&mut other, "/other");
    if other.get("/again").text() != "/again" {
        faults.push("a new connection is not served".to_owned());
    }
    faults
}
