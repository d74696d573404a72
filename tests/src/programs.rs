//! apigw's programs: built once, started as a user starts them, ended by their process id.
//!
//! What a program says is kept line by line; when a test fails, it is shown. No program outlives its [`Running`].

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, OnceLock},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    lines::Lines,
    process::Memory,
    waiting::{DEADLINE, within},
};

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The running executable is not where cargo puts what it builds.
    #[error("cannot tell where cargo builds from the place of {}", executable.display())]
    NotUnderCargo {
        /// The running executable.
        executable: PathBuf,
    },
    /// The programs could not be built; cargo has said why.
    #[error("cargo could not build the programs")]
    NotBuilt,
    /// The system did not start it.
    #[error("cannot start {program}: {source}")]
    NotStarted {
        /// Its name.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It did not say where it listens.
    #[error("{program} did not say where it listens for {purpose}; it said:\n{said}")]
    NotListening {
        /// Its name.
        program: String,
        /// `traffic`, `admin`, `grpc`, ...
        purpose: String,
        /// Its stderr.
        said: String,
    },
}

/// Whether cargo tells how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On stderr.
    Shown,
    /// Only what is wrong is told.
    Hidden,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The programs, built in the profile of the running executable; cargo is asked once.
    ///
    /// # Panics
    /// When they cannot be built.
    pub fn built() -> &'static Self {
        static BUILT: OnceLock<Programs> = OnceLock::new();
        BUILT.get_or_init(|| Self::build(Progress::Hidden).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Has cargo build the programs in the profile of the running executable.
    ///
    /// # Errors
    /// When the executable is not under a cargo target directory, or cargo fails.
    pub fn build(progress: Progress) -> Result<Self, ProgramError> {
        let executable = env::current_exe().unwrap_or_default();
        let not_under_cargo = || ProgramError::NotUnderCargo { executable: executable.clone() };
        let directory = directory_of(&executable).ok_or_else(not_under_cargo)?;
        let target = directory.parent().ok_or_else(not_under_cargo)?;
        let profile = match directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(profile) => profile,
            None => return Err(not_under_cargo()),
        };
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let status = Command::new(cargo)
            .args(["build", "--workspace", "--bins", "--locked", "--profile", profile])
            .args((progress == Progress::Hidden).then_some("--quiet"))
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status();
        match status {
            Ok(status) if status.success() => Ok(Self { directory: directory.into() }),
            Ok(_) => Err(ProgramError::NotBuilt),
            Err(source) => Err(ProgramError::NotStarted { program: "cargo".into(), source }),
        }
    }

    /// The programs beside the running executable, as they are.
    ///
    /// # Errors
    /// When the system does not say where the executable is.
    pub fn beside() -> Result<Self, ProgramError> {
        let executable = env::current_exe().unwrap_or_default();
        match directory_of(&executable) {
            Some(directory) => Ok(Self { directory: directory.into() }),
            None => Err(ProgramError::NotUnderCargo { executable }),
        }
    }

    /// Where a program is, or another file beside the programs.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A program, with nothing of apigw's in its environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        clean_command(&self.path(program))
    }

    /// Runs a program that ends by itself, such as `gwctl`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn output(&self, program: &str, arguments: &[&str]) -> Finished {
        let output = self.command(program).args(arguments).stdin(Stdio::null()).output();
        output.unwrap_or_else(|error| panic!("cannot start {program}: {error}")).into()
    }
}

/// TARGET/PROFILE of TARGET/PROFILE/demo or TARGET/PROFILE/deps/e2e-HASH.
fn directory_of(executable: &Path) -> Option<&Path> {
    let directory = executable.parent()?;
    if directory.ends_with("deps") { directory.parent() } else { Some(directory) }
}

/// A program of apigw, wherever it is, with nothing of apigw's in its environment.
#[must_use]
pub fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"APIGW_") || bytes == b"RUST_LOG" || bytes == b"NO_COLOR" {
            command.env_remove(name);
        }
    }
    command
}

/// What a program left that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start(command: Command) -> Result<Self, ProgramError> {
        Self::start_on(command, Stdio::piped())
    }

    /// Starts a program whose stdout is somewhere else, where it is not gathered.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start_on(mut command: Command, stdout: Stdio) -> Result<Self, ProgramError> {
        let name = PathBuf::from(command.get_program()).file_name().unwrap_or_default().display().to_string();
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|source| ProgramError::NotStarted { program: name.clone(), source })?;
        let stdout = gather(child.stdout.take());
        let stderr = gather(child.stderr.take());
        Ok(Self { name, child, stdout, stderr })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout so far, and will write.
    #[must_use]
    pub fn stdout(&self) -> &Arc<Lines> {
        &self.stdout
    }

    /// What it wrote to stderr so far, and will write.
    #[must_use]
    pub fn stderr(&self) -> &Arc<Lines> {
        &self.stderr
    }

    /// Where it listens, as it says itself in its log: the first address for this purpose.
    ///
    /// # Errors
    /// When it has not said so before the deadline.
    pub fn listening(&self, purpose: &str) -> Result<SocketAddr, ProgramError> {
        self.listening_after(purpose, 0)
    }

    /// Where it listens after it has listened on `earlier` addresses for this purpose.
    ///
    /// # Errors
    /// When it has not said so before the deadline.
    pub fn listening_after(&self, purpose: &str, earlier: usize) -> Result<SocketAddr, ProgramError> {
        let address = |line: &str| {
            let event = crate::log::event(line)?;
            let is_wanted = event["message"] == "listening" && event["purpose"] == purpose;
            is_wanted.then(|| event["address"].as_str()?.parse().ok()).flatten()
        };
        self.stderr.nth(earlier, address).ok_or_else(|| ProgramError::NotListening {
            program: self.name.clone(),
            purpose: purpose.into(),
            said: self.stderr.all().join("\n"),
        })
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone already.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Memory in use, in bytes.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        Memory::of(self.pid()).resident
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not before the deadline.
    pub fn ended(&mut self) -> ExitStatus {
        let status = within(DEADLINE, || self.child.try_wait().ok().flatten());
        status.unwrap_or_else(|| panic!("{} has not ended", self.name))
    }

    /// Its exit status, when it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its name and process id.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} ({})", self.name, self.pid())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL: what a program does on SIGTERM is for a test to ask, not for cleaning up to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            for (stream, lines) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
                let last = lines.last(40);
                eprintln!(
                    "--- last {} lines of {} to {stream}\n{}",
                    last.len(),
                    self.title(),
                    last.join("\n")
                );
            }
        }
    }
}

/// Reads a stream to its end, in a thread of its own, so that the program never waits for its reader.
pub(crate) fn gather<R: Read + Send + 'static>(stream: Option<R>) -> Arc<Lines> {
    let lines = Arc::new(Lines::default());
    if let Some(stream) = stream {
        let gathered = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                gathered.push(String::from_utf8_lossy(&line).into_owned());
            }
            gathered.close();
        });
    }
    lines
}
