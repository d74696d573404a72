//! The admin address: health, metrics and the gRPC API on one port, apart from the traffic.

pub(crate) mod endpoints;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use apigw_config::{
    admin_key::{self, AdminKey},
    model::{Admin, Settings},
    names::ListenAddress,
    problem::Problem,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::IntoResponse,
};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
    time::timeout,
};
use tonic::service::Routes;

use self::endpoints::{Endpoints, Place};
use crate::{gateway::problem, listeners, status};

/// The most connections at once; further ones wait.
const MOST_CONNECTIONS: usize = 512;

/// How long a connection may take for a head, and a silent one for the answer to a ping.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long accepting pauses after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The admin server, at one address at a time.
pub(crate) struct AdminServer {
    router: Router,
    /// Listen here, whatever the configuration says.
    listen: Option<ListenAddress>,
    key: Option<AdminKey>,
    serving: Option<(ListenAddress, AbortHandle)>,
    /// This data plane's name, which is made of the first port served.
    name: Arc<OnceLock<String>>,
}

/// An admin address that is ready to be served, unless it is served already. Dropped instead, it leaves no trace.
pub(crate) struct Prepared(Option<(ListenAddress, TcpListener)>);

impl AdminServer {
    /// A server that answers nowhere yet.
    pub(crate) fn new(
        router: Router,
        listen: Option<ListenAddress>,
        key: Option<AdminKey>,
        name: Arc<OnceLock<String>>,
    ) -> Self {
        Self { router, listen, key, serving: None, name }
    }

    /// Binds the admin address of a configuration; without one, the default.
    ///
    /// # Errors
    /// When the address cannot be had, or others could reach it and there is no key.
    pub(crate) fn prepare(&self, settings: Option<&Settings>) -> Result<Prepared, Problem> {
        let configured = settings.and_then(|settings| settings.admin.as_ref()).map(|admin| &admin.address);
        let default = Admin::default().address;
        let address = self.listen.as_ref().or(configured).unwrap_or(&default);
        if self.serving.as_ref().is_some_and(|(serving, _)| serving == address) {
            return Ok(Prepared(None));
        }
        if !address.is_loopback() && self.key.is_none() {
            let message =
                format!("{address} can be reached from other machines: set {}", admin_key::VARIABLE);
            return Err(problem("admin.addr", message));
        }
        let cannot = |error| problem("admin.addr", format!("cannot listen on {address}: {error}"));
        let mut bound = listeners::bind(address, 1, &[]).map_err(cannot)?;
        let socket = bound.sockets.pop().expect("one socket was asked for");
        let listener = TcpListener::from_std(socket).map_err(cannot)?;
        Ok(Prepared(Some((address.clone(), listener))))
    }

    /// Serves the prepared address, and no longer the one before. Requests under way there are finished.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        let Prepared(Some((address, listener))) = prepared else { return };
        if let Ok(bound) = listener.local_addr() {
            tracing::info!(purpose = "admin", address = %bound, "listening");
            let host = gethostname::gethostname();
            self.name.get_or_init(|| status::name_of(&host.to_string_lossy(), bound.port()));
        }
        let router = self.router.clone();
        let serving = tokio::spawn(serve(listener, router));
        if let Some((_, previous)) = self.serving.replace((address, serving.abort_handle())) {
            previous.abort();
        }
    }
}

/// Accepts and serves, for ever. A connection that does not say what it wants in time is closed.
async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(protocol)) = timeout(PATIENCE, Protocol::of(&stream)).await {
                        protocol.serve(stream, service).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What an admin connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    /// gRPC.
    Http2,
}

impl Protocol {
    /// Looks at the first bytes: HTTP/2 with prior knowledge begins with `PRI` (RFC 9113 section 3.4), which is no method.
    async fn of(stream: &TcpStream) -> std::io::Result<Self> {
        const PREFACE: &[u8] = b"PRI";
        let mut first = [0; PREFACE.len()];
        loop {
            let length = stream.peek(&mut first).await?;
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if first[..length] != PREFACE[..length] {
                return Ok(Self::Http1);
            }
            if length == PREFACE.len() {
                return Ok(Self::Http2);
            }
            // The rest of three bytes is on its way, or never comes.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    async fn serve(self, stream: TcpStream, service: TowerToHyperService<Router>) {
        let io = TokioIo::new(stream);
        let ended = match self {
            Self::Http1 => {
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
                builder.serve_connection(io, service).await
            }
            Self::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).keep_alive_interval(PATIENCE).keep_alive_timeout(PATIENCE);
                builder.serve_connection(io, service).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "admin connection ended");
        }
    }
}

/// Whether a request says that it is one of gRPC, which it must
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn speaks_grpc(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/grpc")
}

/// Everything that answers at the admin address: the endpoints, and the gRPC API behind them.
pub(crate) fn router(endpoints: Arc<Endpoints>, api: Routes) -> Router {
    let answer = move |request: Request, next: Next| {
        let endpoints = Arc::clone(&endpoints);
        async move {
            let Some(place) = Place::at(request.uri().path()) else {
                // What gRPC says of an unknown method has the status 200.
                let is_for_the_api = speaks_grpc(&request);
                return if is_for_the_api {
                    next.run(request).await
                } else {
                    StatusCode::NOT_FOUND.into_response()
                };
            };
            let (head, _) = request.into_parts();
            match endpoints.ask(place, &head).await {
                Some(response) => response.map(Body::from),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    api.into_axum_router().layer(middleware::from_fn(answer))
}
