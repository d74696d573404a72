//! The `Gateway` service of a control plane: what runs where, for whoever asks.
//!
//! Answers are bounded, and but for a rollback and a drain asking changes nothing.

mod explaining;
mod gathering;
mod history;

use std::{pin::Pin, sync::Arc, time::Instant};

use apigw_config::pages;
use apigw_proto::{
    MAX_MESSAGE_BYTES, v1,
    v1::{gateway_server::Gateway, query::Question},
};
use prost::Message;
use tokio::sync::{Semaphore, watch};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use self::explaining::Explainer;
pub(crate) use self::history::{MAX_ORDERS, Order, Past};
use crate::{fleet::Fleet, observation::Row, publication::Desired};

/// The most answers of all data planes that are gathered at once.
const MAX_GATHERINGS: usize = 4;

/// The service.
#[derive(Debug)]
pub(crate) struct GatewayService {
    config_file: String,
    started: Instant,
    desired: watch::Receiver<Desired>,
    fleet: Arc<Fleet>,
    past: Past,
    explainer: Explainer,
    gatherings: Semaphore,
}

type Paged<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl GatewayService {
    /// Of a program that started at `started` to watch a file of that name.
    pub(crate) fn new(
        config_file: String,
        started: Instant,
        desired: watch::Receiver<Desired>,
        fleet: Arc<Fleet>,
        past: Past,
    ) -> Self {
        let explainer = past.explainer(config_file.clone());
        let gatherings = Semaphore::new(MAX_GATHERINGS);
        Self { config_file, started, desired, fleet, past, explainer, gatherings }
    }

    fn control_plane(&self, desired: &Desired) -> v1::ControlPlaneStatus {
        let newest = desired.newest.as_ref();
        v1::ControlPlaneStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.started.elapsed().as_secs(),
            config_file: self.config_file.clone(),
            revision: newest.map(|newest| newest.revision().into()),
            published_at_ms: newest.map_or(0, |newest| newest.at_ms),
            warnings: newest.map(|newest| pages::leading_problems(&newest.warnings)).unwrap_or_default(),
            rejected_file: desired.rejected.as_ref().map(|rejected| v1::RejectedFile {
                at_ms: rejected.at_ms,
                problems: pages::leading_problems(&rejected.problems),
            }),
            held_back_file: desired
                .held_back
                .map(|held_back| v1::HeldBackFile { since_ms: held_back.since_ms }),
        }
    }
}

