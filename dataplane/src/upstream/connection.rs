//! One HTTP/1.1 connection to an upstream, used by one exchange at a time and by that exchange's task alone: the answer
//! travels from the upstream's socket to the client's without waking anybody else.

use std::{
    future::{Future as _, poll_fn},
    io, mem,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use apigw_engine::{head::RequestHead, rejection::UpstreamFailure, snapshot::UpstreamId};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{task::unconstrained, time::Instant};

use super::{
    answer::{Repetition, SendError, UpstreamBroken},
    pool::Pool,
    upload::{BodyFailed, Upload},
};
use crate::{
    exchange::{request_body::RequestBody, response::Response},
    http1::{
        decoder::{Decoded, Decoder},
        head::{self, HeadSearch, ResponseHead},
        length::{self, Length},
        persistence::wants_more,
        read_buffer::ReadBuffer,
        write_buffer::WriteBuffer,
    },
    socket::Socket,
};

/// The most bytes until the head of an answer is complete, interim answers (1xx) included: an upstream that goes on with
/// those for ever would keep its thread from everybody else's requests.
const MAX_BYTES_BEFORE_ANSWER: usize = 512 << 10;

/// A connection. On the heap, since it goes from hand to hand with every request.
pub(crate) struct Connection(Box<Inner>);

struct Inner {
    wire: Wire,
    /// The request of the exchange that uses it; none: it waits, or one is about to use it.
    upload: Option<Upload>,
    /// Whether the upstream goes on with it after the present exchange.
    may_be_reused: bool,
    upstream: UpstreamId,
    /// Whether an exchange has used it before: then the upstream may be closing it just now.
    is_reused: bool,
    /// When it was made, or its last exchange ended.
    last_used: Instant,
}

/// A socket, what has come on it and what is to go.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) read: ReadBuffer,
    pub(super) write: WriteBuffer,
}

/// Why there is no head of an answer.
enum NoAnswer {
    /// The connection ended.
    Closed,
    /// What came is not HTTP.
    Malformed,
    /// The request's body broke first.
    RequestBody,
}

impl Connection {
    /// Makes an HTTP connection of a socket.
    pub(crate) fn new(socket: Socket, upstream: UpstreamId) -> Self {
        let wire = Wire { socket, read: ReadBuffer::default(), write: WriteBuffer::default() };
        let last_used = Instant::now();
        let inner = Inner { wire, upload: None, may_be_reused: false, upstream, is_reused: false, last_used };
        Self(Box::new(inner))
    }

    /// Where it leads.
    pub(crate) fn upstream(&self) -> UpstreamId {
        self.0.upstream
    }

    /// Its exchange has ended.
    pub(crate) fn set_last_used(&mut self, now: Instant) {
        self.0.last_used = now;
    }

    /// When it was made, or its last exchange ended.
    pub(crate) fn last_used(&self) -> Instant {
        self.0.last_used
    }

    /// Looks whether a request can be sent now: not if the upstream has closed it, or sent bytes nobody asked for. If so, whoever
    /// asks is woken when something comes.
    pub(crate) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        // Whoever has done much lately would be told that nothing has come, although nobody has looked.
        let filled = poll_fn(|context| self.0.wire.poll_fill(context));
        pin!(unconstrained(filled)).poll(context).is_pending()
    }

    /// Sends a request and waits for the head of its answer. Dropping the future closes the connection.
    ///
    /// # Errors
    /// When the connection ends first, or what comes is not HTTP.
    pub(crate) async fn send(
        mut self,
        request: &RequestHead,
        body: RequestBody,
        pool: Rc<Pool>,
    ) -> Result<Response<Http1Body>, Box<SendError>> {
        let Inner { wire, upload, is_reused, .. } = &mut *self.0;
        let is_reused = *is_reused;
        let upload = upload.insert(Upload::begin(request, body, &mut wire.write));
        let mut awaited = AwaitedHead::default();
        // Of a connection that waited, the pool has just seen that nothing has come, and this task is woken when something does.
        let mut is_looked_at = is_reused;
        let answer = poll_fn(|context| {
            if let Poll::Ready(Err(_broken)) = upload.poll(wire, context) {
                return Poll::Ready(Err(NoAnswer::RequestBody));
            }
            if mem::take(&mut is_looked_at) {
                return Poll::Pending;
            }
            awaited.poll(wire, context)
        })
        .await;
        let length = |head: &ResponseHead| {
            length::of_response(&request.method, head.status, head.version, &head.headers)
        };
        let answer = answer.and_then(|head| {
            length(&head).map(|length| (head, length)).map_err(|_length| NoAnswer::Malformed)
        });
        match answer {
            Ok((head, length)) => {
                self.0.may_be_reused =
                    length != Length::UntilClose && wants_more(head.version, &head.headers);
                let used = Used { connection: self, pool };
                let body = Http1Body { decoder: Decoder::of_response(length), used: Some(used) };
                Ok(Response { status: head.status, headers: head.headers, body })
            }
            Err(error) => {
                let failure = match error {
                    NoAnswer::Closed | NoAnswer::RequestBody => UpstreamFailure::Reset,
                    NoAnswer::Malformed => UpstreamFailure::Malformed,
                };
                let repetition = match (failure, upload.has_sent()) {
                    (UpstreamFailure::Reset, false) if is_reused => Repetition::Safe,
                    (UpstreamFailure::Reset, true) if is_reused => Repetition::OfIdempotent,
                    _ => Repetition::Unwise,
                };
                let untouched = self.0.upload.and_then(Upload::into_untouched);
                Err(Box::new(SendError { failure, untouched, repetition }))
            }
        }
    }
}

