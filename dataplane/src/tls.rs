//! TLS towards clients, with certificates by name that are renewed while they are in use, and towards upstreams.
//!
//! Architecture invariant: a configuration whose files are of no use does not come into force; files that become of no use
//! later change nothing. Connections that are open keep what they began with.

/// What the files of one backend say, made ready.
mod backend_files;
/// What the files say, made ready.
mod material;
/// The files, followed.
mod renewal;
/// What clients show.
pub(crate) mod client_certificate;
/// Towards upstreams.
pub(crate) mod upstream;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_config::{model, names::FilePath, problem::Problem};
use apigw_transport::tls::pem::TlsError;
use arc_swap::ArcSwap;
use rustls::{ServerConfig, ServerConnection};
use tokio::task::AbortHandle;

use self::{
    client_certificate::ClientCertificate,
    material::{Material, Texts},
    renewal::{Renewable, Seen},
};
use crate::gateway::problem;

/// Where relative paths of a configuration begin.
#[derive(Debug, Clone)]
pub(crate) enum FileBase {
    /// In the directory of the configuration file.
    Directory(PathBuf),
    /// Nowhere: whoever wrote the file has another machine.
    Nowhere,
}

impl FileBase {
    /// Of a configuration file.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self::Directory(path.parent().map_or_else(PathBuf::new, Path::to_path_buf))
    }

    fn resolve(&self, path: &FilePath) -> Result<PathBuf, NotAbsolute> {
        match self {
            Self::Directory(directory) => Ok(directory.join(path.as_path())),
            Self::Nowhere if path.as_path().is_absolute() => Ok(path.as_path().into()),
            Self::Nowhere => Err(NotAbsolute { path: path.as_str().into() }),
        }
    }
}

/// A path that would begin in the directory of a file that is on another machine.
#[derive(Debug, thiserror::Error)]
#[error("not an absolute path, and no configuration file is here: {path:?}")]
struct NotAbsolute {
    path: String,
}

/// The paths of a configuration, on this machine.
#[derive(Debug, Clone)]
struct Paths {
    certificates: Vec<Pair>,
    authorities: Option<PathBuf>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
struct Pair {
    /// As the configuration names it.
    name: String,
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// Whether it is the key's file of which this tells.
    fn is_fault_of_key(&self, error: &TlsError) -> bool {
        match error {
            TlsError::DoesNotFit { .. } => true,
            TlsError::Nothing { file, .. }
            | TlsError::NotPem { file, .. }
            | TlsError::Unusable { file, .. } => *file == self.key,
            _ => false,
        }
    }
}

/// What clients are shown and judged by, now. Dropping it ends the following of its files.
#[derive(Debug)]
pub(crate) struct ServerTls {
    current: Arc<Current>,
    following: AbortHandle,
}

#[derive(Debug)]
struct Current {
    settings: model::ServerTls,
    paths: Paths,
    material: ArcSwap<Material>,
    /// How often what the files said was of no use.
    failures: AtomicU64,
}

/// When a certificate's time is over.
#[derive(Debug, Clone)]
pub(crate) struct Expiry {
    /// Its file, as the configuration names it.
    pub(crate) name: String,
    /// In seconds since 1970.
    pub(crate) not_after: i64,
}

impl ServerTls {
    /// Reads the files and begins to follow them; what is in use already goes on. Blocks; to be called on the control runtime.
    ///
    /// # Errors
    /// Every file that is of no use.
    pub(crate) fn load(
        settings: &model::ServerTls,
        base: &FileBase,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        if let Some(previous) = previous.filter(|previous| previous.current.settings == *settings) {
            return Ok(Arc::clone(previous));
        }
        let paths = Paths::new(settings, base)?;
        let texts = Texts::read(&paths);
        let seen = texts.seen();
        let (material, faults) = Material::new(texts, &paths, settings, None);
        let material = material.filter(|_| faults.is_empty()).ok_or_else(|| {
            faults.iter().map(|fault| problem(&fault.path, fault.error.to_string())).collect::<Vec<_>>()
        })?;
        let material = ArcSwap::from_pointee(material);
        let current = Current { settings: settings.clone(), paths, material, failures: AtomicU64::new(0) };
        let current = Arc::new(current);
        let following = tokio::spawn(renewal::follow(Arc::clone(&current), seen)).abort_handle();
        Ok(Arc::new(Self { current, following }))
    }

    /// For a connection that is accepted now.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.material.load().server)
    }

    /// For a client to finish its handshake.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.current.settings.handshake_timeout.duration()
    }

    /// What a client has shown in its handshake, if anything.
    pub(crate) fn client_certificate(&self, session: &ServerConnection) -> Option<ClientCertificate> {
        ClientCertificate::new(session.peer_certificates()?, self.current.settings.forwarding)
    }

    /// Of every certificate in use.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        self.current.material.load().expiries().collect()
    }

    /// How often what the files said was of no use.
    pub(crate) fn failures(&self) -> u64 {
        self.current.failures.load(Ordering::Relaxed)
    }
}

impl Renewable for Current {
    type Texts = Texts;

    fn read(&self) -> Texts {
        Texts::read(&self.paths)
    }

    fn seen(texts: &Texts) -> Seen {
        texts.seen()
    }

    /// A certificate whose files are of no use stays as it was; the others are renewed all the same.
    fn renew(&self, texts: Texts) -> Result<(), TlsError> {
        let before = self.material.load();
        let (material, faults) = Material::new(texts, &self.paths, &self.settings, Some(&before));
        if let Some(material) = material {
            self.material.store(Arc::new(material));
        }
        faults.into_iter().next().map_or(Ok(()), |fault| Err(fault.error))
    }

    fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for ServerTls {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Paths {
    fn new(settings: &model::ServerTls, base: &FileBase) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut resolve = |key: &str, path: &FilePath| {
            base.resolve(path).map_err(|error| problems.push(problem(key, error.to_string()))).ok()
        };
        let pairs = settings.certificates().iter().enumerate().filter_map(|(index, files)| {
            let certificate = resolve(&material::certificate_key(index), &files.cert_file);
            let key = resolve(&material::private_key_key(index), &files.key_file);
            let name = files.cert_file.as_str().into();
            Some(Pair { name, certificate: certificate?, key: key? })
        });
        let certificates = pairs.collect();
        let authorities = settings.client_auth.ca_file();
        let authorities = authorities.and_then(|path| resolve(material::AUTHORITIES_KEY, path));
        if problems.is_empty() { Ok(Self { certificates, authorities }) } else { Err(problems) }
    }
}
