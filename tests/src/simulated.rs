//! Data planes that carry no traffic: many of them in one process, each with a connection and a stream of its own.
//!
//! They are for what only shows with many: what one control plane costs, and how long it takes until the last one runs what
//! was saved.

pub mod transfer;

use std::{
    collections::HashSet,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use apigw_proto::v1::{self, delivery_client::DeliveryClient, follow_request::Message as Said};
use tokio::{
    runtime::Runtime,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport};

use self::transfer::{Confusion, Transfer};

/// How long all may take for one step before a fleet is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Messages of one data plane on their way; a Need and a Report, and room for answers.
const OUTGOING: usize = 8;
/// How often one data plane dials again before it is lost.
const MAX_REDIALS: usize = 20;
/// Before each of these.
const REDIAL_PAUSE: Duration = Duration::from_millis(200);

/// Why a fleet is no more.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// There are no threads to be had.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The control plane cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(#[from] transport::Error),
    /// It has ended a stream.
    #[error("a stream has ended: {0}")]
    Ended(#[from] Status),
    /// It broke the protocol.
    #[error("the control plane is confused: {0}")]
    Confused(#[from] Confusion),
    /// Nothing has come for too long.
    #[error("of {all} data planes only {done} have applied a revision that others have")]
    TooSlow {
        /// How many there are.
        all: usize,
        /// How many have.
        done: usize,
    },
}

/// A data plane has applied a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Which of them.
    pub number: usize,
    /// What.
    pub revision: v1::Revision,
    /// When its report went out.
    pub at: Instant,
}

/// Connected data planes. They are gone when this is dropped.
#[derive(Debug)]
pub struct SimulatedFleet {
    /// Has their tasks.
    _runtime: Runtime,
    count: usize,
    redials: Arc<AtomicUsize>,
    applied: mpsc::Receiver<Result<Applied, SimulationError>>,
}

impl SimulatedFleet {
    /// Starts so many, all at once.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(control_plane: SocketAddr, count: usize) -> Result<Self, SimulationError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(SimulationError::Runtime)?;
        let (sender, applied) = mpsc::channel(count.max(1));
        let redials = Arc::new(AtomicUsize::new(0));
        for number in 0..count {
            let data_plane = DataPlane {
                url: format!("http://{control_plane}"),
                number,
                transfer: Transfer::default(),
                reports: sender.clone(),
            };
            runtime.spawn(data_plane.run(Arc::clone(&redials)));
        }
        Ok(Self { _runtime: runtime, count, redials, applied })
    }

    /// How often any of them has lost its stream and dialled again: a machine that is too slow to answer a ping in time.
    #[must_use]
    pub fn redials(&self) -> usize {
        self.redials.load(Ordering::Relaxed)
    }

    /// Waits until all have applied the next revision, and tells when each of them has, in the order of time.
    ///
    /// # Errors
    /// When one of them is lost, or they take too long.
    pub fn all_apply(&mut self) -> Result<Vec<Applied>, SimulationError> {
        let Self { _runtime: runtime, count, applied: receiver, .. } = self;
        runtime.block_on(async {
            let mut applied: Vec<Applied> = Vec::with_capacity(*count);
            let mut numbers = HashSet::new();
            while numbers.len() < *count {
                let report = timeout(PATIENCE, receiver.recv()).await.ok().flatten();
                let report =
                    report.ok_or(SimulationError::TooSlow { all: *count, done: numbers.len() })??;
                // The newest counts: a burst of publications may pass some of them by.
                if applied.first().is_some_and(|first| first.revision != report.revision) {
                    applied.clear();
                    numbers.clear();
                }
                numbers.insert(report.number);
                applied.push(report);
            }
            Ok(applied)
        })
    }
}

/// One of them.
#[derive(Debug)]
struct DataPlane {
    url: String,
    number: usize,
    transfer: Transfer,
    reports: mpsc::Sender<Result<Applied, SimulationError>>,
}

impl DataPlane {
    /// Follows the control plane, stream after stream.
    async fn run(mut self, redials: Arc<AtomicUsize>) {
        for _ in 0..MAX_REDIALS {
            let Err(error) = self.follow().await;
            if !matches!(error, SimulationError::Ended(_) | SimulationError::Connect(_)) {
                return self.tell(Err(error)).await;
            }
            redials.fetch_add(1, Ordering::Relaxed);
            sleep(REDIAL_PAUSE).await;
        }
        self.tell(Err(Status::unavailable("dialled too often").into())).await;
    }

    /// One stream.
    async fn follow(&mut self) -> Result<Infallible, SimulationError> {
        let mut client = DeliveryClient::connect(self.url.clone()).await?;
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        let say = async |message| {
            let ended = |_| Status::cancelled("nothing is taken any more");
            outgoing.send(v1::FollowRequest { message: Some(message) }).await.map_err(ended)
        };
        self.transfer.restart();
        say(Said::Hello(self.hello())).await?;
        let mut responses = client.follow(ReceiverStream::new(requests)).await?.into_inner();
        while let Some(response) = responses.message().await? {
            for message in self.transfer.hear(response.message)? {
                let applied = match &message {
                    Said::Report(report) if report.outcome() == v1::Outcome::Applied => {
                        report.revision.clone()
                    }
                    _ => None,
                };
                say(message).await?;
                if let Some(revision) = applied {
                    self.tell(Ok(Applied { number: self.number, revision, at: Instant::now() })).await;
                }
            }
        }
        Err(Status::unavailable("the control plane has ended it").into())
    }

    fn hello(&self) -> v1::Hello {
        v1::Hello {
            data_plane: format!("simulated-{:05}", self.number),
            instance: self.number as u64,
            version: "simulated".into(),
            listen_address: "127.0.0.1:8080".into(),
            running: self.transfer.running().cloned(),
            ..v1::Hello::default()
        }
    }

    /// Whoever does not listen any more has seen enough.
    async fn tell(&self, report: Result<Applied, SimulationError>) {
        let _ = self.reports.send(report).await;
    }
}