impl Wire {
    /// Writes until everything has gone.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.poll_flush(Pin::new(&mut self.socket), context)
    }

    /// Reads once; an error also where the upstream has ended its side.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.socket.poll_fill(&mut self.read, context))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// The head of an answer, as far as it has come.
#[derive(Default)]
struct AwaitedHead {
    search: HeadSearch,
    /// Of interim answers.
    passed_over: usize,
}

impl AwaitedHead {
    /// Takes a head, and tells its length, if all of it has come.
    fn find(
        &mut self,
        read: &mut ReadBuffer,
        max_bytes: usize,
    ) -> Result<Option<(ResponseHead, usize)>, NoAnswer> {
        if read.is_empty() {
            return Ok(None);
        }
        // Most heads come whole: they are read at once, and not searched for their end first. Where that fails, the search tells.
        if self.search.is_at_start()
            && read.len() <= max_bytes
            && let Some(copy) = read.copy()
            && let Ok((head, length)) = head::parse_response(&copy)
        {
            read.discard(length);
            return Ok(Some((head, length)));
        }
        let found = self.search.find(read.as_slice(), max_bytes).map_err(|_head| NoAnswer::Malformed)?;
        let Some(length) = found else { return Ok(None) };
        head::parse_response(&read.take(length)).map(Some).map_err(|_head| NoAnswer::Malformed)
    }

    fn poll(&mut self, wire: &mut Wire, context: &mut Context<'_>) -> Poll<Result<ResponseHead, NoAnswer>> {
        loop {
            if !head::can_begin_response(wire.read.as_slice()) {
                return Poll::Ready(Err(NoAnswer::Malformed));
            }
            let max_bytes = MAX_BYTES_BEFORE_ANSWER.saturating_sub(self.passed_over);
            if let Some((head, length)) = self.find(&mut wire.read, max_bytes)? {
                let is_interim = head.status.is_informational() && head.status.as_u16() != 101;
                if !is_interim {
                    return Poll::Ready(Ok(head));
                }
                self.passed_over += length;
            } else if ready!(wire.poll_fill(context)).is_err() {
                return Poll::Ready(Err(NoAnswer::Closed));
            }
        }
    }
}

impl Inner {
    /// Whether the upstream has been given all of the present request. There is one wherever this is asked.
    fn is_delivered(&self) -> bool {
        self.upload.as_ref().is_none_or(Upload::is_delivered)
    }

    /// Lets the present request go on, as far as it can.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFailed>> {
        self.upload.as_mut().map_or(Poll::Ready(Ok(())), |upload| upload.poll(&mut self.wire, context))
    }
}

/// The body of an upstream's answer. At its end the connection goes back to the pool; dropped before, it is closed.
pub(crate) struct Http1Body {
    decoder: Decoder,
    used: Option<Used>,
}

struct Used {
    connection: Connection,
    pool: Rc<Pool>,
}

impl Http1Body {
    /// Lets what the client still sends go on. What fails is found when the answer is asked for next.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) {
        if let Some(used) = &mut self.used {
            let _ = used.connection.0.poll_upload(context);
        }
    }

    /// The connection itself, when the upstream has been given all of the request and speaks another protocol now.
    pub(crate) fn wire(&mut self) -> Option<&mut Wire> {
        let inner = &mut self.used.as_mut()?.connection.0;
        inner.is_delivered().then_some(&mut inner.wire)
    }

    /// Gives the connection back, if the upstream is done with this exchange and nothing else came: what an upstream says
    /// unasked is nobody's answer.
    fn release(&mut self) {
        let Some(Used { mut connection, pool }) = self.used.take() else { return };
        let inner = &mut connection.0;
        if inner.may_be_reused && inner.is_delivered() && inner.wire.read.is_empty() {
            (inner.upload, inner.is_reused) = (None, true);
            pool.put(connection);
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, UpstreamBroken>> {
        loop {
            let Some(used) = &mut self.used else { return Poll::Ready(Ok(None)) };
            let inner = &mut used.connection.0;
            if let Poll::Ready(Err(_broken)) = inner.poll_upload(context) {
                return Poll::Ready(Err(UpstreamBroken::RequestBody));
            }
            let wire = &mut inner.wire;
            match self.decoder.decode(&mut wire.read)? {
                Decoded::Content(bytes) => return Poll::Ready(Ok(Some(Frame::data(bytes)))),
                Decoded::Trailers(fields) => return Poll::Ready(Ok(Some(Frame::trailers(fields.into())))),
                Decoded::End => return Poll::Ready(Ok(None)),
                Decoded::Incomplete => {}
            }
            match ready!(wire.poll_fill(context)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    inner.may_be_reused = false;
                    if !self.decoder.connection_ended(&wire.read) {
                        return Poll::Ready(Err(UpstreamBroken::Truncated));
                    }
                }
                Err(_) => return Poll::Ready(Err(UpstreamBroken::Truncated)),
            }
        }
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = UpstreamBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBroken>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(context));
        if next.is_err() {
            this.used = None;
        } else if this.decoder.has_ended() {
            this.release();
        }
        Poll::Ready(next.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Http1Body {
    fn drop(&mut self) {
        // An answer without a body ends before anybody polls it.
        if self.decoder.has_ended() {
            self.release();
        }
    }
}
