//! `server.tls`: what clients are shown who speak TLS, and what is demanded of them.

use std::{fmt, str::FromStr};

use crate::names::{FilePath, Period, TrafficAddress, ValueError};

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Where it is spoken.
    pub listening: TlsListening,
    certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether clients show certificates, too.
    pub client_auth: ClientAuth,
    /// What upstreams are told of clients' certificates.
    pub forwarding: CertificateForwarding,
    /// For a client to finish its handshake.
    pub handshake_timeout: Period,
}

/// Where TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsListening {
    /// On every address of the server.
    Everywhere,
    /// On addresses of its own, beside those of the server.
    Beside {
        /// At least one.
        addresses: Vec<TrafficAddress>,
        /// What becomes of requests on the others.
        plain: PlainRequests,
    },
}

/// What becomes of a request in clear where there is TLS as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlainRequests {
    /// It is served.
    Serve,
    /// It is sent to the first port with TLS.
    Redirect,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, and those between it and its authority: PEM.
    pub cert_file: FilePath,
    /// Its private key: PEM.
    pub key_file: FilePath,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; what they show must be good.
    Optional {
        /// Who vouches for them: PEM.
        ca_file: FilePath,
    },
    /// They must.
    Required {
        /// Who vouches for them: PEM.
        ca_file: FilePath,
    },
}

/// Whether clients show certificates, without the question who vouches for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuthMode {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// What upstreams are told of a client's certificate ([RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateForwarding {
    /// Nothing.
    #[default]
    None,
    /// The certificate, in `Client-Cert`.
    Certificate,
    /// Those between it and its authority besides, in `Client-Cert-Chain`.
    Chain,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsVersion {
    /// [RFC 5246](https://www.rfc-editor.org/rfc/rfc5246).
    #[default]
    Tls12,
    /// [RFC 8446](https://www.rfc-editor.org/rfc/rfc8446).
    Tls13,
}

impl ServerTls {
    /// The most certificates.
    pub const MAX_CERTIFICATES: usize = 1_000;

    /// TLS with these certificates on every address; the first is for clients that name none of the others.
    ///
    /// # Errors
    /// When there is no certificate, or more than [`Self::MAX_CERTIFICATES`].
    pub fn new(certificates: Vec<CertificateFiles>) -> Result<Self, ValueError> {
        match certificates.len() {
            0 => return Err(ValueError::Empty),
            1..=Self::MAX_CERTIFICATES => {}
            _ => return Err(ValueError::OutOfRange { range: "at most 1000 certificates" }),
        }
        Ok(Self {
            listening: TlsListening::Everywhere,
            certificates,
            min_version: TlsVersion::default(),
            client_auth: ClientAuth::default(),
            forwarding: CertificateForwarding::default(),
            handshake_timeout: Self::DEFAULT_HANDSHAKE_TIMEOUT,
        })
    }

    /// The same in other places.
    #[must_use]
    pub fn with_listening(mut self, listening: TlsListening) -> Self {
        self.listening = listening;
        self
    }

    /// The time for a handshake where the file names none.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Period = Period::seconds(5);

    /// At least one; the first is for clients that name none of the others.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateFiles] {
        &self.certificates
    }
}

impl TlsListening {
    /// Puts together what a file says in two places.
    ///
    /// # Errors
    /// When requests are to be redirected, and no address would be left to redirect from, or no port to redirect to.
    pub fn new(addresses: Vec<TrafficAddress>, plain: PlainRequests) -> Result<Self, ValueError> {
        let has_port = addresses.iter().any(|address| address.port().is_some());
        match (addresses.is_empty(), plain) {
            (_, PlainRequests::Redirect) if !has_port => Err(ValueError::NothingToRedirect),
            (false, plain) => Ok(Self::Beside { addresses, plain }),
            (true, _) => Ok(Self::Everywhere),
        }
    }

    /// The addresses beside those of the server.
    #[must_use]
    pub fn addresses(&self) -> &[TrafficAddress] {
        match self {
            Self::Everywhere => &[],
            Self::Beside { addresses, .. } => addresses,
        }
    }

    /// The port that requests in clear are sent to; none: they are served, or there are none.
    #[must_use]
    pub fn redirect_port(&self) -> Option<u16> {
        match self {
            Self::Beside { addresses, plain: PlainRequests::Redirect } => {
                addresses.iter().find_map(TrafficAddress::port)
            }
            Self::Everywhere | Self::Beside { .. } => None,
        }
    }
}

impl ClientAuth {
    /// Puts together what a file says in two keys. Without clients' certificates the authorities are not needed.
    ///
    /// # Errors
    /// When certificates are to be judged, and nothing says by which authorities.
    pub fn new(mode: ClientAuthMode, ca_file: Option<FilePath>) -> Result<Self, ValueError> {
        let ca_file = ca_file.ok_or(ValueError::Missing);
        Ok(match mode {
            ClientAuthMode::None => Self::None,
            ClientAuthMode::Optional => Self::Optional { ca_file: ca_file? },
            ClientAuthMode::Required => Self::Required { ca_file: ca_file? },
        })
    }

    /// Without the authorities.
    #[must_use]
    pub fn mode(&self) -> ClientAuthMode {
        match self {
            Self::None => ClientAuthMode::None,
            Self::Optional { .. } => ClientAuthMode::Optional,
            Self::Required { .. } => ClientAuthMode::Required,
        }
    }

    /// Who vouches for clients; none: they are not asked.
    #[must_use]
    pub fn ca_file(&self) -> Option<&FilePath> {
        match self {
            Self::None => None,
            Self::Optional { ca_file } | Self::Required { ca_file } => Some(ca_file),
        }
    }
}

/// Words of the file, in both directions.
macro_rules! words {
    ($type:ty, $choices:literal: $($variant:ident = $word:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)+
                })
            }
        }

        impl FromStr for $type {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ValueError::UnknownChoice { choices: $choices, text: text.into() }),
                }
            }
        }
    };
}

words!(TlsVersion, "1.2, 1.3": Tls12 = "1.2", Tls13 = "1.3");
words!(ClientAuthMode, "none, optional, required": None = "none", Optional = "optional", Required = "required");
words!(CertificateForwarding, "none, certificate, chain": None = "none", Certificate = "certificate", Chain = "chain");
