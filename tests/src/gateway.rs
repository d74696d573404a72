//! Gateways as users run them: a data plane with a file, or a control plane with data planes behind it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{self, Response},
    configuration::{ConfigFile, Document},
    metrics::Metrics,
    origin::Origin,
    programs::{Finished, Programs, Running},
    waiting::{eventually, within},
};

/// The admin key of data planes that have one.
pub const ADMIN_KEY: &str = "admin-key-of-a-test";

/// Where a data plane has its configuration from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// `--config FILE`.
    File(&'a Path),
    /// `--control-plane URL`.
    ControlPlane(SocketAddr),
}

/// A running data plane with ports of the system's choice and a state directory of its own.
#[derive(Debug)]
pub struct DataPlane {
    program: Running,
    /// None: it is the test's, for the next one to find.
    _state: Option<TempDir>,
}

impl DataPlane {
    /// Starts one and waits until it answers for its health.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(source: Source<'_>) -> Self {
        Self::start_with(source, &["--listen", "127.0.0.1:0"])
    }

    /// Starts one with these further flags.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(source: Source<'_>, flags: &[&str]) -> Self {
        Self::start_as(source, |command| command.args(flags))
    }

    /// Starts one that shows its `/-/...` to whoever has the [`ADMIN_KEY`].
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with_key(source: Source<'_>) -> Self {
        Self::start_as(source, |command| {
            command.args(["--listen", "127.0.0.1:0"]).env("APIGW_ADMIN_KEY", ADMIN_KEY)
        })
    }

    /// Starts one that keeps its state where another may have left it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_in(state: &Path, source: Source<'_>) -> Self {
        let mut command = data_plane(source, state);
        command.args(["--listen", "127.0.0.1:0"]);
        let program = Running::start(command).unwrap_or_else(|error| panic!("{error}"));
        Self { program, _state: None }
    }

    /// Starts one by a command that is changed first; it has no `--listen` yet.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_as(source: Source<'_>, change: impl Fn(&mut Command) -> &mut Command) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut command = data_plane(source, state.path());
        change(&mut command);
        let program = Running::start(command).unwrap_or_else(|error| panic!("{error}"));
        Self { program, _state: Some(state) }
    }

    /// Where it takes traffic.
    ///
    /// # Panics
    /// When it has not said so.
    #[must_use]
    pub fn traffic(&self) -> SocketAddr {
        self.listening("traffic")
    }

    /// Where it answers for itself, by HTTP and gRPC.
    ///
    /// # Panics
    /// When it has not said so.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.listening("admin")
    }

    fn listening(&self, purpose: &str) -> SocketAddr {
        self.program.listening(purpose).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The process.
    #[must_use]
    pub fn program(&self) -> &Running {
        &self.program
    }

    /// The process, to end it.
    pub fn program_mut(&mut self) -> &mut Running {
        &mut self.program
    }

    /// The access log's line about the request with this id; waits for it.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn access(&self, request_id: &str) -> Value {
        let about = |line: &str| crate::log::event(line).filter(|event| event["rid"] == request_id);
        let line = self.program.stdout().first(about);
        line.unwrap_or_else(|| panic!("no line in the access log has the request id {request_id}"))
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(self.admin())
    }

    /// What an admin endpoint says to whoever has the [`ADMIN_KEY`].
    ///
    /// # Panics
    /// When that is not a 200 with JSON.
    #[must_use]
    pub fn says(&self, path: &str) -> Value {
        let answer = client::get_with(self.admin(), path, &format!("X-Admin-Key: {ADMIN_KEY}\r\n"));
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The row of `/-/limits` about a route.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn limits(&self, route: &str) -> Value {
        let rows = self.says("/-/limits");
        let row = rows.as_array().into_iter().flatten().find(|row| row["route"] == route).cloned();
        row.unwrap_or_else(|| panic!("no row is about {route}: {rows}"))
    }

    /// Memory in use, in bytes.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.program.resident_bytes()
    }

    /// Waits until a path is answered with 200, and gives that answer.
    ///
    /// # Panics
    /// When it is not before the deadline.
    #[must_use]
    pub fn serves(&self, path: &str) -> Response {
        let address = self.traffic();
        eventually(&format!("{path} is served"), || {
            client::try_get(address, path).ok().filter(|answer| answer.status() == 200)
        })
    }
}

/// The command that runs a data plane, without `--listen`.
fn data_plane(source: Source<'_>, state: &Path) -> Command {
    let mut command = Programs::built().command("dataplane");
    match source {
        Source::File(path) => command.arg("--config").arg(path),
        Source::ControlPlane(address) => command.args(["--control-plane", &format!("http://{address}")]),
    };
    command.args(["--admin-listen", "127.0.0.1:0"]).env("APIGW_STATE_DIR", state);
    command
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    program: Running,
}

impl ControlPlane {
    /// Starts one on a port of the system's choice.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(file: &Path) -> Self {
        Self::start_on(file, "127.0.0.1:0")
    }

    /// Starts one on this address. Its state is beside the file, so that the next one with this file goes on with it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_on(file: &Path, address: &str) -> Self {
        Self::of(control_plane(file, address))
    }

    /// Starts one on a port of the system's choice by a command that is changed first.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_as(file: &Path, change: impl Fn(&mut Command) -> &mut Command) -> Self {
        let mut command = control_plane(file, "127.0.0.1:0");
        change(&mut command);
        Self::of(command)
    }

    fn of(command: Command) -> Self {
        Self { program: Running::start(command).unwrap_or_else(|error| panic!("{error}")) }
    }

    /// Where it speaks gRPC.
    ///
    /// # Panics
    /// When it has not said so.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.program.listening("grpc").unwrap_or_else(|error| panic!("{error}"))
    }

    /// The process.
    #[must_use]
    pub fn program(&self) -> &Running {
        &self.program
    }

    /// The process, to end it.
    pub fn program_mut(&mut self) -> &mut Running {
        &mut self.program
    }
}

