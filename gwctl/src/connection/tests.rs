//! Each way to get an answer, or none, against real servers on loopback.

use std::pin::Pin;

use apigw_proto::v1::gateway_server::{Gateway, GatewayServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_stream::{Stream, wrappers::TcpListenerStream};

use super::*;

async fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, endpoint)
}

/// A gateway that answers `pages` pages of one row each, and then, perhaps, fails.
struct Scripted {
    pages: usize,
    failure: Option<Status>,
}

type Paged<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Scripted {
    fn paged<T: Clone + Send + 'static>(&self, page: T) -> Paged<T> {
        let pages = vec![Ok(page); self.pages].into_iter().chain(self.failure.clone().map(Err));
        Box::pin(tokio_stream::iter(pages))
    }

    async fn serve(self) -> Endpoint {
        let (listener, endpoint) = listener().await;
        let serving = tonic::transport::Server::builder()
            .add_service(GatewayServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        endpoint
    }
}

#[tonic::async_trait]
impl Gateway for Scripted {
    type RoutesStream = Paged<v1::RoutesResponse>;
    type LimitsStream = Paged<v1::LimitsResponse>;
    type AuthStream = Paged<v1::AuthResponse>;
    type BackendsStream = Paged<v1::BackendsResponse>;
    type DrainStream = Paged<v1::DrainResponse>;
    type CertificatesStream = Paged<v1::CertificatesResponse>;
    type HistoryStream = Paged<v1::HistoryResponse>;
    type ResourcesStream = Paged<v1::ResourcesResponse>;

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let authorization = request.metadata().get("authorization").map(|value| value.to_str().unwrap());
        if authorization != Some("Bearer secret") {
            return Err(Status::unauthenticated("no"));
        }
        Ok(Response::new(v1::StatusResponse::default()))
    }

    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        Ok(Response::new(v1::ExplainResponse::default()))
    }

    async fn routes(&self, _: Request<v1::RoutesRequest>) -> Result<Response<Self::RoutesStream>, Status> {
        Ok(Response::new(self.paged(v1::RoutesResponse { routes: vec![v1::Route::default()] })))
    }

    async fn limits(&self, _: Request<v1::LimitsRequest>) -> Result<Response<Self::LimitsStream>, Status> {
        Ok(Response::new(self.paged(v1::LimitsResponse { rows: vec![v1::RouteLimits::default()] })))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<Self::DrainStream>, Status> {
        let refusal = request.into_inner().url;
        let outcomes = vec![v1::DrainOutcome { refusal, ..v1::DrainOutcome::default() }];
        Ok(Response::new(self.paged(v1::DrainResponse { outcomes })))
    }

    async fn backends(
        &self,
        _: Request<v1::BackendsRequest>,
    ) -> Result<Response<Self::BackendsStream>, Status> {
        let endpoints = vec![v1::EndpointState::default()];
        Ok(Response::new(self.paged(v1::BackendsResponse { endpoints })))
    }

    async fn auth(&self, _: Request<v1::AuthRequest>) -> Result<Response<Self::AuthStream>, Status> {
        Ok(Response::new(self.paged(v1::AuthResponse { providers: vec![v1::ProviderState::default()] })))
    }

    async fn certificates(
        &self,
        _: Request<v1::CertificatesRequest>,
    ) -> Result<Response<Self::CertificatesStream>, Status> {
        let certificates = vec![v1::CertificateState::default()];
        Ok(Response::new(self.paged(v1::CertificatesResponse { certificates })))
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        Err(Status::unimplemented("ask its control plane"))
    }

    async fn resources(
        &self,
        _: Request<v1::ResourcesRequest>,
    ) -> Result<Response<Self::ResourcesStream>, Status> {
        Ok(Response::new(
            self.paged(v1::ResourcesResponse { resources: vec![b"bytes".to_vec().into()], backends: 1 }),
        ))
    }

    async fn rollback(
        &self,
        _: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::RollbackResponse>, Status> {
        Err(Status::not_found("revision 1-9 is not kept"))
    }
}

fn credentials(key: Option<&str>) -> Credentials {
    Credentials { key: key.map(|key| AdminKey::new(key.into()).unwrap()), tls: None }
}

/// What a person reads who asks for the status there.
async fn told(endpoint: Endpoint, key: Option<&str>) -> String {
    let credentials = credentials(key);
    let answer = async { Connection::open(endpoint, &credentials).await?.status().await };
    let line = answer.await.expect_err("there is nobody to answer").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[tokio::test]
async fn nothing_listening_is_told() {
    let (listener, endpoint) = listener().await;
    drop(listener);
    let expected = format!("nothing answers at {endpoint}: connection refused; start it, ");
    let line = told(endpoint, None).await;
    assert!(line.starts_with(&expected), "{line}");
}

#[tokio::test]
async fn a_name_that_means_no_address_is_told() {
    // RFC 6761 section 6.4: no such name exists.
    let line = told("http://gateway.invalid:9090".parse().unwrap(), None).await;
    assert!(line.starts_with("cannot find the host of http://gateway.invalid:9090: "), "{line}");
}

#[tokio::test]
async fn a_server_of_another_kind_is_told() {
    for answer in
        ["", "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "SSH-2.0-x\r\n"]
    {
        let (listener, endpoint) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let expected = format!("{endpoint} does not speak apigw's API; ");
        let line = told(endpoint, None).await;
        assert!(line.starts_with(&expected), "{answer:?}: {line}");
    }
}

#[tokio::test]
async fn a_grpc_server_of_another_kind_is_told() {
    let (listener, endpoint) = listener().await;
    let nothing = tonic::transport::Server::builder().add_routes(tonic::service::Routes::default());
    tokio::spawn(nothing.serve_with_incoming(TcpListenerStream::new(listener)));
    let line = told(endpoint, None).await;
    assert!(line.contains("does not speak apigw's API"), "{line}");
}

#[tokio::test]
async fn the_key_is_sent_and_a_wrong_one_is_told() {
    let endpoint = Scripted { pages: 0, failure: None }.serve().await;
    assert!(told(endpoint.clone(), None).await.contains("needs a key: set APIGW_ADMIN_KEY"));
    assert!(told(endpoint.clone(), Some("wrong")).await.contains("refused the key"));
    Connection::open(endpoint, &credentials(Some("secret"))).await.unwrap().status().await.unwrap();
}

#[tokio::test]
async fn pages_are_put_together() {
    let endpoint = Scripted { pages: 3, failure: None }.serve().await;
    let routes = Connection::open(endpoint, &Credentials::default()).await.unwrap().routes().await.unwrap();
    assert_eq!(routes.len(), 3);
    let endpoint = Scripted { pages: 2, failure: None }.serve().await;
    let providers = Connection::open(endpoint, &Credentials::default()).await.unwrap().auth().await.unwrap();
    assert_eq!(providers.rows.len(), 2);
}

#[tokio::test]
async fn rows_that_came_are_kept_when_the_rest_does_not() {
    let failure = Some(Status::deadline_exceeded("no whole answer from \"dp-2\""));
    let endpoint = Scripted { pages: 2, failure: failure.clone() }.serve().await;
    let gathered = Connection::open(endpoint, &Credentials::default()).await.unwrap().limits().await.unwrap();
    assert_eq!(gathered.rows.len(), 2);
    assert!(gathered.cut_short.unwrap().to_string().contains("says: no whole answer from \"dp-2\""));

    let endpoint = Scripted { pages: 2, failure }.serve().await;
    let routes = Connection::open(endpoint, &Credentials::default()).await.unwrap().routes().await;
    assert!(matches!(routes, Err(Failure::Refused { .. })), "half of the routes are not the routes");
}

#[test]
fn an_answer_ends_at_its_bounds() {
    let mut budget = Budget::new(3, 100);
    assert_eq!(budget.spend(2, 60), Ok(()));
    assert_eq!(budget.spend(1, 40), Ok(()));
    assert_eq!(budget.spend(1, 0), Err(Over::Rows));
    assert_eq!(Budget::new(3, 100).spend(1, 101), Err(Over::Bytes));
}

#[tokio::test]
async fn who_does_not_keep_what_is_asked_for_says_who_does() {
    let endpoint = Scripted { pages: 1, failure: None }.serve().await;
    let nothing = Credentials::default();
    let open = || Connection::open(endpoint.clone(), &nothing);
    let failure = open().await.unwrap().history().await.unwrap_err().to_string();
    assert_eq!(failure, format!("{endpoint} says: ask its control plane"));
    let failure = open().await.unwrap().rollback(v1::Revision::default()).await.unwrap_err().to_string();
    assert_eq!(failure, format!("{endpoint} says: revision 1-9 is not kept"));
    let resources = open().await.unwrap().resources(v1::Revision::default()).await.unwrap();
    assert_eq!(resources, (vec![Bytes::from_static(b"bytes")], 1));
}
