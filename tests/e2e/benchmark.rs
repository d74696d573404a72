//! The benchmark measures and says so; what it cannot measure it says too. No figure is judged here.

use std::{fs, path::PathBuf, process::Command};

use apigw_tests::{
    bench::{pictures::COMPARISON, scenario::SCENARIOS},
    programs::{Finished, Programs},
};

/// A short run that uses nothing but what is built here.
fn only_ours(arguments: &[&str]) -> Finished {
    let mut command = Programs::built().command("bench");
    command.args(["--only-ours", "--rounds", "1", "--seconds", "1"]).args(arguments);
    finished(&mut command)
}

fn finished(command: &mut Command) -> Finished {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")).into()
}

#[test]
fn our_own_gateway_is_measured_and_told_in_every_form() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| directory.path().join(name);
    let paths = ["json", "markdown", "charts"].map(|name| file(name).display().to_string());
    let [json, markdown, charts] = &paths;
    let scenarios = ["--scenario", "plain,workers"];
    let files = ["--json", json, "--markdown", markdown, "--charts", charts];
    let run = only_ours(&[&scenarios[..], &files].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("| apigw "), "{run:?}");

    let told: serde_json::Value = serde_json::from_slice(&fs::read(json).expect("JSON")).expect("it is JSON");
    let samples = &told["scenarios"][0]["rows"][0]["samples"];
    assert!(samples[0]["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{told}");
    for figure in ["cpu_us_per_request", "p99_ms", "half_p99_ms", "rss_mib", "pss_mib", "ready_ms"] {
        assert!(samples[0][figure].is_number(), "{figure} is missing: {told}");
    }
    let tables = fs::read_to_string(markdown).expect("tables");
    assert!(tables.contains("## plain: ") && tables.contains("| CPU µs/request"), "{tables}");
    let chart = fs::read_to_string(file("charts").join("workers-cost.svg")).expect("a chart");
    assert!(
        chart.starts_with("<svg ") && chart.contains(">apigw<") && chart.contains(">workers<"),
        "{chart}"
    );
}

#[test]
fn a_gateway_that_does_not_answer_has_no_figures_and_the_run_fails() {
    // It takes any flags, and ends at once.
    let run = only_ours(&["--scenario", "idle", "--idle", "4", "--dataplane", "other=/bin/false"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let row = |name: &str| run.stdout.lines().find(|line| line.starts_with(&format!("| {name} ")));
    assert!(row("other").is_some_and(|row| row.contains("INVALID")), "{run:?}");
    assert!(row("apigw").is_some_and(|row| !row.contains("INVALID")), "{run:?}");
    assert!(run.stdout.contains("other: INVALID: never answered 200"), "{run:?}");
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    let nothing = tempfile::tempdir().expect("a temporary directory");
    let mut command = Programs::built().command("bench");
    command.env("PATH", nothing.path()).args(["--scenario", "tls"]);
    let run = finished(&mut command);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("wrk is not installed (Debian: apt-get install wrk)"), "{run:?}");
    assert!(run.stdout.contains("left out: no installed generator of load asks this"), "{run:?}");
}

#[test]
fn every_table_has_its_place_in_the_documents() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let has_part = |page: &str, name: &str| {
        let text = fs::read_to_string(root.join(page)).expect("the page is there");
        let begin = text.find(&format!("<!-- bench {name} -->\n"));
        let end = text.find(&format!("<!-- end of bench {name} -->"));
        assert!(begin.is_some() && begin < end, "{page} has no place for {name}");
    };
    for scenario in &SCENARIOS {
        has_part("docs/performance.md", scenario.name);
    }
    has_part("docs/performance.md", COMPARISON);
    has_part("README.md", COMPARISON);
}
