//! The real client against a scripted control plane over loopback.

use std::sync::{Arc, Mutex};

use apigw_config::admin_key::AdminKey;
use apigw_proto::v1::{
    delivery_server::{Delivery as DeliveryRpc, DeliveryServer},
    follow_request,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    script::{all_leaves, chunk, leaves, offer, revised},
    *,
};

/// Far longer than anything here takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// One stream, as the control plane sees it.
struct Accepted {
    authorization: Option<String>,
    requests: Streaming<v1::FollowRequest>,
    responses: mpsc::Sender<Result<v1::FollowResponse, Status>>,
}

impl Accepted {
    /// What comes next. A data plane that says nothing fails the test instead of hanging it.
    async fn next(&mut self) -> follow_request::Message {
        let message = tokio::time::timeout(PATIENCE, self.requests.message()).await;
        let message = message.expect("the data plane says something").unwrap();
        message.expect("the stream goes on").message.unwrap()
    }

    async fn hello(&mut self) -> v1::Hello {
        match self.next().await {
            follow_request::Message::Hello(hello) => hello,
            other => panic!("the first message is {other:?}"),
        }
    }

    async fn send(&self, response: v1::FollowResponse) {
        self.responses.send(Ok(response)).await.unwrap();
    }
}

/// Hands each stream to the test.
struct ScriptedControlPlane(mpsc::Sender<Accepted>);

#[tonic::async_trait]
impl DeliveryRpc for ScriptedControlPlane {
    type FollowStream = ReceiverStream<Result<v1::FollowResponse, Status>>;

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let authorization =
            request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let (responses, receiver) = mpsc::channel(1);
        self.0.send(Accepted { authorization, requests: request.into_inner(), responses }).await.unwrap();
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Notes what it is told to apply, and why offers are refused; refuses configurations with a route named "bad".
#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<Vec<u64>>>, Arc<Mutex<Vec<String>>>);

impl Applier for Notebook {
    async fn apply(&mut self, candidate: Candidate) -> Result<Applied, Vec<Problem>> {
        if candidate.content.config().routes().any(|route| route.name.as_str() == "bad") {
            return Err(vec![assembly::of_delivery("it is bad".into())]);
        }
        self.0.lock().unwrap().push(candidate.revision.seq);
        Ok(Applied { listen_address: "127.0.0.1:8080".into(), applied_at_ms: 7 })
    }

    fn refused(&mut self, problems: &[Problem]) {
        self.1.lock().unwrap().extend(problems.iter().map(|problem| problem.message.clone()));
    }

