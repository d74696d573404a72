//! The configuration that ran last outlives everything but its files: control planes, data planes, kills and damage.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Source, gwctl_json},
    origin::{Origin, Request, ok},
    programs::Programs,
    waiting::eventually,
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const SLOTS: [&str; 2] = ["slot-a", "slot-b"];

/// A control plane that can come back to where it was, and a place where data planes keep what they ran.
struct Scene {
    _upstream: Origin,
    upstream: String,
    file: ConfigFile,
    state: TempDir,
    address: String,
}

impl Scene {
    fn new() -> Self {
        let origin = Origin::answering(|request: &Request| ok(request.line()));
        let upstream = origin.url();
        let file = ConfigFile::new(document(&upstream, 0));
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it has an address").to_string();
        let state = tempfile::tempdir().expect("a temporary directory");
        Self { _upstream: origin, upstream, file, state, address }
    }

    fn edit(&self, number: usize) {
        self.file.save(document(&self.upstream, number));
    }

    fn control_plane(&self) -> ControlPlane {
        ControlPlane::start_on(self.file.path(), &self.address)
    }

    fn data_plane(&self) -> DataPlane {
        DataPlane::start_in(self.state.path(), Source::ControlPlane(self.control_plane_address()))
    }

    fn control_plane_address(&self) -> SocketAddr {
        self.address.parse().expect("it is an address")
    }

