//! The access log in a form for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::log::event;

/// One line of the access log, told; none for a line that is no record of a request.
#[must_use]
pub fn told(line: &str) -> Option<String> {
    let record = event(line)?;
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let status = record["status"].as_u64()?;
    let time = text("time");
    // Of 2026-01-31T12:34:56.789Z, what stands between T and the fraction.
    let time = time.split_once('T').map_or("", |(_, time)| time.get(..8).unwrap_or_default());
    let mut told = format!("{time}  {status}  {} {}", text("method"), text("path"));
    let route = text("route");
    let _ = write!(told, "  {}", if route.is_empty() { "(no route)" } else { &route });
    if let Some(duration) = milliseconds(&record["duration"]) {
        let _ = write!(told, "  {duration}");
    }
    if text("why") != "ok" {
        let _ = write!(told, "  because {}", text("why"));
    }
    let _ = write!(told, "  id {}", text("rid"));
    Some(told)
}

/// Seconds as milliseconds, to a tenth.
fn milliseconds(seconds: &Value) -> Option<String> {
    seconds.as_f64().map(|seconds| format!("{:.1} ms", seconds * 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_told_in_one_line() {
        let check = |record, expected: Option<&str>| assert_eq!(told(record).as_deref(), expected);
        check(
            r#"{"time":"2026-01-31T12:34:56.789Z","rid":"a1","route":"public","method":"GET","path":"/x","status":200,
                "why":"ok","duration":0.00123}"#,
            Some("12:34:56  200  GET /x  public  1.2 ms  id a1"),
        );
        check(
            r#"{"time":"2026-01-31T12:34:56.789Z","rid":"a2","route":"","method":"GET","path":"/y","status":404,
                "why":"no_route","duration":0.0001}"#,
            Some("12:34:56  404  GET /y  (no route)  0.1 ms  because no_route  id a2"),
        );
        check("words", None);
        check("{}", None);
    }
}
