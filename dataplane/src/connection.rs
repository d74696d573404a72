//! One client connection: requests are read, served and answered one after the other; and it is ended when its time is up or
//! its worker drains.

/// What it waits for, and until when.
pub(crate) mod deadlines;
/// What wakes it then.
mod alarm;
/// Its first bytes, where a proxy says whom it is of.
mod proxied;
/// Its first bytes, where TLS is spoken.
mod handshake;
/// Its socket, what has come and what is to go.
pub(crate) mod client_io;
/// An answer on its way out.
mod outgoing;
/// The same for clients that speak HTTP/2.
pub(crate) mod http2;
/// What follows an answer that leaves HTTP.
mod tunnel;
/// Its end, also when a request could not be read.
mod refusal;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use apigw_config::names::Scheme;
use apigw_engine::{head::RequestHead, rejection::Rejection};
use http::{StatusCode, Version, header::EXPECT};
use tokio::time::{Instant, sleep_until};

use self::{
    alarm::Alarm,
    client_io::{ArrivedHead, ClientIo, NoHead},
    deadlines::{Deadlines, Expired, Phase},
    handshake::Begun,
    outgoing::{Asked, Broken, Outgoing},
};
use crate::{
    exchange::{
        self,
        forwarding::{self, Peer},
        request_body::ClientBody,
        response::Response,
        response_body::ResponseBody,
    },
    heap,
    http1::{
        head::{self, HeadError},
        length::{self, Length, LengthError},
        persistence::{lists, wants_more},
    },
    listeners::Purpose,
    socket::{Socket, stream::Stream},
    worker::Worker,
};

/// The client at the other end of a connection.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) deadlines: Rc<Deadlines>,
    control: Rc<Control>,
}

impl Client {
    /// Whether the connection is to end with the present exchange.
    pub(crate) fn is_draining(&self) -> bool {
        self.control.is_draining.get()
    }
}

