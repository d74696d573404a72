//! Sending a request to an upstream: a connection from the pool or a new one, and one repetition where that is safe.

// In the order a request meets them:
/// Connections that wait.
pub(crate) mod pool;
/// New TCP connections.
pub(crate) mod connector;
/// HTTP/1.1 over one of them.
pub(crate) mod connection;
/// A request on its way there.
mod upload;
/// HTTP/2 over one of them.
mod http2;
/// What comes back.
pub(crate) mod answer;
// Beneath them:
/// What is kept for used and for former upstreams.
mod by_upstream;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apigw_config::{
    model::{self, Protocol, Timeouts},
    names::{Period, Scheme},
};
use apigw_engine::{
    head::RequestHead,
    rejection::UpstreamFailure,
    snapshot::{Snapshot, Upstream},
};
use http::Method;
use tokio::time::{Instant, timeout};

use self::{
    answer::{Repetition, SendError, UpstreamBody},
    connection::Connection,
    connector::Connector,
    http2::{Link, Links, Place},
    pool::{Limits, Pool},
};
use crate::{
    connection::deadlines::Deadlines,
    exchange::{request_body::RequestBody, response::Response},
    metrics::WorkerCounters,
    serving::Serving,
    socket::{Socket, stream::Stream},
    tls::upstream::{UpstreamTls, agrees_on_http2, has_no_protocol},
};

/// One worker's way to the upstreams.
pub(crate) struct Upstreams {
    pool: Rc<Pool>,
    links: Links,
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
        let (pool, links) = (Rc::new(Pool::new(limits)), Links::new(limits));
        Self { pool, links, connector, tls, counted, workers }
    }

    /// Takes the limits and the upstreams of a new snapshot.
    pub(crate) fn reconfigure(&self, serving: &Serving) {
        let snapshot = &serving.snapshot;
        *self.tls.borrow_mut() = serving.upstream_tls().clone();
        let limits = Limits::new(&snapshot.settings().upstream, self.workers);
        let is_used = |upstream| snapshot.has_upstream(upstream);
        self.pool.reconfigure(limits, is_used, snapshot.former_upstreams());
        self.links.reconfigure(limits, is_used, snapshot.former_upstreams());
    }

    /// Closes connections that have waited too long, and counts those that still wait.
    pub(crate) fn sweep(&self, now: Instant) {
        self.pool.sweep(now);
        self.links.sweep(now);
        self.counted.idle_upstream.set((self.pool.count() + self.links.idle()) as u64);
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
        settings: (&Snapshot, Option<&Timeouts>),
        upstream: &Upstream,
        request: &RequestHead,
        body: RequestBody,
        deadlines: &Deadlines,
    ) -> Result<Response<UpstreamBody>, UpstreamFailure> {
        let mut carrier = match poll_fn(|context| Poll::Ready(self.waiting_carrier(upstream, context))).await
        {
            Some(carrier) => carrier,
            None => self.new_carrier(settings, upstream, deadlines).await?,
        };
        let mut body = body;
        let mut attempt = Attempt::First;
        loop {
            deadlines.upstream_awaited();
            let error = match carrier.send(upstream, request, body, &self.pool).await {
                Ok(response) => return Ok(response),
                Err(error) => *error,
            };
            body = match (attempt, error.untouched) {
                (Attempt::First, Some(body)) if is_repeatable(error.repetition, &request.method, &body) => {
                    body
                }
                _ => return Err(error.failure),
            };
            attempt = Attempt::Second;
            self.counted.repetitions.add(1);
            carrier = self.new_carrier(settings, upstream, deadlines).await?;
        }
    }

    /// What a request can be sent on at once.
    fn waiting_carrier(&self, upstream: &Upstream, context: &mut Context<'_>) -> Option<Carrier> {
        match upstream.protocol {
            Protocol::Http1 => self.pool.take(upstream.id, context).map(Carrier::Http1),
            Protocol::Http2 => self.links.free_place(upstream.id).map(Carrier::Http2),
        }
    }

    /// What a request can be sent on that has waited for nobody. Boxed, so that the requests that need none do not carry the
    /// room for it.
    fn new_carrier<'a>(
        &'a self,
        (snapshot, timeouts): (&'a Snapshot, Option<&'a Timeouts>),
        upstream: &'a Upstream,
        deadlines: &'a Deadlines,
    ) -> Pin<Box<dyn Future<Output = Result<Carrier, UpstreamFailure>> + 'a>> {
        Box::pin(async move {
            deadlines.connecting();
            let own = timeouts.and_then(|timeouts| timeouts.connect).map(Period::duration);
            let Some(limit) = own else {
                return self.open_carrier(ConnectLimits::from(&snapshot.settings().upstream), upstream).await;
            };
            // Each part may take all of the time, and all of them together no more.
            let opened = self.open_carrier(ConnectLimits { dial: limit, handshake: limit }, upstream);
            timeout(limit, opened).await.unwrap_or(Err(UpstreamFailure::ConnectTimeout))
        })
    }

    async fn open_carrier(
        &self,
        limits: ConnectLimits,
        upstream: &Upstream,
    ) -> Result<Carrier, UpstreamFailure> {
        match upstream.protocol {
            Protocol::Http1 => {
                let socket = self.open(limits, upstream).await?;
                Ok(Carrier::Http1(Connection::new(socket, upstream.id)))
            }
            Protocol::Http2 => {
                let ConnectLimits { dial, handshake } = limits;
                let open = async || Link::begin(self.open(limits, upstream).await?, handshake).await;
                self.links.place(upstream.id, dial + 2 * handshake, open).await.map(Carrier::Http2)
            }
        }
    }

    async fn open(&self, limits: ConnectLimits, upstream: &Upstream) -> Result<Socket, UpstreamFailure> {
        let stream = self.connector.connect(upstream, limits.dial).await?;
        match upstream.scheme {
            Scheme::Http => Ok(Socket::Plain(stream)),
            Scheme::Https => self.secure(upstream, stream, limits.handshake).await,
        }
    }
}

