//! Several processes: who starts first, who dies, who comes back.

use std::net::TcpListener;

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Fleet, Source, gwctl_json},
    load::{Load, Reuse},
    origin::{Origin, Request, ok},
    simulated::{Applied, SimulatedFleet},
    waiting::eventually,
};
use rustix::process::Signal;

fn mirror() -> Origin {
    Origin::answering(|request: &Request| ok(request.line()))
}

fn numbered(number: usize, upstream: &Origin) -> Document {
    Document::new().route("all", "/", format!("{}/{number}", upstream.url()))
}

fn runs(data_plane: &DataPlane, number: usize) {
    eventually(&format!("edit {number} takes effect"), || {
        let answer = client::try_get(data_plane.traffic(), "/").ok()?;
        (answer.text() == format!("GET /{number}/")).then_some(())
    });
}

/// A loopback address that nothing uses now, for a program that must come back to where it was.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it has an address").to_string()
}

#[test]
fn two_data_planes_follow_one_control_plane() {
    let upstream = mirror();
    let fleet = Fleet::start(numbered(0, &upstream), 2);
    for number in 1..4 {
        fleet.file.save(numbered(number, &upstream));
        fleet.data_planes.iter().for_each(|data_plane| runs(data_plane, number));
    }
    let status = fleet.synchronised();
    let rows = status["data_planes"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 2);
    let told: std::collections::BTreeSet<_> =
        rows.iter().filter_map(|row| row["listen_addr"].as_str()).collect();
    let addresses: Vec<_> = fleet.data_planes.iter().map(|plane| plane.traffic().to_string()).collect();
    assert_eq!(told, addresses.iter().map(String::as_str).collect());
}

#[test]
fn data_plane_that_starts_first_waits_for_the_control_plane() {
    let upstream = mirror();
    let file = ConfigFile::new(numbered(7, &upstream));
    let address = free_address();
    let data_plane = DataPlane::start(Source::ControlPlane(address.parse().expect("an address")));
    let admin = data_plane.admin();
    assert_eq!(client::get(admin, "/healthz").status(), 200, "it lives");
    assert_ne!(client::get(admin, "/readyz").status(), 200, "and is not ready");
    let _control_plane = ControlPlane::start_on(file.path(), &address);
    runs(&data_plane, 7);
    assert_eq!(client::get(admin, "/readyz").status(), 200);
}

#[test]
fn control_plane_that_starts_first_waits_for_data_planes() {
    let upstream = mirror();
    let file = ConfigFile::new(numbered(1, &upstream));
    let control_plane = ControlPlane::start(file.path());
    let status = eventually("the file is published", || {
        let status = gwctl_json(control_plane.address(), &["status"]);
        (status["control_plane"]["revision"]["seq"] == 1).then_some(status)
    });
    assert_eq!(status["data_planes"], serde_json::json!([]));
    let data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    runs(&data_plane, 1);
}

#[test]
fn broken_file_at_the_start_is_told_and_waited_out() {
    let upstream = mirror();
    let file = ConfigFile::new("routes: []\n");
    let control_plane = ControlPlane::start(file.path());
    let data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    let status = eventually("the broken file shows", || {
        let status = gwctl_json(control_plane.address(), &["status"]);
        status["control_plane"]["rejected_file"].is_object().then_some(status)
    });
    assert!(status["control_plane"]["revision"].is_null());
    file.save(numbered(1, &upstream));
    runs(&data_plane, 1);
}

#[test]
fn control_plane_restart_keeps_traffic() {
    let upstream = mirror();
    let file = ConfigFile::new(numbered(0, &upstream));
    let address = free_address();
    let mut control_plane = ControlPlane::start_on(file.path(), &address);
    let data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    runs(&data_plane, 0);
    let load = Load::start(data_plane.traffic(), "/", 2, Reuse::MustSucceed, |_| Ok(()));
    for number in 1..4 {
        control_plane.program().signal(Signal::KILL);
        let _ = control_plane.program_mut().ended();
        // Edited while nobody watched.
        file.save(numbered(number, &upstream));
        let answered = load.answered();
        eventually("traffic flows without a control plane", || {
            (load.answered() > answered + 100).then_some(())
        });
        control_plane = ControlPlane::start_on(file.path(), &address);
        runs(&data_plane, number);
    }
    load.stop().is_flawless();
}

