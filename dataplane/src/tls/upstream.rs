//! TLS towards upstreams: who vouches for them, what they are shown, and handshakes.
//!
//! What a configuration does not have any more is kept for one more: requests that were judged by the one before may still
//! want to connect.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::Arc,
};

use apigw_config::{
    model::{Backend, BackendTls, Destination, Protocol},
    names::{Scheme, UpstreamHost},
    problem::Problem,
};
use apigw_engine::{Snapshot, snapshot::Upstream};
use apigw_transport::tls::configured::FileBase;
use rustls::{AlertDescription, ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{InUse, backend_files::BackendFiles};
use crate::{gateway::problem, socket::stream::Stream};

/// Why there is nobody to vouch for upstreams.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    /// The machine's authorities cannot be read.
    #[error("the machine's certificate authorities cannot be read: {0}")]
    Unreadable(#[source] rustls_native_certs::Error),
    /// It has none.
    #[error("the machine has no certificate authorities")]
    None,
    /// Not what this build can do.
    #[error("TLS cannot be set up: {0}")]
    Unsupported(#[from] rustls::Error),
}

/// The machine's authorities; those of `SSL_CERT_FILE` where it is set.
pub(crate) fn platform_roots() -> Result<RootCertStore, RootsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (used, _) = roots.add_parsable_certificates(found.certs);
    match found.errors.into_iter().next() {
        Some(error) if used == 0 => Err(RootsError::Unreadable(error)),
        None if used == 0 => Err(RootsError::None),
        _ => Ok(roots),
    }
}

/// A client that trusts these authorities, and shows no certificate.
pub(crate) fn client_trusting(roots: impl Into<Arc<RootCertStore>>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What connections to upstreams with `https` are made with. A clone shares everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamTls {
    /// None: nobody has needed it.
    platform: Option<Platform>,
    /// Of backends with settings of their own.
    own: Arc<Own>,
    /// The same of the configuration before.
    former: Arc<Own>,
}

type Own = HashMap<BackendTls, Arc<BackendFiles>>;

/// The machine's authorities, and a client that trusts them.
#[derive(Debug, Clone)]
struct Platform {
    roots: Arc<RootCertStore>,
    client: Arc<ClientConfig>,
}

impl Platform {
    fn load() -> Result<Self, RootsError> {
        let roots = Arc::new(platform_roots()?);
        let mut client = client_trusting(Arc::clone(&roots))?;
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { roots, client: Arc::new(client) })
    }
}

/// The key of the first route or endpoint that the machine's authorities vouch for.
fn first_trusting(snapshot: &Snapshot) -> String {
    let is_secure = |backend: &Backend| {
        backend.endpoints().iter().any(|endpoint| endpoint.url.scheme() == Scheme::Https)
            && backend.tls().is_none_or(|tls| tls.ca_file.is_none())
    };
    let backend = snapshot.config().backends().iter().position(|backend| is_secure(backend));
    let route = snapshot.config().routes().position(|route| match &route.destination {
        Destination::Upstream(url) => url.scheme() == Scheme::Https,
        Destination::Backend(_)
        | Destination::Split(_)
        | Destination::Redirect(_)
        | Destination::Respond(_) => false,
    });
    match (route, backend) {
        (Some(route), _) => format!("routes[{route}].upstream"),
        (None, Some(backend)) => format!("backends[{backend}]"),
        (None, None) => String::new(),
    }
}

impl UpstreamTls {
    /// Makes ready what a snapshot needs; what is at hand is not read again. Reads files; to be called on the control runtime.
    ///
    /// # Errors
    /// When the machine has no authorities, or a file of a backend is of no use.
    pub(crate) fn load(
        snapshot: &Snapshot,
        base: &FileBase,
        previous: Option<(&Snapshot, &Self)>,
    ) -> Result<Self, Vec<Problem>> {
        let mut platform = previous.and_then(|(_, previous)| previous.platform.clone());
        if platform.is_none() && snapshot.needs_platform_roots() {
            let loaded = Platform::load();
            let of_snapshot = |error: RootsError| vec![problem(&first_trusting(snapshot), error.to_string())];
            platform = Some(loaded.map_err(of_snapshot)?);
        }
        let backends = snapshot.config().backends();
        let former = previous.map(|(_, previous)| Arc::clone(&previous.own)).unwrap_or_default();
        if previous.is_some_and(|(snapshot, _)| snapshot.config().backends().is_shared_with(backends)) {
            return Ok(Self { platform, own: Arc::clone(&former), former });
        }
        let roots = platform.as_ref().map(|platform| &platform.roots);
        let (mut own, mut problems) = (Own::new(), Vec::new());
        for (index, backend) in backends.iter().enumerate() {
            let Some(Entry::Vacant(place)) = backend.tls().map(|tls| own.entry(tls.clone())) else {
                continue;
            };
            match former.get(place.key()) {
                Some(known) => drop(place.insert(Arc::clone(known))),
                None => match BackendFiles::load(place.key(), index, base, roots) {
                    Ok(files) => drop(place.insert(files)),
                    Err(found) => problems.extend(found),
                },
            }
        }
        if problems.is_empty() { Ok(Self { platform, own: Arc::new(own), former }) } else { Err(problems) }
    }

    /// Whether any backend names files.
    pub(crate) fn has_files(&self) -> bool {
        !self.own.is_empty()
    }

    /// The certificate that a backend's endpoints are shown.
    pub(crate) fn in_use(&self, backend: &Backend) -> Option<InUse> {
        self.own.get(backend.tls()?)?.in_use()
    }

    /// How often what files of backends said was of no use.
    pub(crate) fn failures(&self) -> u64 {
        self.own.values().map(|files| files.failures()).sum()
    }

    /// Shakes hands with an upstream, whose name or address must be the certificate's.
    pub(crate) async fn connect(&self, upstream: &Upstream, stream: Stream) -> io::Result<TlsStream<Stream>> {
        let named = upstream.host_name.clone().map(UpstreamHost::Name);
        let configured = upstream.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        let name = server_name(configured.or(named.as_ref()).unwrap_or(&upstream.host))?;
        let connector = TlsConnector::from(self.client(upstream).ok_or(io::ErrorKind::NotFound)?);
        match upstream.protocol {
            Protocol::Http1 => connector.connect(name, stream).await,
            Protocol::Http2 => connector.with_alpn(vec![HTTP_2.to_vec()]).connect(name, stream).await,
        }
    }

    /// None: a request that began long before leads where nobody is to be trusted any more.
    fn client(&self, upstream: &Upstream) -> Option<Arc<ClientConfig>> {
        match &upstream.tls {
            None => self.platform.as_ref().map(|platform| Arc::clone(&platform.client)),
            Some(tls) => {
                let files = self.own.get(&**tls).or_else(|| self.former.get(&**tls));
                files.map(|files| files.client())
            }
        }
    }
}

/// As ALPN has it (RFC 9113 section 3.2).
const HTTP_2: &[u8] = b"h2";

/// Whether HTTP/2 follows a handshake.
pub(crate) fn agrees_on_http2(stream: &TlsStream<Stream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

/// Whether a handshake failed because the upstream speaks nothing that it was offered (RFC 7301 section 3.2).
pub(crate) fn has_no_protocol(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)))
}

/// Whose certificate an upstream must have.
///
/// # Errors
/// When none can be for it.
pub(crate) fn server_name(host: &UpstreamHost) -> io::Result<ServerName<'static>> {
    match host {
        UpstreamHost::Address(address) => Ok(ServerName::from(*address)),
        UpstreamHost::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
        // Nothing on a socket file speaks TLS.
        UpstreamHost::Unix(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}
