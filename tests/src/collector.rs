//! A collector of traces: it takes what is sent to it by OTLP over gRPC, hangs or refuses, as it is told.

/// Messages as they travel.
mod protobuf;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Context, Poll, Service, http},
    server::Grpc,
};

use self::protobuf::{Held, fields};
use crate::{certificates::Identity, grpc::raw::Raw, waiting::eventually};

/// The call that takes spans, as it is published.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A collector; its connections end when it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// None: it is being dropped.
    runtime: Option<Runtime>,
}

/// What it does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// Takes all spans.
    Taking,
    /// Says that it has not taken so many.
    TakingWithout(u8),
    /// Never says anything.
    Hanging,
    /// Ends it with this status.
    Refusing(Code),
}

#[derive(Debug)]
struct Seen {
    answering: Mutex<Answering>,
    spans: Mutex<Vec<Span>>,
    calls: Mutex<usize>,
}

/// A span as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// In hexadecimal digits, as are the ids below.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// Empty: it has none.
    pub parent: String,
    /// What other makers say.
    pub state: String,
    /// Its name.
    pub name: String,
    /// 2: of a server, 3: of a client.
    pub kind: u64,
    /// In nanoseconds since 1970.
    pub began: u64,
    /// In the same.
    pub ended: u64,
    /// Numbers in decimal digits.
    pub attributes: BTreeMap<String, String>,
    /// 2: an error.
    pub status: u64,
    /// Of its trace, and of what is known of its parent.
    pub flags: u64,
    /// What is said of the sender.
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty: it has none of that name.
    #[must_use]
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    /// Listens in clear, and takes all spans.
    #[must_use]
    pub fn start() -> Self {
        Self::serving(None)
    }

    /// Listens in TLS.
    ///
    /// # Panics
    /// When the identity is none.
    #[must_use]
    pub fn start_securely(identity: &Identity) -> Self {
        let config = identity.server_config(&[b"h2"]).expect("a configuration");
        Self::serving(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn serving(tls: Option<TlsAcceptor>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::new(Seen {
            answering: Mutex::new(Answering::Taking),
            spans: Mutex::default(),
            calls: Mutex::default(),
        });
        let shared = Arc::clone(&seen);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, runtime: Some(runtime) }
    }

    /// Its URL in clear.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does this with all calls from now on.
    pub fn answer(&self, answering: Answering) {
        *lock(&self.seen.answering) = answering;
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.seen.spans).clone()
    }

    /// How many calls there were so far, however they ended.
    #[must_use]
    pub fn calls(&self) -> usize {
        *lock(&self.seen.calls)
    }

    /// The gateway's span of the request with this id, and those of its attempts in their order; waits for them.
    #[must_use]
    pub fn exchange(&self, request_id: &str) -> (Span, Vec<Span>) {
        let is_of_it = |span: &&Span| span.kind == 2 && span.attribute("apigw.request_id") == request_id;
        eventually("the collector is told", || {
            let spans = self.spans();
            let gateway = spans.iter().find(is_of_it)?.clone();
            let mut attempts: Vec<_> = spans.into_iter().filter(|span| span.parent == gateway.id).collect();
            attempts.sort_by_key(|span| span.began);
            Some((gateway, attempts))
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, seen: Arc<Seen>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, seen).await) }
    });
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: http::Request<Incoming>, seen: Arc<Seen>) -> http::Response<Body> {
    if request.uri().path() != EXPORT {
        return Status::unimplemented(request.uri().path()).into_http();
    }
    Grpc::new(Raw).unary(Export(seen), request).await
}

struct Export(Arc<Seen>);

impl Service<Request<Bytes>> for Export {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        Box::pin(async move { take(&seen, &request.into_inner()).await })
    }
}

async fn take(seen: &Seen, message: &[u8]) -> Result<Response<Bytes>, Status> {
    *lock(&seen.calls) += 1;
    let answering = *lock(&seen.answering);
    match answering {
        Answering::Taking => {
            lock(&seen.spans).extend(spans(message));
            Ok(Response::new(Bytes::new()))
        }
        // `partial_success` with `rejected_spans` in it.
        Answering::TakingWithout(count) => Ok(Response::new(vec![0x0a, 2, 0x08, count].into())),
        Answering::Hanging => std::future::pending().await,
        Answering::Refusing(code) => Err(Status::new(code, "no")),
    }
}

/// All spans of a request.
fn spans(message: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in inner(message, 1) {
        let resource: BTreeMap<_, _> =
            inner(of_resource, 1).flat_map(|resource| inner(resource, 1)).map(attribute).collect();
        for of_scope in inner(of_resource, 2) {
            let found =
                inner(of_scope, 2).map(|message| Span { resource: resource.clone(), ..span(message) });
            spans.extend(found);
        }
    }
    spans
}

fn span(message: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, held) in fields(message) {
        match number {
            1 => span.trace = held.digits(),
            2 => span.id = held.digits(),
            3 => span.state = held.text(),
            4 => span.parent = held.digits(),
            5 => span.name = held.text(),
            6 => span.kind = held.number(),
            7 => span.began = held.number(),
            8 => span.ended = held.number(),
            9 => span.attributes.extend([attribute(held.bytes())]),
            15 => span.status = number_of(held.bytes(), 3),
            16 => span.flags = held.number(),
            other => panic!("a gateway says nothing in the field {other} of a span"),
        }
    }
    span
}

/// A key and its value.
fn attribute(message: &[u8]) -> (String, String) {
    let mut attribute = (String::new(), String::new());
    for (number, held) in fields(message) {
        match number {
            1 => attribute.0 = held.text(),
            _ => attribute.1 = value(held.bytes()),
        }
    }
    attribute
}

fn value(message: &[u8]) -> String {
    let [(number, held)] = fields(message)[..] else { panic!("a value is one") };
    match (number, held) {
        (1, held) => held.text(),
        (3, Held::Number(number)) => number.to_string(),
        other => panic!("a gateway has no such values: {other:?}"),
    }
}

/// The messages in a field.
fn inner(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |(number, _)| *number == field).map(|(_, held)| held.bytes())
}

/// The number in a field; 0: it is not there.
fn number_of(message: &[u8], field: u64) -> u64 {
    fields(message).into_iter().find(|(number, _)| *number == field).map_or(0, |(_, held)| held.number())
}
