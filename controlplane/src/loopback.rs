//! Both services as a data plane and an operator meet them: over gRPC, on loopback.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use apigw_config::admin_key::AdminKey;
use apigw_proto::{
    MAX_MESSAGE_BYTES,
    v1::{
        self, delivery_client::DeliveryClient, follow_request, follow_response, gateway_client::GatewayClient,
    },
};
use apigw_transport::credentials::Credentials;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::{
    delivery::DeliveryService,
    fleet::Fleet,
    gateway::{GatewayService, MAX_ORDERS, Order, Past},
    greeting::tests::hello,
    publication::tests::{Sample, file_of, publisher},
    server::Server,
};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane that listens.
struct Running {
    publisher: Sample,
    orders: mpsc::Receiver<Order>,
    url: String,
    serving: JoinHandle<()>,
}

fn start(key: Option<AdminKey>, streams: usize) -> Running {
    let publisher = publisher();
    let credentials = Credentials { key, tls: None };
    let server = Server::bind(&"127.0.0.1:0".parse().unwrap(), credentials).unwrap();
    let url = format!("http://{}", server.bound());
    let (fleet, desired) = (Arc::new(Fleet::default()), publisher.subscribe());
    let delivery = DeliveryService::with_room_for(streams, desired.clone(), Arc::clone(&fleet));
    let (sender, orders) = mpsc::channel(MAX_ORDERS);
    let past = Past::new(publisher.history(), publisher.texts(), sender);
    let gateway = GatewayService::new("gateway.yaml".into(), Instant::now(), desired.clone(), fleet, past);
    let serving = tokio::spawn(server.serve(delivery, gateway, desired));
    Running { publisher, orders, url, serving }
}

impl Running {
    async fn follow(&self) -> Result<DataPlane, Status> {
        let mut client = DeliveryClient::connect(self.url.clone()).await.unwrap();
        let (requests, receiver) = mpsc::channel(4);
        let responses = client.follow(ReceiverStream::new(receiver)).await?.into_inner();
        Ok(DataPlane { requests, responses })
    }

    async fn gateway(&self) -> GatewayClient<Channel> {
        GatewayClient::connect(self.url.clone()).await.unwrap()
    }

    async fn states(&self) -> Vec<v1::DataPlaneState> {
        let status = self.gateway().await.status(v1::StatusRequest {}).await.unwrap().into_inner();
        status.data_planes.iter().map(v1::DataPlaneStatus::state).collect()
    }
}

/// A data plane that says what the test tells it to.
struct DataPlane {
    requests: mpsc::Sender<v1::FollowRequest>,
    responses: Streaming<v1::FollowResponse>,
}

impl DataPlane {
    async fn say(&self, message: follow_request::Message) {
        self.requests.send(v1::FollowRequest { message: Some(message) }).await.unwrap();
    }