/// The command that runs a control plane.
fn control_plane(file: &Path, address: &str) -> Command {
    let mut command = Programs::built().command("controlplane");
    command.arg("--config").arg(file).args(["--listen", address]);
    command.arg("--state-dir").arg(state_directory(file));
    command
}

/// Where a control plane with this file keeps its state.
#[must_use]
pub fn state_directory(file: &Path) -> PathBuf {
    file.with_extension("state")
}

/// A file and a data plane that runs it.
#[derive(Debug)]
pub struct Gateway {
    /// The file.
    pub file: ConfigFile,
    /// The data plane.
    pub data_plane: DataPlane,
}

impl Gateway {
    /// Starts a data plane with a file of this text; it listens on loopback, whatever the file says.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn standalone(text: impl std::fmt::Display) -> Self {
        let file = ConfigFile::new(text);
        let data_plane = DataPlane::start(Source::File(file.path()));
        let gateway = Self { file, data_plane };
        gateway.is_ready();
        gateway
    }

    /// The same with an admin key, the [`ADMIN_KEY`].
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn with_key(text: impl std::fmt::Display) -> Self {
        let file = ConfigFile::new(text);
        let data_plane = DataPlane::start_with_key(Source::File(file.path()));
        let gateway = Self { file, data_plane };
        gateway.is_ready();
        gateway
    }

    /// Saves a file with a further route to this upstream, and waits until that route is served: by then, all of the file
    /// is in force.
    pub fn edit(&self, text: &Document, upstream: &Origin) {
        static EDITS: AtomicUsize = AtomicUsize::new(0);
        let path = format!("/edit-{}", EDITS.fetch_add(1, Ordering::Relaxed));
        self.file.save(text.clone().route("edit", &path, upstream.url()));
        let _ = self.data_plane.serves(&path);
    }

    /// Where it takes traffic.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.data_plane.traffic()
    }

    fn is_ready(&self) {
        let admin = self.data_plane.admin();
        eventually("the data plane is ready", || {
            client::try_get(admin, "/readyz").ok().filter(|answer| answer.status() == 200)
        });
    }
}

/// A control plane and its data planes.
#[derive(Debug)]
pub struct Fleet {
    /// The file.
    pub file: ConfigFile,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// The data planes.
    pub data_planes: Vec<DataPlane>,
}

impl Fleet {
    /// Starts a control plane with a file of this text and so many data planes, and waits until all run it.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn start(text: impl std::fmt::Display, data_planes: usize) -> Self {
        let file = ConfigFile::new(text);
        let control_plane = ControlPlane::start(file.path());
        let address = control_plane.address();
        let data_planes = (0..data_planes).map(|_| DataPlane::start(Source::ControlPlane(address))).collect();
        let fleet = Self { file, control_plane, data_planes };
        let _ = fleet.synchronised();
        fleet
    }

    /// What `gwctl status` says.
    #[must_use]
    pub fn status(&self) -> Value {
        gwctl_json(self.control_plane.address(), &["status"])
    }

    /// Waits until every data plane runs the newest revision, and gives that status.
    ///
    /// # Panics
    /// When they do not before the deadline.
    #[must_use]
    pub fn synchronised(&self) -> Value {
        let count = self.data_planes.len();
        let last = Mutex::new(Value::Null);
        let reached = within(crate::waiting::DEADLINE, || {
            let status = self.status();
            let planes = status["data_planes"].as_array().cloned().unwrap_or_default();
            let newest = &status["control_plane"]["revision"];
            let runs_it = |plane: &Value| plane["state"] == "in_sync" && plane["revision"] == *newest;
            let reached = planes.iter().filter(|plane| runs_it(plane)).count() == count && !newest.is_null();
            if let Ok(mut last) = last.lock() {
                last.clone_from(&status);
            }
            reached.then_some(status)
        });
        reached.unwrap_or_else(|| panic!("the data planes are not in sync: {last:#?}"))
    }
}

/// Runs `gwctl` against an address.
#[must_use]
pub fn gwctl(endpoint: SocketAddr, arguments: &[&str]) -> Finished {
    let endpoint = format!("http://{endpoint}");
    Programs::built().output("gwctl", &[&["--endpoint", &endpoint], arguments].concat())
}

/// Runs `gwctl -o json` against an address and reads what it says.
///
/// # Panics
/// When it fails or writes no JSON.
#[must_use]
pub fn gwctl_json(endpoint: SocketAddr, arguments: &[&str]) -> Value {
    let finished = gwctl(endpoint, &[&["-o", "json"], arguments].concat());
    assert_eq!(finished.code, Some(0), "gwctl {arguments:?} failed: {finished:?}");
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// A moment in which nothing is expected to happen: long enough for what must not happen to show, where there is no
/// event to wait for.
pub const A_WHILE: Duration = Duration::from_millis(700);
