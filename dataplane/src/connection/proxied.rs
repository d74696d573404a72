//! The beginning of a connection from a proxy that says whom it is of (PROXY protocol), before anything else is read.
//!
//! The specification forbids to guess whether a header is there: a peer that is trusted to send one must, and one that is not
//! is never asked, so that what it says of itself is no request.

use std::{io, net::IpAddr, time::Duration};

use apigw_engine::proxy_protocol::{ProxiedClient, ProxyHeader, ProxyHeaderError, parse};
use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::{metrics::ProxyHeaderOutcome, socket::stream::Stream, worker::Worker};

/// How much is looked at at once; nearly every header has less.
const LOOK_BYTES: usize = 256;

/// Why nobody knows whom a connection is of.
#[derive(Debug, thiserror::Error)]
enum NoHeader {
    /// The proxy has gone, perhaps having looked whether the port is open.
    #[error("the connection ended first: {0}")]
    Closed(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] ProxyHeaderError),
}

/// How long the header of this peer may take; none: it sends none.
pub(super) fn time_limit(worker: &Worker, peer: IpAddr) -> Option<Duration> {
    let view = worker.view();
    let server = &view.snapshot().settings().server;
    let is_proxy = server.proxy_protocol.as_ref()?.is_spoken_by(peer);
    is_proxy.then(|| server.read_header_timeout.duration())
}

/// Whom the connection is of; none: it is to be closed without a word, since nobody knows whom the word would reach.
pub(super) async fn client(
    worker: &Worker,
    stream: &mut Stream,
    peer: IpAddr,
    limit: Duration,
) -> Option<IpAddr> {
    let (client, outcome) = match timeout(limit, read(stream)).await {
        Ok(Ok(ProxiedClient::Address(client))) => (Some(client), ProxyHeaderOutcome::Success),
        Ok(Ok(ProxiedClient::Unknown)) => (Some(peer), ProxyHeaderOutcome::Success),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "no header of the PROXY protocol");
            let outcome = match error {
                NoHeader::Closed(_) => ProxyHeaderOutcome::Closed,
                NoHeader::Malformed(_) => ProxyHeaderOutcome::Malformed,
            };
            (None, outcome)
        }
        Err(_elapsed) => (None, ProxyHeaderOutcome::Timeout),
    };
    worker.counted().proxy_header_ended(outcome);
    client
}

/// Reads the header, and nothing behind it: that may be TLS, which reads for itself.
async fn read(stream: &mut Stream) -> Result<ProxiedClient, NoHeader> {
    let mut header = Vec::new();
    let mut ahead = [0; LOOK_BYTES];
    loop {
        let seen = stream.peek(&mut ahead).await?;
        if seen == 0 {
            return Err(NoHeader::Closed(io::ErrorKind::UnexpectedEof.into()));
        }
        let taken = header.len();
        header.extend_from_slice(&ahead[..seen]);
        match parse(&header)? {
            // All of it belongs to the header.
            ProxyHeader::Incomplete => stream.read_exact(&mut ahead[..seen]).await?,
            ProxyHeader::Complete { length, client } => {
                stream.read_exact(&mut ahead[..length - taken]).await?;
                return Ok(client);
            }
        };
    }
}
