//! Listening sockets of traffic, one for each worker and address.
//!
//! Those of a port are bound apart, so that the kernel spreads connections over them. A socket file has one queue, which its
//! sockets share: whoever is idle takes the next connection.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::Arc,
};

use apigw_config::names::{ListenAddress, SocketPath, TrafficAddress};
use apigw_transport::socket_file::{self, SocketFile, SocketFileError};
use socket2::{Domain, Protocol, Socket, Type};

use crate::socket::stream;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

/// Everybody on the machine may connect, as to a port of its own; the directory says who can get there.
const SOCKET_MODE: u32 = 0o666;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// For requests in clear, or in TLS where there is no other address for them.
    Traffic,
    /// For requests in TLS.
    Tls,
}

impl Purpose {
    /// As logs have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Tls => "tls",
        }
    }

    /// The key that says so.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Traffic => "server.addr",
            Self::Tls => "server.tls.addr",
        }
    }
}

/// The sockets of one address, one for each worker.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) sockets: Vec<ListeningSocket>,
    pub(crate) bound: Bound,
}

/// A worker's socket, which does not block.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What was bound.
#[derive(Debug, Clone)]
pub(crate) enum Bound {
    /// Where the port was left to the system, the one it chose.
    Tcp(SocketAddr),
    /// A socket file, there for as long as somebody has this.
    Unix(Arc<SharedFile>),
}

/// A socket file, and the socket that the workers' are copies of.
#[derive(Debug)]
pub(crate) struct SharedFile {
    path: SocketPath,
    /// Removed before the socket closes: who still finds it is served.
    _file: SocketFile,
    socket: UnixListener,
}

/// Why an address is not listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The system does not give it.
    #[error("cannot listen on {address}: {source}")]
    System { address: TrafficAddress, source: io::Error },
    /// The path is somebody else's.
    #[error("{error}{}", cause(.error))]
    File {
        #[from]
        error: SocketFileError,
    },
}

/// What an error does not say itself.
fn cause(error: &SocketFileError) -> String {
    error.source().map_or_else(String::new, |cause| format!(": {cause}"))
}

/// Binds an address once for each worker. `own` is what this process listens on already: another purpose may take over its
/// socket files, and more sockets may be bound to its ports. Any other listener on the port is a mistake that
/// `SO_REUSEPORT` would hide: two gateways would each get a part of the connections.
///
/// # Errors
/// When the address is taken or cannot be had.
pub(crate) fn bind(
    address: &TrafficAddress,
    workers: usize,
    own: &[&Bound],
) -> Result<Listeners, ListenError> {
    let system = |source| ListenError::System { address: address.clone(), source };
    match address {
        TrafficAddress::Tcp(tcp) => bind_tcp(tcp, workers, own).map_err(system),
        TrafficAddress::Unix(path) => {
            let known = own.iter().find_map(|bound| match bound {
                Bound::Unix(file) if file.path == *path => Some(Arc::clone(file)),
                Bound::Unix(_) | Bound::Tcp(_) => None,
            });
            let file = match known {
                Some(file) => file,
                None => {
                    let (socket, file) = socket_file::listen(path, SOCKET_MODE)?;
                    Arc::new(SharedFile { path: path.clone(), _file: file, socket })
                }
            };
            let copy = |_| file.socket.try_clone().map(ListeningSocket::Unix);
            let sockets = (0..workers).map(copy).collect::<io::Result<_>>().map_err(system)?;
            Ok(Listeners { sockets, bound: Bound::Unix(file) })
        }
    }
}

fn bind_tcp(address: &ListenAddress, workers: usize, own: &[&Bound]) -> io::Result<Listeners> {
    let is_own = own.iter().any(|bound| matches!(bound, Bound::Tcp(own) if own.port() == address.port()));
    let bind = |ip: IpAddr| bind_all(SocketAddr::new(ip, address.port()), workers, is_own);
    match address.address() {
        Some(ip) => bind(ip),
        // One socket takes both families, where the system has both.
        None => bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => bind(Ipv4Addr::UNSPECIFIED.into()),
        }),
    }
}

