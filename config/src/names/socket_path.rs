//! Paths of socket files. Nothing here binds or connects.

use std::{
    fmt,
    os::unix::net::SocketAddr,
    path::{Path, PathBuf},
};

/// What begins the address of a socket file.
pub const UNIX_SCHEME: &str = "unix:";

/// A path that a socket can have: not empty, and no longer than the system takes (107 bytes on Linux).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketPath(PathBuf);

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
        match SocketAddr::from_pathname(&path) {
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
