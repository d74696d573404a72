//! The `Delivery` service: one task for each data plane's stream.
//!
//! A task carries messages between its stream and its [`Session`], and tells the [`Fleet`] what it learns. It judges
//! nothing itself and never waits for one data plane on behalf of another. Its end, however it comes, is the drop of its
//! [`Membership`].

use std::{collections::HashMap, sync::Arc, time::Duration};

use apigw_proto::v1::{self, delivery_server::Delivery};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, info, info_span, warn};

use crate::{
    fleet::{Answer, Fleet, Membership},
    greeting::Greeting,
    publication::Desired,
    session::{Ending, Event, MAX_OPEN_QUERIES, Outcome, Session},
};
use apigw_transport::server::Peer;

/// The most data planes connected at once.
pub(crate) const MAX_STREAMS: u32 = 5_000;
/// How long a stream may be silent before its Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stream that ends may take to accept the reason.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages on their way to one data plane; each is at most 1 MiB.
const OUTGOING_MESSAGES: usize = 4;

/// The service.
#[derive(Debug)]
pub(crate) struct DeliveryService {
    desired: watch::Receiver<Desired>,
    fleet: Arc<Fleet>,
    streams: Arc<Semaphore>,
}

impl DeliveryService {
    pub(crate) fn new(desired: watch::Receiver<Desired>, fleet: Arc<Fleet>) -> Self {
        Self::with_room_for(MAX_STREAMS as usize, desired, fleet)
    }

    /// For at most so many data planes at once.
    pub(crate) fn with_room_for(
        streams: usize,
        desired: watch::Receiver<Desired>,
        fleet: Arc<Fleet>,
    ) -> Self {
        Self { desired, fleet, streams: Arc::new(Semaphore::new(streams)) }
    }
}

#[tonic::async_trait]
impl Delivery for DeliveryService {
    type FollowStream = ReceiverStream<Result<v1::FollowResponse, Status>>;

    async fn follow(
        &self,
        request: Request<Streaming<v1::FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_STREAMS} data planes are connected already"))
        })?;
        let peer = request.extensions().get::<Peer>().map_or_else(|| "unknown".to_owned(), Peer::to_string);
        let (outgoing, responses) = mpsc::channel(OUTGOING_MESSAGES);
        let follower = Follower {
            incoming: request.into_inner(),
            outgoing,
            desired: self.desired.clone(),
            fleet: Arc::clone(&self.fleet),
            _permit: permit,
        };
        tokio::spawn(follower.run().instrument(info_span!("stream", peer)));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// One stream.
struct Follower {
    incoming: Streaming<v1::FollowRequest>,
    outgoing: mpsc::Sender<Result<v1::FollowResponse, Status>>,
    desired: watch::Receiver<Desired>,
    fleet: Arc<Fleet>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    async fn run(mut self) {
        let outcome = match self.greeting().await {
            Ok(greeting) => self.follow(greeting).await,
            Err(status) => Err(status),
        };
        if let Err(status) = outcome {
            warn!(code = ?status.code(), reason = status.message(), "stream ended");
            // The queue may be full, of a peer that reads no more.
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, self.outgoing.send(Err(status))).await;
        }
    }

    async fn greeting(&mut self) -> Result<Greeting, Status> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, self.incoming.message())
            .await
            .map_err(|_| {
                Status::deadline_exceeded(format!("no Hello within {} s", HELLO_TIMEOUT.as_secs()))
            })??
            .ok_or_else(|| Status::invalid_argument("the stream ended before Hello"))?;
        Greeting::try_from(first).map_err(|error| Status::invalid_argument(error.to_string()))
    }

    /// Carries messages until the data plane goes (no error) or has to.
    async fn follow(&mut self, greeting: Greeting) -> Result<(), Status> {
        let (questions, mut asked) = mpsc::channel(MAX_OPEN_QUERIES);
        let (name, running) = (greeting.name.clone(), greeting.running);
        info!(data_plane = %name, version = greeting.version, "data plane connected");
        let (membership, refused) = self.fleet.join(greeting, questions);
        let newest = self.desired.borrow_and_update().newest.clone();
        let mut session = Session::new(running, refused, newest);
        let mut answers = Answers::default();
        loop {
            tokio::select! {
                permit = self.outgoing.reserve(), if session.has_message() => {
                    let Ok(permit) = permit else { break };
                    if let Some(message) = session.next_message() {
                        permit.send(Ok(message));
                    }
                }
                message = self.incoming.message() => {
                    let Some(message) = unless_gone(message)? else { break };
                    let event = session
                        .receive(message)
                        .map_err(|breach| Status::invalid_argument(format!("protocol breach: {breach}")))?;
                    take_in(event, &membership, &mut answers);
                }
                changed = self.desired.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane is stopping"))?;
                    session.publish(self.desired.borrow_and_update().newest.clone());
                }
                question = asked.recv() => {
                    let taken_over = || Status::aborted("the same data plane connected once more");
                    let question = question.ok_or_else(taken_over)?;
                    answers.open(session.ask(question.asked), question.answers);
                }
            }
        }
        info!(data_plane = %name, "data plane disconnected");
        Ok(())
    }
}

/// A connection that breaks is how most data planes go, and no error; a message that cannot be read (too large, garbled)
/// is one, and its sender is told. Only the former has a cause beneath it.
fn unless_gone(
    message: Result<Option<v1::FollowRequest>, Status>,
) -> Result<Option<v1::FollowRequest>, Status> {
    match message {
        Err(status) if std::error::Error::source(&status).is_none() => Err(status),
        message => Ok(message.unwrap_or_default()),
    }
}

fn take_in(event: Event, membership: &Membership, answers: &mut Answers) {
    match event {
        Event::Nothing => {}
        Event::Ended(ending) => {
            membership.record(&ending);
            log(&ending);
        }
        Event::Observed { query, page, last } => {
            answers.pass_on(query, Answer { from: membership.id(), page, last });
        }
    }
}

fn log(ending: &Ending) {
    let (seq, hash) = (ending.revision.seq, ending.revision.root_hash);
    match &ending.outcome {
        Outcome::Applied { listen_address, .. } => info!(seq, %hash, listen_address, "revision applied"),
        Outcome::Superseded => info!(seq, %hash, "revision superseded"),
        Outcome::Rejected { problems } => {
            let first = problems.first().map_or("", |problem| problem.message.as_str());
            warn!(seq, %hash, problems = problems.len(), first, "revision rejected");
        }
    }
}

/// Who waits for which answer: at most [`MAX_OPEN_QUERIES`], as the session opens no more.
#[derive(Default)]
struct Answers(HashMap<u64, mpsc::Sender<Answer>>);

impl Answers {
    /// Without a query, the question is dropped: who asked knows by it that no answer comes.
    fn open(&mut self, query: Option<u64>, answers: mpsc::Sender<Answer>) {
        if let Some(query) = query {
            self.0.insert(query, answers);
        }
    }

    /// A stream never waits for who asked: one who does not listen is given up.
    fn pass_on(&mut self, query: u64, answer: Answer) {
        let last = answer.last;
        let is_heard = self.0.get(&query).is_some_and(|answers| answers.try_send(answer).is_ok());
        if last || !is_heard {
            self.0.remove(&query);
        }
    }
}
