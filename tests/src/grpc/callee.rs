//! A server with a method of each kind. What it is to do stands in the message: `status:14:text` ends the call with that
//! status, `hang` never ends it, a number asks for as many messages; anything else comes back as it is.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hyper::{HeaderMap, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Context, Poll, Service, http},
    server::Grpc,
};

use super::{Socket, raw::Raw};
use crate::certificates::Identity;

/// A server; its connections end when it is dropped.
#[derive(Debug)]
pub struct Callee {
    address: SocketAddr,
    seen: Arc<Seen>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Mutex<Vec<(String, HeaderMap)>>,
    connections: AtomicUsize,
    /// That never end by themselves.
    hanging: AtomicUsize,
    /// Whose callers did not wait for their end.
    abandoned: AtomicUsize,
}

impl Callee {
    /// Serves in clear.
    pub async fn start() -> Self {
        Self::serving(None).await
    }

    /// Serves in TLS.
    pub async fn start_securely(identity: &Identity) -> Self {
        let config = identity.server_config(&[b"h2"]).expect("a configuration");
        Self::serving(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serving(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::<Seen>::default();
        let shared = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, seen, serving }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The paths and fields of the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, HeaderMap)> {
        self.seen.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections it has been given so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// How many calls so far have been told to hang, and do.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.seen.hanging.load(Ordering::Relaxed)
    }

    /// How many calls were given up by their callers.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.seen.abandoned.load(Ordering::Relaxed)
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let socket: Box<dyn Socket> = match tls {
        None => Box::new(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_refused) => return,
        },
    };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, seen).await) }
    });
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(request: http::Request<Incoming>, seen: Arc<Seen>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let call = (path.clone(), request.headers().clone());
    seen.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    let mut grpc = Grpc::new(Raw);
    match path.rsplit('/').next() {
        Some("Unary") => grpc.unary(Does(move |request| unary(request, Arc::clone(&seen))), request).await,
        Some("ClientStream") => grpc.client_streaming(Does(client_stream), request).await,
        Some("ServerStream") => grpc.server_streaming(Does(server_stream), request).await,
        Some("Bidi") => grpc.streaming(Does(bidi), request).await,
        _ => Status::unimplemented(path).into_http(),
    }
}

/// Counts a call whose future is dropped before its end.
struct Unfinished(Option<Arc<Seen>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(seen) = &self.0 {
            seen.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn unary(request: Request<Bytes>, seen: Arc<Seen>) -> Result<Response<Bytes>, Status> {
    let mut unfinished = Unfinished(Some(Arc::clone(&seen)));
    let message = request.into_inner();
    if message == "hang" {
        seen.hanging.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    unfinished.0 = None;
    obey(&message)?;
    Ok(Response::new(message))
}

/// Ends the call where the message asks for that.
fn obey(message: &[u8]) -> Result<(), Status> {
    let text = String::from_utf8_lossy(message);
    let Some((code, text)) = text.strip_prefix("status:").and_then(|rest| rest.split_once(':')) else {
        return Ok(());
    };
    Err(Status::new(Code::from_bytes(code.as_bytes()), text))
}

async fn client_stream(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let (mut count, mut bytes) = (0, 0);
    while let Some(message) = messages.message().await? {
        obey(&message)?;
        count += 1;
        bytes += message.len();
    }
    Ok(Response::new(format!("{count} messages of {bytes} bytes").into()))
}

type Messages = ReceiverStream<Result<Bytes, Status>>;

async fn server_stream(request: Request<Bytes>) -> Result<Response<Messages>, Status> {
    let text = String::from_utf8_lossy(request.get_ref()).into_owned();
    let (messages, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        let (count, last) = text.split_once(',').unwrap_or((&text, ""));
        for number in 0..count.parse().unwrap_or(0) {
            if messages.send(Ok(format!("message {number}").into())).await.is_err() {
                return;
            }
        }
        if last == "hang" {
            messages.closed().await;
        }
        if let Err(status) = obey(last.as_bytes()) {
            let _ = messages.send(Err(status)).await;
        }
    });
    Ok(Response::new(ReceiverStream::new(stream)))
}

async fn bidi(request: Request<Streaming<Bytes>>) -> Result<Response<Messages>, Status> {
    let mut incoming = request.into_inner();
    let (messages, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(Some(message)) = incoming.message().await {
            let echo = obey(&message).map(|()| message);
            let is_last = echo.is_err();
            if messages.send(echo).await.is_err() || is_last {
                return;
            }
        }
    });
    Ok(Response::new(ReceiverStream::new(stream)))
}

/// A method, as tonic calls it.
struct Does<F>(F);

impl<F, Q, R, Ended> Service<Request<Q>> for Does<F>
where
    F: FnMut(Request<Q>) -> Ended,
    Ended: Future<Output = Result<Response<R>, Status>> + Send + 'static,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = BoxFuture<Response<R>, Status>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        Box::pin((self.0)(request))
    }
}