/// A worker's handle on a connection.
#[derive(Debug, Default)]
pub(crate) struct Control {
    is_draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Control {
    /// Lets the connection end: at once if it is idle, else with the present exchange.
    pub(crate) fn drain(&self) {
        self.is_draining.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn register(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }
}

/// How a connection ended.
enum End {
    /// As either side wished, or with a fault that nobody is to hear of.
    Closed,
    /// The client has its answer, and had said that it would ask for nothing more.
    Done,
    /// A request came that cannot be read.
    Refused(Rejection),
    Expired(Expired),
    /// The client has gone.
    Gone,
    /// As nobody wished: in the middle of an answer that only a reset tells from a whole one.
    CutOff,
    /// The client speaks HTTP/2.
    Http2,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mut stream: Stream,
    peer: IpAddr,
    purpose: Purpose,
    control: Rc<Control>,
) {
    // On the heap, so that connections without it do not carry the room for it.
    let peer = match proxied::time_limit(&worker, peer) {
        None => peer,
        Some(limit) => match Box::pin(proxied::client(&worker, &mut stream, peer, limit)).await {
            Some(client) => client,
            None => return,
        },
    };
    let tls = worker.view().serving().tls_on(purpose);
    let (begun, scheme) = match tls {
        None => (Begun::Ready(Socket::Plain(stream), None), Scheme::Http),
        // On the heap as well.
        Some(tls) => (Box::pin(handshake::begin(&worker, stream, &tls)).await, Scheme::Https),
    };
    let deadlines = deadlines(&worker);
    let peer = Peer::new(peer, scheme);
    let client_of = |peer| Rc::new(Client { peer, deadlines: Rc::clone(&deadlines), control });
    let (client, socket) = match begun {
        Begun::Ready(socket, certificate) => (client_of(peer.with_certificate(certificate)), socket),
        Begun::InClear(mut socket) => {
            let client = client_of(peer);
            refusal::answer(&worker, &client, &mut socket, &Rejection::TlsExpected).await;
            return refusal::linger(socket).await;
        }
        Begun::Failed => return,
    };
    let io = Rc::new(ClientIo::new(socket, deadlines));
    let end = {
        let served = pin!(serve_requests(&worker, &client, &io));
        drive(served, &client, || io.has_peer()).await
    };
    let Some((mut socket, came)) = Rc::into_inner(io).map(ClientIo::into_parts) else { return };
    let rejection = match end {
        End::Refused(rejection) => Some(rejection),
        End::Expired(Expired::Phase(Phase::Head)) => Some(Rejection::HeadTimeout),
        End::Closed => None,
        End::Done => return refusal::say_farewell(socket).await,
        End::CutOff => return socket.reset(),
        // What the client does not accept cannot be delivered, and nobody is at fault for what never came.
        End::Expired(_) | End::Gone => return,
        End::Http2 => {
            return Box::pin(http2::serve(worker, client, socket, came)).await;
        }
    };
    if let Some(rejection) = rejection {
        refusal::answer(&worker, &client, &mut socket, &rejection).await;
    }
    refusal::linger(socket).await;
}

/// Of a connection that begins now.
fn deadlines(worker: &Worker) -> Rc<Deadlines> {
    let view = worker.view();
    let settings = view.snapshot().settings();
    Rc::new(Deadlines::new(&settings.server, &settings.upstream, Instant::now()))
}

/// Answers a connection that there is no place for, whatever it asks.
pub(crate) async fn turn_away(worker: &Rc<Worker>, stream: Stream, peer: IpAddr) {
    let mut socket = Socket::Plain(stream);
    let (peer, deadlines) = (Peer::new(peer, Scheme::Http), deadlines(worker));
    let client = Client { peer, deadlines, control: Rc::default() };
    refusal::answer(worker, &client, &mut socket, &Rejection::TooManyConnections).await;
    refusal::linger(socket).await;
}

/// Serves requests until one is the last.
async fn serve_requests(worker: &Rc<Worker>, client: &Rc<Client>, io: &Rc<ClientIo>) -> End {
    let max_header_bytes = worker.view().snapshot().settings().server.max_header_bytes.get();
    let max_bytes = usize::try_from(max_header_bytes).unwrap_or(usize::MAX);
    let mut is_first = true;
    loop {
        let head = match poll_fn(|context| poll_head(client, io, max_bytes, context)).await {
            Ok(head) => head,
            Err(NoHead::Closed) => return End::Closed,
            Err(NoHead::Unreadable(error)) => return End::Refused(refused(error, max_header_bytes)),
        };
        let read = match head {
            ArrivedHead::Read(request) => Ok(request),
            ArrivedHead::Found(head) if is_first && head == http2::PREFACE_HEAD => return End::Http2,
            ArrivedHead::Found(head) => head::parse_request(&head).map(|(request, _)| request),
        };
        is_first = false;
        let begun = read.and_then(|request| Ok((begin(&request, io)?, request)));
        let (mut asked, request) = match begun {
            Ok(begun) => begun,
            Err(error) => return End::Refused(refused(error, max_header_bytes)),
        };
        // On the heap, so that a connection between two requests does not carry the room for one.
        let exchange = heap::put(|| {
            let body = ClientBody::Http1(Rc::clone(io));
            exchange::serve(Rc::clone(worker), Rc::clone(client), request, body)
        });
        let Some(response) = unless_gone(Box::into_pin(exchange), io).await else { return End::Gone };
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            tunnel::run(response, client, io).await;
            return End::Gone;
        }
        let is_wanted_last = asked.is_last;
        let goes_on = poll_fn(|context| Poll::Ready(goes_on_behind(&response.body, io, context))).await;
        asked.is_last |= !goes_on;
        let mut outgoing = Outgoing::begin(response, &asked, io, &worker.date());
        let is_last = match poll_fn(|context| outgoing.poll(io, context)).await {
            Ok(()) => outgoing.is_last(),
            // Ended as usual, the answer would look whole.
            Err(Broken::Upstream) if outgoing.ends_with_connection() => return End::CutOff,
            Err(Broken::Upstream) => return End::Closed,
            Err(Broken::Client) => return End::Gone,
        };
        drop(outgoing);
        if is_wanted_last && poll_fn(|context| Poll::Ready(io.is_silent(context))).await {
            return End::Done;
        }
        if is_last || !skip_rest(client, io).await {
            return End::Closed;
        }
        client.deadlines.flushed();
    }
}

/// Whether the connection can go on behind an answer that is about to begin, whatever becomes of the request's body.
fn goes_on_behind(answer: &ResponseBody, io: &ClientIo, context: &mut Context<'_>) -> bool {
    // While an upstream answers, it is given the rest of the body.
    if answer.is_own() { io.can_skip_body(context) } else { !io.is_rest_long() }
}

/// Reads the present request to its end where its answer did not wait for that, and tells whether another may follow.
async fn skip_rest(client: &Client, io: &ClientIo) -> bool {
    if io.has_body_ended() {
        return true;
    }
    client.deadlines.rest_awaited();
    let mut skipped = 0;
    poll_fn(|context| match io.poll_skip_body(&mut skipped, context) {
        Poll::Pending if client.is_draining() => Poll::Ready(false),
        polled => polled,
    })
    .await
}

/// The next request's head. There is none when the worker drains, unless it has begun to come.
fn poll_head(
    client: &Client,
    io: &ClientIo,
    max_bytes: usize,
    context: &mut Context<'_>,
) -> Poll<Result<ArrivedHead, NoHead>> {
    client.control.register(context);
    let polled = io.poll_head(max_bytes, context);
    let may_end = client.is_draining() && !client.deadlines.is_new() && !io.has_read_ahead();
    if polled.is_pending() && may_end { Poll::Ready(Err(NoHead::Closed)) } else { polled }
}

/// Begins the body that follows a head.
fn begin(request: &RequestHead, io: &ClientIo) -> Result<Asked, HeadError> {
    let length = length::of_request(request.version, &request.headers)?;
    let is_modern = request.version == Version::HTTP_11;
    let awaits_invitation =
        is_modern && length != Length::Known(0) && lists(&request.headers, &EXPECT, b"100-continue");
    io.begin_body(length, awaits_invitation);
    Ok(Asked {
        method: request.method.clone(),
        version: request.version,
        is_last: !wants_more(request.version, &request.headers),
        takes_trailers: forwarding::accepts_trailers(&request.headers),
    })
}

fn refused(error: HeadError, max_bytes: u64) -> Rejection {
    match error {
        HeadError::Malformed | HeadError::Length(LengthError::ContentLength | LengthError::Ambiguous) => {
            Rejection::HeadMalformed
        }
        HeadError::Version => Rejection::HttpVersion,
        HeadError::Length(LengthError::TransferCoding) => Rejection::TransferCoding,
        HeadError::TooLarge => Rejection::HeadTooLarge { max_bytes },
        HeadError::TargetTooLong => Rejection::TargetTooLong,
    }
}

/// The answer, unless the client goes away first; what was done for it then is dropped where it stands.
async fn unless_gone(
    mut exchange: Pin<Box<impl Future<Output = Response<ResponseBody>>>>,
    io: &ClientIo,
) -> Option<Response<ResponseBody>> {
    poll_fn(|context| match exchange.as_mut().poll(context) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => {
            ready!(io.poll_gone(context));
            Poll::Ready(None)
        }
    })
    .await
}

