//! TLS towards upstreams: who vouches for them, and handshakes.

use std::{io, sync::Arc};

use apigw_config::names::{Scheme, UpstreamHost};
use apigw_engine::Snapshot;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

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

/// What connections to upstreams with `https` are made with.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamTls(Arc<ClientConfig>);

/// The place of the first route that needs it in the configuration.
pub(crate) fn needed_by(snapshot: &Snapshot) -> Option<usize> {
    snapshot.config().routes().position(|route| route.upstream.scheme() == Scheme::Https)
}

impl UpstreamTls {
    /// With the machine's authorities as they are now. Reads files.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn load() -> Result<Self, RootsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut client = builder.with_root_certificates(platform_roots()?).with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(client)))
    }

    /// Shakes hands with the upstream of that name or address, which must be the certificate's.
    pub(crate) async fn connect(
        &self,
        host: &UpstreamHost,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = match host {
            UpstreamHost::Address(address) => ServerName::from(*address),
            UpstreamHost::Name(name) => ServerName::try_from(name.to_string())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}