impl GatewayService {
    /// The rows of all data planes in pages, and at their end why there are no more, if some are missing.
    async fn gathered<R, P>(
        &self,
        asked: Question,
        page: impl Fn(Vec<R>) -> P + Send + 'static,
    ) -> Result<Response<Paged<P>>, Status>
    where
        R: Row + 'static,
        P: Send + 'static,
    {
        let _permit = self.gatherings.try_acquire().map_err(|_| {
            Status::resource_exhausted(format!(
                "{MAX_GATHERINGS} others ask all data planes already; ask again"
            ))
        })?;
        let gathered = gathering::gather::<R>(&asked, self.fleet.listeners()).await;
        let pages = pages::pages(gathered.rows).map(move |rows| Ok(page(rows)));
        let pages = pages.chain(gathered.shortfall.map(|shortfall| Err(shortfall.into())));
        Ok(Response::new(Box::pin(tokio_stream::iter(pages))))
    }
}

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
        let desired = self.desired.borrow().clone();
        self.explainer.answer(request.into_inner(), desired).await.map(Response::new)
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let desired = self.desired.borrow().clone();
        let control_plane = self.control_plane(&desired);
        let data_planes = self.fleet.statuses(desired.newest.map(|newest| newest.revision()));
        fit(v1::StatusResponse { control_plane: Some(control_plane), data_planes }).map(Response::new)
    }

    async fn routes(&self, _: Request<v1::RoutesRequest>) -> Result<Response<Self::RoutesStream>, Status> {
        let newest = self.desired.borrow().newest.clone();
        let count = newest.as_ref().map_or(0, |newest| newest.snapshot().config().route_count());
        let routes = (0..count)
            .filter_map(move |index| newest.as_ref()?.snapshot().config().route(index).map(v1::Route::from));
        let answers = pages::pages(routes).map(|routes| Ok(v1::RoutesResponse { routes }));
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn limits(&self, _: Request<v1::LimitsRequest>) -> Result<Response<Self::LimitsStream>, Status> {
        self.gathered(Question::Limits(v1::LimitsRequest {}), |rows| v1::LimitsResponse { rows }).await
    }

    async fn auth(&self, _: Request<v1::AuthRequest>) -> Result<Response<Self::AuthStream>, Status> {
        self.gathered(Question::Auth(v1::AuthRequest {}), |providers| v1::AuthResponse { providers }).await
    }

    async fn backends(
        &self,
        _: Request<v1::BackendsRequest>,
    ) -> Result<Response<Self::BackendsStream>, Status> {
        self.gathered(Question::Backends(v1::BackendsRequest {}), |endpoints| v1::BackendsResponse {
            endpoints,
        })
        .await
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<Self::DrainStream>, Status> {
        let asked = request.into_inner();
        tracing::info!(endpoint = asked.url, order = ?asked.order(), "drain ordered by an operator");
        self.gathered(Question::Drain(asked), |outcomes| v1::DrainResponse { outcomes }).await
    }

    async fn certificates(
        &self,
        _: Request<v1::CertificatesRequest>,
    ) -> Result<Response<Self::CertificatesStream>, Status> {
        self.gathered(Question::Certificates(v1::CertificatesRequest {}), |certificates| {
            v1::CertificatesResponse { certificates }
        })
        .await
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        let pages = pages::pages(self.past.entries()).map(|entries| Ok(v1::HistoryResponse { entries }));
        Ok(Response::new(Box::pin(tokio_stream::iter(pages))))
    }

    async fn resources(
        &self,
        request: Request<v1::ResourcesRequest>,
    ) -> Result<Response<Self::ResourcesStream>, Status> {
        let pages = self.past.resources(request.into_inner().revision).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(pages.map(Ok)))))
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        self.past.roll_back(request.into_inner().revision).await.map(Response::new)
    }
}

/// Makes an answer fit into one message: of problems that do not, a data plane's own log has the rest.
fn fit(mut status: v1::StatusResponse) -> Result<v1::StatusResponse, Status> {
    if status.encoded_len() > pages::MAX_ITEM_BYTES {
        for data_plane in status.data_planes.iter_mut().filter(|data_plane| data_plane.problems.len() > 1) {
            let others = data_plane.problems.len() - 1;
            data_plane.problems.truncate(1);
            let message = format!("and {others} more, which its log names");
            data_plane.problems.push(v1::Problem { message, ..v1::Problem::default() });
        }
    }
    let bytes = status.encoded_len();
    if bytes > MAX_MESSAGE_BYTES {
        let text =
            format!("the status of so many data planes takes {bytes} bytes, more than {MAX_MESSAGE_BYTES}");
        return Err(Status::resource_exhausted(text));
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected_by(count: usize, problems: usize) -> v1::StatusResponse {
        let problem = v1::Problem { message: "x".repeat(1_000), ..v1::Problem::default() };
        let data_plane =
            v1::DataPlaneStatus { problems: vec![problem; problems], ..v1::DataPlaneStatus::default() };
        v1::StatusResponse { control_plane: None, data_planes: vec![data_plane; count] }
    }

    #[test]
    fn a_status_that_fits_is_left_as_it_is() {
        assert_eq!(fit(rejected_by(10, 100)).unwrap(), rejected_by(10, 100));
    }

    #[test]
    fn problems_are_cut_and_counted_when_a_status_does_not_fit() {
        let status = fit(rejected_by(20, 100)).unwrap();
        assert_eq!(status.data_planes.len(), 20);
        for data_plane in status.data_planes {
            assert_eq!(data_plane.problems.len(), 2);
            assert_eq!(data_plane.problems[1].message, "and 99 more, which its log names");
        }
    }

    #[test]
    fn a_status_that_cannot_fit_is_refused_and_not_cut_silently() {
        let refused = fit(rejected_by(2_000, 1)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    }
}
