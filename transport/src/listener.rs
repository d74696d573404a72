//! A bound address: a port, or a socket file that is there as long as this is.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::{
    address::{Address, SocketPath},
    credentials::{Credentials, Unguarded},
    socket_file::{self, SocketFile, SocketFileError},
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
    /// A socket file cannot be had.
    #[error(transparent)]
    File(#[from] SocketFileError),
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
                let (socket, file) = socket_file::listen(path, SOCKET_MODE)?;
                let socket = UnixListener::from_std(socket).map_err(listen)?;
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

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
    async fn a_port_in_use_is_refused() {
        let credentials = Credentials::default();
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap(), &credentials).unwrap();
        let second = Listener::bind(&first.bound().to_string().parse().unwrap(), &credentials);
        assert!(matches!(second, Err(BindError::Listen { .. })));
    }
}
