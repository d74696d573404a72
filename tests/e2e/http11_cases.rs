//! The public cases of requests (`tests/e2e/cases/http11.json`), each sent raw, with all that its README asks to be looked at.

use apigw_tests::{
    client::{Connection, Response},
    configuration::Document,
    gateway::Gateway,
};
use serde_json::Value;

use crate::cases::{Recorded, Recorder, bytes, cases, contains, is_set, words};

/// Cases in which the gateway chooses otherwise, with the reason; `docs/protocols.md` has them too. None is a MUST.
const CHOICES: [(&str, &str); 1] = [(
    "MAL-LONG-HEADER-VALUE",
    "max_header_bytes is 1 MiB unless the file says otherwise, as in the Go model",
)];

/// What became of a request.
#[derive(Debug)]
enum Outcome {
    Answered(Vec<Response>),
    /// The connection ended without a final answer.
    Closed,
}

#[test]
fn every_public_request_is_treated_as_its_rfc_says() {
    let recorder = Recorder::start();
    let gateway = Gateway::standalone(
        Document::new().server("read_header_timeout_seconds: 1").server("read_timeout_seconds: 1").route(
            "all",
            "/",
            recorder.url(),
        ),
    );
    let (mut wrong, mut chosen) = (Vec::new(), Vec::new());
    for case in cases(include_str!("cases/http11.json")) {
        let id = case["id"].as_str().expect("a case has an id").to_owned();
        let faults = replay(&case, &gateway, &recorder);
        if CHOICES.iter().any(|(choice, _)| *choice == id) {
            assert_ne!(case["level"], "must", "{id} is no choice");
            if !faults.is_empty() {
                chosen.push(id);
            }
        } else if !faults.is_empty() {
            wrong.push(format!("{id} ({}): {}", case["level"], faults.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(chosen.len(), CHOICES.len(), "a choice that makes no difference is none: {chosen:?}");
}

/// All that is wrong with what became of a case.
fn replay(case: &Value, gateway: &Gateway, recorder: &Recorder) -> Vec<String> {
    let sent = bytes(&case["send"]);
    let mut connection = Connection::open(gateway.address());
    // The gateway may close before it has read everything.
    let _ = connection.try_send(&sent);
    let method = if sent.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let outcome = outcome(&mut connection, method);
    let mut faults = judge_answer(&case["expected"], &outcome);
    faults.extend(judge_upstream(&case["upstream"], &recorder.take()));
    let last = match &outcome {
        Outcome::Answered(answers) => answers.last(),
        Outcome::Closed => None,
    };
    let Some(last) = last else { return faults };
    if last.head.lists("connection", "close") {
        let rest = connection.until_closed();
        if !rest.is_empty() {
            faults.push(format!("{} bytes behind the last answer", rest.len()));
        }
        return faults;
    }
    // A request of its own must get its own answer.
    let path = format!("/after/{}", case["id"].as_str().unwrap_or_default());
    connection.ask("GET", &path, "");
    match connection.try_response_to("GET") {
        Ok(answer) if answer.text() == format!("GET {path} HTTP/1.1") => {}
        other => faults.push(format!("the next request got {other:?}")),
    }
    faults.extend(recorder.take().faults);
    faults
}

/// Reads the final answer, with the interim ones before it.
fn outcome(connection: &mut Connection, method: &str) -> Outcome {
    let mut answers = Vec::new();
    loop {
        let Ok(answer) = connection.try_response_to(method) else { return Outcome::Closed };
        let is_final = !(100..200).contains(&answer.status());
        answers.push(answer);
        if is_final {
            return Outcome::Answered(answers);
        }
    }
}

fn judge_answer(expected: &Value, outcome: &Outcome) -> Vec<String> {
    let answers = match outcome {
        Outcome::Closed if is_set(expected, "may_close") || is_set(expected, "may_wait") => {
            return Vec::new();
        }
        Outcome::Closed => return vec!["closed without an answer".to_owned()],
        Outcome::Answered(answers) => answers,
    };
    let Some(answer) = answers.last() else { return vec!["no answer".to_owned()] };
    let (status, mut faults) = (answer.status(), Vec::new());
    let is_expected =
        expected["statuses"].as_array().into_iter().flatten().any(|wanted| is_of(wanted, status));
    let may_be = is_set(expected, "may_2xx") && (200..300).contains(&status)
        // Waiting for what never comes ends with its timeout.
        || is_set(expected, "may_wait") && status == 408;
    if !is_expected && !may_be {
        faults.push(format!("status {status}, expected {}", expected["statuses"]));
    }
    if is_set(expected, "must_close") && !answer.head.lists("connection", "close") {
        faults.push("the connection goes on".to_owned());
    }
    if is_set(expected, "no_1xx") && answers.len() > 1 {
        faults.push("an interim answer".to_owned());
    }
    if is_set(expected, "no_body") && !answer.body.is_empty() {
        faults.push("a body".to_owned());
    }
    if expected["date"] == "imf-fixdate" && !answer.field("date").is_some_and(is_imf_fixdate) {
        faults.push(format!("date {:?}", answer.field("date")));
    }
    for (key, is_wanted) in [("fields", true), ("no_fields", false)] {
        for (wanted, fields) in expected[key].as_object().into_iter().flatten() {
            let applies = is_of(&Value::String(wanted.clone()), status);
            for field in fields.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if applies && answer.head.values(field).next().is_some() != is_wanted {
                    faults.push(format!("{key}: {field} of a {status}"));
                }
            }
        }
    }
    faults
}

/// Whether a status is this one, or of this range (`4xx`).
fn is_of(wanted: &Value, status: u16) -> bool {
    match wanted {
        Value::String(range) => range
            .strip_suffix("xx")
            .map_or(*range == status.to_string(), |first| first == (status / 100).to_string()),
        number => *number == status,
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
fn is_imf_fixdate(date: &str) -> bool {
    let form = "Aaa, 00 Aaa 0000 00:00:00 GMT";
    date.len() == form.len()
        && date.chars().zip(form.chars()).all(|(character, wanted)| match wanted {
            '0' => character.is_ascii_digit(),
            'a' => character.is_ascii_lowercase(),
            'A' => character.is_ascii_uppercase(),
            _ => character == wanted,
        })
}

fn judge_upstream(expected: &Value, recorded: &Recorded) -> Vec<String> {
    let mut faults = recorded.faults.clone();
    let count = recorded.requests.len();
    if is_set(expected, "must_see") && count == 0 {
        faults.push("the upstream saw nothing".to_owned());
    }
    let most = match &expected["max_requests"] {
        Value::Null => 1,
        most => most.as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(0),
    };
    if count > most || count > 0 && !is_set(expected, "may_see") {
        faults.push(format!("the upstream saw {count} requests: {:?}", recorded.requests));
    }
    for (head, body) in &recorded.requests {
        if head.values("host").count() != 1 {
            faults.push(format!("not one Host upstream: {head:?}"));
        }
        for field in words(&expected["no_fields"]) {
            if head.values(&String::from_utf8_lossy(&field)).next().is_some() {
                faults.push(format!("{} upstream", String::from_utf8_lossy(&field)));
            }
        }
        if expected["body"].is_string() && *body != bytes(&expected["body"]) {
            faults.push(format!("body upstream {:?}", String::from_utf8_lossy(body)));
        }
        let method = head.start.split(' ').next();
        if expected["method"].is_string() && method != expected["method"].as_str() {
            faults.push(format!("method upstream {method:?}"));
        }
    }
    let parts = |key: &str| words(&expected[key]).into_iter();
    let missing = parts("must_contain").filter(|part| count > 0 && !contains(&recorded.bytes, part));
    let forbidden = parts("must_not_contain").filter(|part| contains(&recorded.bytes, part));
    faults.extend(
        missing.chain(forbidden).map(|part| format!("upstream: {:?}", String::from_utf8_lossy(&part))),
    );
    faults
}
