//! `h2load`: what it is told, and what its report and its log of requests say.

use std::{path::Path, process::Command};

use super::{Order, Outcome, Pace};
use crate::bench::{
    shape::STREAMS,
    statistics::{percentile, real},
};

pub(super) const NAME: &str = "h2load";

pub(super) fn command(program: &Path, order: Order<'_>, log: &Path) -> Command {
    let Order { address, shape, tokens, lasting, pace, .. } = order;
    let mut command = Command::new(program);
    command.arg("-t1").arg(format!("-c{}", shape.connections)).arg(format!("-m{STREAMS}"));
    command.arg(format!("-D{}", lasting.seconds()));
    command.arg(format!("--log-file={}", log.display()));
    if let Pace::PerSecond(rate) = pace {
        command.arg(format!("--rps={:.1}", rate / real(shape.connections as u64)));
    }
    if let [token] = tokens {
        command.arg(format!("--header=authorization: Bearer {token}"));
    }
    command.arg(format!("https://{address}{}", shape.path()));
    command
}

/// What a report says, with the log of single requests: their begin, status and microseconds. Nothing if it was not HTTP/2
/// that was spoken, or no request was answered.
pub(super) fn outcome(report: &str, log: &str) -> Option<Outcome> {
    let line = |start: &str| report.lines().find_map(|line| line.trim_start().strip_prefix(start));
    if line("Application protocol:")?.trim() != "h2" {
        return None;
    }
    // `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`
    let numbers = |line: &str| -> Vec<(u64, String)> {
        let pairs = line.split(',').filter_map(|pair| pair.trim().split_once(' '));
        pairs.filter_map(|(number, what)| Some((number.parse().ok()?, what.to_owned()))).collect()
    };
    let sum = |numbers: &[(u64, String)], wanted: &[&str]| {
        let wanted = numbers.iter().filter(|(_, what)| wanted.contains(&what.as_str()));
        wanted.map(|(number, _)| number).sum::<u64>()
    };
    let (requests, codes) = (numbers(line("requests:")?), numbers(line("status codes:")?));
    // Those that the end of the time cut off are started and not done, which is nobody's failure.
    let done = Some(sum(&requests, &["done"])).filter(|done| *done > 0)?;
    let failed = sum(&requests, &["failed", "timeout"]) + sum(&codes, &["3xx", "4xx", "5xx"]);
    let (_, rate) = line("finished in")?.split_once(", ")?;
    let mut times: Vec<u64> = log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    times.sort_unstable();
    let milliseconds = |percent| percentile(&times, percent).map(|time| real(time) / 1_000.0);
    Some(Outcome {
        requests: done,
        failed,
        rate: rate.split(' ').next()?.parse().ok()?,
        p50: milliseconds(50)?,
        p99: milliseconds(99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
starting benchmark...
Application protocol: h2
progress: 100% of clients started

finished in 1.01s, 38367.00 req/s, 5.60MB/s
requests: 38367 total, 38371 started, 38367 done, 38367 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 38367 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.60MB (5870151) total, 3.95MB (4144068) headers (space savings 0.00%), 224.83KB (230226) data
                     min         max         mean         sd        +/- sd
time for request:       22us     10.49ms       103us       414us    98.77%
";
    const LOG: &str =
        "1795402391326115\t200\t1923\n1795402391326094\t200\t993\n1795402391326094\t200\t2000\n";

    #[test]
    fn a_report_and_its_log_are_read() {
        let outcome = outcome(REPORT, LOG).unwrap();
        assert_eq!((outcome.requests, outcome.failed), (38_367, 0));
        assert!((outcome.rate - 38_367.0).abs() < 0.01);
        assert!((outcome.p50 - 1.923).abs() < 1e-9);
        assert!((outcome.p99 - 2.0).abs() < 1e-9);
    }

    #[test]
    fn failures_and_other_codes_count() {
        let check = |from: &str, to: &str, expected| {
            let outcome = outcome(&REPORT.replace(from, to), LOG).unwrap();
            assert_eq!(outcome.failed, expected, "{to}");
        };
        check("0 failed", "7 failed", 7);
        check("0 timeout", "2 timeout", 2);
        check("0 5xx", "5 5xx", 5);
        check("0 3xx", "1 3xx", 1);
    }

    #[test]
    fn what_was_not_http2_is_no_outcome() {
        assert_eq!(outcome(&REPORT.replace("protocol: h2", "protocol: http/1.1"), LOG), None);
        assert_eq!(outcome(&REPORT.replace("38367 done", "0 done"), LOG), None);
        assert_eq!(outcome(REPORT, ""), None);
        assert_eq!(outcome("", ""), None);
    }
}
