//! Where a server listens, as a person writes it. Nothing is bound here.

use std::{
    fmt,
    os::unix::net::SocketAddr as UnixAddress,
    path::{Path, PathBuf},
    str::FromStr,
};

use apigw_config::names::{ListenAddress, ValueError};

/// What begins the address of a socket file.
pub(crate) const UNIX_SCHEME: &str = "unix:";

/// `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port of one or all interfaces.
    Tcp(ListenAddress),
    /// A socket file.
    Unix(SocketPath),
}

/// A path that a socket can have: not empty, and no longer than the system takes (107 bytes on Linux).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPath(PathBuf);

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

/// A path that no socket can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketPathError {
    /// Nothing behind `unix:`.
    #[error("\"unix:\" names no path")]
    Empty,
    /// The system keeps the path in a field of fixed size.
    #[error("the path of a socket cannot have {bytes} bytes, the system takes about 100: {}", path.display())]
    TooLong {
        /// As written.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
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

impl SocketPath {
    /// Takes a path.
    ///
    /// # Errors
    /// When it is empty, or longer than the system takes.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, SocketPathError> {
        let path = path.into();
        let bytes = path.as_os_str().len();
        if bytes == 0 {
            return Err(SocketPathError::Empty);
        }
        // The system's limit is asked for, not known: it differs between systems.
        match UnixAddress::from_pathname(&path) {
            Ok(_) => Ok(Self(path)),
            Err(_) => Err(SocketPathError::TooLong { path, bytes }),
        }
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UNIX_SCHEME}{}", self.0.display())
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
