//! TLS towards clients, with certificates by name that are renewed while they are in use, and towards upstreams.
//!
//! Architecture invariant: a configuration whose files are of no use does not come into force; files that become of no use
//! later change nothing. Connections that are open keep what they began with.

/// What the files say, made ready.
mod material;
/// The files, followed.
mod renewal;
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
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::task::AbortHandle;

use self::material::Material;
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

    fn resolve(&self, path: &FilePath) -> Option<PathBuf> {
        match self {
            Self::Directory(directory) => Some(directory.join(path.as_path())),
            Self::Nowhere => path.as_path().is_absolute().then(|| path.as_path().into()),
        }
    }
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

/// What clients are shown and judged by, now. Dropping it ends the following of its files.
#[derive(Debug)]
pub(crate) struct ServerTls {
    settings: model::ServerTls,
    current: Arc<Current>,
    following: AbortHandle,
}

#[derive(Debug)]
struct Current {
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
        if let Some(previous) = previous.filter(|previous| previous.settings == *settings) {
            return Ok(Arc::clone(previous));
        }
        let paths = Paths::new(settings, base)?;
        let texts = material::Texts::read(&paths);
        let seen = texts.seen();
        let (material, faults) = Material::new(texts, &paths, settings, None);
        let material = material.filter(|_| faults.is_empty()).ok_or_else(|| {
            faults.iter().map(|fault| problem(&fault.path, fault.error.to_string())).collect::<Vec<_>>()
        })?;
        let current = Current { material: ArcSwap::from_pointee(material), failures: AtomicU64::new(0) };
        let current = Arc::new(current);
        let following = renewal::follow(Arc::clone(&current), paths, settings.clone(), seen);
        let following = tokio::spawn(following).abort_handle();
        Ok(Arc::new(Self { settings: settings.clone(), current, following }))
    }

    /// For a connection that is accepted now.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.material.load().server)
    }

    /// For a client to finish its handshake.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.settings.handshake_timeout.duration()
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

impl Drop for ServerTls {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Paths {
    fn new(settings: &model::ServerTls, base: &FileBase) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut resolve = |key: &str, path: &FilePath| {
            let resolved = base.resolve(path);
            if resolved.is_none() {
                let message =
                    format!("not an absolute path, and no configuration file is here: {:?}", path.as_str());
                problems.push(problem(key, message));
            }
            resolved
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
