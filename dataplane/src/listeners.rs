//! Listening sockets: one for each worker and address, all on one port, so that the kernel spreads connections.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use apigw_config::names::ListenAddress;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

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
    pub(crate) sockets: Vec<TcpListener>,
    /// What was bound: where the port was left to the system, the one it chose.
    pub(crate) bound: SocketAddr,
}

/// Binds an address once for each worker.
///
/// `own_ports` are ports this process listens on already. Any other listener on the port is a mistake that
/// `SO_REUSEPORT` would hide: two gateways would each get a part of the connections.
///
/// # Errors
/// When the address is taken or cannot be had.
pub(crate) fn bind(address: &ListenAddress, workers: usize, own_ports: &[u16]) -> io::Result<Listeners> {
    match address.address() {
        Some(ip) => bind_all(SocketAddr::new(ip, address.port()), workers, own_ports),
        None => {
            let any = |ip: IpAddr| bind_all(SocketAddr::new(ip, address.port()), workers, own_ports);
            // One socket takes both families, where the system has both.
            any(Ipv6Addr::UNSPECIFIED.into()).or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => any(Ipv4Addr::UNSPECIFIED.into()),
            })
        }
    }
}

fn bind_all(mut address: SocketAddr, workers: usize, own_ports: &[u16]) -> io::Result<Listeners> {
    if address.port() != 0 && !own_ports.contains(&address.port()) {
        // Without SO_REUSEPORT this fails if anybody listens there.
        socket(address)?.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(Listeners { sockets, bound: address })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind_port(port: u16, own_ports: &[u16]) -> io::Result<Listeners> {
        bind(&format!("127.0.0.1:{port}").parse().unwrap(), 2, own_ports)
    }

    #[test]
    fn all_sockets_of_an_address_share_its_port() {
        let listeners = bind_port(0, &[]).unwrap();
        let ports: Vec<_> = listeners.sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert_eq!(ports, [listeners.bound.port(); 2]);
    }

    #[test]
    fn an_address_somebody_else_listens_on_is_refused() {
        let first = bind_port(0, &[]).unwrap();
        let error = bind_port(first.bound.port(), &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        bind_port(first.bound.port(), &[first.bound.port()]).unwrap();
    }

    #[test]
    fn an_address_without_host_takes_both_families() {
        let listeners = bind(&":0".parse().unwrap(), 1, &[]).unwrap();
        let port = listeners.bound.port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
