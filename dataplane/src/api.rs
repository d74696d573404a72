//! The `Gateway` service of a data plane: the same questions that a control plane answers, answered for itself.
//!
//! It only passes on; what runs, what is told of it and what an operator changes is the [`Runtime`]'s. Answers are bounded.

use std::{pin::Pin, sync::Arc};

use apigw_config::{admin_key::AdminKey, pages};
use apigw_engine::{Snapshot, explain::QuestionError};
use apigw_proto::{
    MAX_MESSAGE_BYTES, v1,
    v1::gateway_server::{Gateway, GatewayServer},
};
use prost::Message;
use tokio::sync::Semaphore;
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status,
    metadata::MetadataValue,
    service::{Interceptor, Routes, interceptor::InterceptedService},
};

/// The most explanations made at once: each may read the file's text again. Others wait, as many as there are calls.
const MAX_EXPLANATIONS: usize = 4;

/// What can be told of a running data plane.
pub(crate) trait Runtime: Send + Sync + 'static {
    /// Who it is and what it runs. Never has more problems than [`pages::leading_problems`] makes.
    fn status(&self) -> v1::DataPlaneStatus;

    /// What runs; none before the first configuration.
    fn snapshot(&self) -> Option<Arc<Snapshot>>;

    /// What would become of a request now; none before the first configuration. May take a while, for a large file.
    ///
    /// # Errors
    /// When there is nothing that could be asked.
    fn explain(&self, asked: v1::ExplainRequest) -> Result<Option<v1::ExplainResponse>, QuestionError>;

    /// The live state of each route, under this data plane's name.
    fn limits(&self) -> Vec<v1::RouteLimits>;

    /// The providers of tokens and their keys, under this data plane's name.
    fn auth(&self) -> Vec<v1::ProviderState>;

    /// The endpoints of the backends and what they are at, under this data plane's name.
    fn backends(&self) -> Vec<v1::EndpointState>;

    /// Has an endpoint be given no new requests, or some again.
    fn drain(&self, request: &v1::DrainRequest) -> Vec<v1::DrainOutcome>;

    /// The certificates in use, under this data plane's name.
    fn certificates(&self) -> Vec<v1::CertificateState>;
}

/// The service, behind the key if there is one.
pub(crate) fn routes(runtime: Arc<dyn Runtime>, key: Option<AdminKey>) -> Routes {
    let server =
        GatewayServer::new(GatewayService { runtime, explanations: Semaphore::new(MAX_EXPLANATIONS) })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(InterceptedService::new(server, Door(key)))
}

struct GatewayService {
    runtime: Arc<dyn Runtime>,
    explanations: Semaphore,
}

type Paged<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Gateway for GatewayService {
    type RoutesStream = Paged<v1::RoutesResponse>;
    type LimitsStream = Paged<v1::LimitsResponse>;
    type AuthStream = Paged<v1::AuthResponse>;
    type BackendsStream = Paged<v1::BackendsResponse>;
    type DrainStream = Paged<v1::DrainResponse>;
    type CertificatesStream = Paged<v1::CertificatesResponse>;
    type HistoryStream = Paged<v1::HistoryResponse>;
    type ResourcesStream = Paged<v1::ResourcesResponse>;

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let asked = request.into_inner();
        if asked.revision.is_some() {
            return Err(keeps_no_history());
        }
        let _permit = self.explanations.acquire().await.map_err(|_| Status::unavailable("stopping"))?;
        let runtime = Arc::clone(&self.runtime);
        let answer = tokio::task::spawn_blocking(move || runtime.explain(asked)).await;
        let answer = answer.map_err(|_| Status::internal("the question cannot be answered"))?;
        let answer = answer.map_err(|error| Status::invalid_argument(error.to_string()))?;
        answer.map(Response::new).ok_or_else(|| Status::failed_precondition("nothing runs yet"))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let data_planes = vec![self.runtime.status()];
        Ok(Response::new(v1::StatusResponse { control_plane: None, data_planes }))
    }

    async fn routes(&self, _: Request<v1::RoutesRequest>) -> Result<Response<Self::RoutesStream>, Status> {
        let snapshot = self.runtime.snapshot();
        let count = snapshot.as_ref().map_or(0, |snapshot| snapshot.config().route_count());
        let routes =
            (0..count).filter_map(move |index| snapshot.as_ref()?.config().route(index).map(v1::Route::from));
        Ok(paged(routes, |routes| v1::RoutesResponse { routes }))
    }

    async fn limits(&self, _: Request<v1::LimitsRequest>) -> Result<Response<Self::LimitsStream>, Status> {
        Ok(paged(self.runtime.limits(), |rows| v1::LimitsResponse { rows }))
    }

    async fn auth(&self, _: Request<v1::AuthRequest>) -> Result<Response<Self::AuthStream>, Status> {
        Ok(paged(self.runtime.auth(), |providers| v1::AuthResponse { providers }))
    }

    async fn backends(
        &self,
        _: Request<v1::BackendsRequest>,
    ) -> Result<Response<Self::BackendsStream>, Status> {
        Ok(paged(self.runtime.backends(), |endpoints| v1::BackendsResponse { endpoints }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<Self::DrainStream>, Status> {
        let outcomes = self.runtime.drain(request.get_ref());
        Ok(paged(outcomes, |outcomes| v1::DrainResponse { outcomes }))
    }

    async fn certificates(
        &self,
        _: Request<v1::CertificatesRequest>,
    ) -> Result<Response<Self::CertificatesStream>, Status> {
        Ok(paged(self.runtime.certificates(), |certificates| v1::CertificatesResponse { certificates }))
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        Err(keeps_no_history())
    }

    async fn resources(
        &self,
        _: Request<v1::ResourcesRequest>,
    ) -> Result<Response<Self::ResourcesStream>, Status> {
        Err(keeps_no_history())
    }

    async fn rollback(
        &self,
        _: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        Err(keeps_no_history())
    }
}

fn keeps_no_history() -> Status {
    Status::unimplemented("a data plane keeps no history; ask its control plane")
}

/// A list in as many messages as it takes.
fn paged<I, P>(items: I, page: impl Fn(Vec<I::Item>) -> P + Send + 'static) -> Response<Paged<P>>
where
    I: IntoIterator<Item: Message, IntoIter: Send + 'static>,
    P: Send + 'static,
{
    let pages = pages::pages(items).map(move |items| Ok(page(items)));
    Response::new(Box::pin(tokio_stream::iter(pages)))
}

/// Lets through who has the key; everybody where there is none.
#[derive(Debug, Clone)]
struct Door(Option<AdminKey>);

impl Interceptor for Door {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let presented = request.metadata().get("authorization").map(MetadataValue::as_encoded_bytes);
        match AdminKey::admit(self.0.as_ref(), presented) {
            Ok(()) => Ok(request),
            Err(refusal) => Err(Status::unauthenticated(refusal.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
