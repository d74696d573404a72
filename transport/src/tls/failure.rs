//! Why two programs did not come to speak, in the words of an operator.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// What a handshake failed of. "It" is the other side.
#[derive(Debug, thiserror::Error)]
pub enum TlsFailure {
    /// Or it is of another authority than its file says.
    #[error("its certificate is of no authority in --tls-ca")]
    UnknownAuthority,
    /// Its time is over.
    #[error("its certificate has expired")]
    Expired,
    /// Its time has not come, or our clock is wrong.
    #[error("its certificate is not valid yet; is the clock right?")]
    NotValidYet,
    /// It is another server than was asked for.
    #[error("its certificate is for another name than {name}")]
    WrongName {
        /// That was asked for.
        name: String,
    },
    /// A server's certificate shown by a client, or the reverse.
    #[error("its certificate is not made for this use (server or client)")]
    WrongPurpose,
    /// It showed none.
    #[error("it showed no certificate")]
    NothingShown,
    /// It does not take ours.
    #[error("it refused our certificate: {reason}")]
    Refused {
        /// As far as it says.
        reason: &'static str,
    },
    /// It ended the connection.
    #[error("it closed the connection; does it speak TLS, and has it room for another connection?")]
    Closed,
    /// Plain text, an old version, a broken network.
    #[error("TLS failed: {0}")]
    Other(#[source] io::Error),
}

impl TlsFailure {
    /// Of a handshake, or the first read after it.
    pub(crate) fn of(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(found)) => match found {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotValidYet
                }
                CertificateError::NotValidForNameContext { expected, .. } => {
                    Self::WrongName { name: expected.to_str().into_owned() }
                }
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                    Self::WrongPurpose
                }
                _ => Self::Other(error),
            },
            Some(rustls::Error::NoCertificatesPresented) => Self::NothingShown,
            Some(rustls::Error::AlertReceived(alert)) => match reason(*alert) {
                Some(reason) => Self::Refused { reason },
                None => Self::Other(error),
            },
            _ if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ) =>
            {
                Self::Closed
            }
            _ => Self::Other(error),
        }
    }
}

/// What an alert says of our certificate (RFC 8446 section 6.2); none where it is about something else.
fn reason(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateExpired => "it has expired, or is not valid yet by its clock",
        AlertDescription::UnknownCA => "it is of no authority in its --tls-ca",
        AlertDescription::CertificateRequired => "it wants one",
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::UnsupportedCertificate => "it is not made for this use (server or client)",
        AlertDescription::BadCertificate => "it is not made for this, or for another name",
        AlertDescription::CertificateUnknown | AlertDescription::AccessDenied => "it does not say why",
        AlertDescription::DecryptError => {
            "it is of an authority with a name in its --tls-ca, but with another key"
        }
        _ => return None,
    })
}