#[test]
fn killed_data_plane_shows_and_comes_back() {
    let upstream = mirror();
    let mut fleet = Fleet::start(numbered(0, &upstream), 1);
    let mut killed = fleet.data_planes.remove(0);
    killed.program().signal(Signal::KILL);
    let _ = killed.program_mut().ended();
    eventually("its end shows", || {
        (fleet.status()["data_planes"][0]["state"] == "disconnected").then_some(())
    });
    fleet.data_planes.push(DataPlane::start(Source::ControlPlane(fleet.control_plane.address())));
    runs(&fleet.data_planes[0], 0);
    eventually("its successor shows", || {
        let status = fleet.status();
        let rows = status["data_planes"].as_array()?;
        rows.iter().any(|row| row["state"] == "in_sync").then_some(())
    });
}

#[test]
fn terminated_data_plane_finishes_what_it_has_begun() {
    let upstream = Origin::scripted(|peer| {
        let head = peer.head()?;
        peer.body(&head, &mut std::io::sink())?;
        peer.send(ok("finished"))
    });
    let file = ConfigFile::new(Document::new().route("all", "/", upstream.url()));
    let mut data_plane = DataPlane::start(Source::File(file.path()));
    let address = data_plane.traffic();
    let mut connection = client::Connection::open(address);
    eventually("the route is there", || {
        let mut probe = client::Connection::open(address);
        probe.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        (probe.response().status() == 200).then_some(())
    });
    let seen = upstream.requests().len();
    connection.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    upstream.await_request(seen);
    data_plane.program().signal(Signal::TERM);
    eventually("nothing new is taken", || client::Connection::try_open(address).err());
    connection.send("lf");
    assert_eq!(connection.response().text(), "finished");
    assert_eq!(data_plane.program_mut().ended().code(), Some(0));
}

#[test]
fn terminated_control_plane_ends_cleanly() {
    let upstream = mirror();
    let mut fleet = Fleet::start(numbered(0, &upstream), 1);
    fleet.control_plane.program().signal(Signal::TERM);
    assert_eq!(fleet.control_plane.program_mut().ended().code(), Some(0));
    runs(&fleet.data_planes[0], 0);
}

#[test]
fn hang_up_signal_reads_the_file_again() {
    let upstream = mirror();
    let fleet = Fleet::start(numbered(0, &upstream), 1);
    fleet.control_plane.program().signal(Signal::HUP);
    fleet.data_planes[0].program().signal(Signal::HUP);
    fleet.file.save(numbered(1, &upstream));
    runs(&fleet.data_planes[0], 1);
}

#[test]
fn a_hundred_data_planes_take_each_change_and_all_are_known_to_run_it() {
    const DATA_PLANES: usize = 100;
    let upstream = mirror();
    let file = ConfigFile::new(numbered(0, &upstream));
    let control_plane = ControlPlane::start(file.path());
    let mut fleet =
        SimulatedFleet::start(control_plane.address(), DATA_PLANES).unwrap_or_else(|error| panic!("{error}"));
    let mut all_apply = |number: u64| {
        let applied = fleet.all_apply().unwrap_or_else(|error| panic!("edit {number}: {error}"));
        let is_newest = |applied: &&Applied| applied.revision.seq == number;
        assert_eq!(applied.iter().filter(is_newest).count(), DATA_PLANES, "{applied:?}");
    };
    all_apply(1);
    for number in 2..5 {
        file.save(numbered(usize::try_from(number).expect("a small number"), &upstream));
        all_apply(number);
    }
    eventually("the control plane has read every report", || {
        let status = gwctl_json(control_plane.address(), &["status"]);
        let rows = status["data_planes"].as_array()?;
        assert_eq!(rows.len(), DATA_PLANES);
        let runs_it = |row: &serde_json::Value| row["state"] == "in_sync" && row["revision"]["seq"] == 4;
        rows.iter().all(runs_it).then_some(())
    });
}
