//! Files of API keys and users beside a configuration: one comes before the other, is mended after it, or broken under it.

use std::{fs, net::SocketAddr, path::PathBuf};

use apigw_tests::{
    client,
    configuration::{ConfigFile, Document},
    gateway::{ControlPlane, DataPlane, Gateway, Source, gwctl_json},
    log,
    origin::Origin,
    programs::Programs,
    waiting::eventually,
};
use serde_json::Value;

use crate::callers::{BILLING, KEYS};

/// A configuration and a place for the file of keys that it names.
struct Scene {
    origin: Origin,
    config: ConfigFile,
    keys: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (origin, config) = (Origin::saying("in"), ConfigFile::new(""));
        let keys = config.directory().join("keys.yaml");
        Self { origin, config, keys }
    }

    /// A route at this path, for those who have a key.
    fn keyed(&self, path: &str) -> Document {
        Document::new()
            .auth(&format!("api_keys: {{ file: \"{}\" }}", self.keys.display()))
            .route("keyed", path, self.origin.url())
            .with("auth_required: true")
            .with("auth: { any: [api_key] }")
    }

    fn open(&self) -> Document {
        Document::new().route("open", "/open", self.origin.url())
    }

    fn keys_say(&self, text: &str) {
        fs::write(&self.keys, text).expect("the file is written");
    }
}

fn lets_in(data_plane: &DataPlane, path: &str) {
    eventually(&format!("{path} lets a key in"), || {
        let answer = client::get_with(data_plane.traffic(), path, BILLING);
        (answer.status() == 200).then_some(())
    });
}

/// Waits until the only data plane is in this state.
fn shows(endpoint: SocketAddr, state: &str) -> Value {
    eventually(&format!("the data plane is {state}"), || {
        let row = gwctl_json(endpoint, &["status"])["data_planes"][0].clone();
        (row["state"] == state).then_some(row)
    })
}

#[test]
fn a_revision_that_comes_before_its_file_of_keys_runs_when_that_comes() {
    let scene = Scene::new();
    scene.config.save(scene.keyed("/keyed"));
    let control_plane = ControlPlane::start(scene.config.path());
    let data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    let refused = shows(control_plane.address(), "rejected");
    assert!(refused["problems"].to_string().contains("auth.api_keys.file"), "{refused}");

    scene.keys_say("keys: []\n");
    scene.keys_say(KEYS);
    lets_in(&data_plane, "/keyed");
    let row = shows(control_plane.address(), "in_sync");
    assert_eq!((&row["config_source"], &row["revision"]["seq"]), (&"stream".into(), &1.into()));
    assert_eq!(client::get(data_plane.admin(), "/readyz").status(), 200);
}

#[test]
fn what_waits_for_a_file_is_given_up_for_what_comes_after_it() {
    let scene = Scene::new();
    scene.config.save(scene.open());
    let control_plane = ControlPlane::start(scene.config.path());
    let data_plane = DataPlane::start(Source::ControlPlane(control_plane.address()));
    let _ = data_plane.serves("/open");
    scene.config.save(scene.keyed("/keyed"));
    let _ = shows(control_plane.address(), "rejected");
    scene.config.save(scene.open().route("newer", "/newer", scene.origin.url()));
    let _ = data_plane.serves("/newer");

    scene.keys_say(KEYS);
    // What takes the file up is behind whatever the file before it led to.
    scene.config.save(scene.keyed("/again"));
    lets_in(&data_plane, "/again");
    let row = shows(control_plane.address(), "in_sync");
    assert_eq!(row["revision"]["seq"], 4);
    assert_eq!(client::get(data_plane.traffic(), "/keyed").status(), 404);
}

#[test]
fn what_was_kept_waits_for_its_file_of_keys_while_no_control_plane_answers() {
    let scene = Scene::new();
    scene.config.save(scene.keyed("/keyed"));
    scene.keys_say(KEYS);
    let state = tempfile::tempdir().expect("a temporary directory");
    let control_plane = ControlPlane::start(scene.config.path());
    let address = control_plane.address();
    let data_plane = DataPlane::start_in(state.path(), Source::ControlPlane(address));
    lets_in(&data_plane, "/keyed");
    let before = shows(address, "in_sync");
    eventually("it is kept", || state.path().join("slot-a").exists().then_some(()));
    drop((control_plane, data_plane));
    fs::remove_file(&scene.keys).expect("it was there");

    let data_plane = DataPlane::start_in(state.path(), Source::ControlPlane(address));
    let _ = shows(data_plane.admin(), "rejected");
    assert_ne!(client::get(data_plane.admin(), "/readyz").status(), 200, "there is nothing to run");
    scene.keys_say(KEYS);
    lets_in(&data_plane, "/keyed");
    let after = shows(data_plane.admin(), "in_sync");
    assert_eq!((&after["config_source"], &after["revision"]), (&"disk".into(), &before["revision"]));
    assert_eq!(after["applied_at"], before["applied_at"], "a restart does not make it younger");
}

#[test]
fn an_edit_of_the_configuration_before_its_file_of_keys_counts_when_that_comes() {
    let scene = Scene::new();
    let gateway = Gateway::standalone(scene.open());
    gateway.file.save(scene.keyed("/keyed"));
    eventually("it is refused", || {
        let status = gwctl_json(gateway.data_plane.admin(), &["status"]);
        (status["data_planes"][0]["state"] == "rejected").then_some(())
    });
    scene.keys_say(KEYS);
    lets_in(&gateway.data_plane, "/keyed");
}

#[test]
fn an_edit_over_a_broken_file_of_keys_counts_and_is_told_of() {
    let scene = Scene::new();
    scene.keys_say(KEYS);
    let gateway = Gateway::standalone(scene.keyed("/before"));
    lets_in(&gateway.data_plane, "/before");
    let failures = |count: u64| {
        eventually(&format!("{count} failures are counted"), || {
            let metrics = gateway.data_plane.metrics();
            let counted = metrics.count("apigw_credential_file_failures_total", &[("file", "api_keys")]);
            (counted == count).then_some(())
        });
    };
    scene.keys_say("keys: [\n");
    failures(1);

    gateway.file.save(scene.keyed("/after"));
    lets_in(&gateway.data_plane, "/after");
    failures(2);
    let told = gateway.data_plane.program().stderr().first(|line| {
        let event = log::event(line)?;
        let message = "a configuration came into force with what a file of credentials said before";
        (event["message"] == message).then_some(event)
    });
    let told = told.expect("the log tells of it");
    assert!(told["level"] == "ERROR" && told["problem"].to_string().contains("keys.yaml:"), "{told}");
    let path = gateway.file.path().display().to_string();
    let validated = Programs::built().output("gwctl", &["validate", &path]);
    assert_eq!(validated.code, Some(1), "{validated:?}");
}