    /// What comes next. A control plane that says nothing fails the test instead of hanging it.
    async fn next(&mut self) -> Result<Option<v1::FollowResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.responses.message())
            .await
            .expect("the control plane says something")
    }

    async fn hear(&mut self) -> follow_response::Message {
        self.next().await.unwrap().expect("the stream goes on").message.unwrap()
    }

    async fn ending(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a reason"),
                Err(status) => return status,
            }
        }
    }

    /// Takes an offer; says which revision, and how many leaves it has.
    async fn offered(&mut self) -> (v1::Revision, usize) {
        let follow_response::Message::Offer(offer) = self.hear().await else { panic!("an offer is due") };
        (offer.revision.unwrap(), offer.leaf_hashes.len() / 32)
    }

    /// Takes an offer and all its leaves; says which revision, and how many entries it has.
    async fn listed(&mut self) -> (v1::Revision, u32) {
        let (revision, leaves) = self.offered().await;
        let need = v1::NeedLeaves { revision: Some(revision.clone()), indexes: (0..).take(leaves).collect() };
        self.say(follow_request::Message::NeedLeaves(need)).await;
        let follow_response::Message::Leaves(page) = self.hear().await else { panic!("leaves are due") };
        assert_eq!(page.leaves.len(), leaves);
        let entries = page.leaves.iter().map(|leaf| leaf.entries.len()).sum::<usize>();
        (revision, u32::try_from(entries).unwrap())
    }

    async fn report(&self, revision: v1::Revision, outcome: v1::Outcome) {
        let problem = v1::Problem { message: "port taken".into(), ..v1::Problem::default() };
        let problems = if outcome == v1::Outcome::Rejected { vec![problem] } else { vec![] };
        let (revision, outcome) = (Some(revision), outcome.into());
        let listen_address = "127.0.0.1:8080".into();
        self.say(follow_request::Message::Report(v1::Report {
            revision,
            outcome,
            problems,
            listen_address,
            applied_at_ms: 7,
        }))
        .await;
    }

    /// Says Hello and waits until it is taken in: the offer of what is published shows it.
    async fn join(&mut self) {
        self.say(follow_request::Message::Hello(hello("dp-1", 1))).await;
        self.offered().await;
    }

    /// Waits until the control plane has taken in all that was said since the Hello: it reads in order.
    async fn settle(&mut self, running: &Running) {
        let mut gateway = running.gateway().await;
        let asking = async {
            let mut pages = gateway.limits(v1::LimitsRequest {}).await.unwrap().into_inner();
            while pages.message().await.unwrap().is_some() {}
        };
        let answering = async {
            let follow_response::Message::Query(query) = self.hear().await else { panic!("a query is due") };
            let answer = Some(v1::observation::Answer::Limits(v1::LimitsResponse::default()));
            let observation = v1::Observation { query: query.id, answer, last: true };
            self.say(follow_request::Message::Observation(observation)).await;
        };
        tokio::join!(asking, answering);
    }
}

#[tokio::test]
async fn a_revision_reaches_a_data_plane_and_shows_in_status() {
    let mut running = start(None, 5);
    let mut data_plane = running.follow().await.unwrap();
    data_plane.say(follow_request::Message::Hello(hello("dp-1", 1))).await;
    running.publisher.consider(file_of(&["a", "b"]), 5);
    let (revision, count) = data_plane.listed().await;
    let need = v1::Need { revision: Some(revision.clone()), indexes: (0..count).collect() };
    data_plane.say(follow_request::Message::Need(need)).await;
    let follow_response::Message::Chunk(chunk) = data_plane.hear().await else { panic!("a chunk is due") };
    assert_eq!(chunk.resources.len(), 3);
    assert_eq!(running.states().await, [v1::DataPlaneState::Updating]);
    data_plane.report(revision, v1::Outcome::Applied).await;
    data_plane.settle(&running).await;
    assert_eq!(running.states().await, [v1::DataPlaneState::InSync]);

    running.publisher.consider(file_of(&["a", "c"]), 6);
    let (revision, _) = data_plane.offered().await;
    data_plane.report(revision, v1::Outcome::Rejected).await;
    data_plane.settle(&running).await;
    assert_eq!(running.states().await, [v1::DataPlaneState::Rejected]);
}

