//! Addresses and ranges of them, as text. Nothing here binds, connects or resolves.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{SocketPath, UNIX_SCHEME, ValueError, upstream::is_dns_name};

/// Where a program listens: `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for every interface. The host is an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// None: every interface, both families.
    address: Option<IpAddr>,
    port: u16,
}

impl ListenAddress {
    /// The address to bind; none for every interface.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port to bind; 0 lets the system choose.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let not_an_address = || ValueError::NotAnAddress { text: text.into() };
        let (host, port) = text.rsplit_once(':').ok_or_else(not_an_address)?;
        let port = parse_port(port).ok_or_else(not_an_address)?;
        let address = match host {
            "" => None,
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            _ => Some(match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
                Some(address) => IpAddr::V6(address.parse().map_err(|_| not_an_address())?),
                None => IpAddr::V4(host.parse().map_err(|_| not_an_address())?),
            }),
        };
        Ok(Self { address, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, ":{}", self.port),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// Where requests are accepted: a [`ListenAddress`], or `unix:` and the absolute path of a socket file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrafficAddress {
    /// A port of one or all interfaces.
    Tcp(ListenAddress),
    /// A socket file.
    Unix(SocketPath),
}

impl TrafficAddress {
    /// The port; none of a socket file.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for TrafficAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let not_an_address = || ValueError::NotATrafficAddress { text: text.into() };
        match text.strip_prefix(UNIX_SCHEME) {
            None => text.parse().map(Self::Tcp).map_err(|_| not_an_address()),
            // Whoever wrote the file may not know where the data plane is started.
            Some(path) if !path.starts_with('/') => Err(ValueError::RelativeSocket { text: text.into() }),
            Some(path) => Ok(Self::Unix(SocketPath::new(path)?)),
        }
    }
}

impl fmt::Display for TrafficAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// A server to connect to: `HOST:PORT` or `[IPV6]:PORT`; the host is an address or a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress(String);

impl ServerAddress {
    /// Takes an address.
    ///
    /// # Errors
    /// When the host is neither an address nor a name, or the port is not from 1 to 65535.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let legal = text.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
                Some(address) => address.parse::<Ipv6Addr>().is_ok(),
                None => host.parse::<Ipv4Addr>().is_ok() || is_dns_name(host),
            };
            is_host && parse_port(port).is_some_and(|port| port != 0)
        });
        match text {
            "" => Err(ValueError::Empty),
            _ if legal => Ok(Self(text.into())),
            _ => Err(ValueError::NotAServer { text: text.into() }),
        }
    }

    /// The address as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

/// Digits only: the standard library would also take `+80`.
fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A range of addresses in CIDR notation; a single address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange(ipnet::IpNet);

impl AddressRange {
    /// Whether an address lies in the range. An IPv4-mapped IPv6 address counts as the IPv4 address it stands for.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Its lowest address; of the same family as [`Self::last`].
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }

    /// Its highest address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }
}

/// A range of IPv4-mapped addresses is the IPv4 range it stands for; otherwise it would contain nothing.
fn canonical(range: ipnet::IpNet) -> ipnet::IpNet {
    let Some(bits) = range.prefix_len().checked_sub(96) else { return range };
    let v4 = match range {
        ipnet::IpNet::V6(v6) => v6.addr().to_ipv4_mapped(),
        ipnet::IpNet::V4(_) => None,
    };
    v4.and_then(|address| ipnet::Ipv4Net::new(address, bits).ok()).map_or(range, ipnet::IpNet::V4)
}

impl FromStr for AddressRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let single = || text.parse::<IpAddr>().map(ipnet::IpNet::from);
        let range = text.parse().or_else(|_| single());
        range.map(canonical).map(Self).map_err(|_| ValueError::NotARange { text: text.into() })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
