//! The files with certificates that a configuration names: where they are on this machine, and whether they are of use.
//!
//! Who runs a configuration and who only checks it read them here, so that both say the same of them. Reading blocks.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use apigw_config::{
    model::{Backend, BackendTls, CertificateFiles, GatewayConfig, ServerTls},
    names::FilePath,
};
use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    sign::CertifiedKey,
};
use x509_parser::{
    prelude::{FromDer as _, GeneralName, X509Certificate},
    time::ASN1Time,
};

use super::pem::{self, TlsError};

/// Where relative paths of a configuration begin.
#[derive(Debug, Clone)]
pub enum FileBase {
    /// In the directory of the configuration file.
    Directory(PathBuf),
    /// Nowhere: whoever wrote the file has another machine.
    Nowhere,
}

/// A path that would begin in the directory of a file that is on another machine.
#[derive(Debug, thiserror::Error)]
#[error("not an absolute path, and no configuration file is here: {path:?}")]
pub struct NotAbsolute {
    path: String,
}

impl FileBase {
    /// Of a configuration file.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        Self::Directory(path.parent().map_or_else(PathBuf::new, Path::to_path_buf))
    }

    /// Where a path leads.
    ///
    /// # Errors
    /// When it begins nowhere.
    pub fn resolve(&self, path: &FilePath) -> Result<PathBuf, NotAbsolute> {
        match self {
            Self::Directory(directory) => Ok(directory.join(path.as_path())),
            Self::Nowhere if path.as_path().is_absolute() => Ok(path.as_path().into()),
            Self::Nowhere => Err(NotAbsolute { path: path.as_str().into() }),
        }
    }
}

/// Where a configuration names files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `server.tls.certificates`, of that place.
    Server(usize),
    /// `server.tls.client_auth`.
    Clients,
    /// `tls` of the backend of that place.
    Backend(usize),
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It holds a certificate.
    Certificate,
    /// It holds the key of one.
    Key,
    /// It holds those who vouch for others.
    Authorities,
}

impl Section {
    /// The path of the key that names the file of that purpose.
    #[must_use]
    pub fn key(self, purpose: Purpose) -> String {
        let key = match purpose {
            Purpose::Certificate => "cert_file",
            Purpose::Key => "key_file",
            Purpose::Authorities => "ca_file",
        };
        match self {
            Self::Server(index) => format!("server.tls.certificates[{index}].{key}"),
            Self::Clients => format!("server.tls.client_auth.{key}"),
            Self::Backend(index) => format!("backends[{index}].tls.{key}"),
        }
    }
}

/// The content of a file, or why there is none.
pub type Text = Result<Vec<u8>, TlsError>;

/// The files of a certificate and its key, on this machine.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate's, as the configuration names it.
    pub name: String,
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files of a [`Pair`] say.
pub struct PairTexts {
    certificate: Text,
    key: Text,
}

/// A file that is of no use.
#[derive(Debug)]
pub struct UnusableFile {
    /// Which.
    pub purpose: Purpose,
    /// Why.
    pub error: TlsError,
}

impl Pair {
    /// The files of these names.
    ///
    /// # Errors
    /// Which of them begin nowhere.
    pub fn new(files: &CertificateFiles, base: &FileBase) -> Result<Self, Vec<(Purpose, NotAbsolute)>> {
        let certificate = base.resolve(&files.cert_file).map_err(|error| (Purpose::Certificate, error));
        let key = base.resolve(&files.key_file).map_err(|error| (Purpose::Key, error));
        match (certificate, key) {
            (Ok(certificate), Ok(key)) => {
                Ok(Self { name: files.cert_file.as_str().into(), certificate, key })
            }
            (certificate, key) => Err(certificate.err().into_iter().chain(key.err()).collect()),
        }
    }

    /// Reads both.
    #[must_use]
    pub fn read(&self) -> PairTexts {
        PairTexts { certificate: pem::read(&self.certificate), key: pem::read(&self.key) }
    }

    /// Whose fault it is that the two are of no use.
    fn fault(&self, error: TlsError) -> UnusableFile {
        let is_of_key = match &error {
            TlsError::DoesNotFit { .. } => true,
            TlsError::Nothing { file, .. }
            | TlsError::NotPem { file, .. }
            | TlsError::Unusable { file, .. } => *file == self.key,
            _ => false,
        };
        UnusableFile { purpose: if is_of_key { Purpose::Key } else { Purpose::Certificate }, error }
    }
}

impl PairTexts {
    /// Both, to be compared with what they said before.
    pub fn both(&self) -> [&Text; 2] {
        [&self.certificate, &self.key]
    }
}

/// A certificate with its key, which is theirs and in time.
#[derive(Debug)]
pub struct Certificate {
    /// To shake hands with.
    pub key: Arc<CertifiedKey>,
    /// Its DNS names, in lower case.
    pub names: Vec<String>,
    /// When its time is over, in seconds since 1970.
    pub not_after: i64,
}

