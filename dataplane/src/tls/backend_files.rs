//! The files of one backend's TLS: its authorities and what its endpoints are shown, followed while they are in use.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use apigw_config::{model::BackendTls, problem::Problem};
use apigw_transport::tls::{
    configured::{Certificate, FileBase, Pair, PairTexts, Purpose, Section, Text, UnusableFile},
    pem::{self, TlsError},
};
use arc_swap::ArcSwap;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, sign::SingleCertAndKey};
use tokio::task::AbortHandle;

use super::{
    InUse,
    renewal::{self, Renewable, Seen},
    unfound,
};
use crate::gateway::problem;

/// What connections to a backend are made with, now. Dropping it ends the following of its files.
#[derive(Debug)]
pub(super) struct BackendFiles {
    renewed: Arc<Renewed>,
    following: AbortHandle,
}

#[derive(Debug)]
struct Renewed {
    paths: Paths,
    /// Where no file names others.
    platform_roots: Option<Arc<RootCertStore>>,
    client: ArcSwap<Client>,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Paths {
    authorities: Option<PathBuf>,
    pair: Option<Pair>,
}

/// Contents of the files.
struct Texts {
    authorities: Option<Text>,
    pair: Option<PairTexts>,
}

/// What is made of them.
#[derive(Debug)]
struct Client {
    config: Arc<ClientConfig>,
    /// What endpoints are shown; none: nothing.
    shown: Option<InUse>,
}

impl BackendFiles {
    /// Reads the files of the backend at that place in the configuration, and begins to follow them. Blocks.
    ///
    /// # Errors
    /// When one of them is of no use.
    pub(super) fn load(
        settings: &BackendTls,
        backend: usize,
        base: &FileBase,
        platform_roots: Option<&Arc<RootCertStore>>,
    ) -> Result<Arc<Self>, Vec<Problem>> {
        let section = Section::Backend(backend);
        let paths = Paths::new(settings, base, section)?;
        let texts = paths.read();
        let seen = texts.seen();
        let client = Client::new(texts, &paths, platform_roots)
            .map_err(|fault| vec![problem(&section.key(fault.purpose), fault.error.to_string())])?;
        let renewed = Arc::new(Renewed {
            paths,
            platform_roots: platform_roots.map(Arc::clone),
            client: ArcSwap::from_pointee(client),
            failures: AtomicU64::new(0),
        });
        let following = tokio::spawn(renewal::follow(Arc::clone(&renewed), seen)).abort_handle();
        Ok(Arc::new(Self { renewed, following }))
    }

    /// For a connection that is made now.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.renewed.client.load().config)
    }

    /// The certificate that endpoints are shown.
    pub(super) fn in_use(&self) -> Option<InUse> {
        self.renewed.client.load().shown.clone()
    }

    /// How often what the files said was of no use.
    pub(super) fn failures(&self) -> u64 {
        self.renewed.failures.load(Ordering::Relaxed)
    }
}

impl Drop for BackendFiles {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Paths {
    fn new(settings: &BackendTls, base: &FileBase, section: Section) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let authorities = settings.ca_file.as_ref().and_then(|path| {
            let resolved = base.resolve(path).map_err(|error| [(Purpose::Authorities, error)]);
            resolved.map_err(|fault| problems.extend(unfound(section, fault))).ok()
        });
        let pair = settings.certificate.as_ref().and_then(|files| {
            Pair::new(files, base).map_err(|faults| problems.extend(unfound(section, faults))).ok()
        });
        if problems.is_empty() { Ok(Self { authorities, pair }) } else { Err(problems) }
    }

    fn read(&self) -> Texts {
        Texts {
            authorities: self.authorities.as_deref().map(pem::read),
            pair: self.pair.as_ref().map(Pair::read),
        }
    }
}

impl Texts {
    fn seen(&self) -> Seen {
        let pair = self.pair.iter().flat_map(PairTexts::both);
        Seen(pair.chain(&self.authorities).map(|text| text.as_ref().ok().cloned()).collect())
    }
}

impl Renewable for Renewed {
    type Texts = Texts;

    fn read(&self) -> Texts {
        self.paths.read()
    }

    fn seen(texts: &Texts) -> Seen {
        texts.seen()
    }

    fn renew(&self, texts: Texts) -> Result<(), TlsError> {
        let client = Client::new(texts, &self.paths, self.platform_roots.as_ref());
        self.client.store(Arc::new(client.map_err(|fault| fault.error)?));
        Ok(())
    }

    fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Client {
    fn new(
        texts: Texts,
        paths: &Paths,
        platform_roots: Option<&Arc<RootCertStore>>,
    ) -> Result<Self, UnusableFile> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let of_authorities = |error| UnusableFile { purpose: Purpose::Authorities, error };
        let roots = match (texts.authorities, &paths.authorities) {
            (Some(text), Some(file)) => {
                let read = text.and_then(|text| pem::authorities(&text, file));
                Arc::new(read.map_err(of_authorities)?)
            }
            _ => platform_roots.map_or_else(|| Arc::new(RootCertStore::empty()), Arc::clone),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|source| of_authorities(TlsError::Unsupported { source }))?;
        let builder = builder.with_root_certificates(roots);
        let (mut config, shown) = match (texts.pair, &paths.pair) {
            (Some(texts), Some(pair)) => {
                let certificate = Certificate::new(pair, texts, &provider)?;
                let shown = InUse::new(pair, &certificate);
                let resolver = SingleCertAndKey::from(certificate.key);
                (builder.with_client_cert_resolver(Arc::new(resolver)), Some(shown))
            }
            _ => (builder.with_no_client_auth(), None),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), shown })
    }
}
