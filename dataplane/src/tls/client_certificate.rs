//! What a client has shown of itself, in the words for upstreams ([RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)) and logs.

use apigw_config::model::CertificateForwarding;
use apigw_engine::callers::mtls::CertificateNames;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The most characters of a subject that stand in a log line.
const MOST_LOGGED: usize = 200;

/// The certificate of a client, which its authority has vouched for.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// Its subject, as RFC 4514 writes it, cut to a bound. Any text.
    subject: String,
    names: CertificateNames,
    /// As `Client-Cert` has it; none: it is not forwarded.
    certificate: Option<HeaderValue>,
    /// As `Client-Cert-Chain` has them; none: they are not forwarded, or there are none.
    chain: Option<HeaderValue>,
}

impl ClientCertificate {
    /// Of the certificates that a client has shown, its own first; none: it has shown none.
    pub(crate) fn new(shown: &[CertificateDer<'_>], forwarding: CertificateForwarding) -> Option<Self> {
        let (own, others) = shown.split_first()?;
        let parsed = X509Certificate::from_der(own).ok().map(|(_, parsed)| parsed);
        let subject = parsed.as_ref().map(|own| own.subject().to_string());
        let subject = subject.unwrap_or_default().chars().take(MOST_LOGGED).collect();
        let names = parsed.as_ref().map(names).unwrap_or_default();
        let certificate = match forwarding {
            CertificateForwarding::None => None,
            CertificateForwarding::Certificate | CertificateForwarding::Chain => Some(field([own])),
        };
        let chain = match forwarding {
            CertificateForwarding::Chain if !others.is_empty() => Some(field(others)),
            _ => None,
        };
        Some(Self { subject, names, certificate, chain })
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// By which its owner may be known.
    pub(crate) fn names(&self) -> &CertificateNames {
        &self.names
    }

    pub(crate) fn certificate(&self) -> Option<&HeaderValue> {
        self.certificate.as_ref()
    }

    pub(crate) fn chain(&self) -> Option<&HeaderValue> {
        self.chain.as_ref()
    }
}

/// The names in a certificate. They are taken from its fields, never from a text that is made of them, in which one could look like
/// another.
fn names(certificate: &X509Certificate<'_>) -> CertificateNames {
    let mut names = CertificateNames::default();
    // An extension that is there twice, or cannot be read, says nothing.
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.add_dns(name),
            GeneralName::URI(name) => names.add_uri(name),
            GeneralName::RFC822Name(name) => names.add_email(name),
            _ => {}
        }
    }
    let subject = certificate.subject();
    // One that is no text counts all the same: it is not clear which is meant.
    names.add_common_names(subject.iter_common_name().map(|name| name.as_str().unwrap_or_default()));
    names
}

/// Byte sequences of structured fields (RFC 8941 section 3.3.5).
fn field<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> HeaderValue {
    let items = certificates.into_iter().map(|certificate| format!(":{}:", STANDARD.encode(certificate)));
    let text = items.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text).expect("base64, colons and commas are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forwarded_is_what_the_file_says() {
        let shown = [b"own", b"ca1", b"ca2"].map(|bytes| CertificateDer::from(bytes.to_vec()));
        let fields = |shown, forwarding| {
            let certificate = ClientCertificate::new(shown, forwarding).unwrap();
            let text = |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
            (text(certificate.certificate()), text(certificate.chain()))
        };
        let (own, others) = (Some(":b3du:".into()), Some(":Y2Ex:, :Y2Ey:".into()));
        assert_eq!(fields(&shown, CertificateForwarding::None), (None, None));
        assert_eq!(fields(&shown, CertificateForwarding::Certificate), (own.clone(), None));
        assert_eq!(fields(&shown, CertificateForwarding::Chain), (own.clone(), others));
        assert_eq!(fields(&shown[..1], CertificateForwarding::Chain), (own, None));
        assert!(ClientCertificate::new(&[], CertificateForwarding::Chain).is_none());
    }
}