/// Polls a connection, or one stream of it, until it has ended, or a deadline that ends it has passed.
async fn drive(
    mut served: Pin<&mut impl Future<Output = End>>,
    client: &Client,
    has_peer: impl Fn() -> bool,
) -> End {
    let deadlines = &client.deadlines;
    let timer = pin!(sleep_until(deadlines.next().unwrap_or_else(Instant::now)));
    let mut alarm = Alarm::new(timer);
    poll_fn(|context| {
        loop {
            deadlines.wake(Instant::now());
            if client.is_draining() {
                deadlines.hurry();
            }
            if let Poll::Ready(end) = served.as_mut().poll(context) {
                return Poll::Ready(end);
            }
            ready!(alarm.poll(deadlines.next(), context));
            match deadlines.check(deadlines.now()) {
                // The exchange sees it and answers.
                Some(Expired::Phase(Phase::Upstream) | Expired::Exchange(_)) => {}
                Some(Expired::Body) if deadlines.is_awaiting_answer() => {}
                Some(Expired::Look) if has_peer() => {}
                Some(Expired::Look) => return Poll::Ready(End::Gone),
                Some(expired) => return Poll::Ready(End::Expired(expired)),
                None => {}
            }
            alarm.set(deadlines.next(), deadlines.now());
        }
    })
    .await
}
