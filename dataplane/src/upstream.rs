//! Sending a request to an upstream: a connection from the pool or a new one, and one repetition where that is safe.

// In the order a request meets them:
/// Connections that wait.
pub(crate) mod pool;
/// New TCP connections.
pub(crate) mod connector;
/// HTTP over one of them.
pub(crate) mod connection;
/// A request on its way.
mod upload;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use apigw_config::names::Scheme;
use apigw_engine::{
    rejection::UpstreamFailure,
    snapshot::{Snapshot, Upstream},
};
use http::{Method, Response, request};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use self::{
    connection::{Connection, SendError, UpstreamBody},
    connector::Connector,
    pool::{Limits, Pool},
};
use crate::{
    connection::deadlines::Deadlines, exchange::request_body::RequestBody, metrics::WorkerCounters,
    serving::Serving, socket::Socket, tls::upstream::UpstreamTls,
};

/// One worker's way to the upstreams.
pub(crate) struct Upstreams {
    pool: Rc<Pool>,
    connector: Connector,
    tls: RefCell<UpstreamTls>,
    counted: Arc<WorkerCounters>,
    workers: usize,
}

impl Upstreams {
    /// Of one worker among `workers`, which share what the file allows.
    pub(crate) fn new(
        serving: &Serving,
        connector: Connector,
        counted: Arc<WorkerCounters>,
        workers: usize,
    ) -> Self {
        let limits = Limits::new(&serving.snapshot.settings().upstream, workers);
        let tls = RefCell::new(serving.upstream_tls().clone());
        Self { pool: Rc::new(Pool::new(limits)), connector, tls, counted, workers }
    }

    /// Takes the limits and the upstreams of a new snapshot.
    pub(crate) fn reconfigure(&self, serving: &Serving) {
        let snapshot = &serving.snapshot;
        *self.tls.borrow_mut() = serving.upstream_tls().clone();
        let limits = Limits::new(&snapshot.settings().upstream, self.workers);
        self.pool.reconfigure(limits, |upstream| snapshot.has_upstream(upstream));
    }

    /// Closes connections that have waited too long, and counts those that still wait.
    pub(crate) fn sweep(&self, now: Instant) {
        self.pool.sweep(now);
        self.counted.idle_upstream.set(self.pool.count() as u64);
    }

    /// Sends a request; the upstream's time to answer begins when it is sent. Dropping the future closes the connection it was sent on.
    ///
    /// A pooled connection may be closed by the upstream at the moment it is taken. Then the request is sent once more,
    /// on a new connection, if nothing of it was sent, or if it is idempotent (RFC 9110 section 9.2.2) and has no body.
    ///
    /// # Errors
    /// When no answer that can be passed on begins.
    pub(crate) async fn send(
        &self,
        snapshot: &Snapshot,
        upstream: &Upstream,
        request: &request::Parts,
        body: RequestBody,
        deadlines: &Deadlines,
    ) -> Result<Response<UpstreamBody>, UpstreamFailure> {
        let pooled = poll_fn(|context| Poll::Ready(self.pool.take(upstream.id, context))).await;
        let mut connection = match pooled {
            Some(connection) => connection,
            None => self.open(snapshot, upstream, deadlines).await?,
        };
        let mut body = body;
        // Ends with the second round at the latest: what is opened is not reused.
        loop {
            let is_reused = connection.is_reused();
            deadlines.upstream_awaited();
            let error = match connection.send(request, body, Rc::clone(&self.pool)).await {
                Ok(response) => return Ok(response),
                Err(error) => *error,
            };
            let may_repeat = is_reused && error.failure == UpstreamFailure::Reset;
            body = match error {
                SendError { untouched: Some(body), was_sent, .. }
                    if may_repeat && (!was_sent || is_repeatable(&request.method, &body)) =>
                {
                    body
                }
                SendError { failure, .. } => return Err(failure),
            };
            self.counted.retries.add(1);
            connection = self.open(snapshot, upstream, deadlines).await?;
        }
    }

    /// Opens a connection. Boxed, so that the requests that need none do not carry the room for it.
    fn open<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        upstream: &'a Upstream,
        deadlines: &'a Deadlines,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, UpstreamFailure>> + 'a>> {
        Box::pin(async move {
            deadlines.connecting();
            let settings = &snapshot.settings().upstream;
            let timeout = settings.dial_timeout.duration();
            let stream = self.connector.connect(upstream, timeout).await?;
            let socket = match upstream.scheme {
                Scheme::Http => Socket::Plain(stream),
                Scheme::Https => {
                    self.secure(upstream, stream, settings.tls_handshake_timeout.duration()).await?
                }
            };
            Ok(Connection::new(socket, upstream.id))
        })
    }
}

impl Upstreams {
    async fn secure(
        &self,
        upstream: &Upstream,
        stream: TcpStream,
        limit: Duration,
    ) -> Result<Socket, UpstreamFailure> {
        let tls = self.tls.borrow().clone();
        match timeout(limit, tls.connect(upstream, stream)).await {
            Ok(Ok(stream)) => Ok(Socket::Dialled(Box::new(stream))),
            Ok(Err(error)) => {
                self.counted.failed_upstream_handshakes.add(1);
                tracing::debug!(host = ?upstream.host, %error, "no handshake with upstream");
                Err(UpstreamFailure::Tls)
            }
            Err(_elapsed) => {
                self.counted.failed_upstream_handshakes.add(1);
                Err(UpstreamFailure::ConnectTimeout)
            }
        }
    }
}

/// Whether a request that an upstream may have seen may be sent once more.
fn is_repeatable(method: &Method, body: &RequestBody) -> bool {
    let is_idempotent =
        matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    is_idempotent && matches!(body, RequestBody::Empty)
}