    fn slot(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    /// Waits until so many slots are written.
    fn has_slots(&self, count: usize) {
        eventually(&format!("{count} slots"), || {
            (SLOTS.iter().filter(|name| self.slot(name).exists()).count() == count).then_some(())
        });
    }
}

fn document(upstream: &str, number: usize) -> Document {
    Document::new()
        .auth("mode: hmac")
        .auth("hmac_secret: \"a secret of thirty-two characters\"")
        .route("open", "/open", format!("{upstream}/{number}"))
        .route("closed", "/closed", upstream)
        .with("auth_required: true")
        .route("limited", "/limited", upstream)
        .with("rate_limit: { enabled: true, rps: 0.001, burst: 2, scope: ip }")
}

fn runs(data_plane: &DataPlane, number: usize) {
    eventually(&format!("edit {number} runs"), || {
        let answer = client::try_get(data_plane.traffic(), "/open").ok()?;
        (answer.text() == format!("GET /{number}/open")).then_some(())
    });
}

fn kill(control_plane: &mut ControlPlane) {
    control_plane.program().signal(Signal::KILL);
    let _ = control_plane.program_mut().ended();
}

fn kill_data_plane(mut data_plane: DataPlane) {
    data_plane.program().signal(Signal::KILL);
    let _ = data_plane.program_mut().ended();
}

/// What a data plane says of itself.
fn own_status(data_plane: &DataPlane) -> Value {
    gwctl_json(data_plane.admin(), &["status"])["data_planes"][0].clone()
}

fn metrics(data_plane: &DataPlane) -> String {
    client::get(data_plane.admin(), "/metrics").text()
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("the slot is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("the slot is written");
}

#[test]
fn restarted_without_a_control_plane_it_decides_as_before() {
    let scene = Scene::new();
    let mut control_plane = scene.control_plane();
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.has_slots(1);
    let before = own_status(&data_plane);
    assert_eq!(before["config_source"], "stream");
    kill(&mut control_plane);
    kill_data_plane(data_plane);

    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    let traffic = data_plane.traffic();
    assert_eq!(client::get(traffic, "/closed").status(), 401);
    let limited: Vec<_> = (0..3).map(|_| client::get(traffic, "/limited").status()).collect();
    assert_eq!(limited, [200, 200, 429]);
    assert_eq!(client::get(traffic, "/elsewhere").status(), 404);
    assert_eq!(client::get(data_plane.admin(), "/readyz").status(), 200);
    let after = own_status(&data_plane);
    assert_eq!((&after["config_source"], &after["state"]), (&"disk".into(), &"in_sync".into()));
    assert_eq!((&after["revision"], &after["applied_at"]), (&before["revision"], &before["applied_at"]));
    assert!(after["age_seconds"].is_u64(), "{after}");
    let told = metrics(&data_plane);
    for line in [
        "apigw_config_source{source=\"disk\"} 1",
        "apigw_config_source{source=\"stream\"} 0",
        "apigw_state_write_failures_total 0",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
    }
}

#[test]
fn control_plane_that_returns_is_followed() {
    let scene = Scene::new();
    let mut control_plane = scene.control_plane();
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.has_slots(1);
    kill(&mut control_plane);
    kill_data_plane(data_plane);
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.edit(1);
    let control_plane = scene.control_plane();
    runs(&data_plane, 1);
    eventually("the control plane tells of it", || {
        let status = gwctl_json(control_plane.address(), &["status"]);
        let row = &status["data_planes"][0];
        let is_told = row["state"] == "in_sync" && row["config_source"] == "stream";
        (is_told && row["applied_at"].is_string()).then_some(())
    });
    scene.has_slots(2);
}

#[test]
fn slot_that_is_damaged_gives_way_to_the_one_before() {
    let scene = Scene::new();
    let mut control_plane = scene.control_plane();
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.has_slots(1);
    scene.edit(1);
    runs(&data_plane, 1);
    scene.has_slots(2);
    kill(&mut control_plane);
    kill_data_plane(data_plane);
    damage(&scene.slot("slot-b"));
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    let told =
        data_plane.program().stderr().first(|line| line.contains("is passed over").then(|| line.to_owned()));
    let told = told.expect("damage is told");
    assert!(told.contains("slot-b") && told.contains("checksum"), "{told}");
}

#[test]
fn without_a_whole_slot_it_is_not_ready_until_the_control_plane_returns() {
    let scene = Scene::new();
    let mut control_plane = scene.control_plane();
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.edit(1);
    runs(&data_plane, 1);
    scene.has_slots(2);
    kill(&mut control_plane);
    kill_data_plane(data_plane);
    damage(&scene.slot("slot-a"));
    fs::write(scene.slot("slot-b"), "").expect("the slot is written");

    let data_plane = scene.data_plane();
    let told =
        data_plane.program().stderr().first(|line| line.contains("no configuration was kept").then_some(()));
    assert!(told.is_some(), "it is told");
    assert_eq!(client::get(data_plane.admin(), "/healthz").status(), 200);
    assert_ne!(client::get(data_plane.admin(), "/readyz").status(), 200);
    assert_eq!(own_status(&data_plane)["config_source"], Value::Null);
    let _control_plane = scene.control_plane();
    runs(&data_plane, 1);
    assert_eq!(client::get(data_plane.admin(), "/readyz").status(), 200);
    kill_data_plane(data_plane);
}

#[test]
fn killed_while_configurations_arrive_it_starts_with_one_of_them() {
    let scene = Scene::new();
    let mut number = 0;
    for round in 0..4 {
        let mut control_plane = scene.control_plane();
        let data_plane = scene.data_plane();
        eventually("something runs", || client::try_get(data_plane.traffic(), "/open").ok());
        scene.has_slots(if round == 0 { 1 } else { 2 });
        for _ in 0..4 {
            number += 1;
            scene.edit(number);
            runs(&data_plane, number);
        }
        // The last one is being written, or was, or will never be.
        kill_data_plane(data_plane);
        kill(&mut control_plane);
        let data_plane = scene.data_plane();
        let answer = eventually("something runs", || client::try_get(data_plane.traffic(), "/open").ok());
        assert_eq!(answer.status(), 200);
        let kept = answer.text();
        let candidates: Vec<_> = (0..=number).map(|number| format!("GET /{number}/open")).collect();
        assert!(candidates.contains(&kept), "{kept}");
        kill_data_plane(data_plane);
    }
}

#[test]
fn terminated_data_plane_has_kept_what_it_ran() {
    let scene = Scene::new();
    let mut control_plane = scene.control_plane();
    for number in 1..=3 {
        scene.edit(number);
        let mut data_plane = scene.data_plane();
        runs(&data_plane, number);
        data_plane.program().signal(Signal::TERM);
        assert_eq!(data_plane.program_mut().ended().code(), Some(0));
    }
    kill(&mut control_plane);
    runs(&scene.data_plane(), 3);
}

#[test]
fn state_directory_that_was_named_and_cannot_be_used_ends_the_start() {
    let scene = Scene::new();
    let fails = |directory: &Path, about: &str| {
        let path = directory.display().to_string();
        let url = format!("http://{}", scene.address);
        let arguments = ["--control-plane", &url, "--admin-listen", "127.0.0.1:0", "--state-dir", &path];
        let finished = Programs::built().output("dataplane", &arguments);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let last = finished.stderr.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("dataplane: ") && last.contains(about) && last.contains(&path), "{last}");
    };
    fails(&scene.file.path().join("beneath-a-file"), "cannot create the state directory");
    let data_plane = scene.data_plane();
    let taken = |line: &str| line.contains("state directory").then_some(());
    data_plane.program().stderr().first(taken).expect("it tells where it keeps its state");
    fails(scene.state.path(), "is another process's");
}

#[test]
fn disk_that_fails_is_counted_and_costs_no_edit() {
    let scene = Scene::new();
    let _control_plane = scene.control_plane();
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.has_slots(1);
    fs::remove_dir_all(scene.state.path()).expect("the directory is there");
    scene.edit(1);
    runs(&data_plane, 1);
    eventually("the failure is counted", || {
        let told = metrics(&data_plane);
        told.lines().any(|line| line == "apigw_state_write_failures_total 1").then_some(())
    });
    fs::create_dir(scene.state.path()).expect("there is room");
    scene.edit(2);
    runs(&data_plane, 2);
    scene.has_slots(1);
}

#[test]
fn control_plane_that_started_earlier_is_followed_when_the_later_one_is_gone() {
    let scene = Scene::new();
    let earlier = scene.control_plane();
    eventually("it has published", || {
        let status = gwctl_json(earlier.address(), &["status"]);
        status["control_plane"]["revision"].is_object().then_some(())
    });
    let later_file = ConfigFile::new(document(&scene.upstream, 5));
    let mut later = ControlPlane::start(later_file.path());
    let data_plane = DataPlane::start_in(scene.state.path(), Source::ControlPlane(later.address()));
    runs(&data_plane, 5);
    scene.has_slots(1);
    kill(&mut later);
    kill_data_plane(data_plane);
    // Restarted from its disk it knows what ran; the earlier control plane counts on from there.
    let data_plane = scene.data_plane();
    runs(&data_plane, 0);
    scene.edit(6);
    runs(&data_plane, 6);
    let status = gwctl_json(earlier.address(), &["status"]);
    assert_eq!(status["data_planes"][0]["problems"], serde_json::json!([]), "{status}");
}
