//! Files with certificates made ready for handshakes: which is shown to whom, and who vouches for clients.

use std::{collections::HashMap, path::Path, sync::Arc};

use apigw_config::model::{self, ClientAuth, TlsVersion};
use apigw_transport::tls::{
    configured::{Certificate, Pair, PairTexts, Purpose, Section, Text, UnusableFile},
    pem::{self, TlsError},
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{
        ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{Paths, renewal::Seen};

/// What is spoken inside of TLS (RFC 7301), the better first. A client of HTTP/2 begins with its preface, by which the
/// connection knows it, in TLS as in clear.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The contents of all files, in the order of the configuration.
pub(super) struct Texts {
    pairs: Vec<PairTexts>,
    authorities: Option<Text>,
}

/// A file of no use.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where the configuration names it.
    pub(super) section: Section,
    /// What it is for.
    pub(super) purpose: Purpose,
    pub(super) error: TlsError,
}

impl Fault {
    fn of_authorities(error: TlsError) -> Self {
        Self { section: Section::Clients, purpose: Purpose::Authorities, error }
    }
}

impl Texts {
    pub(super) fn read(paths: &Paths) -> Self {
        Self {
            pairs: paths.certificates.iter().map(Pair::read).collect(),
            authorities: paths.authorities.as_deref().map(pem::read),
        }
    }

    /// What they say, to be compared; one that cannot be read says nothing.
    pub(super) fn seen(&self) -> Seen {
        let pairs = self.pairs.iter().flat_map(PairTexts::both);
        Seen(pairs.chain(&self.authorities).map(|text| text.as_ref().ok().cloned()).collect())
    }
}

/// What connections are accepted with.
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    certificates: Vec<Arc<Certificate>>,
    /// None: clients are not asked.
    authorities: Option<Arc<RootCertStore>>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[certificates and keys]")
    }
}

impl Material {
    /// Of these contents; what is of no use stays as it was before. None: it was not there before.
    pub(super) fn new(
        texts: Texts,
        paths: &Paths,
        settings: &model::ServerTls,
        before: Option<&Self>,
    ) -> (Option<Self>, Vec<Fault>) {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut faults = Vec::new();
        let pairs = texts.pairs.into_iter().enumerate();
        let certificates: Vec<_> = pairs
            .map(|(index, texts)| {
                let read = Certificate::new(&paths.certificates[index], texts, &provider);
                let fault = |UnusableFile { purpose, error }| Fault {
                    section: Section::Server(index),
                    purpose,
                    error,
                };
                read.map(Arc::new)
                    .map_err(|error| faults.push(fault(error)))
                    .ok()
                    .or_else(|| Some(Arc::clone(before?.certificates.get(index)?)))
            })
            .collect();
        let authorities = texts.authorities.map(|text| {
            let file = paths.authorities.as_deref().unwrap_or(Path::new(""));
            let read = text.and_then(|text| pem::authorities(&text, file)).map(Arc::new);
            let fault = |error| faults.push(Fault::of_authorities(error));
            read.map_err(fault).ok().or_else(|| before?.authorities.clone())
        });
        let certificates = certificates.into_iter().collect::<Option<Vec<_>>>();
        let authorities = authorities.map_or(Some(None), |authorities| authorities.map(Some));
        let material = certificates.zip(authorities).and_then(|(certificates, authorities)| {
            let server = server(&certificates, authorities.as_ref(), settings, &provider);
            let fault = |error| faults.push(Fault::of_authorities(error));
            let server = Arc::new(server.map_err(fault).ok()?);
            Some(Self { server, certificates, authorities })
        });
        (material, faults)
    }

    /// In the order of the configuration.
    pub(super) fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
}

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
static NEWEST: [&SupportedProtocolVersion; 1] = [&TLS13];

/// The versions that are spoken.
fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::Tls12 => &BOTH,
        TlsVersion::Tls13 => &NEWEST,
    }
}

fn server(
    certificates: &[Arc<Certificate>],
    authorities: Option<&Arc<RootCertStore>>,
    settings: &model::ServerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, TlsError> {
    let unusable = |source| TlsError::Unsupported { source };
    let verifier: Arc<dyn ClientCertVerifier> = match authorities {
        None => Arc::new(NoClientAuth),
        Some(authorities) => {
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities), Arc::clone(provider));
            let builder = match &settings.client_auth {
                ClientAuth::Optional { .. } => builder.allow_unauthenticated(),
                ClientAuth::None | ClientAuth::Required { .. } => builder,
            };
            let file =
                settings.client_auth.ca_file().map_or_else(Default::default, |path| path.as_path().into());
            builder.build().map_err(|source| TlsError::NoVerifier { file, source })?
        }
    };
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(settings.min_version))
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByName::new(certificates)));
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Sessions are resumed by tickets alone, so that clients cost no memory. Their keys are drawn anew every some hours, and
    // with each renewal: who was vouched for by an authority of before must show that he still is.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
    Ok(server)
}

/// Chooses the certificate by the name that a client asks for (RFC 6066 section 3).
#[derive(Debug)]
struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name nobody, or somebody else.
    first: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn new(certificates: &[Arc<Certificate>]) -> Self {
        let (mut exact, mut wildcard) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for certificate in certificates {
            for name in &certificate.names {
                let entry = match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.to_owned()),
                    None => exact.entry(name.clone()),
                };
                entry.or_default().push(Arc::clone(&certificate.key));
            }
        }
        let first = certificates.first().map(|certificate| Arc::clone(&certificate.key));
        Self { exact, wildcard, first: first.into_iter().collect() }
    }

    fn find(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let name = name.map(str::to_ascii_lowercase);
        let found = name.as_deref().and_then(|name| {
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact.get(name).or_else(|| self.wildcard.get(parent?))
        });
        found.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.find(hello.server_name());
        // Of several for one name (RSA and ECDSA), one that the client can check.
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        found.iter().find(fits).or(found.first()).cloned()
    }
}
