//! TLS: a server whose certificate somebody trusted vouches for, and one that nobody does.

use apigw_config::model::RedisTransport;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// An authority, and a certificate of it for 127.0.0.1, in files that redis-server reads.
struct Certificates {
    directory: tempfile::TempDir,
    root: Vec<u8>,
}

impl Certificates {
    fn new() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        let server = server.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = pem("CERTIFICATE", root.der());
        let files = [
            ("root.pem", root.clone()),
            ("server.pem", pem("CERTIFICATE", server.der())),
            ("server.key", pem("PRIVATE KEY", &key.serialize_der())),
        ];
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self { root: root.into_bytes(), directory }
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let pairs = [
            ("--port", "0".to_owned()),
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file("server.pem")),
            ("--tls-key-file", file("server.key")),
            ("--tls-ca-cert-file", file("root.pem")),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        pairs.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect()
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(LINE).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[tokio::test]
async fn a_server_is_spoken_to_only_if_its_certificate_is_vouched_for() {
    let certificates = Certificates::new();
    let server = Server::start_with(|port| certificates.arguments(port));
    let backend = RedisBackend { transport: RedisTransport::Tls, ..server.backend() };
    let limiter = RedisLimiter::start(&backend, &Roots::Pem(certificates.root.clone())).unwrap();
    wait_until_connected(&limiter).await;
    assert_eq!(reason(&limiter, &bucket("alice", 9)).await, "decided");
    for roots in [Roots::Platform, Roots::Pem(Certificates::new().root)] {
        let client = connection::Client::new(&backend, &roots).unwrap();
        let error = client.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Connect(_)), "{error:?}");
    }
}