impl Certificate {
    /// What the files of a pair say, if it is of use now.
    ///
    /// # Errors
    /// Which of the two files is of no use.
    pub fn new(pair: &Pair, texts: PairTexts, provider: &CryptoProvider) -> Result<Self, UnusableFile> {
        let PairTexts { certificate, key } = texts;
        let certificate =
            certificate.map_err(|error| UnusableFile { purpose: Purpose::Certificate, error })?;
        let key = key.map_err(|error| UnusableFile { purpose: Purpose::Key, error })?;
        let key = pem::certified((&pair.certificate, &certificate), (&pair.key, &key), provider)
            .map_err(|error| pair.fault(error))?;
        let file = || pair.certificate.clone();
        let leaf = key.cert.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
        let (_, leaf) = leaf.ok_or_else(|| pair.fault(TlsError::NotX509 { file: file() }))?;
        let (validity, now) = (leaf.validity(), ASN1Time::now());
        if validity.not_after < now {
            return Err(pair.fault(TlsError::Expired { file: file() }));
        }
        if validity.not_before > now {
            return Err(pair.fault(TlsError::NotValidYet { file: file() }));
        }
        let not_after = validity.not_after.timestamp();
        let names = dns_names(&leaf);
        drop(leaf);
        Ok(Self { key: Arc::new(key), names, not_after })
    }
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| &names.value.general_names).into_iter().flatten();
    let dns_name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.filter_map(dns_name).collect()
}

/// A file that a configuration names and that is of no use.
#[derive(Debug)]
pub struct Fault {
    /// The path of the key that names it.
    pub path: String,
    /// Why.
    pub error: FaultError,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// It cannot be found from here.
    #[error(transparent)]
    NotAbsolute(#[from] NotAbsolute),
    /// What it says is of no use, or it says nothing.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl FaultError {
    /// Whether it tells of another machine: not even the directory of the file is here.
    #[must_use]
    pub fn is_of_another_machine(&self) -> bool {
        match self {
            Self::NotAbsolute(_) => true,
            Self::Tls(TlsError::Unreadable { file, source }) => {
                source.kind() == io::ErrorKind::NotFound
                    && file.parent().is_some_and(|directory| !directory.is_dir())
            }
            Self::Tls(_) => false,
        }
    }
}

/// Whether the files are of use that a configuration names: all that are not, in the order of the configuration. Files that
/// several backends name alike are told of once.
#[must_use]
pub fn check(config: &GatewayConfig, base: &FileBase) -> Vec<Fault> {
    let mut check = Check { base, provider: aws_lc_rs::default_provider(), faults: Vec::new() };
    if let Some(tls) = &config.settings().server.tls {
        check.server(tls);
    }
    let mut seen = HashSet::new();
    let backends = config.backends().iter().enumerate();
    let with_tls = backends.filter_map(|(index, backend)| Some((index, Backend::tls(backend)?)));
    for (index, tls) in with_tls.filter(|(_, tls)| seen.insert((*tls).clone())) {
        check.backend(index, tls);
    }
    check.faults
}

struct Check<'b> {
    base: &'b FileBase,
    provider: CryptoProvider,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn server(&mut self, tls: &ServerTls) {
        for (index, files) in tls.certificates().iter().enumerate() {
            self.pair(Section::Server(index), files);
        }
        if let Some(file) = tls.client_auth.ca_file() {
            self.authorities(Section::Clients, file);
        }
    }

    fn backend(&mut self, index: usize, tls: &BackendTls) {
        if let Some(file) = &tls.ca_file {
            self.authorities(Section::Backend(index), file);
        }
        if let Some(files) = &tls.certificate {
            self.pair(Section::Backend(index), files);
        }
    }

    fn pair(&mut self, section: Section, files: &CertificateFiles) {
        match Pair::new(files, self.base) {
            Ok(pair) => {
                if let Err(UnusableFile { purpose, error }) =
                    Certificate::new(&pair, pair.read(), &self.provider)
                {
                    self.report(section, purpose, error);
                }
            }
            Err(faults) => {
                faults.into_iter().for_each(|(purpose, error)| self.report(section, purpose, error));
            }
        }
    }

    fn authorities(&mut self, section: Section, file: &FilePath) {
        let read = |file: PathBuf| Ok(pem::authorities(&pem::read(&file)?, &file)?);
        let read = self.base.resolve(file).map_err(FaultError::from).and_then(read);
        if let Err(error) = read {
            self.report(section, Purpose::Authorities, error);
        }
    }

    fn report(&mut self, section: Section, purpose: Purpose, error: impl Into<FaultError>) {
        self.faults.push(Fault { path: section.key(purpose), error: error.into() });
    }
}
