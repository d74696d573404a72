//! One HTTP/1.1 connection to an upstream, used by one exchange at a time.
//!
//! hyper splits a connection in a sender and a driver that somebody must poll. An exchange without a request body polls
//! the driver itself: the answer then travels from the upstream's socket to the client's without waking another task,
//! and its head and body leave in one write. A request body must move even while the client does not read the answer, so
//! an exchange with one hands the driver to a task of its own, where it stays.

/// Its socket, as hyper sees it.
mod upstream_io;

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use apigw_engine::{rejection::UpstreamFailure, snapshot::UpstreamId};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tokio::{
    net::TcpStream,
    task::AbortHandle,
    time::{Instant, timeout},
};

use self::upstream_io::{BeforeAnswer, UpstreamIo};
use super::pool::Pool;
use crate::exchange::request_body::RequestBody;

type Hyper = http1::Connection<UpstreamIo, RequestBody>;

/// A connection that no exchange uses now, or that one is about to use.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    before_answer: Rc<BeforeAnswer>,
    upstream: UpstreamId,
    /// Whether an exchange has used it before: then the upstream may be closing it just now.
    is_reused: bool,
    /// When it was made, or its last exchange ended.
    last_used: Instant,
}

/// Who polls hyper's side of the connection.
enum Driver {
    /// Whoever uses the connection.
    Inline(Box<Hyper>),
    /// A task of its own, which ends with the connection.
    Spawned { _ended_with_this: Task },
    /// Nobody: it has ended.
    Ended,
}

/// Why a request got no answer.
pub(crate) struct SendError {
    /// Whose fault it was; a fault of the request's body is known to the body itself.
    pub(crate) failure: UpstreamFailure,
    /// The request, when not a byte of it was sent.
    pub(crate) unsent: Option<Request<RequestBody>>,
}

impl Connection {
    /// Makes an HTTP connection of a TCP one.
    pub(crate) async fn new(stream: TcpStream, upstream: UpstreamId) -> hyper::Result<Self> {
        let before_answer = Rc::<BeforeAnswer>::default();
        let (sender, hyper) =
            http1::Builder::new().handshake(UpstreamIo::new(stream, Rc::clone(&before_answer))).await?;
        let driver = Driver::Inline(Box::new(hyper));
        Ok(Self { sender, driver, before_answer, upstream, is_reused: false, last_used: Instant::now() })
    }

    /// Where it leads.
    pub(crate) fn upstream(&self) -> UpstreamId {
        self.upstream
    }

    /// Whether an exchange has used it before: then the upstream may be closing it just now.
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// When it was made, or its last exchange ended.
    pub(crate) fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Looks whether a request can be sent now; what the upstream did meanwhile (closing, sending bytes nobody asked
    /// for) is noticed here.
    pub(crate) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.driver.poll(context);
        !matches!(self.driver, Driver::Ended) && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer. Dropping the future closes the connection.
    ///
    /// # Errors
    /// When the connection ends first, or what comes is not HTTP.
    pub(crate) async fn send(
        mut self,
        request: Request<RequestBody>,
        pool: Rc<Pool>,
    ) -> Result<Response<UpstreamBody>, Box<SendError>> {
        if !request.body().is_end_stream() {
            self.driver.spawn();
        }
        self.before_answer.begins();
        let response = {
            let mut sent = std::pin::pin!(self.sender.try_send_request(request));
            let driver = &mut self.driver;
            std::future::poll_fn(|context| {
                driver.poll(context);
                sent.as_mut().poll(context)
            })
            .await
        };
        match response {
            Ok(response) => {
                self.before_answer.ends();
                Ok(response.map(|incoming| UpstreamBody {
                    incoming,
                    connection: Some(Used { connection: self, pool }),
                }))
            }
            Err(mut error) => {
                let unsent = error.take_message();
                let is_malformed = error.error().is_parse() || self.before_answer.is_too_much();
                let failure = if is_malformed { UpstreamFailure::Malformed } else { UpstreamFailure::Reset };
                Err(Box::new(SendError { failure, unsent }))
            }
        }
    }
}

impl Driver {
    fn poll(&mut self, context: &mut Context<'_>) {
        if let Self::Inline(hyper) = self
            && Pin::new(hyper).poll(context).is_ready()
        {
            // An error has reached the exchange, if there is one, through the sender.
            *self = Self::Ended;
        }
    }

    fn spawn(&mut self) {
        if !matches!(self, Self::Inline(_)) {
            return;
        }
        if let Self::Inline(hyper) = std::mem::replace(self, Self::Ended) {
            let task = tokio::task::spawn_local(async move {
                // An error has reached the exchange, if there is one, through the sender.
                let _ = hyper.await;
            });
            *self = Self::Spawned { _ended_with_this: Task(task.abort_handle()) };
        }
    }
}

/// A task that ends when this is dropped: hyper itself would wait for as long as a write takes.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of an upstream's answer. At its end the connection goes back to the pool; dropped before, it is closed.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    connection: Option<Used>,
}

struct Used {
    connection: Connection,
    pool: Rc<Pool>,
}

impl UpstreamBody {
    fn release(&mut self) {
        if let Some(Used { mut connection, pool }) = self.connection.take() {
            connection.is_reused = true;
            connection.last_used = Instant::now();
            match connection.driver {
                Driver::Inline(_) => pool.put(connection),
                Driver::Spawned { .. } => drop(tokio::task::spawn_local(put_when_ready(connection, pool))),
                Driver::Ended => {}
            }
        }
    }
}

/// Keeps a connection whose driver is a task of its own: that task may not have seen yet that the exchange is over, or the
/// upstream answered before it had read the request.
async fn put_when_ready(mut connection: Connection, pool: Rc<Pool>) {
    if let Ok(Ok(())) = timeout(REST_OF_REQUEST, connection.sender.ready()).await {
        pool.put(connection);
    }
}

/// How long an upstream that has answered may take to read the rest of the request.
const REST_OF_REQUEST: Duration = Duration::from_secs(1);

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.incoming).poll_frame(context);
        if polled.is_pending()
            && let Some(Used { connection, .. }) = &mut this.connection
        {
            connection.driver.poll(context);
            polled = Pin::new(&mut this.incoming).poll_frame(context);
        }
        match &polled {
            Poll::Ready(None) => this.release(),
            // Nothing follows trailers, and nobody polls again to hear it.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() || this.incoming.is_end_stream() => {
                this.release();
            }
            Poll::Ready(Some(Err(_))) => this.connection = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // An answer without a body ends before anybody polls it.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
