//! A real server of its own for a test: on a port from the system, in a directory that goes with it.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
};

use apigw_config::{
    model::{MaxKeys, RedisFailure, RedisServers, RedisTransport},
    names::{KeyPrefix, Period, ServerAddress},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::*;

/// How often a port that somebody else took meanwhile is replaced by another.
const ATTEMPTS: usize = 5;

pub(super) struct Server {
    pub(super) port: u16,
    arguments: Vec<String>,
    child: Child,
    directory: TempDir,
}

/// Ports nobody listens on at this moment, all different.
pub(super) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// With further arguments, which may depend on the port.
    pub(super) fn start_with(arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let started = (0..ATTEMPTS).find_map(|_| {
            let [port] = free_ports();
            let arguments = arguments(port);
            launch(port, &arguments, &directory).map(|child| (port, arguments, child))
        });
        let (port, arguments, child) =
            started.expect("redis-server starts; Debian has it in the package redis-server");
        Self { port, arguments, child, directory }
    }

    /// Kills the server, as a crash would.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub(super) fn restart(&mut self) {
        self.child = launch(self.port, &self.arguments, &self.directory).expect("redis-server starts again");
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// A connection past everything that is tested.
    pub(super) fn admin(&self) -> redis::Connection {
        redis::Client::open(("127.0.0.1", self.port)).unwrap().get_connection().unwrap()
    }

    pub(super) fn backend(&self) -> RedisBackend {
        backend(RedisServers::single(vec![address(self.port)], 0).unwrap())
    }
}

/// As the file would have it, but for a deadline that no busy machine misses.
pub(super) fn backend(servers: RedisServers) -> RedisBackend {
    RedisBackend {
        servers,
        credentials: None,
        transport: RedisTransport::Plain,
        timeout: Period::seconds(2),
        on_failure: RedisFailure::Local,
        key_prefix: KeyPrefix::default(),
        local_max_keys: MaxKeys::default(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn address(port: u16) -> ServerAddress {
    ServerAddress::new(&format!("127.0.0.1:{port}")).unwrap()
}

/// Starts a server and waits until it says that it accepts connections. None when it ends instead.
fn launch(port: u16, arguments: &[String], directory: &TempDir) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    if lines.any(|line| line.contains("Ready to accept connections")) {
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        return Some(child);
    }
    let _ = child.wait();
    None
}
