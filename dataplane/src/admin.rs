//! The admin address: health, metrics and the gRPC API on one port or socket file, apart from the traffic.
//!
//! What a peer may cost is bounded in [`apigw_transport::server`]; here, how many there may be.

pub(crate) mod endpoints;

use std::sync::{Arc, OnceLock};

use apigw_config::{model::Settings, problem::Problem};
use apigw_transport::{
    address::Address,
    credentials::Credentials,
    listener::{BindError, Listener},
    server::{Protocols, Serving},
    socket_file::{SocketFile, SocketFileError},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::IntoResponse,
};
use tokio::task::AbortHandle;
use tonic::service::Routes;

use self::endpoints::{Endpoints, Place};
use crate::{gateway::problem, status};

/// The most connections at once; a further one is closed at once.
const MAX_CONNECTIONS: u32 = 512;

/// The admin server, at one address at a time.
pub(crate) struct AdminServer {
    router: Router,
    /// Listen here, whatever the configuration says.
    listen: Option<Address>,
    credentials: Credentials,
    serving: Option<(Address, AbortHandle)>,
    owner: Owner,
}

/// What is known of the first address that was served, by whoever outlives the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner {
    /// This data plane's name, which is made of the address.
    pub(crate) name: Arc<OnceLock<String>>,
    /// Its socket file: an operator looks on while requests are finished, and then it goes. A configuration names no
    /// socket file, so there is no second one.
    pub(crate) file: Arc<OnceLock<SocketFile>>,
}

/// An admin address that is ready to be served, unless it is served already. Dropped instead, it leaves no trace.
pub(crate) struct Prepared(Option<(Address, Listener)>);

impl AdminServer {
    /// A server that answers nowhere yet.
    pub(crate) fn new(
        router: Router,
        listen: Option<Address>,
        credentials: Credentials,
        owner: Owner,
    ) -> Self {
        Self { router, listen, credentials, serving: None, owner }
    }

    /// Binds the admin address of a configuration; without one, the default.
    ///
    /// # Errors
    /// When the address cannot be had, or others could reach it and nothing is demanded of them.
    pub(crate) fn prepare(&self, settings: Option<&Settings>) -> Result<Prepared, Problem> {
        let configured = settings.and_then(|settings| settings.admin.clone());
        let of_file = || Address::Tcp(configured.unwrap_or_default().address);
        let address = self.listen.clone().unwrap_or_else(of_file);
        if self.serving.as_ref().is_some_and(|(serving, _)| *serving == address) {
            return Ok(Prepared(None));
        }
        let listener = Listener::bind(&address, &self.credentials).map_err(|error| {
            let message = match &error {
                BindError::Listen { source, .. }
                | BindError::File(SocketFileError::System { source, .. }) => {
                    format!("{error}: {source}")
                }
                _ => error.to_string(),
            };
            problem("admin.addr", message)
        })?;
        Ok(Prepared(Some((address, listener))))
    }

    /// Serves the prepared address, and no longer the one before. Requests under way there are finished.
    pub(crate) fn commit(&mut self, prepared: Prepared) {
        let Prepared(Some((address, mut listener))) = prepared else { return };
        tracing::info!(purpose = "admin", address = %listener.bound(), "listening");
        let host = gethostname::gethostname();
        self.owner.name.get_or_init(|| status::name_of(&host.to_string_lossy(), listener.bound()));
        if let Some(file) = listener.take_file() {
            self.owner.file.get_or_init(|| file);
        }
        let tls = self.credentials.tls.clone();
        let serving = Serving { max_connections: MAX_CONNECTIONS, protocols: Protocols::Both, tls };
        let serving =
            tokio::spawn(serving.serve(listener, self.router.clone(), std::future::pending::<()>()));
        if let Some((_, previous)) = self.serving.replace((address, serving.abort_handle())) {
            previous.abort();
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
            let asked = endpoints.ask(place, &head.into());
            match asked.await {
                Some(response) => response.map(Body::from),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    api.into_axum_router().layer(middleware::from_fn(answer))
}