fn bind_all(mut address: SocketAddr, workers: usize, is_own: bool) -> io::Result<Listeners> {
    if address.port() != 0 && !is_own {
        // Without SO_REUSEPORT this fails if anybody listens there.
        socket(address)?.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        stream::tune(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        address = socket.local_addr()?;
        sockets.push(ListeningSocket::Tcp(socket));
    }
    Ok(Listeners { sockets, bound: Bound::Tcp(address) })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]:PORT` takes IPv4 as well, as with the Go model.
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

impl Bound {
    /// The address as configured, with the port that was really bound.
    pub(crate) fn written(&self, address: &TrafficAddress) -> String {
        match (self, address) {
            (Self::Tcp(bound), TrafficAddress::Tcp(address)) if address.address().is_none() => {
                format!(":{}", bound.port())
            }
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(file) => file.path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bind_port(port: u16, own: &[&Bound]) -> Result<Listeners, ListenError> {
        bind(&format!("127.0.0.1:{port}").parse().unwrap(), 2, own)
    }

    fn port(listeners: &Listeners) -> u16 {
        match &listeners.bound {
            Bound::Tcp(address) => address.port(),
            Bound::Unix(_) => unreachable!("a port was asked for"),
        }
    }

    #[test]
    fn all_sockets_of_an_address_share_its_port() {
        let listeners = bind_port(0, &[]).unwrap();
        let port = port(&listeners);
        assert_eq!(listeners.sockets.len(), 2);
        for socket in listeners.sockets {
            assert!(matches!(socket, ListeningSocket::Tcp(s) if s.local_addr().unwrap().port() == port));
        }
    }

    #[test]
    fn what_is_accepted_is_tuned_as_its_listener() {
        let listeners = bind("127.0.0.1:0".parse().as_ref().unwrap(), 1, &[]).unwrap();
        let _client = std::net::TcpStream::connect(("127.0.0.1", port(&listeners))).unwrap();
        let ListeningSocket::Tcp(listener) = &listeners.sockets[0] else {
            unreachable!("a port was asked for")
        };
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = Socket::from(accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        let times = (accepted.tcp_keepalive_time().unwrap(), accepted.tcp_keepalive_interval().unwrap());
        assert_eq!(times, (stream::PEER_CHECK, stream::PEER_CHECK));
    }

    #[test]
    fn an_address_somebody_else_listens_on_is_refused() {
        let first = bind_port(0, &[]).unwrap();
        let error = bind_port(port(&first), &[]).unwrap_err();
        let is_in_use = |source: &io::Error| source.kind() == io::ErrorKind::AddrInUse;
        assert!(matches!(&error, ListenError::System { source, .. } if is_in_use(source)), "{error}");
        bind_port(port(&first), &[&first.bound]).unwrap();
    }

    #[test]
    fn an_address_without_host_takes_both_families_and_so_does_the_one_of_all_zeros() {
        for text in [":0", "[::]:0"] {
            let listeners = bind(&text.parse().unwrap(), 1, &[]).unwrap();
            let port = port(&listeners);
            std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            std::net::TcpStream::connect(("::1", port)).unwrap();
        }
    }

    #[test]
    fn a_socket_file_is_shared_by_the_workers_and_goes_with_the_last_of_its_purposes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traffic.sock");
        let address = format!("unix:{}", path.display()).parse().unwrap();
        let first = bind(&address, 2, &[]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        assert_eq!(first.bound.written(&address), address.to_string());
        let refused = bind(&address, 2, &[]).unwrap_err().to_string();
        assert!(refused.ends_with("a running program does"), "{refused}");
        let second = bind(&address, 2, &[&first.bound]).unwrap();
        drop(first);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
