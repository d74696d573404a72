//! `wrk`: what it is told, and what its report says.

use std::{fmt::Write as _, fs, io, path::Path, process::Command};

use super::{Door, Order, Outcome};

pub(super) const NAME: &str = "wrk";

pub(super) fn command(program: &Path, order: Order<'_>) -> io::Result<Command> {
    let Order { address, shape, tokens, lasting, directory, .. } = order;
    let scheme = if shape.door == Door::Tls { "https" } else { "http" };
    let mut command = Command::new(program);
    command.args(["-t1", "--latency"]);
    command.arg(format!("-c{}", shape.connections)).arg(format!("-d{}s", lasting.seconds()));
    if let [token] = tokens {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let script = script(order);
    if !script.is_empty() {
        let file = directory.join("load.lua");
        fs::write(&file, script)?;
        command.arg("-s").arg(file);
    }
    command.arg(format!("{scheme}://{address}{}", shape.path()));
    Ok(command)
}

/// What flags cannot say, in Lua: bodies, pauses, and several tokens.
fn script(order: Order<'_>) -> String {
    let mut script = String::new();
    if order.shape.request_bytes > 0 {
        let _ = writeln!(
            script,
            "wrk.method = \"{}\"\nwrk.body = string.rep(\"a\", {})",
            order.shape.method(),
            order.shape.request_bytes
        );
    }
    if let Some(pause) = order.pace.pause(order.shape.connections) {
        // From none to twice the mean, in whole milliseconds.
        let twice = 2.0 * pause;
        let _ = writeln!(script, "function delay() return math.floor(math.random() * {twice} + 0.5) end");
    }
    if order.tokens.len() > 1 {
        script.push_str("local tokens = {\n");
        for token in order.tokens {
            let _ = writeln!(script, "  \"{token}\",");
        }
        script.push_str(
            "}\nlocal prepared, next_one = {}, 1\nfunction init()\n  for number, token in ipairs(tokens) do\n    \
             wrk.headers[\"Authorization\"] = \"Bearer \" .. token\n    prepared[number] = wrk.format()\n  end\nend\n\
             function request()\n  next_one = next_one % #prepared + 1\n  return prepared[next_one]\nend\n",
        );
    }
    script
}

/// What a report says; nothing if it is none, or no request was answered.
pub(super) fn outcome(report: &str) -> Option<Outcome> {
    let line = |start: &str| report.lines().find_map(|line| line.trim_start().strip_prefix(start));
    let requests = report.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let failures = [line("Non-2xx or 3xx responses:"), line("Socket errors:")];
    let counts = failures.into_iter().flatten().flat_map(|rest| rest.split([' ', ',']));
    Some(Outcome {
        requests: requests.filter(|requests| *requests > 0)?,
        failed: counts.filter_map(|word| word.parse::<u64>().ok()).sum(),
        rate: line("Requests/sec:")?.trim().parse().ok()?,
        p50: milliseconds(line("50%")?.trim())?,
        p99: milliseconds(line("99%")?.trim())?,
    })
}

/// A time as it is written there: `873.00us`, `1.20ms`, `2.00s`, `1.00m`.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.parse::<f64>().ok()?, factor)))?;
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 1s test @ http://127.0.0.1:19871/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   561.86us    1.12ms   9.24ms   87.26%
    Req/Sec    51.07k     8.32k   59.82k    80.00%
  Latency Distribution
     50%   78.00us
     75%  167.00us
     90%    2.11ms
     99%    4.89ms
  50711 requests in 1.00s, 7.40MB read
Requests/sec:  50522.25
Transfer/sec:      7.37MB
";

    #[test]
    fn a_report_without_failures_is_read() {
        let outcome = outcome(REPORT).unwrap();
        assert_eq!((outcome.requests, outcome.failed), (50_711, 0));
        assert!((outcome.rate - 50_522.25).abs() < 0.01);
        assert!((outcome.p50 - 0.078).abs() < 1e-9);
        assert!((outcome.p99 - 4.89).abs() < 1e-9);
    }

    #[test]
    fn every_failure_of_a_report_counts() {
        let check = |failures: &str, expected| {
            let report = REPORT.replace("Requests/sec", &format!("{failures}Requests/sec"));
            assert_eq!(outcome(&report).map(|outcome| outcome.failed), Some(expected), "{failures}");
        };
        check("  Non-2xx or 3xx responses: 1654\n", 1_654);
        check("  Socket errors: connect 1, read 20, write 300, timeout 4000\n", 4_321);
        check("  Socket errors: connect 0, read 2, write 0, timeout 0\n  Non-2xx or 3xx responses: 3\n", 5);
    }

    #[test]
    fn what_is_no_report_is_no_outcome() {
        let check = |report: &str| assert_eq!(outcome(report), None, "{report}");
        check("");
        check("unable to connect to 127.0.0.1:19872 Connection refused\n");
        check(&REPORT.replace("50711 requests", "0 requests"));
        check(&REPORT.replace("99%    4.89ms", "99%    soon"));
    }

    #[test]
    fn times_are_read_in_every_unit() {
        let check = |text, expected: f64| {
            let read = milliseconds(text).unwrap();
            assert!((read - expected).abs() < 1e-9, "{text}: {read}");
        };
        check("873.00us", 0.873);
        check("1.20ms", 1.2);
        check("2.00s", 2_000.0);
        check("1.50m", 90_000.0);
    }
}
