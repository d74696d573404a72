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
        let connected = match &upstream.host {
            UpstreamHost::Address(address) => {
                timeout(limit, connect_to(SocketAddr::new(*address, upstream.port))).await
            }
            UpstreamHost::Unix(path) => timeout(limit, connect_to_file(path)).await,
            UpstreamHost::Name(name) => {
                let addresses = self.addresses.of(name).ok_or(UpstreamFailure::Unresolved)?;
                timeout(limit, self.connect_to_any(&addresses, upstream.port)).await
            }
        };
        match &connected {
            Ok(Some(_)) => self.counted.connects.add(1),
            Ok(None) | Err(_) => self.counted.failed_connects.add(1),
        }
        match connected {
            Ok(Some(stream)) => Ok(stream),
            Ok(None) => Err(UpstreamFailure::Connect),
            Err(_elapsed) => Err(UpstreamFailure::ConnectTimeout),
        }
    }

    async fn connect_to_any(&self, addresses: &[IpAddr], port: u16) -> Option<Stream> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let first = turn % addresses.len().max(1);
        for address in addresses[first..].iter().chain(&addresses[..first]) {
            if let Some(stream) = connect_to(SocketAddr::new(*address, port)).await {
                return Some(stream);
            }
        }
        None
    }
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
