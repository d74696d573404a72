//! New connections to upstreams.

use std::{
    cell::Cell,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apigw_config::names::{SocketPath, UpstreamHost};
use apigw_engine::{rejection::UpstreamFailure, snapshot::Upstream};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{metrics::WorkerCounters, resolver::Addresses, socket::stream::Stream};

/// Opens connections, to each address of a name in turn.
pub(crate) struct Connector {
    addresses: Arc<Addresses>,
    counted: Arc<WorkerCounters>,
    /// Counts connections, so that they spread over the addresses of a name.
    turn: Cell<usize>,
}

impl Connector {
    pub(crate) fn new(addresses: Arc<Addresses>, counted: Arc<WorkerCounters>) -> Self {
        Self { addresses, counted, turn: Cell::new(0) }
    }

    /// Opens a connection. An address that refuses gives way to the next one of the name; `limit` is for all together.
    ///
    /// # Errors
    /// When the name has no address, no address accepts, or not in time.
    pub(crate) async fn connect(
        &self,
        upstream: &Upstream,
        limit: Duration,
    ) -> Result<Stream, UpstreamFailure> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let connected = timeout(limit, dial(&self.addresses, upstream, turn)).await;
        let connected = connected.unwrap_or(Err(UpstreamFailure::ConnectTimeout));
        match &connected {
            Ok(_) => self.counted.connects.add(1),
            // Nobody was asked.
            Err(UpstreamFailure::Unresolved) => {}
            Err(_) => self.counted.failed_connects.add(1),
        }
        connected
    }
}

/// Opens a connection. Of a name's addresses, the one whose turn it is comes first; one that refuses gives way to the next.
///
/// # Errors
/// When the name has no address, or no address accepts.
pub(crate) async fn dial(
    addresses: &Addresses,
    upstream: &Upstream,
    turn: usize,
) -> Result<Stream, UpstreamFailure> {
    let connected = match &upstream.host {
        UpstreamHost::Address(address) => connect_to(SocketAddr::new(*address, upstream.port)).await,
        UpstreamHost::Unix(path) => connect_to_file(path).await,
        UpstreamHost::Name(name) => {
            let addresses = addresses.of(name).ok_or(UpstreamFailure::Unresolved)?;
            connect_to_any(&addresses, upstream.port, turn).await
        }
    };
    connected.ok_or(UpstreamFailure::Connect)
}

async fn connect_to_any(addresses: &[IpAddr], port: u16, turn: usize) -> Option<Stream> {
    let first = turn % addresses.len().max(1);
    for address in addresses[first..].iter().chain(&addresses[..first]) {
        if let Some(stream) = connect_to(SocketAddr::new(*address, port)).await {
            return Some(stream);
        }
    }
    None
}

async fn connect_to_file(path: &SocketPath) -> Option<Stream> {
    let connected = UnixStream::connect(path.as_path()).await;
    let note = |error: &io::Error| tracing::debug!(%path, %error, "no connection to upstream");
    connected.inspect_err(note).ok().map(Stream::Unix)
}

async fn connect_to(address: SocketAddr) -> Option<Stream> {
    match TcpStream::connect(address).await {
        Ok(stream) => {
            let stream = Stream::Tcp(stream);
            stream.tune().ok()?;
            Some(stream)
        }
        Err(error) => {
            tracing::debug!(%address, %error, "no connection to upstream");
            None
        }
    }
}
