//! One request and its answer on a stream, in a task of its own: a panic costs no other. The client's reset, and the end of its
//! connection, end the exchange where it stands.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use apigw_engine::{fields::Fields, grpc::Dialect, head::RequestHead, rejection::Rejection};
use bytes::Bytes;
use h2::Reason;
use http::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, EXPECT, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY},
};
use http_body::Body as _;
use tokio::time::Instant;

use super::{
    body::{Invitation, StreamBody},
    handle::{Held, Run, StreamHandle},
    receiving::Arrived,
    side::StreamSide,
};
use crate::{
    connection::{
        Client,
        deadlines::Deadlines,
        refused,
        tunnel::{Broken, Tunnel},
    },
    exchange::{
        self, call, request_body::ClientBody, response::Response, response_body::ResponseBody, upgrade,
    },
    heap,
    http1::{persistence::lists, read_buffer::ReadBuffer},
    http2::{
        frame::Ends,
        head::{Head, Refused},
    },
    worker::Worker,
};

/// A stream's task.
pub(super) struct Serving {
    /// On the heap, since a task is moved several times while it is made and taken apart. Dropped before the stream is let go.
    served: Pin<Box<dyn Future<Output = ()>>>,
    client: Rc<Client>,
    stream: Held,
}

impl Serving {
    /// Of a request that has come.
    pub(super) fn new(
        worker: Rc<Worker>,
        client: Rc<Client>,
        stream: StreamHandle,
        arrived: Arrived,
    ) -> Self {
        let served = heap::put(|| serve(worker, Rc::clone(&client), stream.clone(), arrived));
        Self { served: Box::into_pin(served), client, stream: Held::new(stream) }
    }
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.stream.handle().runs(context) {
            Run::Needless => return Poll::Ready(()),
            // The connection's task has just looked at the clock.
            Run::First => {}
            Run::Further => self.client.deadlines.wake(Instant::now()),
        }
        let served = self.served.as_mut().poll(context);
        if served.is_pending() {
            self.stream.handle().waits(&self.client.deadlines);
        }
        served
    }
}

async fn serve(worker: Rc<Worker>, client: Rc<Client>, stream: StreamHandle, arrived: Arrived) {
    let (response, opens) = match begin(&worker, &stream, arrived) {
        Ok((head, body)) => {
            let opens = matches!(body, ClientBody::Opening);
            (exchange::serve(Rc::clone(&worker), Rc::clone(&client), head, body).await, opens)
        }
        Err((rejection, dialect)) => (exchange::refuse(&worker, &client, dialect, &rejection), false),
    };
    if opens && response.status == StatusCode::SWITCHING_PROTOCOLS {
        return tunnel(response, &worker, &client, stream).await;
    }
    let Response { status, headers, body } = response;
    let ends = if body.is_end_stream() { Ends::Here } else { Ends::Later };
    poll_fn(|_| stream.poll_room()).await;
    stream.begin(status, &headers, &worker.date(), ends);
    if ends == Ends::Here {
        return;
    }
    let mut outgoing = Outgoing { stream: &stream, body, piece: Bytes::new(), deadlines: &client.deadlines };
    if let Err(BrokenOff) = poll_fn(|context| outgoing.poll(context)).await {
        // What the client has of the answer is not all of it, and it is to know.
        stream.abandon(Reason::INTERNAL_ERROR);
    }
}

/// Makes a request of what has come. Of one that opens a WebSocket, what the client says behind its head is not the body.
fn begin(
    worker: &Worker,
    stream: &StreamHandle,
    arrived: Arrived,
) -> Result<(Box<RequestHead>, ClientBody), (Rejection, Dialect)> {
    let Head { mut request, length, protocol } = arrived.head.map_err(|refused_head| {
        let Refused { error, method, content_type } = *refused_head;
        let max_bytes = worker.view().snapshot().settings().server.max_header_bytes.get();
        (refused(error, max_bytes), call::dialect(&method, content_type.as_ref()))
    })?;
    let Some(protocol) = protocol else {
        let body = match arrived.opening.ends {
            Ends::Here => ClientBody::Empty,
            Ends::Later => {
                let invitation = invitation(&request.headers);
                ClientBody::Http2(Box::new(StreamBody::new(stream.clone(), length, invitation)))
            }
        };
        return Ok((request, body));
    };
    if !protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return Err((Rejection::StreamProtocol, Dialect::Http));
    }
    // An upstream of HTTP/1.1 is asked as it would be by such a client (RFC 8441 section 5).
    request.method = Method::GET;
    request.headers.remove(CONTENT_LENGTH);
    request.headers.insert(SEC_WEBSOCKET_KEY, upgrade::new_key(&mut worker.random.borrow_mut()));
    Ok((request, ClientBody::Opening))
}

/// Tells the client that the upstream has agreed to a WebSocket, and passes on what both say until both have ended.
async fn tunnel(response: Response<ResponseBody>, worker: &Worker, client: &Client, stream: StreamHandle) {
    let Response { mut headers, mut body, .. } = response;
    let Some(mut tunnel) = Tunnel::open(&mut body, &client.deadlines) else {
        return stream.abandon(Reason::CANCEL);
    };
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    headers.remove(CONTENT_LENGTH);
    poll_fn(|_| stream.poll_room()).await;
    // RFC 8441 section 5: a success is the agreement.
    stream.begin(StatusCode::OK, &headers, &worker.date(), Ends::Later);
    let mut side = StreamSide::new(stream.clone());
    let mut read = ReadBuffer::default();
    let ended = poll_fn(|context| tunnel.poll(&mut side, &mut read, context)).await;
    tunnel.end(&ended);
    if let Err(Broken::Client | Broken::Upstream) = ended {
        // What has not ended well is reset (RFC 8441 section 5).
        stream.abandon(Reason::CANCEL);
    }
}

fn invitation(fields: &Fields) -> Invitation {
    if lists(fields, &EXPECT, b"100-continue") { Invitation::Awaited } else { Invitation::Needless }
}

/// An answer's body on its way. One piece of it waits for the client's windows.
struct Outgoing<'a> {
    stream: &'a StreamHandle,
    body: ResponseBody,
    piece: Bytes,
    deadlines: &'a Deadlines,
}

/// The upstream has broken off.
struct BrokenOff;

impl Outgoing<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BrokenOff>> {
        loop {
            if !self.piece.is_empty() {
                if self.poll_send().is_pending() {
                    if !self.body.is_overdue() {
                        self.body.poll_upload(context);
                        return Poll::Pending;
                    }
                    // Trailers need no window.
                    self.stream.unwish();
                    self.piece.clear();
                }
                if self.piece.is_empty() && self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match frame.transpose().map_err(|_broken| BrokenOff)?.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) if !bytes.is_empty() || !self.body.is_end_stream() => {
                    self.piece = bytes;
                    continue;
                }
                Some(Err(frame)) => self.stream.finish(frame.trailers_ref()),
                Some(Ok(_)) | None => self.stream.finish(None),
            }
            return Poll::Ready(Ok(()));
        }
    }

    /// Hands over as much of the piece as there is room for.
    fn poll_send(&mut self) -> Poll<()> {
        let ends = if self.body.is_end_stream() { Ends::Here } else { Ends::Later };
        let before = self.piece.len();
        let sent = self.stream.poll_send(&mut self.piece, ends);
        if self.piece.len() < before {
            self.deadlines.write_progressed();
        }
        if sent.is_pending() {
            self.deadlines.write_blocked();
        }
        sent
    }
}
