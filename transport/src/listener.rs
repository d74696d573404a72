//! A bound address: a port, or a socket file that is there as long as this is.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::{
    address::{Address, SocketPath},
    credentials::{Credentials, Unguarded},
    stream::{Peer, Stream},
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// A socket file is for its owner.
const SOCKET_MODE: u32 = 0o600;

/// Why an address is not opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Whoever reaches it could read the whole configuration, its secrets included.
    #[error(transparent)]
    Unguarded(#[from] Unguarded),
    /// The system does not give it.
    #[error("cannot listen on {address}")]
    Listen {
        /// As written.
        address: Address,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Somebody answers there.
    #[error("cannot listen on {path}: a running program does")]
    InUse {
        /// As written.
        path: SocketPath,
    },
    /// What is there is no socket, and somebody's.
    #[error("cannot listen on {path}: there is a file, and it is no socket")]
    NotASocket {
        /// As written.
        path: SocketPath,
    },
}

/// What was bound.
#[derive(Debug)]
pub struct Listener {
    /// First, so that it goes while the socket still keeps its identity from being another's.
    file: Option<SocketFile>,
    socket: ListeningSocket,
    bound: Bound,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What was bound: where the port was left to the system, the one it chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(SocketPath),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

impl Listener {
    /// Binds an address, on a runtime. A socket file that a dead program left is replaced.
    ///
    /// # Errors
    /// When it cannot be had, or strangers could use it.
    pub fn bind(address: &Address, credentials: &Credentials) -> Result<Self, BindError> {
        credentials.guard(address)?;
        let listen = |source| BindError::Listen { address: address.clone(), source };
        match address {
            Address::Tcp(tcp) => {
                let port = tcp.port();
                let socket = match tcp.address() {
                    Some(ip) => listen_tcp(SocketAddr::new(ip, port)),
                    None => listen_everywhere(port),
                };
                let socket = socket.map_err(listen)?;
                let bound = Bound::Tcp(socket.local_addr().map_err(listen)?);
                Ok(Self { socket: ListeningSocket::Tcp(socket), bound, file: None })
            }
            Address::Unix(path) => {
                clear(path)?;
                let (socket, file) = listen_unix(path.as_path()).map_err(listen)?;
                let bound = Bound::Unix(path.clone());
                Ok(Self { socket: ListeningSocket::Unix(socket), bound, file: Some(file) })
            }
        }
    }

    /// What was bound.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The socket file, for whoever sees to its removal; once, and none of a port.
    pub fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            ListeningSocket::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                without_delay(&stream);
                Ok((Stream::Plain(stream), Peer::Tcp(address)))
            }
            ListeningSocket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Small messages go at once.
pub(crate) fn without_delay(stream: &TcpStream) {
    // A connection that does not take the option is broken, and says so when it is used.
    let _ = stream.set_nodelay(true);
}

/// Every interface: both families where the machine has both.
fn listen_everywhere(port: u16) -> io::Result<TcpListener> {
    let any = |ip: IpAddr| listen_tcp(SocketAddr::new(ip, port));
    any(Ipv6Addr::UNSPECIFIED.into()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => any(Ipv4Addr::UNSPECIFIED.into()),
    })
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted program takes its port at once; two running ones do not share it.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn listen_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::at(path)?;
    // Before anybody can connect, which begins with `listen`.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes what a dead program left. Whether one is dead is known by nobody answering.
fn clear(path: &SocketPath) -> Result<(), BindError> {
    let Ok(metadata) = fs::symlink_metadata(path.as_path()) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.clone() });
    }
    match std::os::unix::net::UnixStream::connect(path.as_path()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let failed = |source| BindError::Listen { address: Address::Unix(path.clone()), source };
            fs::remove_file(path.as_path()).map_err(failed)
        }
        // Also where it cannot be asked: what is not known to be dead is left alone.
        _ => Err(BindError::InUse { path: path.clone() }),
    }
}

/// A socket file, removed when this is dropped, unless another program has put its own there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // What cannot be removed is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> Result<Listener, BindError> {
        let address = Address::Unix(SocketPath::new(path).unwrap());
        Listener::bind(&address, &Credentials::default())
    }

    #[tokio::test]
    async fn a_socket_file_is_its_owners_and_goes_with_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_programs_socket_is_replaced_and_a_live_ones_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        // What a killed program leaves.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(BindError::InUse { .. })));
        assert!(path.exists(), "the refused one took nothing along");
        drop(listener);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(bind(&path), Err(BindError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let first = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_port_in_use_is_refused() {
        let credentials = Credentials::default();
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &credentials).unwrap();
        let second = Listener::bind(&first.bound().to_string().parse().unwrap(), &credentials);
        assert!(matches!(second, Err(BindError::Listen { .. })));
    }
}