/// How long the parts of making a connection may take.
#[derive(Clone, Copy)]
struct ConnectLimits {
    dial: Duration,
    /// Of TLS, and of HTTP/2.
    handshake: Duration,
}

impl From<&model::Upstream> for ConnectLimits {
    fn from(settings: &model::Upstream) -> Self {
        Self { dial: settings.dial_timeout.duration(), handshake: settings.tls_handshake_timeout.duration() }
    }
}

impl Upstreams {
    async fn secure(
        &self,
        upstream: &Upstream,
        stream: Stream,
        limit: Duration,
    ) -> Result<Socket, UpstreamFailure> {
        let tls = self.tls.borrow().clone();
        match timeout(limit, tls.connect(upstream, stream)).await {
            Ok(Ok(stream)) if upstream.protocol == Protocol::Http2 && !agrees_on_http2(&stream) => {
                self.counted.failed_upstream_handshakes.add(1);
                Err(UpstreamFailure::NotHttp2)
            }
            Ok(Ok(stream)) => Ok(Socket::Dialled(Box::new(stream))),
            Ok(Err(error)) => {
                self.counted.failed_upstream_handshakes.add(1);
                tracing::debug!(host = ?upstream.host, %error, "no handshake with upstream");
                Err(if has_no_protocol(&error) { UpstreamFailure::NotHttp2 } else { UpstreamFailure::Tls })
            }
            Err(_elapsed) => {
                self.counted.failed_upstream_handshakes.add(1);
                Err(UpstreamFailure::ConnectTimeout)
            }
        }
    }
}

/// What carries one request, by the upstream's protocol.
enum Carrier {
    /// A connection.
    Http1(Connection),
    /// A place on one that others use, too.
    Http2(Place),
}

impl Carrier {
    async fn send(
        self,
        upstream: &Upstream,
        request: &RequestHead,
        body: RequestBody,
        pool: &Rc<Pool>,
    ) -> Result<Response<UpstreamBody>, Box<SendError>> {
        match self {
            Self::Http1(connection) => {
                let response = connection.send(request, body, Rc::clone(pool)).await?;
                Ok(response.map(UpstreamBody::Http1))
            }
            Self::Http2(place) => {
                // On the heap, so that requests in HTTP/1.1 do not carry the room for it.
                let sent = Box::pin(http2::stream::send(place, upstream.scheme, request, body));
                Ok(sent.await?.map(|body| UpstreamBody::Http2(Box::new(body))))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

/// Whether a request may be sent once more.
fn is_repeatable(repetition: Repetition, method: &Method, body: &RequestBody) -> bool {
    match repetition {
        Repetition::Safe => true,
        Repetition::OfIdempotent => {
            let is_idempotent = matches!(
                *method,
                Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
            );
            is_idempotent && matches!(body, RequestBody::Empty)
        }
        Repetition::Unwise => false,
    }
}
