//! The service over loopback, with a runtime that runs one route.

use std::time::Duration;

use apigw_config::{
    model::{self, GatewayConfig, Settings},
    names::{PathPrefix, RouteName, UpstreamUrl},
    wire::{Hash, Revision},
};
use apigw_engine::{
    explain::{AtRest, answer},
    jwt::time::UnixTime,
};
use apigw_proto::v1::gateway_client::GatewayClient;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::*;

struct OneRoute(Option<Arc<Snapshot>>);

impl OneRoute {
    fn running() -> Self {
        let route = model::Route::new(
            RouteName::new("users").unwrap(),
            PathPrefix::new("/users/").unwrap(),
            UpstreamUrl::new("http://127.0.0.1:1").unwrap(),
        );
        let config = GatewayConfig::new(Settings::default(), vec![route]).unwrap();
        let revision = Revision { epoch: 1, seq: 1, root_hash: Hash::of(b"x") };
        Self(Some(Arc::new(Snapshot::compile(config, revision, None).unwrap())))
    }
}

impl Runtime for OneRoute {
    fn explain(&self, asked: v1::ExplainRequest) -> Result<Option<v1::ExplainResponse>, QuestionError> {
        let Some(snapshot) = self.snapshot() else { return Ok(None) };
        let at_rest = AtRest::new(snapshot.settings(), UnixTime::new(Duration::ZERO));
        answer(asked, &snapshot, &at_rest).map(Some)
    }

    fn status(&self) -> v1::DataPlaneStatus {
        v1::DataPlaneStatus { id: "dp-1".into(), ..v1::DataPlaneStatus::default() }
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.clone()
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        vec![v1::RouteLimits { route: "users".into(), ..v1::RouteLimits::default() }]
    }

    fn backends(&self) -> Vec<v1::EndpointState> {
        Vec::new()
    }

    fn drain(&self, _: &v1::DrainRequest) -> Vec<v1::DrainOutcome> {
        Vec::new()
    }

    fn certificates(&self) -> Vec<v1::CertificateState> {
        Vec::new()
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        vec![v1::ProviderState { provider: "staff".into(), ..v1::ProviderState::default() }]
    }
}

/// Serves as the admin address does: through axum.
async fn client(runtime: OneRoute, key: Option<AdminKey>) -> GatewayClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = routes(Arc::new(runtime), key).into_axum_router();
    tokio::spawn(async { axum::serve(listener, router).await });
    GatewayClient::connect(url).await.unwrap()
}

fn asked(target: &str) -> v1::ExplainRequest {
    v1::ExplainRequest { method: "GET".into(), target: target.into(), ..v1::ExplainRequest::default() }
}

#[tokio::test]
async fn a_data_plane_answers_for_itself() {
    let mut client = client(OneRoute::running(), None).await;
    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.control_plane, None);
    assert_eq!(status.data_planes.len(), 1);
    assert_eq!(status.data_planes[0].id, "dp-1");

    let mut pages = client.routes(v1::RoutesRequest {}).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!(page.routes[0].path_prefix, "/users/");
    assert_eq!(pages.message().await.unwrap(), None);

    let mut pages = client.limits(v1::LimitsRequest {}).await.unwrap().into_inner();
    assert_eq!(pages.message().await.unwrap().unwrap().rows[0].route, "users");

    let mut pages = client.auth(v1::AuthRequest {}).await.unwrap().into_inner();
    assert_eq!(pages.message().await.unwrap().unwrap().providers[0].provider, "staff");

    let explained = client.explain(asked("/users/7")).await.unwrap().into_inner();
    assert_eq!((explained.route.as_str(), explained.status), ("users", 0));
    let refused = client.explain(asked("not a target")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn nothing_runs_and_there_is_no_route() {
    let mut client = client(OneRoute(None), None).await;
    let mut pages = client.routes(v1::RoutesRequest {}).await.unwrap().into_inner();
    assert_eq!(pages.message().await.unwrap(), None);
}

#[tokio::test]
async fn history_is_the_control_planes() {
    let mut client = client(OneRoute::running(), None).await;
    let refusals = [
        client.history(v1::HistoryRequest {}).await.unwrap_err(),
        client.resources(v1::ResourcesRequest::default()).await.unwrap_err(),
        client.rollback(v1::RollbackRequest::default()).await.unwrap_err(),
        client
            .explain(v1::ExplainRequest { revision: Some(v1::Revision::default()), ..asked("/") })
            .await
            .unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        assert!(refused.message().contains("ask its control plane"), "{refused}");
    }
}

#[tokio::test]
async fn a_key_is_needed_where_there_is_one() {
    let key = AdminKey::new("secret".into()).unwrap();
    let mut client = client(OneRoute::running(), Some(key.clone())).await;
    for wrong in [None, Some("Bearer wrong"), Some("secret")] {
        let mut request = Request::new(v1::StatusRequest {});
        if let Some(value) = wrong {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        let refused = client.status(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated, "{wrong:?}");
    }
    let mut request = Request::new(v1::StatusRequest {});
    request.metadata_mut().insert("authorization", key.to_bearer().parse().unwrap());
    client.status(request).await.unwrap();
}