#[tokio::test]
async fn routes_are_those_of_the_newest_revision() {
    let mut running = start(None, 5);
    running.publisher.consider(file_of(&["a", "b"]), 5);
    let mut pages = running.gateway().await.routes(v1::RoutesRequest {}).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert_eq!(page.routes.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn history_is_told_and_its_content_given() {
    let mut running = start(None, 5);
    running.publisher.consider(file_of(&["a"]), 5);
    running.publisher.consider(file_of(&["a", "b"]), 6);
    let mut gateway = running.gateway().await;
    let mut pages = gateway.history(v1::HistoryRequest {}).await.unwrap().into_inner();
    let entries = pages.message().await.unwrap().unwrap().entries;
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.revision.as_ref().unwrap().seq, entry.summary.as_str())).collect();
    let added = "route b added (auth_required false, match.path_prefix /b, upstream http://127.0.0.1:1)";
    assert_eq!(told, [(2, added), (1, "first configuration, 1 route")]);
    let request = v1::ResourcesRequest { revision: entries[0].revision.clone() };
    let mut pages = gateway.resources(request).await.unwrap().into_inner();
    assert_eq!(pages.message().await.unwrap().unwrap().resources.len(), 3);
    assert_eq!(pages.message().await.unwrap(), None);
    let unknown = v1::Revision { seq: 9, ..entries[0].revision.clone().unwrap() };
    for (revision, code) in [(None, Code::InvalidArgument), (Some(unknown), Code::NotFound)] {
        let refused = gateway.resources(v1::ResourcesRequest { revision }).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
}

#[tokio::test]
async fn a_rollback_is_ordered_of_the_publisher_and_shows_in_status() {
    let mut running = start(None, 5);
    running.publisher.consider(file_of(&["a"]), 5);
    let first = running.publisher.history().newest().unwrap().revision;
    running.publisher.consider(file_of(&["b"]), 6);
    let mut gateway = running.gateway().await;
    let request = v1::RollbackRequest { revision: Some(first.into()) };
    let asking = gateway.rollback(request);
    let answering = async {
        let order = running.orders.recv().await.unwrap();
        let outcome = running.publisher.roll_back(order.revision, 7);
        order.answer.send(outcome).unwrap();
    };
    let (answer, ()) = tokio::join!(asking, answering);
    let published = answer.unwrap().into_inner().published.unwrap();
    assert_eq!((published.revision.unwrap().seq, published.origin), (3, v1::Origin::Rollback.into()));
    let status = gateway.status(v1::StatusRequest {}).await.unwrap().into_inner().control_plane.unwrap();
    assert_eq!(status.held_back_file, Some(v1::HeldBackFile { since_ms: 7 }));
}

#[tokio::test]
async fn a_liars_stream_ends_with_the_reason() {
    let running = start(None, 5);
    let mut liar = running.follow().await.unwrap();
    liar.say(follow_request::Message::Need(v1::Need::default())).await;
    assert_eq!(liar.ending().await.message(), "the first message must be Hello");

    let mut liar = running.follow().await.unwrap();
    liar.say(follow_request::Message::Hello(hello("dp-1", 1))).await;
    let revision = v1::Revision { epoch: 1, seq: 1, root_hash: vec![7; 32] };
    liar.report(revision, v1::Outcome::Applied).await;
    let ending = liar.ending().await;
    assert_eq!(ending.code(), Code::InvalidArgument);
    assert_eq!(ending.message(), "protocol breach: a Report on a revision that is not under way");
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_stream_with_the_reason() {
    let running = start(None, 5);
    let mut data_plane = running.follow().await.unwrap();
    data_plane.say(follow_request::Message::Hello(hello("dp-1", 1))).await;
    let listen_address = "x".repeat(MAX_MESSAGE_BYTES);
    data_plane
        .say(follow_request::Message::Report(v1::Report { listen_address, ..v1::Report::default() }))
        .await;
    let ending = data_plane.ending().await;
    assert_eq!(ending.code(), Code::OutOfRange, "{ending}");
}

#[tokio::test]
async fn one_data_plane_too_many_is_turned_away() {
    let running = start(None, 1);
    let _first = running.follow().await.unwrap();
    let refused = running.follow().await.err().expect("there is room for one");
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_process_that_connects_again_takes_over_from_its_older_stream() {
    let mut running = start(None, 5);
    running.publisher.consider(file_of(&["a"]), 5);
    let mut older = running.follow().await.unwrap();
    older.join().await;
    let mut newer = running.follow().await.unwrap();
    newer.join().await;
    assert_eq!(older.ending().await.code(), Code::Aborted);
    assert_eq!(running.states().await, [v1::DataPlaneState::Updating]);
}

#[tokio::test]
async fn a_silent_peer_is_sent_away() {
    let running = start(None, 5);
    let mut silent = running.follow().await.unwrap();
    assert_eq!(silent.ending().await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn streams_and_server_end_with_the_publisher() {
    let mut running = start(None, 5);
    running.publisher.consider(file_of(&["a"]), 5);
    let mut data_plane = running.follow().await.unwrap();
    data_plane.join().await;
    let Running { publisher, serving, .. } = running;
    drop(publisher);
    assert_eq!(data_plane.ending().await.code(), Code::Unavailable);
    drop(data_plane);
    serving.await.unwrap();
}

#[tokio::test]
async fn both_services_are_behind_the_key() {
    let running = start(Some(AdminKey::new("secret".into()).unwrap()), 5);
    assert_eq!(running.follow().await.err().map(|status| status.code()), Some(Code::Unauthenticated));
    let mut gateway = running.gateway().await;
    let refused = gateway.status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut request = Request::new(v1::StatusRequest {});
    request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    gateway.status(request).await.unwrap();
}
