//! Three files made ready for connections, and checked to fit together.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, InconsistentKeys, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_cert_signed_by_trust_anchor},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject as _},
    },
    server::{NoServerSessionStorage, ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use super::TlsFiles;

/// The most bytes of one file: hundreds of certificates.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;

/// What is negotiated inside of TLS (RFC 7301), the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why the files are of no use. The text names the file; nothing of a key is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is not there, or not for us.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificates are that large.
    #[error("{} has more than {MAX_FILE_BYTES} bytes", file.display())]
    TooLarge {
        /// Which.
        file: PathBuf,
    },
    /// It is no PEM (RFC 7468).
    #[error("cannot read {} as PEM: {source}", file.display())]
    NotPem {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// PEM of something else.
    #[error("{} has no {wanted}", file.display())]
    Nothing {
        /// Which.
        file: PathBuf,
        /// What was to be in it.
        wanted: &'static str,
    },
    /// A certificate or key that cannot be used.
    #[error("cannot use {}: {source}", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Authorities that cannot be used.
    #[error("cannot use {}: {source}", file.display())]
    NoVerifier {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: VerifierBuilderError,
    },
    /// The one was renewed without the other.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    DoesNotFit {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// Its time is over.
    #[error("the certificate in {} has expired", file.display())]
    Expired {
        /// Which.
        file: PathBuf,
    },
    /// Its time has not come, or a clock is wrong.
    #[error("the certificate in {} is not valid yet; is the clock right?", file.display())]
    NotValidYet {
        /// Which.
        file: PathBuf,
    },
}

/// The files' contents.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) authorities: Vec<u8>,
}

impl Texts {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let [certificate, key, authorities] =
            [&files.certificate, &files.key, &files.authorities].map(|path| read(path));
        Ok(Self { certificate: certificate?, key: key?, authorities: authorities? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text));
    read.map_err(|source| TlsError::Unreadable { file: path.into(), source })?;
    if text.len() > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { file: path.into() });
    }
    Ok(text)
}

/// What connections are made with.
pub(super) struct Material {
    pub(super) texts: Texts,
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    chain: Vec<CertificateDer<'static>>,
    authorities: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[certificate and key]")
    }
}

impl Material {
    pub(super) fn new(texts: Texts, files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&texts.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|error| match error {
            pem::Error::NoItemsFound => nothing(&files.key, "private key"),
            source => TlsError::NotPem { file: files.key.clone(), source },
        })?;
        let certified = Arc::new(certified(&chain, key, &provider, files)?);
        let authorities = Arc::new(authorities(&texts.authorities, &files.authorities)?);
        let unusable = |source| TlsError::Unusable { file: files.certificate.clone(), source };

        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities), Arc::clone(&provider))
                .build()
                .map_err(|source| TlsError::NoVerifier { file: files.authorities.clone(), source })?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&certified))));
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&authorities))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        client.alpn_protocols = vec![PROTOCOLS[0].to_vec()];
        client.resumption = Resumption::disabled();
        Ok(Self { texts, server: Arc::new(server), client: Arc::new(client), chain, authorities, provider })
    }

    /// Whether the clock is within the time of the certificate. That another authority vouches for it than for others' is
    /// no fault: which one, they judge.
    pub(super) fn is_in_time(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let Some((leaf, between)) = self.chain.split_first() else { return Ok(()) };
        let Ok(leaf) = ParsedCertificate::try_from(leaf) else { return Ok(()) };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let judged = verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &self.authorities,
            between,
            UnixTime::now(),
            algorithms,
        );
        let file = files.certificate.clone();
        match judged {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => Err(TlsError::Expired { file }),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => Err(TlsError::NotValidYet { file }),
            _ => Ok(()),
        }
    }
}

fn nothing(file: &Path, wanted: &'static str) -> TlsError {
    TlsError::Nothing { file: file.into(), wanted }
}

fn certificates(text: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|source| TlsError::NotPem { file: file.into(), source })?;
    if found.is_empty() { Err(nothing(file, "certificate")) } else { Ok(found) }
}

fn certified(
    chain: &[CertificateDer<'static>],
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    files: &TlsFiles,
) -> Result<CertifiedKey, TlsError> {
    CertifiedKey::from_der(chain.to_vec(), key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::DoesNotFit { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        source @ rustls::Error::InvalidCertificate(_) => {
            TlsError::Unusable { file: files.certificate.clone(), source }
        }
        source => TlsError::Unusable { file: files.key.clone(), source },
    })
}

fn authorities(text: &[u8], file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text, file)? {
        roots.add(certificate).map_err(|source| TlsError::Unusable { file: file.into(), source })?;
    }
    Ok(roots)
}
