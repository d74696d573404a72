//! What was published is kept, compared, waited for and brought back.

use std::{fs, net::TcpListener};

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Fleet, Source, gwctl, gwctl_json, state_directory},
    origin::{Origin, Request, ok},
    programs::Programs,
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn mirror() -> Origin {
    Origin::answering(|request: &Request| ok(request.line()))
}

/// A file whose number shows in every answer.
fn numbered(number: usize, upstream: &Origin) -> Document {
    Document::new().route("all", "/", format!("{}/{number}", upstream.url()))
}

fn runs(data_plane: &DataPlane, number: usize) {
    eventually(&format!("content {number} takes effect"), || {
        let answer = client::try_get(data_plane.traffic(), "/").ok()?;
        (answer.text() == format!("GET /{number}/")).then_some(())
    });
}

/// Saves contents 1 to `last`, each when the one before runs.
fn edit(fleet: &Fleet, upstream: &Origin, last: usize) {
    for number in 1..=last {
        fleet.file.save(numbered(number, upstream));
        runs(&fleet.data_planes[0], number);
    }
}

fn history(control_plane: &ControlPlane) -> Vec<Value> {
    gwctl_json(control_plane.address(), &["history"]).as_array().cloned().unwrap_or_default()
}

/// `gwctl -o json diff`, of which 2 is the exit code of a difference.
fn diff(control_plane: &ControlPlane, sides: &[&str]) -> (Option<i32>, Value) {
    let told = gwctl(control_plane.address(), &[&["-o", "json", "diff"], sides].concat());
    (told.code, serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}")))
}

#[test]
fn edits_make_history() {
    let upstream = mirror();
    let fleet = Fleet::start(numbered(0, &upstream), 1);
    edit(&fleet, &upstream, 3);
    let history = history(&fleet.control_plane);
    let of_each = |key: &str| history.iter().map(|entry| entry[key].clone()).collect::<Vec<_>>();
    assert_eq!(of_each("current"), [true, false, false, false].map(Value::from));
    assert_eq!(of_each("origin"), vec![Value::from("file"); 4]);
    let seqs: Vec<_> = history.iter().map(|entry| entry["revision"]["seq"].clone()).collect();
    assert_eq!(seqs, [4, 3, 2, 1].map(Value::from));
    assert_eq!(history[0]["revision"], fleet.status()["control_plane"]["revision"]);
    let expected = format!("route all: upstream {0}/2 -> {0}/3", upstream.url());
    assert_eq!(history[0]["summary"], expected);
    assert_eq!(history[3]["summary"], "first configuration, 1 route");
    let table = gwctl(fleet.control_plane.address(), &["history"]);
    assert!(table.stdout.contains(&expected), "{table:?}");
}

#[test]
fn revisions_and_files_are_compared_by_meaning() {
    let upstream = mirror();
    let limited = |rps: u32| {
        let limit = format!("rate_limit: {{ enabled: true, rps: {rps}, burst: 100, scope: ip }}");
        numbered(0, &upstream).with(&limit)
    };
    let fleet = Fleet::start(limited(5), 1);
    fleet.file.save(limited(50));
    eventually("it is published", || (history(&fleet.control_plane).len() == 2).then_some(()));
    let change = json!([{ "kind": "route", "name": "all", "path": "rate_limit.rps", "from": 5, "to": 50 }]);
    let (code, told) = diff(&fleet.control_plane, &[]);
    assert_eq!((code, &told["same"], &told["changes"]), (Some(2), &json!(false), &change));
    assert_eq!(told["resets"], json!(["route all: rate limit, every caller starts with a full burst"]));
    assert_eq!(diff(&fleet.control_plane, &["1", "current"]).1, told);
    let same = json!({ "same": true, "changes": [], "resets": [], "warnings": [] });
    assert_eq!(diff(&fleet.control_plane, &["2", "current"]), (Some(0), same.clone()));

    let file = ConfigFile::new(limited(5));
    let path = file.path().display().to_string();
    assert_eq!(diff(&fleet.control_plane, &["1", &path]), (Some(0), same.clone()));
    let (code, told) = diff(&fleet.control_plane, &[&path]);
    assert_eq!(
        (code, &told["changes"][0]["from"], &told["changes"][0]["to"]),
        (Some(2), &json!(50), &json!(5))
    );
    let without_server =
        Programs::built().output("gwctl", &["--endpoint", "http://127.0.0.1:1", "diff", &path, &path]);
    assert_eq!((without_server.code, without_server.stdout.as_str()), (Some(0), "no difference\n"));

    for (sides, expected) in [(&["9"][..], "not kept"), (&["/nonexistent/g.yaml"], "cannot read")] {
        let told = gwctl(fleet.control_plane.address(), &[&["diff"], sides].concat());
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.stderr.contains(expected), "{told:?}");
    }
    let told = gwctl(fleet.data_planes[0].admin(), &["history"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.stderr.contains("ask its control plane"), "{told:?}");
}

