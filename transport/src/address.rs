//! Where a server listens, as a person writes it. Nothing is bound here.

use std::{fmt, str::FromStr};

use apigw_config::names::{ListenAddress, UNIX_SCHEME, ValueError};
pub use apigw_config::names::{SocketPath, SocketPathError};

/// `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port of one or all interfaces.
    Tcp(ListenAddress),
    /// A socket file.
    Unix(SocketPath),
}

/// A text is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither form.
    #[error("{0}, or \"unix:PATH\"")]
    Tcp(#[source] ValueError),
    /// The path of a socket file is none.
    #[error(transparent)]
    Unix(#[from] SocketPathError),
}

impl Address {
    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether the system chooses the port, so that it is another with each start.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix(UNIX_SCHEME) {
            Some(path) => Ok(Self::Unix(SocketPath::new(path)?)),
            None => text.parse().map(Self::Tcp).map_err(AddressError::Tcp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for (text, is_local) in [
            ("127.0.0.1:9090", true),
            ("[::1]:0", true),
            (":9090", false),
            ("10.0.0.1:9090", false),
            ("unix:/run/apigw.sock", true),
            ("unix:here.sock", true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, is_local));
        }
    }

    #[test]
    fn what_cannot_be_bound_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<Address>().unwrap_err().to_string();
        assert_eq!(refused("unix:"), "\"unix:\" names no path");
        assert!(refused("nowhere").ends_with("\"nowhere\", or \"unix:PATH\""), "{}", refused("nowhere"));
        let long = format!("unix:/{}", "x".repeat(200));
        assert!(
            refused(&long).starts_with("the path of a socket cannot have 201 bytes"),
            "{}",
            refused(&long)
        );
    }
}
