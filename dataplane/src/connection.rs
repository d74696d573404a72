//! One client connection: hyper serves it, this module ends it when its time is up or its worker drains.

/// What it waits for, and until when.
pub(crate) mod deadlines;
/// Its socket, as hyper sees it.
mod client_io;
/// Its end, when a request could not be read.
mod refusal;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use apigw_engine::rejection::Rejection;
use http::StatusCode;
use hyper::{server::conn::http1, service::service_fn};
use tokio::{
    net::TcpStream,
    task::unconstrained,
    time::{Instant, sleep_until},
};

use self::{
    client_io::{ClientIo, Socket},
    deadlines::{Deadlines, Expired, Phase},
};
use crate::{exchange, exchange::forwarding::Peer, worker::Worker};

/// hyper's smallest buffer.
const MINIMUM_BUFFER_BYTES: usize = 8_192;

/// The most a connection buffers of a message beyond its head.
const BUFFER_BYTES: usize = 128 * 1_024;

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

/// How hyper's part of a connection ended.
enum End {
    Hyper(hyper::Result<()>),
    Expired(Expired),
    /// The client has gone, and hyper has not seen it.
    Gone,
}

/// Serves a connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, control: Rc<Control>) {
    let view = worker.view();
    let settings = view.snapshot().settings();
    let deadlines = Rc::new(Deadlines::new(&settings.server, &settings.upstream, Instant::now()));
    let client = Rc::new(Client { peer: Peer::new(peer.ip()), deadlines: Rc::clone(&deadlines), control });
    let max_header_bytes = settings.server.max_header_bytes.get();
    let service = {
        let (worker, client) = (Rc::clone(&worker), Rc::clone(&client));
        service_fn(move |request| exchange::serve(Rc::clone(&worker), Rc::clone(&client), request))
    };
    let io = ClientIo::new(stream, Rc::clone(&deadlines));
    let socket = io.socket();
    let head_bytes = usize::try_from(max_header_bytes).unwrap_or(usize::MAX);
    let mut hyper = http1::Builder::new()
        .max_header_size(head_bytes)
        .max_buf_size(head_bytes.saturating_add(BUFFER_BYTES).max(MINIMUM_BUFFER_BYTES))
        .header_read_timeout(None)
        .serve_connection(io, service);
    drop(view);

    let end = drive(&mut hyper, &client, &socket).await;
    let io = hyper.into_parts().io;
    let too_large = match io.swallowed_status() {
        Some(StatusCode::URI_TOO_LONG) => Rejection::TargetTooLong,
        _ => Rejection::HeadTooLarge { max_bytes: max_header_bytes },
    };
    drop(io);
    let Some(stream) = socket.into_stream() else { return };
    let rejection = match end {
        End::Hyper(Err(error)) if deadlines.is_before_request() && error.is_parse_too_large() => {
            Some(too_large)
        }
        End::Hyper(Err(error)) if deadlines.is_before_request() && error.is_parse() => {
            Some(Rejection::HeadMalformed)
        }
        End::Expired(Expired::Phase(Phase::Head)) => Some(Rejection::HeadTimeout),
        End::Hyper(_) => None,
        // What the client does not accept cannot be delivered, and nobody is at fault for what never came.
        End::Expired(_) | End::Gone => return,
    };
    if let Some(rejection) = rejection {
        refusal::answer(&worker, &client, &stream, &rejection).await;
    }
    refusal::linger(&stream).await;
}

/// Polls hyper until it has ended, a deadline that ends the connection has passed, or the client has gone.
async fn drive<S, B>(hyper: &mut http1::Connection<ClientIo, S>, client: &Client, socket: &Socket) -> End
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let deadlines = &client.deadlines;
    let mut timer = pin!(sleep_until(deadlines.next().unwrap_or_else(Instant::now)));
    let mut drains = false;
    poll_fn(|context| {
        client.control.register(context);
        loop {
            if let Poll::Ready(result) = Pin::new(&mut *hyper).poll(context) {
                return Poll::Ready(End::Hyper(result));
            }
            if client.is_draining() && !drains {
                // hyper closes a connection that has said nothing, even if its first request is on the way.
                deadlines.hurry();
                if !deadlines.is_new() {
                    drains = true;
                    Pin::new(&mut *hyper).graceful_shutdown();
                    continue;
                }
            }
            // The timer is only ever moved forward here; a later deadline waits for it to fire.
            if let Some(next) = deadlines.next()
                && next < timer.deadline()
            {
                timer.as_mut().reset(next);
            }
            // Unconstrained: a peer that keeps hyper busy must not use up the timer's turn as well.
            if pin!(unconstrained(timer.as_mut())).poll(context).is_pending() {
                return Poll::Pending;
            }
            match deadlines.check(Instant::now()) {
                // The exchange sees it and answers.
                Some(Expired::Phase(Phase::Upstream)) => {}
                Some(Expired::Body) if deadlines.is_awaiting_answer() => {}
                Some(Expired::Phase(Phase::Responding)) if socket.has_peer() => deadlines.response_begins(),
                Some(Expired::Phase(Phase::Responding)) => return Poll::Ready(End::Gone),
                Some(expired) => return Poll::Ready(End::Expired(expired)),
                None => {}
            }
            timer.as_mut().reset(deadlines.next().unwrap_or_else(|| Instant::now() + UNHURRIED));
        }
    })
    .await
}

/// When a timer without a deadline looks again.
const UNHURRIED: Duration = Duration::from_secs(3_600);