#[test]
fn rollback_reaches_the_data_planes_and_survives_a_restart() {
    let upstream = mirror();
    let mut fleet = Fleet::start(numbered(0, &upstream), 1);
    edit(&fleet, &upstream, 2);
    let told = gwctl(fleet.control_plane.address(), &["rollback"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.starts_with("published 4-"), "{told:?}");
    runs(&fleet.data_planes[0], 1);
    let differs = |status: &Value| status["control_plane"]["held_back_file"].is_object();
    assert!(differs(&fleet.status()), "{}", fleet.status());
    assert_eq!(history(&fleet.control_plane)[0]["origin"], "rollback");

    let address = fleet.control_plane.address().to_string();
    fleet.control_plane.program().signal(Signal::KILL);
    let _ = fleet.control_plane.program_mut().ended();
    fleet.control_plane = ControlPlane::start_on(fleet.file.path(), &address);
    let held_back = |line: &str| line.contains("what it meant at the rollback").then_some(());
    fleet.control_plane.program().stderr().first(held_back).expect("the file is read and held back");
    let status = fleet.synchronised();
    assert!(differs(&status), "{status}");
    assert_eq!(status["control_plane"]["revision"]["seq"], 4, "nothing new is pushed: {status}");
    runs(&fleet.data_planes[0], 1);

    fleet.file.save(numbered(3, &upstream));
    runs(&fleet.data_planes[0], 3);
    assert!(!differs(&fleet.status()));
    assert_eq!(history(&fleet.control_plane)[0]["revision"]["seq"], 5);
    let again = gwctl(fleet.control_plane.address(), &["rollback", "current"]);
    assert!(again.stdout.contains("nothing was published"), "{again:?}");
    let unknown = gwctl(fleet.control_plane.address(), &["rollback", "99"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
}

/// The files in which contents are kept.
fn leaves(file: &ConfigFile) -> usize {
    fs::read_dir(state_directory(file.path()).join("leaves")).map_or(0, Iterator::count)
}

#[test]
fn history_is_whole_after_kills_in_a_burst_of_edits() {
    let upstream = mirror();
    let file = ConfigFile::new(numbered(0, &upstream));
    let mut known: Vec<Value> = Vec::new();
    let mut numbers = 1..;
    for round in 0..6 {
        let mut control_plane = ControlPlane::start(file.path());
        let found = history(&control_plane);
        for entry in &known {
            let is_same = |other: &&Value| other["revision"] == entry["revision"];
            let kept = found.iter().find(is_same).unwrap_or_else(|| panic!("{entry} is lost: {found:?}"));
            assert_eq!(kept["summary"], entry["summary"]);
        }
        for number in numbers.by_ref().take(3) {
            file.save(numbered(number, &upstream));
            eventually("it is published", || {
                let newest = history(&control_plane).into_iter().next()?;
                newest["summary"].as_str()?.ends_with(&format!("/{number}")).then_some(())
            });
        }
        known = history(&control_plane);
        let kept = leaves(&file);
        for number in numbers.by_ref().take(1) {
            file.save(numbered(number, &upstream));
        }
        // The kill comes while the last one is looked for, or while it is written.
        if round % 2 == 0 {
            eventually("something is written", || (leaves(&file) > kept).then_some(()));
        }
        control_plane.program().signal(Signal::KILL);
        let _ = control_plane.program_mut().ended();
    }
    let control_plane = ControlPlane::start(file.path());
    let order: Vec<_> = history(&control_plane)
        .iter()
        .map(|entry| (entry["revision"]["epoch"].as_u64(), entry["revision"]["seq"].as_u64()))
        .collect();
    assert!(order.len() > 18, "{order:?}");
    assert!(order.is_sorted_by(|newer, older| newer > older), "(epoch, seq) goes back: {order:?}");
    assert!(order.is_sorted_by(|newer, older| newer.1 > older.1), "seq goes back: {order:?}");
}

#[test]
fn same_file_after_a_restart_is_the_same_revision() {
    let upstream = mirror();
    let mut fleet = Fleet::start(numbered(0, &upstream), 1);
    let before = fleet.synchronised()["control_plane"]["revision"].clone();
    let address = fleet.control_plane.address().to_string();
    fleet.control_plane.program().signal(Signal::KILL);
    let _ = fleet.control_plane.program_mut().ended();
    // As a kill in the middle of a write leaves it.
    fs::write(state_directory(fleet.file.path()).join("leaves/.new"), "half of it").expect("it is written");
    fleet.control_plane = ControlPlane::start_on(fleet.file.path(), &address);
    let unchanged = |line: &str| line.contains("published already").then_some(());
    fleet.control_plane.program().stderr().first(unchanged).expect("the file is read");
    assert_eq!(fleet.synchronised()["control_plane"]["revision"], before);
}

#[test]
fn two_control_planes_do_not_share_a_state_directory() {
    let upstream = mirror();
    let file = ConfigFile::new(numbered(0, &upstream));
    let first = ControlPlane::start(file.path());
    let _ = first.address();
    let state = state_directory(file.path()).display().to_string();
    let path = file.path().display().to_string();
    let flags = ["--config", &path, "--listen", "127.0.0.1:0", "--state-dir", &state];
    let second = Programs::built().output("controlplane", &flags);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another program"), "{second:?}");
}

#[test]
fn waiting_ends_when_an_edit_runs() {
    let upstream = mirror();
    let fleet = Fleet::start(numbered(0, &upstream), 2);
    fleet.file.save(numbered(1, &upstream));
    let told = gwctl(fleet.control_plane.address(), &["wait", "--revision", "2", "--timeout", "30"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    fleet.data_planes.iter().for_each(|data_plane| runs(data_plane, 1));
    let told = gwctl(fleet.control_plane.address(), &["wait", "--revision", "9", "--timeout", "0"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), "revision 9 is not published\n"));
}

#[test]
fn waiting_fails_with_the_diagnostics_of_who_refuses() {
    let upstream = mirror();
    let on = |address: &str, number| numbered(number, &upstream).server(&format!("addr: \"{address}\""));
    let file = ConfigFile::new(on("127.0.0.1:0", 0));
    let control_plane = ControlPlane::start(file.path());
    // Only this one goes where the file says.
    let source = Source::ControlPlane(control_plane.address());
    let obedient = DataPlane::start_with(source, &[]);
    let elsewhere = DataPlane::start(source);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = listener.local_addr().expect("it has an address").to_string();
    runs(&obedient, 0);
    file.save(on(&taken, 1));
    runs(&elsewhere, 1);
    let newest = history(&control_plane)[0]["revision"]["seq"].to_string();
    let told =
        gwctl(control_plane.address(), &["-o", "json", "wait", "--revision", &newest, "--timeout", "30"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let view: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    assert_eq!((&view["ok"], view["running"].as_array().map(Vec::len)), (&json!(false), Some(1)), "{view}");
    let problem = view["refused"][0]["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(problem.contains(&taken), "{view}");
}
