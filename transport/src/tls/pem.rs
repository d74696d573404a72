//! Files with certificates and keys: read in bounds, and told by name when they are of no use.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::VerifierBuilderError,
    sign::CertifiedKey,
};

/// The most bytes of one file: hundreds of certificates.
pub const MAX_FILE_BYTES: usize = 1 << 20;

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
    /// Nothing in it says whom it is for and for how long.
    #[error("the certificate in {} is not one of X.509", file.display())]
    NotX509 {
        /// Which.
        file: PathBuf,
    },
    /// Not what this build can do.
    #[error("TLS cannot be set up: {source}")]
    Unsupported {
        /// What is wrong.
        source: rustls::Error,
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

/// The content of a file.
///
/// # Errors
/// When it cannot be read, or is larger than [`MAX_FILE_BYTES`].
pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text));
    read.map_err(|source| TlsError::Unreadable { file: path.into(), source })?;
    if text.len() > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { file: path.into() });
    }
    Ok(text)
}

fn nothing(file: &Path, wanted: &'static str) -> TlsError {
    TlsError::Nothing { file: file.into(), wanted }
}

/// The certificates of a file, in their order.
///
/// # Errors
/// When it holds none, or something else.
pub fn certificates(text: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|source| TlsError::NotPem { file: file.into(), source })?;
    if found.is_empty() { Err(nothing(file, "certificate")) } else { Ok(found) }
}

/// A certificate with its key: their texts, of these files.
///
/// # Errors
/// When one of them is of no use, or they do not fit.
pub fn certified(
    certificate: (&Path, &[u8]),
    key: (&Path, &[u8]),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let ((certificate_file, certificate), (key_file, key)) = (certificate, key);
    let chain = certificates(certificate, certificate_file)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => nothing(key_file, "private key"),
        source => TlsError::NotPem { file: key_file.into(), source },
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::DoesNotFit { certificate: certificate_file.into(), key: key_file.into() }
        }
        source @ rustls::Error::InvalidCertificate(_) => {
            TlsError::Unusable { file: certificate_file.into(), source }
        }
        source => TlsError::Unusable { file: key_file.into(), source },
    })
}

/// Those who vouch for others.
///
/// # Errors
/// When a file holds none, or one that is of no use.
pub fn authorities(text: &[u8], file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text, file)? {
        roots.add(certificate).map_err(|source| TlsError::Unusable { file: file.into(), source })?;
    }
    Ok(roots)
}
