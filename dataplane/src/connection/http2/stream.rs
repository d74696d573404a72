//! One request and its answer on a stream. The client's reset, and the end of its connection, end the exchange where it stands.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use apigw_engine::{fields::Fields, head::RequestHead, rejection::Rejection};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, ext::Protocol, server::SendResponse};
use http::{
    HeaderValue, Method, Request, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, EXPECT, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    },
};
use http_body::Body as _;
use tokio::task::yield_now;

use super::{
    body::{Invitation, StreamBody},
    head::{Follows, translate},
    side::StreamSide,
    socket::Incoming,
};
use crate::{
    connection::{
        Client, End,
        deadlines::Deadlines,
        drive, refused,
        tunnel::{Broken, Tunnel},
    },
    exchange::{
        self, call, request_body::ClientBody, response::Response, response_body::ResponseBody, upgrade,
    },
    http1::{persistence::lists, read_buffer::ReadBuffer},
    worker::Worker,
};

/// Serves a request, until its answer is with h2 or somebody has given up.
pub(super) async fn serve(
    worker: Rc<Worker>,
    client: Rc<Client>,
    incoming: Rc<Incoming>,
    request: Request<RecvStream>,
    responder: SendResponse<Bytes>,
) {
    let responder = Rc::new(RefCell::new(responder));
    let served = pin!(exchange(&worker, &client, incoming, request, &responder));
    let end = drive(served, &client, || true).await;
    if !matches!(end, End::Closed) {
        responder.borrow_mut().send_reset(Reason::CANCEL);
    }
}

async fn exchange(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    incoming: Rc<Incoming>,
    request: Request<RecvStream>,
    responder: &Rc<RefCell<SendResponse<Bytes>>>,
) -> End {
    let dialect = call::dialect(request.method(), request.headers().get(CONTENT_TYPE));
    let (response, said) = match begin(worker, request, responder) {
        Ok((head, body, said)) => (answer(worker, client, (head, body), responder).await, said),
        Err(rejection) => (Some(exchange::refuse(worker, client, dialect, &rejection)), None),
    };
    let Some(response) = response else { return End::Gone };
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(said)) = (response.status, said) {
        return tunnel(response, worker, client, (said, incoming), responder).await;
    }
    let Response { status, headers, body } = response;
    let head = head(status, headers, &worker.date());
    let is_whole = body.is_end_stream();
    let begun = responder.borrow_mut().send_response(head, is_whole);
    let Ok(stream) = begun else { return End::Gone };
    if is_whole {
        return End::Closed;
    }
    let mut outgoing =
        Outgoing { stream, body, piece: Bytes::new(), incoming: &incoming, deadlines: &client.deadlines };
    match poll_fn(|context| outgoing.poll(context)).await {
        Ok(()) => End::Closed,
        Err(Broken::Client) => End::Gone,
        Err(Broken::Upstream) => {
            // What the client has of the answer is not all of it, and it is to know. A reset takes back what h2 has not written
            // yet, the head of the answer too; the connection's task writes it before this one is polled again.
            yield_now().await;
            responder.borrow_mut().send_reset(Reason::INTERNAL_ERROR);
            End::Closed
        }
    }
}

/// Makes a request of what has come. Of one that opens a WebSocket, what the client says behind its head is not the body.
fn begin(
    worker: &Worker,
    request: Request<RecvStream>,
    responder: &Rc<RefCell<SendResponse<Bytes>>>,
) -> Result<(RequestHead, ClientBody, Option<RecvStream>), Rejection> {
    let (mut parts, incoming) = request.into_parts();
    let follows = if incoming.is_end_stream() { Follows::Nothing } else { Follows::Body };
    let protocol = parts.extensions.remove::<Protocol>();
    let mut head = RequestHead::from(parts);
    let length = translate(&mut head, follows)
        .map_err(|error| refused(error, worker.view().snapshot().settings().server.max_header_bytes.get()))?;
    let Some(protocol) = protocol else {
        let body = StreamBody::new(incoming, length, invitation(&head.headers), Rc::clone(responder));
        return Ok((head, ClientBody::Http2(Box::new(body)), None));
    };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(Rejection::StreamProtocol);
    }
    // An upstream of HTTP/1.1 is asked as it would be by such a client (RFC 8441 section 5).
    head.method = Method::GET;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(SEC_WEBSOCKET_KEY, upgrade::new_key(&mut worker.random.borrow_mut()));
    Ok((head, ClientBody::Opening, Some(incoming)))
}

