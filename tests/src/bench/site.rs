//! What stands around the gateways: services behind them, an issuer of tokens, certificates, ports, directories.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::{
    Invalid,
    upstream::{Answer, Upstream},
};
use crate::{
    certificates::{Authority, Identity},
    issuer::{self, Issuer},
    programs::Programs,
    tokens::SigningKey,
};

/// More than is ever needed, and few enough for programs that size tables by it.
const MOST_FILES: u64 = 65_536;

/// Files that a program has open beside its connections.
const OTHER_FILES: u64 = 300;

/// What stands around the gateways. All of it is gone when this is dropped.
pub struct Site {
    directory: TempDir,
    programs: Programs,
    /// nginx, where it may be used and is there: as an upstream it costs less than ours.
    nginx: Option<PathBuf>,
    most_clients: usize,
    upstreams: RefCell<HashMap<Answer, Rc<Upstream>>>,
    callers: OnceCell<Callers>,
    authority: Authority,
    identity: Identity,
}

/// Who vouches for callers, and what they show.
pub struct Callers {
    /// Serves the key.
    pub issuer: Issuer,
    /// The public half in PEM, for gateways that fetch none.
    pub key_file: PathBuf,
    key: SigningKey,
}

impl Site {
    /// A site without anything on it yet; `nginx` is where it is, if it may be used as an upstream.
    ///
    /// # Errors
    /// When there is no room for its files.
    pub fn new(programs: Programs, nginx: Option<PathBuf>) -> Result<Self, Invalid> {
        let authority = Authority::new();
        Ok(Self {
            directory: tempfile::Builder::new().prefix("apigw-bench-").tempdir()?,
            programs,
            nginx,
            most_clients: raise_limit_of_files(),
            upstreams: RefCell::default(),
            callers: OnceCell::new(),
            identity: authority.identity(),
            authority,
        })
    }

    /// apigw's programs.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// How many clients a gateway can have at once; it has two sockets for each.
    #[must_use]
    pub fn most_clients(&self) -> usize {
        self.most_clients
    }

    /// A directory for the files of one start, which goes away with what is given.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn place(&self) -> io::Result<TempDir> {
        tempfile::tempdir_in(self.directory.path())
    }

    /// The directory of what lasts.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A service that gives this answer; it is started when it is first asked for.
    ///
    /// # Errors
    /// When it does not start.
    pub fn upstream(&self, answer: Answer) -> Result<Rc<Upstream>, Invalid> {
        if let Some(known) = self.upstreams.borrow().get(&answer) {
            return Ok(Rc::clone(known));
        }
        let started = Rc::new(Upstream::start(self, self.nginx.as_deref(), answer)?);
        self.upstreams.borrow_mut().insert(answer, Rc::clone(&started));
        Ok(started)
    }

    /// Where the certificate is, for `127.0.0.1`.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who vouches for it.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Who vouches for callers; made when it is first asked for.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn callers(&self) -> Result<&Callers, Invalid> {
        if let Some(callers) = self.callers.get() {
            return Ok(callers);
        }
        let key = SigningKey::generate().map_err(|_| Invalid::NoKey)?;
        let key_file = self.directory.path().join("callers.pub");
        std::fs::write(&key_file, key.public_pem().map_err(|_| Invalid::NoKey)?)?;
        let issuer = Issuer::serving(&[&key]);
        Ok(self.callers.get_or_init(|| Callers { issuer, key_file, key }))
    }

    /// So many tokens, each of another user.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn tokens(&self, count: usize) -> Result<Vec<String>, Invalid> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let callers = self.callers()?;
        let subjects = (0..count).map(|number| format!("user-{number}"));
        Ok(subjects.map(|subject| issuer::token(&callers.key, &subject)).collect())
    }
}

/// Lets this process and those it starts open as many files as the system allows; gives how many clients that is enough for.
fn raise_limit_of_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let files = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    // Where it is refused, it stays what it is, which is still a number to go by.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum: limit.maximum });
    let files = if raised.is_ok() { files } else { limit.current.unwrap_or(files) };
    usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX)
}

/// An address on loopback where nobody listens, given out once. Outgoing connections take their ports from above these, so
/// that none takes one before a gateway does.
///
/// # Panics
/// When every port is taken.
#[must_use]
pub fn free_address() -> SocketAddr {
    const LOWEST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another process that looks for ports begins somewhere else.
    let first = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or_default();
    let candidates = (0..COUNT).map(|_| {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        SocketAddr::from((Ipv4Addr::LOCALHOST, LOWEST + (first + turn) % COUNT))
    });
    let mut free = candidates.filter(|address| TcpListener::bind(address).is_ok());
    free.next().expect("one of 20,000 ports is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_out_once() {
        let first = free_address();
        let second = free_address();
        assert_ne!(first, second);
        assert!(TcpListener::bind(first).is_ok() && first.ip().is_loopback());
    }
}
