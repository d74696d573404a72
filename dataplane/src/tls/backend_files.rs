//! The files of one backend's TLS: its authorities and what its endpoints are shown, followed while they are in use.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use apigw_config::{model::BackendTls, names::FilePath, problem::Problem};
use apigw_transport::tls::pem::{self, TlsError};
use arc_swap::ArcSwap;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, sign::SingleCertAndKey};
use tokio::task::AbortHandle;

use super::{
    FileBase, Pair,
    renewal::{self, Renewable, Seen},
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
    client: ArcSwap<ClientConfig>,
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
    pair: Option<(Text, Text)>,
}

type Text = Result<Vec<u8>, TlsError>;

/// The key beneath `tls` that names a file of no use.
type Fault = (&'static str, TlsError);

const AUTHORITIES: &str = "ca_file";
const CERTIFICATE: &str = "cert_file";
const KEY: &str = "key_file";

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
        let key = |key: &str| format!("backends[{backend}].tls.{key}");
        let paths = Paths::new(settings, base, key)?;
        let texts = paths.read();
        let seen = texts.seen();
        let client = client(texts, &paths, platform_roots)
            .map_err(|(fault, error)| vec![problem(&key(fault), error.to_string())])?;
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
        self.renewed.client.load_full()
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
    fn new(
        settings: &BackendTls,
        base: &FileBase,
        key: impl Fn(&str) -> String,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut resolve = |name: &str, path: &FilePath| {
            base.resolve(path).map_err(|error| problems.push(problem(&key(name), error.to_string()))).ok()
        };
        let authorities = settings.ca_file.as_ref().and_then(|path| resolve(AUTHORITIES, path));
        let pair = settings.certificate.as_ref().and_then(|files| {
            let certificate = resolve(CERTIFICATE, &files.cert_file);
            let key = resolve(KEY, &files.key_file);
            Some(Pair { name: files.cert_file.as_str().into(), certificate: certificate?, key: key? })
        });
        if problems.is_empty() { Ok(Self { authorities, pair }) } else { Err(problems) }
    }

    fn read(&self) -> Texts {
        let pair = self.pair.as_ref();
        Texts {
            authorities: self.authorities.as_deref().map(pem::read),
            pair: pair.map(|pair| (pem::read(&pair.certificate), pem::read(&pair.key))),
        }
    }
}

impl Texts {
    fn seen(&self) -> Seen {
        let pair = self.pair.iter().flat_map(|(certificate, key)| [certificate, key]);
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
        let client = client(texts, &self.paths, self.platform_roots.as_ref());
        self.client.store(Arc::new(client.map_err(|(_, error)| error)?));
        Ok(())
    }

    fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

fn client(
    texts: Texts,
    paths: &Paths,
    platform_roots: Option<&Arc<RootCertStore>>,
) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = match (texts.authorities, &paths.authorities) {
        (Some(text), Some(file)) => {
            let read = text.and_then(|text| pem::authorities(&text, file));
            Arc::new(read.map_err(|error| (AUTHORITIES, error))?)
        }
        _ => platform_roots.map_or_else(|| Arc::new(RootCertStore::empty()), Arc::clone),
    };
    let unsupported = |source| (AUTHORITIES, TlsError::Unsupported { source });
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unsupported)?;
    let builder = builder.with_root_certificates(roots);
    let mut client = match (texts.pair, &paths.pair) {
        (Some((certificate, key)), Some(pair)) => {
            let certificate = certificate.map_err(|error| (CERTIFICATE, error))?;
            let key = key.map_err(|error| (KEY, error))?;
            let certified = pem::certified((&pair.certificate, &certificate), (&pair.key, &key), &provider);
            let certified = certified.map_err(|error| {
                let fault = if pair.is_fault_of_key(&error) { KEY } else { CERTIFICATE };
                (fault, error)
            })?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        _ => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}