/// The answer, unless the client goes away first.
async fn answer(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    (head, body): (RequestHead, ClientBody),
    responder: &Rc<RefCell<SendResponse<Bytes>>>,
) -> Option<Response<ResponseBody>> {
    let mut exchange = Box::pin(exchange::serve(Rc::clone(worker), Rc::clone(client), head, body));
    poll_fn(|context| match exchange.as_mut().poll(context) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => responder.borrow_mut().poll_reset(context).map(|_gone| None),
    })
    .await
}

/// Tells the client that the upstream has agreed to a WebSocket, and passes on what both say until both have ended.
async fn tunnel(
    response: Response<ResponseBody>,
    worker: &Worker,
    client: &Client,
    (said, incoming): (RecvStream, Rc<Incoming>),
    responder: &Rc<RefCell<SendResponse<Bytes>>>,
) -> End {
    let Response { mut headers, mut body, .. } = response;
    let Some(mut tunnel) = Tunnel::open(&mut body, &client.deadlines) else { return End::Gone };
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    headers.remove(CONTENT_LENGTH);
    // RFC 8441 section 5: a success is the agreement.
    let head = head(StatusCode::OK, headers, &worker.date());
    let begun = responder.borrow_mut().send_response(head, false);
    let Ok(outgoing) = begun else { return End::Gone };
    let mut side = StreamSide::new(said, outgoing, incoming);
    let mut read = ReadBuffer::default();
    let ended = poll_fn(|context| {
        if let Poll::Ready(ended) = tunnel.poll(&mut side, &mut read, context) {
            return Poll::Ready(ended);
        }
        side.poll_gone(context).map(|()| Err(Broken::Client))
    })
    .await;
    tunnel.end(&ended);
    // What has not ended well is reset (RFC 8441 section 5).
    if ended.is_ok() { End::Closed } else { End::Gone }
}

fn invitation(fields: &Fields) -> Invitation {
    if lists(fields, &EXPECT, b"100-continue") { Invitation::Awaited } else { Invitation::Needless }
}

/// Makes an answer's head one of HTTP/2: the stream ends by itself, and a connection is not an answer's to close.
fn head(status: StatusCode, mut headers: Fields, date: &HeaderValue) -> http::Response<()> {
    headers.remove(CONNECTION);
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    headers.insert_if_absent(DATE, || date.clone());
    let mut head = http::Response::new(());
    *head.version_mut() = Version::HTTP_2;
    *head.status_mut() = status;
    *head.headers_mut() = headers.into();
    head
}

/// An answer's body on its way. One piece of it waits for the client's window.
struct Outgoing<'a> {
    stream: SendStream<Bytes>,
    body: ResponseBody,
    piece: Bytes,
    incoming: &'a Incoming,
    deadlines: &'a Deadlines,
}

impl Outgoing<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if !self.piece.is_empty() {
                match self.poll_send(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                    // Trailers need no window.
                    Poll::Pending if self.body.is_overdue() => self.piece.clear(),
                    Poll::Pending => {
                        self.body.poll_upload(context);
                        return Poll::Pending;
                    }
                }
                if self.piece.is_empty() && self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                return self.stream.poll_reset(context).map(|_gone| Err(Broken::Client));
            };
            let frame = frame.transpose().map_err(|_broken| Broken::Upstream)?;
            let ended = match frame.map(http_body::Frame::into_data) {
                Some(Ok(bytes)) if !bytes.is_empty() || !self.body.is_end_stream() => {
                    self.piece = bytes;
                    continue;
                }
                Some(Err(frame)) => self.stream.send_trailers(frame.into_trailers().unwrap_or_default()),
                Some(Ok(_)) | None => self.stream.send_data(Bytes::new(), true),
            };
            return Poll::Ready(ended.map_err(|_gone| Broken::Client));
        }
    }

    /// Hands over as much of the piece as the client's window and the buffer have room for.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.stream.reserve_capacity(self.piece.len());
        while self.stream.capacity() == 0 {
            match self.stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Broken::Client)),
                Poll::Pending => {
                    self.deadlines.write_blocked();
                    return Poll::Pending;
                }
            }
        }
        self.deadlines.write_progressed();
        self.incoming.piece_sent();
        let part = self.piece.split_to(self.stream.capacity().min(self.piece.len()));
        let is_last = self.piece.is_empty() && self.body.is_end_stream();
        Poll::Ready(self.stream.send_data(part, is_last).map_err(|_gone| Broken::Client))
    }
}
