//! Authorities and certificates for the tests of this package.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::tls::{Tls, TlsFiles};

/// An authority of a test.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: Certificate,
}

/// The contents of three files.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Authorities are told apart by their names.
        params.distinguished_name.push(DnType::CommonName, STANDARD.encode(key.public_key_raw()));
        let certificate = params.self_signed(&key).unwrap();
        Self { params, key, certificate }
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |params| params)
    }

    pub(crate) fn issue_with(
        &self,
        name: &str,
        change: impl FnOnce(CertificateParams) -> CertificateParams,
    ) -> Issued {
        let key = KeyPair::generate().unwrap();
        let params = change(CertificateParams::new(vec![name.into()]).unwrap());
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Issued {
            certificate: pem("CERTIFICATE", certificate.der()),
            key: pem("PRIVATE KEY", &key.serialize_der()),
            authority: pem("CERTIFICATE", self.certificate.der()),
        }
    }
}

impl Issued {
    /// Writes the three files.
    pub(crate) fn write(&self, directory: &Path) -> TlsFiles {
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            certificate: file("cert.pem", &self.certificate),
            key: file("key.pem", &self.key),
            authorities: file("ca.pem", &self.authority),
        }
    }

    pub(crate) fn tls(&self, directory: &Path) -> Tls {
        Tls::load(self.write(directory)).unwrap()
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(LINE).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