    async fn worth_another_try(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn try_again(&mut self) -> Option<Held> {
        None
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        vec![v1::RouteLimits { route: "a".into(), ..v1::RouteLimits::default() }]
    }

    fn backends(&self) -> Vec<v1::EndpointState> {
        vec![v1::EndpointState { backend: "orders".into(), ..v1::EndpointState::default() }]
    }

    fn drain(&self, request: &v1::DrainRequest) -> Vec<v1::DrainOutcome> {
        vec![v1::DrainOutcome { refusal: request.url.clone(), ..v1::DrainOutcome::default() }]
    }

    fn certificates(&self) -> Vec<v1::CertificateState> {
        vec![v1::CertificateState { file: "a.pem".into(), ..v1::CertificateState::default() }]
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        vec![v1::ProviderState { provider: "staff".into(), ..v1::ProviderState::default() }]
    }
}

async fn control_plane() -> (String, mpsc::Receiver<Accepted>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, accepted) = mpsc::channel(1);
    let serving = tonic::transport::Server::builder()
        .add_service(DeliveryServer::new(ScriptedControlPlane(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    (url, accepted, tokio::spawn(async { serving.await.unwrap() }))
}

fn data_plane(urls: &[String], notebook: Notebook) -> JoinHandle<()> {
    let identity = Identity { name: "dp-1".into(), instance: 42 };
    let key = AdminKey::new("secret".into()).unwrap();
    let credentials = Credentials { key: Some(key), tls: None };
    let delivery = Delivery::new(urls, identity, credentials).unwrap();
    tokio::spawn(async { match delivery.run(notebook, None).await {} })
}

fn outcome(message: &follow_request::Message) -> v1::Outcome {
    match message {
        follow_request::Message::Report(report) => report.outcome(),
        other => panic!("a report is due, not {other:?}"),
    }
}

#[tokio::test]
async fn a_configuration_travels_and_a_new_stream_goes_on_from_it() {
    let (url, mut streams, _serving) = control_plane().await;
    let notebook = Notebook::default();
    // The first one is away; the next in turn is dialled.
    let _following = data_plane(&["http://127.0.0.1:1".into(), url], notebook.clone());

    let mut stream = streams.recv().await.unwrap();
    assert_eq!(stream.authorization.as_deref(), Some("Bearer secret"));
    let hello = stream.hello().await;
    assert_eq!((hello.data_plane.as_str(), hello.instance, hello.running), ("dp-1", 42, None));
    assert_eq!(hello.features, features::KNOWN.map(features::Feature::name));
    let first = revised(1, &["a"]);
    stream.send(offer(&first)).await;
    let need = v1::NeedLeaves { revision: Some(first.revision.into()), indexes: vec![0, 1] };
    assert_eq!(stream.next().await, follow_request::Message::NeedLeaves(need));
    stream.send(all_leaves(&first)).await;
    let need = v1::Need { revision: Some(first.revision.into()), indexes: vec![0, 1] };
    assert_eq!(stream.next().await, follow_request::Message::Need(need));
    stream.send(chunk(&first, &[0, 1])).await;
    assert_eq!(outcome(&stream.next().await), v1::Outcome::Applied);
    assert_eq!(*notebook.0.lock().unwrap(), [1]);
    stream.responses.send(Err(Status::unavailable("the control plane is stopping"))).await.unwrap();

    let mut stream = streams.recv().await.unwrap();
    let hello = stream.hello().await;
    assert_eq!(hello.running, Some(first.revision.into()));
    assert_eq!((hello.source(), hello.listen_address.as_str()), (v1::ConfigSource::Stream, "127.0.0.1:8080"));
    assert_eq!(hello.applied_at_ms, 7);
    let second = revised(2, &["a", "bad"]);
    stream.send(offer(&second)).await;
    let need = v1::NeedLeaves { revision: Some(second.revision.into()), indexes: vec![1] };
    assert_eq!(stream.next().await, follow_request::Message::NeedLeaves(need));
    stream.send(leaves(&second, &[1])).await;
    let need = v1::Need { revision: Some(second.revision.into()), indexes: vec![2] };
    assert_eq!(stream.next().await, follow_request::Message::Need(need), "only what is new travels");
    stream.send(chunk(&second, &[2])).await;
    assert_eq!(outcome(&stream.next().await), v1::Outcome::Rejected);
    assert_eq!(*notebook.0.lock().unwrap(), [1]);
}

#[tokio::test]
async fn an_offer_that_is_refused_on_the_stream_is_noted_where_one_looks_for_it() {
    let (url, mut streams, _serving) = control_plane().await;
    let notebook = Notebook::default();
    let _following = data_plane(&[url], notebook.clone());
    let mut stream = streams.recv().await.unwrap();
    stream.hello().await;
    let mut demanding = offer(&revised(1, &["a"]));
    if let Some(v1::follow_response::Message::Offer(offer)) = &mut demanding.message {
        offer.required_features.push("of tomorrow".into());
    }
    stream.send(demanding).await;
    assert_eq!(outcome(&stream.next().await), v1::Outcome::Rejected);
    let noted = notebook.1.lock().unwrap().clone();
    assert!(noted.len() == 1 && noted[0].contains("does not enforce \"of tomorrow\""), "{noted:?}");
}

#[tokio::test]
async fn questions_are_answered_over_the_stream() {
    let (url, mut streams, _serving) = control_plane().await;
    let _following = data_plane(&[url], Notebook::default());
    let mut stream = streams.recv().await.unwrap();
    stream.hello().await;
    let questions = [
        v1::query::Question::Limits(v1::LimitsRequest {}),
        v1::query::Question::Auth(v1::AuthRequest {}),
        v1::query::Question::Backends(v1::BackendsRequest {}),
        v1::query::Question::Certificates(v1::CertificatesRequest {}),
        v1::query::Question::Drain(v1::DrainRequest {
            url: "http://h".into(),
            ..v1::DrainRequest::default()
        }),
    ];
    let mut told = Vec::new();
    for (id, question) in (7..).zip(questions) {
        let query = v1::follow_response::Message::Query(v1::Query { id, question: Some(question) });
        stream.send(v1::FollowResponse { message: Some(query) }).await;
        loop {
            let follow_request::Message::Observation(observation) = stream.next().await else {
                panic!("an answer is due")
            };
            assert_eq!(observation.query, id);
            match observation.answer.expect("it knows the question") {
                v1::observation::Answer::Limits(page) => {
                    told.extend(page.rows.into_iter().map(|row| row.route));
                }
                v1::observation::Answer::Auth(page) => {
                    told.extend(page.providers.into_iter().map(|row| row.provider));
                }
                v1::observation::Answer::Backends(page) => {
                    told.extend(page.endpoints.into_iter().map(|row| row.backend));
                }
                v1::observation::Answer::Certificates(page) => {
                    told.extend(page.certificates.into_iter().map(|row| row.file));
                }
                v1::observation::Answer::Drain(page) => {
                    told.extend(page.outcomes.into_iter().map(|row| row.refusal));
                }
            }
            if observation.last {
                break;
            }
        }
    }
    assert_eq!(told, ["a", "staff", "orders", "a.pem", "http://h"]);
}

#[tokio::test]
async fn a_confused_control_plane_is_left_and_dialled_again() {
    let (url, mut streams, _serving) = control_plane().await;
    let _following = data_plane(&[url], Notebook::default());
    let mut stream = streams.recv().await.unwrap();
    stream.hello().await;
    stream.send(v1::FollowResponse { message: None }).await;
    streams.recv().await.unwrap().hello().await;
}

#[test]
fn a_loss_is_told_once_for_each_reason() {
    let endpoint = "http://h:1".parse().unwrap();
    let mut link = Link::Unknown;
    link.down(&endpoint, &Lost::Closed);
    let told = Link::Down { reason: Lost::Closed.to_string() };
    assert_eq!(link, told);
    link.down(&endpoint, &Lost::Unauthenticated);
    assert_ne!(link, told);
    link.up(&endpoint);
    assert_eq!(link, Link::Up);
}

#[test]
fn what_cannot_be_followed_is_no_control_plane() {
    let follow = |urls: &[&str]| {
        let identity = Identity { name: "dp-1".into(), instance: 1 };
        let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
        Delivery::new(&urls, identity, Credentials::default()).map(|_| ())
    };
    for good in ["http://127.0.0.1:9090", "http://[::1]:9090", "http://control.internal:9090/", "unix:/run/a"]
    {
        assert!(follow(&[good]).is_ok(), "{good}");
    }
    for bad in ["", "127.0.0.1:9090", "http://h:1/path", "ftp://h:1", "unix:"] {
        assert!(matches!(follow(&[bad]), Err(NotAControlPlane::Endpoint(_))), "{bad}");
    }
    let unfit = follow(&["http://127.0.0.1:9090", "https://h:1"]);
    assert!(matches!(unfit, Err(NotAControlPlane::Unfit(_))), "there are no certificates");
    assert!(matches!(follow(&[]), Err(NotAControlPlane::None)));
}
