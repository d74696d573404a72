//! Serving in bounds: how many connections, how long each may be silent, and what it may send before somebody is known.
//!
//! Whoever connects is a stranger until a certificate or a key has been shown; every number here is for strangers.

/// Calls of a connection, counted.
mod calls;
/// How fast they are taken.
mod pace;
/// Telling the log of many alike.
mod sparing;
/// What ends a connection before h2 has seen it.
mod watched;

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt as _};
use tracing::{debug, warn};

use self::{
    calls::{Calls, Counted},
    pace::Pace,
    sparing::Sparing,
    watched::Watched,
};
pub use crate::stream::Peer;
use crate::{
    listener::Listener,
    stream::Stream,
    tls::{Tls, TlsFailure},
};

/// A silent peer is asked after this time whether it is still there,
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// and is given up when it has not answered after this one: 15 s together.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a call's header fields, as HTTP counts them (RFC 9113 section 6.5.2): room for the longest admin key.
pub const MAX_HEADER_LIST_BYTES: u32 = 16 << 10;

/// How long a peer may take to show its certificate.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be without a call.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer may take to go that was told to.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of an HTTP/1 request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most calls of one connection at once.
const MAX_CALLS_OF_CONNECTION: u32 = 64;
/// The most calls that a peer has begun and taken back before they were looked at (CVE-2023-44487, "rapid reset").
const MAX_PENDING_RESETS: usize = 20;
/// The most calls that end because the peer breaks the protocol.
const MAX_PROTOCOL_ERRORS: usize = 20;
/// What a peer may send ahead of what is read, for one call,
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// and for all calls of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// What may wait to be sent for one call, beside the message that is being made.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// What is buffered of a head in HTTP/1.
const HTTP1_BUFFER_BYTES: usize = 64 << 10;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2, which gRPC is.
    Http2,
    /// HTTP/1 too.
    Both,
}

/// How an address is served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The most connections at once; a further one is closed at once.
    pub max_connections: u32,
    /// What is spoken.
    pub protocols: Protocols,
    /// What TCP connections must show; a socket file is guarded by its mode.
    pub tls: Option<Tls>,
}

/// What all connections of an address share.
struct Shared<S> {
    service: S,
    tls: Option<Tls>,
    protocol: auto::Builder<TokioExecutor>,
    handshakes: Sparing,
}

impl Serving {
    /// Serves until `stop` comes, and then until the calls under way have ended. Dropped, it accepts no more; calls under
    /// way are finished.
    pub async fn serve<S, B>(self, listener: Listener, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let room = Arc::new(Semaphore::new(self.max_connections as usize));
        let protocol = protocol(self.protocols);
        let shared = Arc::new(Shared { service, tls: self.tls, protocol, handshakes: Sparing::default() });
        // Dropped, it tells all connections to end, also when this function is.
        let (running, stopping) = watch::channel(());
        let accepting = accept(&listener, &room, |stream, peer, place| {
            tokio::spawn(Arc::clone(&shared).serve(stream, peer, stopping.clone(), place));
        });
        tokio::select! {
            never = accepting => match never {},
            () = stop => {}
        }
        drop((listener, running));
        // All places are free when all connections are gone; it fails only when the semaphore is closed.
        let _ = room.acquire_many(self.max_connections).await;
    }
}

/// Accepts, for ever. For a connection over the bound there is nothing: it is closed before anything is read.
async fn accept(
    listener: &Listener,
    room: &Arc<Semaphore>,
    mut serve: impl FnMut(Stream, Peer, OwnedSemaphorePermit),
) -> Infallible {
    let (full, failing) = (Sparing::default(), Sparing::default());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match Arc::clone(room).try_acquire_owned() {
                Ok(place) => serve(stream, peer, place),
                Err(_) => full.tell(|others| {
                    warn!(address = %listener.bound(), %peer, others, "too many connections; closed at once");
                }),
            },
            Err(error) => {
                failing.tell(|others| warn!(address = %listener.bound(), %error, others, "accept failed"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn protocol(protocols: Protocols) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_CALLS_OF_CONNECTION)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_PROTOCOL_ERRORS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    match protocols {
        Protocols::Http2 => builder.http2_only(),
        Protocols::Both => builder,
    }
}

impl<S, B> Shared<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// One connection, from its handshake to its end.
    async fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: Peer,
        stopping: watch::Receiver<()>,
        _place: OwnedSemaphorePermit,
    ) {
        match self.secured(stream).await {
            Ok((stream, protocol)) => self.answer(stream, &protocol, peer, stopping).await,
            Err(failure) => {
                self.handshakes.tell(|others| warn!(%peer, reason = %failure, others, "connection refused"));
            }
        }
    }

    /// Demands a certificate where one is due, and knows then what is spoken.
    async fn secured(&self, stream: Stream) -> Result<(Stream, auto::Builder<TokioExecutor>), TlsFailure> {
        let (tls, stream) = match (&self.tls, stream) {
            (Some(tls), Stream::Plain(stream)) => (tls, stream),
            (_, stream) => return Ok((stream, self.protocol.clone())),
        };
        let accepted = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls.server()).accept(stream)).await;
        let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = accepted.map_err(TlsFailure::of)?;
        // Known, HTTP/2 begins with the server's word, by which a client learns that it is let in.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let protocol = self.protocol.clone();
        let protocol =
            if is_http2 && protocol.is_http1_available() { protocol.http2_only() } else { protocol };
        Ok((Stream::Accepted(Box::new(stream)), protocol))
    }

    async fn answer(
        &self,
        stream: Stream,
        protocol: &auto::Builder<TokioExecutor>,
        peer: Peer,
        mut stopping: watch::Receiver<()>,
    ) {
        let (calls, pace) = (Calls::default(), Pace::new(Instant::now()));
        let under_way = calls.subscribe();
        let service = self.service.clone();
        let answer = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let (service, call, wait) = (service.clone(), calls.begin(), pace.wait(Instant::now()));
            request.extensions_mut().insert(peer);
            async move {
                if !wait.is_zero() {
                    sleep(wait).await;
                }
                let response = service.oneshot(request).await?;
                Ok::<_, Infallible>(response.map(|body| Counted::new(body, call)))
            }
        });
        let mut connection = pin!(protocol.serve_connection(TokioIo::new(Watched::new(stream)), answer));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = calls::idle(under_way, IDLE_TIMEOUT) => {
                connection.as_mut().graceful_shutdown();
                timeout(FAREWELL_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%peer, error, "connection ended");
        }
    }
}

#[cfg(test)]
mod tests;
