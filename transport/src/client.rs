//! Connecting to a server of ours: one connection, made here so that each way to fail can be told.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{self, Channel};

use crate::{
    endpoint::{Endpoint, Host, Place},
    listener::without_delay,
    server::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_HEADER_LIST_BYTES},
    stream::Stream,
    tls::{Tls, TlsFailure},
};

/// For a name, a connection and a handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name means no address.
    #[error("cannot find the host: {0}")]
    NoSuchHost(#[source] io::Error),
    /// Nobody accepts connections there.
    #[error("cannot connect: {0}")]
    Unreachable(#[source] io::Error),
    /// Something is there, or not, but it says nothing.
    #[error("cannot connect within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// The two do not trust each other.
    #[error("cannot connect securely: {0}")]
    Tls(#[source] TlsFailure),
    /// An https endpoint and no certificates; see [`crate::credentials::Credentials::exposure`].
    #[error("no certificates for a secure connection")]
    NoCertificates,
    /// What is there does not speak HTTP/2.
    #[error("what answers does not speak the protocol: {0}")]
    NotOurs(#[source] transport::Error),
}

/// Connects; nothing is asked yet. The channel does not connect again when the connection breaks.
///
/// # Errors
/// When there is no connection.
pub async fn connect(endpoint: &Endpoint, tls: Option<&Tls>) -> Result<Channel, ConnectError> {
    let dialled = timeout(CONNECT_TIMEOUT, dial(endpoint, tls)).await;
    let mut stream = Some(dialled.map_err(|_| ConnectError::TimedOut)??);
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take().map(TokioIo::new);
        async { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    transport::Endpoint::from(endpoint.uri().clone())
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
        .connect_with_connector(connector)
        .await
        .map_err(ConnectError::NotOurs)
}

async fn dial(endpoint: &Endpoint, tls: Option<&Tls>) -> Result<Stream, ConnectError> {
    match endpoint.place() {
        Place::Unix(path) => {
            let stream = UnixStream::connect(path.as_path()).await;
            stream.map(Stream::Unix).map_err(ConnectError::Unreachable)
        }
        Place::Plain(host) => dial_tcp(host).await.map(Stream::Plain),
        Place::Secure(host) => {
            let tls = tls.ok_or(ConnectError::NoCertificates)?;
            let stream = dial_tcp(host).await?;
            secure(stream, host, tls).await.map_err(|error| ConnectError::Tls(TlsFailure::of(error)))
        }
    }
}

/// Tries each address that a name has.
async fn dial_tcp(host: &Host) -> Result<TcpStream, ConnectError> {
    let found = lookup_host((host.name.as_str(), host.port)).await.map_err(ConnectError::NoSuchHost)?;
    let addresses: Vec<_> = found.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(ConnectError::Unreachable)?;
    without_delay(&stream);
    Ok(stream)
}

async fn secure(stream: TcpStream, host: &Host, tls: &Tls) -> io::Result<Stream> {
    let name = ServerName::try_from(host.name.clone())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = TlsConnector::from(tls.client()).connect(name, stream).await?;
    // In TLS 1.3 a client is done before the server has looked at its certificate (RFC 8446 section 2). A server of ours
    // speaks first (RFC 9113 section 3.4) and by that accepts, or sends an alert.
    let mut stream = BufReader::new(stream);
    if stream.fill_buf().await?.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Stream::Dialled(Box::new(stream)))
}
