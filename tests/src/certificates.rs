//! Certificates for the programs: authorities of a test, what they issue, and files of it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tempfile::TempDir;

use crate::waiting::DEADLINE;

/// Who vouches for others.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// What is wrong with a certificate, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is good, for `localhost` and `127.0.0.1`.
    None,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It is for another name.
    OtherName,
    /// The key beside it is that of another.
    OtherKey,
}

/// A name of a client in its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientName<'n> {
    /// Of its machine.
    Dns(&'n str),
    /// Such as a SPIFFE ID.
    Uri(&'n str),
    /// Its address of mail.
    Email(&'n str),
    /// The common name of the subject.
    Common(&'n str),
}

impl ClientName<'_> {
    fn write(self, params: &mut CertificateParams) {
        let text = |name: &str| name.try_into().expect("the name is ASCII");
        params.subject_alt_names.push(match self {
            Self::Dns(name) => SanType::DnsName(text(name)),
            Self::Uri(name) => SanType::URI(text(name)),
            Self::Email(name) => SanType::Rfc822Name(text(name)),
            Self::Common(name) => return params.distinguished_name.push(DnType::CommonName, name),
        });
    }
}

/// A certificate, its key and those who vouch for others, in files of a directory that goes with this.
#[derive(Debug)]
pub struct Identity {
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// A new one, with a name that no other has.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are legal");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, STANDARD.encode(key.public_key_raw()));
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// What a client has that trusts this authority, and offers these protocols.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn client_config(&self, protocols: &[&[u8]]) -> io::Result<ClientConfig> {
        self.client_config_as(None, protocols)
    }

    fn client_config_as(&self, shown: Option<&Identity>, protocols: &[&[u8]]) -> io::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority's certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let mut config = match shown {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![identity.certificate.clone()];
                config.with_client_auth_cert(chain, identity.key()?).map_err(io::Error::other)?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    /// A good certificate for whoever trusts this authority.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity_with(Flaw::None, self)
    }

    /// A client's good certificate with these names, in this order.
    ///
    /// # Panics
    /// When there is no room for its files.
    #[must_use]
    pub fn client(&self, names: &[ClientName<'_>]) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are legal");
        params.distinguished_name = DistinguishedName::new();
        names.iter().for_each(|name| name.write(&mut params));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        self.write(&certificate, &key, directory.path());
        Identity { directory, certificate }
    }

    /// A certificate with a flaw, for whoever trusts that authority.
    ///
    /// # Panics
    /// When there is no room for its files.
    #[must_use]
    pub fn identity_with(&self, flaw: Flaw, trusted: &Self) -> Identity {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certificate = self.issue(flaw, trusted, directory.path());
        Identity { directory, certificate }
    }

    /// Writes the three files, each by rename, the certificate before its key.
    fn issue(&self, flaw: Flaw, trusted: &Self, directory: &Path) -> CertificateDer<'static> {
        let names = match flaw {
            Flaw::OtherName => vec!["elsewhere.example".to_owned()],
            Flaw::None | Flaw::Expired | Flaw::NotYet | Flaw::OtherKey => {
                vec!["localhost".into(), "127.0.0.1".into()]
            }
        };
        let mut params = CertificateParams::new(names).expect("the names are legal");
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2001, 1, 1),
            Flaw::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
            Flaw::None | Flaw::OtherName | Flaw::OtherKey => {}
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        let key = if flaw == Flaw::OtherKey { KeyPair::generate().expect("a key") } else { key };
        trusted.write(&certificate, &key, directory);
        certificate
    }

    /// Writes what somebody has who trusts this authority.
    fn write(&self, certificate: &CertificateDer<'_>, key: &KeyPair, directory: &Path) {
        replace(&directory.join("cert.pem"), &pem("CERTIFICATE", certificate));
        replace(&directory.join("key.pem"), &pem("PRIVATE KEY", &key.serialize_der()));
        replace(&directory.join("ca.pem"), &pem("CERTIFICATE", &self.certificate));
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// The flags of a program that has it.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let pairs = [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem"), ("--tls-ca", "ca.pem")];
        let flags = pairs.map(|(flag, file)| [flag.to_owned(), self.path(file).display().to_string()]);
        flags.into_iter().flatten().collect()
    }

    /// One of `cert.pem`, `key.pem` and `ca.pem`.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a server has that shows it, and agrees on one of these protocols.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn server_config(&self, protocols: &[&[u8]]) -> io::Result<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key()?)
            .map_err(io::Error::other)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    fn key(&self) -> io::Result<PrivateKeyDer<'static>> {
        let text = fs::read_to_string(self.path("key.pem"))?;
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let key = STANDARD.decode(lines.collect::<String>()).expect("base64 of a key");
        Ok(PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)))
    }

    /// Puts another certificate of an authority in its place.
    pub fn renew(&mut self, authority: &Authority) {
        self.certificate = authority.issue(Flaw::None, authority, self.directory.path());
    }
}

/// Replaces a file whole.
///
/// # Panics
/// When the system refuses.
pub fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).expect("the file is written");
}

/// RFC 7468.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A client of a TLS address that speaks HTTP/1 inside, unless it is told otherwise.
#[derive(Debug)]
pub struct SecureClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl SecureClient {
    /// Connects and shows an identity, or nothing. That the server takes it is not known before it answers.
    ///
    /// # Errors
    /// When the handshake fails.
    ///
    /// # Panics
    /// When the identity's files are not as they were written.
    pub fn open(address: SocketAddr, trusted: &Authority, shown: Option<&Identity>) -> io::Result<Self> {
        Self::open_for(address, trusted, shown, &[])
    }

    /// The same, where these bytes are sent in clear first.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn open_behind(prelude: &[u8], address: SocketAddr, trusted: &Authority) -> io::Result<Self> {
        Self::connect(prelude, address, trusted.client_config(&[])?)
    }

    /// The same, for these protocols (RFC 7301).
    ///
    /// # Errors
    /// When the handshake fails.
    ///
    /// # Panics
    /// When the identity's files are not as they were written.
    pub fn open_for(
        address: SocketAddr,
        trusted: &Authority,
        shown: Option<&Identity>,
        protocols: &[&[u8]],
    ) -> io::Result<Self> {
        Self::connect(b"", address, trusted.client_config_as(shown, protocols)?)
    }

    fn connect(prelude: &[u8], address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut socket = TcpStream::connect_timeout(&address, DEADLINE)?;
        socket.write_all(prelude)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { stream })
    }

    /// The bytes inside of TLS.
    #[must_use]
    pub fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.stream
    }

    /// What the server showed.
    #[must_use]
    pub fn server_certificate(&self) -> Option<CertificateDer<'static>> {
        self.stream.conn.peer_certificates()?.first().cloned().map(CertificateDer::into_owned)
    }

    /// Waits for what the server says before it is asked.
    ///
    /// # Errors
    /// When it ends the connection, with its alert, or says nothing.
    pub fn listen(&mut self) -> io::Result<usize> {
        self.stream.read(&mut [0; 1])
    }

    /// Asks for a path and reads the beginning of the answer.
    ///
    /// # Errors
    /// When the server ends the connection instead.
    pub fn get(&mut self, path: &str) -> io::Result<String> {
        self.get_with(path, "")
    }

    /// The same with further field lines, each ending in CRLF.
    ///
    /// # Errors
    /// When the server ends the connection instead.
    pub fn get_with(&mut self, path: &str, fields: &str) -> io::Result<String> {
        write!(self.stream, "GET {path} HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n")?;
        self.stream.flush()?;
        let mut bytes = [0; 16_384];
        let length = self.stream.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}
