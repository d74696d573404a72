//! Socket files: made with a mode of their own, and removed with whoever listens there. What a dead program left is replaced,
//! and nobody else's is touched.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::SocketPath;

/// Connections that may wait to be accepted; Linux allows 4,096 unless it is told otherwise.
const BACKLOG: i32 = 4_096;

/// Why there is no socket file.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// The system does not give it.
    #[error("cannot listen on {path}")]
    System {
        /// As written.
        path: SocketPath,
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

/// Listens on a socket file of this mode; the socket does not block.
///
/// # Errors
/// When the path is somebody else's, or the system does not give it.
pub fn listen(path: &SocketPath, mode: u32) -> Result<(UnixListener, SocketFile), SocketFileError> {
    clear(path)?;
    listen_anew(path.as_path(), mode).map_err(|source| SocketFileError::System { path: path.clone(), source })
}

fn listen_anew(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::at(path)?;
    // Before anybody can connect, which begins with `listen`.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), file))
}

/// Removes what a dead program left. Whether one is dead is known by nobody answering.
fn clear(path: &SocketPath) -> Result<(), SocketFileError> {
    let Ok(metadata) = fs::symlink_metadata(path.as_path()) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(SocketFileError::NotASocket { path: path.clone() });
    }
    match UnixStream::connect(path.as_path()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            let failed = |source| SocketFileError::System { path: path.clone(), source };
            fs::remove_file(path.as_path()).map_err(failed)
        }
        // Also where it cannot be asked: what is not known to be dead is left alone.
        _ => Err(SocketFileError::InUse { path: path.clone() }),
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

    fn listen_at(path: &Path) -> Result<(UnixListener, SocketFile), SocketFileError> {
        listen(&SocketPath::new(path).unwrap(), 0o600)
    }

    #[test]
    fn a_dead_programs_socket_is_replaced_and_a_live_ones_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        // What a killed program leaves.
        drop(UnixListener::bind(&path).unwrap());
        let listener = listen_at(&path).unwrap();
        assert!(matches!(listen_at(&path), Err(SocketFileError::InUse { .. })));
        assert!(path.exists(), "the refused one took nothing along");
        drop(listener);
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(listen_at(&path), Err(SocketFileError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn the_socket_of_a_successor_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let first = listen_at(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
