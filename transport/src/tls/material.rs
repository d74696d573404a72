//! Three files made ready for connections, and checked to fit together.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_cert_signed_by_trust_anchor},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};

use super::{
    TlsFiles,
    pem::{self, TlsError},
};

/// What is negotiated inside of TLS (RFC 7301), the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

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
            [&files.certificate, &files.key, &files.authorities].map(|path| pem::read(path));
        Ok(Self { certificate: certificate?, key: key?, authorities: authorities? })
    }
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
        let certificate = (&*files.certificate, &*texts.certificate);
        let certified = Arc::new(pem::certified(certificate, (&files.key, &texts.key), &provider)?);
        let chain = certified.cert.clone();
        let authorities = Arc::new(pem::authorities(&texts.authorities, &files.authorities)?);
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
