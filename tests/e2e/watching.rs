//! `gwctl limits --watch`, on a terminal and on a pipe.

use std::process::Command;

use apigw_tests::{
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Fleet, Source},
    origin::Origin,
    programs::{Programs, Running},
    terminal::Terminal,
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::Value;

fn document(route: &str, upstream: &Origin) -> Document {
    Document::new().route(route, "/", upstream.url())
}

fn watching(endpoint: std::net::SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Programs::built().command("gwctl");
    command.args(["--endpoint", &format!("http://{endpoint}"), "limits", "--watch", "0.1"]).args(arguments);
    command
}

#[test]
fn terminal_is_redrawn_in_place_and_given_back() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document("before", &upstream), 1);
    let terminal = Terminal::new(24, 200);
    let mut command = watching(fleet.control_plane.address(), &[]);
    command.env("TERM", "xterm");
    let mut gwctl = Running::start_on(command, terminal.output()).expect("it starts");
    let drawn = |what: &str| eventually(what, || terminal.sent().contains(what).then(|| terminal.sent()));
    let first = drawn("before");
    assert!(first.starts_with("\u{1b}[?1049h"), "the alternate screen is taken first: {first:?}");
    fleet.file.save(document("after", &upstream));
    drawn("after");
    gwctl.signal(Signal::INT);
    assert_eq!(gwctl.ended().code(), Some(0));
    let sent = eventually("the terminal is given back", || {
        terminal.sent().strip_suffix("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l").map(ToOwned::to_owned)
    });
    let (_, last) = sent.rsplit_once("\u{1b}[H").expect("each answer begins at the top");
    assert!(last.contains("after") && !last.contains("before"), "{last:?}");
    assert_eq!(gwctl.stderr().all(), Vec::<String>::new());
}

#[test]
fn pipe_has_one_document_in_each_line() {
    let upstream = Origin::saying("");
    let fleet = Fleet::start(document("all", &upstream), 1);
    let gwctl = Running::start(watching(fleet.control_plane.address(), &["-o", "json"])).expect("it starts");
    for number in 0..3 {
        let row = |line: &str| serde_json::from_str::<Value>(line).ok().map(|rows| rows[0]["route"].clone());
        assert_eq!(gwctl.stdout().nth(number, row), Some("all".into()), "answer {number}");
    }
}

#[test]
fn failing_question_is_told_and_asked_again() {
    let upstream = Origin::saying("");
    let file = ConfigFile::new(document("all", &upstream));
    let mut control_plane = ControlPlane::start(file.path());
    let address = control_plane.address();
    let gwctl = Running::start(watching(address, &["-o", "json"])).expect("it starts");
    let is_answer = |line: &str| line.starts_with('[').then_some(());
    gwctl.stdout().nth(0, is_answer).expect("there is an answer");
    control_plane.program().signal(Signal::KILL);
    let _ = control_plane.program_mut().ended();
    let is_failure = |line: &str| line.contains("nothing answers at").then_some(());
    gwctl.stderr().nth(1, is_failure).expect("each failure is told");
    let answered = gwctl.stdout().all().len();
    let control_plane = ControlPlane::start_on(file.path(), &address.to_string());
    gwctl.stdout().nth(answered, is_answer).expect("it asks again");
    let _data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    gwctl.stdout().nth(0, |line| line.contains("\"all\"").then_some(())).expect("and sees who comes");
}
