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
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apigw_config::{model, problem::Problem};
use apigw_transport::tls::{
    configured::{Certificate, FileBase, NotAbsolute, Pair, Purpose, Section},
    pem::TlsError,
};
use arc_swap::ArcSwap;
use rustls::{ServerConfig, ServerConnection};
use tokio::task::AbortHandle;

use self::{
    client_certificate::ClientCertificate,
    material::{Material, Texts},
    renewal::{Renewable, Seen},
};
use crate::gateway::problem;

/// The most names of a certificate that are told.
const MAX_TOLD_NAMES: usize = 20;
/// The most bytes of a DNS name (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES: usize = 255;

/// The paths of a configuration, on this machine.
#[derive(Debug, Clone)]
struct Paths {
    certificates: Vec<Pair>,
    authorities: Option<PathBuf>,
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

/// A certificate in use.
#[derive(Debug, Clone)]
pub(crate) struct InUse {
    /// Its file, as the configuration names it.
    pub(crate) file: String,
    /// Whom it is for: its first DNS names.
    pub(crate) names: Vec<String>,
    /// When its time is over, in seconds since 1970.
    pub(crate) not_after: i64,
}

impl InUse {
    fn new(pair: &Pair, certificate: &Certificate) -> Self {
        let names = certificate.names.iter().filter(|name| name.len() <= MAX_NAME_BYTES);
        let names = names.take(MAX_TOLD_NAMES).cloned().collect();
        Self { file: pair.name.clone(), names, not_after: certificate.not_after }
    }
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
            faults
                .iter()
                .map(|fault| problem(&fault.section.key(fault.purpose), fault.error.to_string()))
                .collect::<Vec<_>>()
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

    /// Every certificate that clients are shown, in the order of the configuration.
    pub(crate) fn in_use(&self) -> Vec<InUse> {
        let material = self.current.material.load();
        let pairs = self.current.paths.certificates.iter().zip(material.certificates());
        pairs.map(|(pair, certificate)| InUse::new(pair, certificate)).collect()
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
        let mut certificates = Vec::new();
        for (index, files) in settings.certificates().iter().enumerate() {
            match Pair::new(files, base) {
                Ok(pair) => certificates.push(pair),
                Err(faults) => problems.extend(unfound(Section::Server(index), faults)),
            }
        }
        let authorities = settings.client_auth.ca_file().and_then(|path| {
            let resolved = base.resolve(path).map_err(|error| [(Purpose::Authorities, error)]);
            resolved.map_err(|fault| problems.extend(unfound(Section::Clients, fault))).ok()
        });
        if problems.is_empty() { Ok(Self { certificates, authorities }) } else { Err(problems) }
    }
}

/// Paths that begin nowhere, as problems.
fn unfound(
    section: Section,
    faults: impl IntoIterator<Item = (Purpose, NotAbsolute)>,
) -> impl Iterator<Item = Problem> {
    faults.into_iter().map(move |(purpose, error)| problem(&section.key(purpose), error.to_string()))
}
