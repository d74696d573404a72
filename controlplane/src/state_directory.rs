//! Where this program keeps what must outlive it: a directory that is this process's alone.
//!
//! Nothing is known here of what is kept. The lock is the system's and goes with the process, however it ends.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use apigw_config::{state_file, wire::Hash};

/// Why there is no directory to keep anything in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirectoryError {
    /// Neither the command line nor the environment says where.
    #[error(
        "cannot tell where to keep state, for HOME is no absolute path: name a directory with --state-dir"
    )]
    Nowhere,
    /// The system does not give it.
    #[error("cannot use {} to keep state; name another directory with --state-dir", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// Two that write one history would each undo the other's.
    #[error("another program keeps its state in {}; name another directory with --state-dir", path.display())]
    Taken { path: PathBuf },
}

/// A directory that nobody else uses while this lives.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Makes a directory one's own; one that is not there is created, for this user only.
    pub(crate) fn take(path: PathBuf) -> Result<Self, StateDirectoryError> {
        match lock(&path) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateDirectoryError::Taken { path }),
            Err(TryLockError::Error(source)) => Err(StateDirectoryError::Unusable { path, source }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let open = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        state_file::open_lock(&path.join("lock"))
    };
    let file = open().map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// The platform's place for the state of a control plane that watches this file; each file has a place of its own.
pub(crate) fn usual_place(config: &Path) -> Result<PathBuf, StateDirectoryError> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = base(variable, Account::of_this_process()).ok_or(StateDirectoryError::Nowhere)?;
    let absolute = fs::canonicalize(config).or_else(|_| std::path::absolute(config));
    let absolute =
        absolute.map_err(|source| StateDirectoryError::Unusable { path: config.to_owned(), source })?;
    let hash = Hash::of(absolute.as_os_str().as_encoded_bytes()).to_string();
    let name = config.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(base.join("apigw/controlplane").join(format!("{name}-{}", &hash[..8])))
}

/// By the XDG Base Directory Specification (<https://specifications.freedesktop.org/basedir-spec/latest/>); for a
/// service of the system by the Filesystem Hierarchy Standard, section 5.8.
fn base(variable: impl Fn(&str) -> Option<PathBuf>, account: Account) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    match account {
        Account::Root => Some("/var/lib".into()),
        Account::Person => {
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        }
    }
}

/// Whose processes this is one of.
#[derive(Debug, Clone, Copy)]
enum Account {
    Root,
    Person,
}

impl Account {
    fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::Root } else { Self::Person }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_one_process_own_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let taken = StateDirectory::take(path.clone()).unwrap();
        assert!(matches!(StateDirectory::take(path.clone()), Err(StateDirectoryError::Taken { .. })));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("lock"))), (0o700, 0o600));
        drop(taken);
        StateDirectory::take(path).unwrap();
    }

    #[test]
    fn a_place_that_is_no_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = StateDirectory::take(file.path().join("state"));
        assert!(matches!(refused, Err(StateDirectoryError::Unusable { .. })));
    }

    #[test]
    fn a_pipe_in_place_of_the_lock_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("lock");
        assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
        let refused = StateDirectory::take(directory.path().to_owned());
        assert!(matches!(refused, Err(StateDirectoryError::Unusable { .. })));
    }

    #[test]
    fn the_usual_place_is_the_platforms() {
        let check = |home: Option<&str>, state: Option<&str>, account, expected: Option<&str>| {
            let variable = |name: &str| match name {
                "HOME" => home.map(PathBuf::from),
                _ => state.map(PathBuf::from),
            };
            assert_eq!(base(variable, account), expected.map(PathBuf::from));
        };
        check(Some("/home/a"), None, Account::Person, Some("/home/a/.local/state"));
        check(Some("/home/a"), Some("/s"), Account::Person, Some("/s"));
        check(Some("/home/a"), Some("relative"), Account::Person, Some("/home/a/.local/state"));
        check(Some("/root"), Some("/s"), Account::Root, Some("/var/lib"));
        check(None, None, Account::Person, None);
    }

    #[test]
    fn each_file_has_a_place_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| usual_place(&directory.path().join(name)).unwrap();
        assert_ne!(place("a/gateway.yaml"), place("b/gateway.yaml"));
        assert_eq!(place("gateway.yaml"), place("gateway.yaml"));
    }
}
