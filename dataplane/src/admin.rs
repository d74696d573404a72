//! The admin address: health, metrics and the gRPC API on one port, apart from the traffic.

pub(crate) mod endpoints;

use std::sync::{Arc, OnceLock};

use apigw_config::{
    admin_key::{self, AdminKey},
    model::Settings,
    names::ListenAddress,
    problem::Problem,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::IntoResponse,
};
use tokio::{net::TcpListener, task::AbortHandle};
use tonic::service::Routes;

use self::endpoints::{Endpoints, Place};
use crate::{gateway::problem, listeners, status};

/// Where a data plane's admin address is unless the file or the command line says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9901";

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
        let default = DEFAULT_ADDRESS.parse().expect("the default address is one");
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
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "admin server ended");
            }
        });
        if let Some((_, previous)) = self.serving.replace((address, serving.abort_handle())) {
            previous.abort();
        }
    }
}

/// Everything that answers at the admin address: the endpoints, and the gRPC API behind them.
pub(crate) fn router(endpoints: Arc<Endpoints>, api: Routes) -> Router {
    let answer = move |request: Request, next: Next| {
        let endpoints = Arc::clone(&endpoints);
        async move {
            let Some(place) = Place::at(request.uri().path()) else { return next.run(request).await };
            let (head, _) = request.into_parts();
            match endpoints.ask(place, &head).await {
                Some(response) => response.map(Body::from),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    api.into_axum_router().layer(middleware::from_fn(answer))
}
