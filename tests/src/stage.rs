//! The demo's processes: two upstreams, an issuer of tokens, a control plane and a data plane, all on loopback.
//!
//! They run the model's example file, with nothing changed but the addresses of what is behind the gateway.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    client,
    programs::{ProgramError, Programs, Running},
    waiting::{DEADLINE, within},
};

/// Why the stage is not set.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A program does not run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The example cannot be copied.
    #[error("cannot copy the example to {}", path.display())]
    File {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The data plane has not taken the configuration.
    #[error("the data plane is not ready; it said:\n{said}")]
    NotReady {
        /// Its log.
        said: String,
    },
}

/// Which ports the stage uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Those of the example and the defaults, where they are free.
    Usual,
    /// Any that are free.
    Any,
}

impl Ports {
    /// A loopback address: with this port where it is wanted and free, else with one of the system's choice.
    fn address(self, usual: u16) -> String {
        let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).is_ok();
        let port = if self == Self::Usual && is_free() { usual } else { 0 };
        format!("127.0.0.1:{port}")
    }
}

/// The running processes. All end when it is dropped.
#[derive(Debug)]
pub struct Stage {
    /// The configuration file, which may be edited.
    pub file: PathBuf,
    /// Where `gwctl` is.
    pub gwctl: PathBuf,
    /// Where the gateway takes traffic.
    pub traffic: SocketAddr,
    /// Where the data plane answers for itself.
    pub admin: SocketAddr,
    /// Where the control plane speaks gRPC.
    pub control_plane: SocketAddr,
    /// Where tokens are issued.
    pub issuer: SocketAddr,
    /// The upstream of route `users`.
    pub users: SocketAddr,
    /// The upstream of route `public`.
    pub public: SocketAddr,
    /// In the order they end: the data plane first, so that it drains while its upstreams are there.
    processes: Vec<Running>,
}

const EXAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/config.example.yaml"));

impl Stage {
    /// Starts everything and waits until traffic flows. The copy of the example goes to `directory`.
    ///
    /// # Errors
    /// When a program does not start, or the copy cannot be written.
    pub fn set(programs: &Programs, directory: &Path, ports: Ports) -> Result<Self, StageError> {
        let start = |program: &str, arguments: &[&str]| {
            let mut command = programs.command(program);
            command.args(arguments);
            Running::start(command)
        };
        let users = start("upstream", &["--addr", &ports.address(9001), "--name", "users"])?;
        let public = start("upstream", &["--addr", &ports.address(9999), "--name", "public"])?;
        let issuer = start("jwksmock", &["--addr", &ports.address(9009), "--iss", ISSUER])?;
        let users_address = users.listening("upstream")?;
        let public_address = public.listening("upstream")?;
        let issuer_address = issuer.listening("jwks")?;

        let file = directory.join("gateway.yaml");
        let text = EXAMPLE
            .replace("http://127.0.0.1:9001", &format!("http://{users_address}"))
            .replace("http://127.0.0.1:9999", &format!("http://{public_address}"))
            .replace("http://127.0.0.1:9009/", &format!("http://{issuer_address}/"));
        let written = fs::create_dir_all(directory).and_then(|()| fs::write(&file, text));
        written.map_err(|source| StageError::File { path: file.clone(), source })?;

        let path = file.display().to_string();
        let history = directory.join("history").display().to_string();
        let listen = ports.address(9090);
        let control_plane =
            start("controlplane", &["--config", &path, "--listen", &listen, "--state-dir", &history])?;
        let control_plane_address = control_plane.listening("grpc")?;
        let mut data_plane = programs.command("dataplane");
        data_plane
            .args(["--control-plane", &format!("http://{control_plane_address}")])
            .args(["--listen", &ports.address(8080), "--admin-listen", &ports.address(9901)])
            .env("APIGW_STATE_DIR", directory.join("state"));
        let data_plane = Running::start(data_plane)?;
        let stage = Self {
            file,
            gwctl: programs.path("gwctl"),
            traffic: data_plane.listening("traffic")?,
            admin: data_plane.listening("admin")?,
            control_plane: control_plane_address,
            issuer: issuer_address,
            users: users_address,
            public: public_address,
            processes: vec![data_plane, control_plane, issuer, public, users],
        };
        stage.await_readiness()?;
        Ok(stage)
    }

    fn await_readiness(&self) -> Result<(), StageError> {
        let ready = within(DEADLINE, || {
            let answer = client::try_get(self.admin, "/readyz").ok()?;
            (answer.status() == 200).then_some(())
        });
        ready.ok_or_else(|| StageError::NotReady { said: self.data_plane().stderr().last(20).join("\n") })
    }

    /// The data plane's process.
    #[must_use]
    pub fn data_plane(&self) -> &Running {
        &self.processes[0]
    }

    /// What each process is, with its process id.
    pub fn titles(&self) -> impl Iterator<Item = String> {
        self.processes.iter().map(Running::title)
    }

    /// The process that has ended although it should not, with the last it said.
    pub fn fallen(&mut self) -> Option<String> {
        let fallen =
            self.processes.iter_mut().find_map(|process| process.status().is_some().then_some(process))?;
        Some(format!("{} has ended:\n{}", fallen.title(), fallen.stderr().last(5).join("\n")))
    }

    /// Asks all to end, gives them a moment, and ends those that have not.
    pub fn end(mut self) {
        const MOMENT: Duration = Duration::from_secs(5);
        let began = Instant::now();
        for process in &mut self.processes {
            if process.status().is_none() {
                process.signal(Signal::TERM);
            }
        }
        while began.elapsed() < MOMENT && self.processes.iter_mut().any(|process| process.status().is_none())
        {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the tokens say of their issuer: as the example expects, wherever the issuer listens.
const ISSUER: &str = "http://127.0.0.1:9009";
