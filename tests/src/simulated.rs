//! Data planes that carry no traffic: many of them in one process, each with a connection and a stream of its own.
//!
//! They are for what only shows with many: what one control plane costs, and how long it takes until the last one runs what
//! was saved.

pub mod transfer;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use apigw_proto::v1::{self, delivery_client::DeliveryClient, follow_request::Message as Said};
use tokio::{runtime::Runtime, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, transport};

use self::transfer::{Confusion, Transfer};

/// How long all may take for one step before a fleet is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Messages of one data plane on their way; a Need and a Report, and room for answers.
const OUTGOING: usize = 8;

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
    #[error("of {all} data planes only {done} have applied it")]
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
    /// Which.
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
    applied: mpsc::Receiver<Result<Applied, SimulationError>>,
}

impl SimulatedFleet {
    /// Starts so many, all at once.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(control_plane: SocketAddr, count: usize) -> Result<Self, SimulationError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(SimulationError::Runtime)?;
        let (sender, applied) = mpsc::channel(count.max(1));
        for number in 0..count {
            let sender = sender.clone();
            let url = format!("http://{control_plane}");
            runtime.spawn(async move {
                if let Err(error) = follow(url, number, &sender).await {
                    let _ = sender.send(Err(error)).await;
                }
            });
        }
        Ok(Self { _runtime: runtime, count, applied })
    }

    /// Waits until each has applied one more revision, and tells which and when, in the order of time.
    ///
    /// # Errors
    /// When one of them is lost, or they take too long.
    pub fn all_apply(&mut self) -> Result<Vec<Applied>, SimulationError> {
        let mut applied = Vec::with_capacity(self.count);
        let Self { _runtime: runtime, count, applied: receiver } = self;
        runtime.block_on(async {
            while applied.len() < *count {
                match timeout(PATIENCE, receiver.recv()).await {
                    Ok(Some(report)) => applied.push(report?),
                    Ok(None) | Err(_) => {
                        return Err(SimulationError::TooSlow { all: *count, done: applied.len() });
                    }
                }
            }
            Ok(applied)
        })
    }
}

/// One data plane, until its stream ends.
async fn follow(
    url: String,
    number: usize,
    reports: &mpsc::Sender<Result<Applied, SimulationError>>,
) -> Result<(), SimulationError> {
    let mut client = DeliveryClient::connect(url).await?;
    let (outgoing, requests) = mpsc::channel(OUTGOING);
    let say = async |message| {
        let ended = |_| Status::cancelled("nothing is taken any more");
        outgoing.send(v1::FollowRequest { message: Some(message) }).await.map_err(ended)
    };
    say(Said::Hello(hello(number))).await?;
    let mut responses = client.follow(ReceiverStream::new(requests)).await?.into_inner();
    let mut transfer = Transfer::default();
    while let Some(response) = responses.message().await? {
        for message in transfer.hear(response.message)? {
            let applied = match &message {
                Said::Report(report) if report.outcome() == v1::Outcome::Applied => report.revision.clone(),
                _ => None,
            };
            say(message).await?;
            if let Some(revision) = applied {
                let _ = reports.send(Ok(Applied { revision, at: Instant::now() })).await;
            }
        }
    }
    Err(Status::unavailable("the control plane has ended it").into())
}

fn hello(number: usize) -> v1::Hello {
    v1::Hello {
        data_plane: format!("simulated-{number:05}"),
        instance: number as u64,
        version: "simulated".into(),
        listen_address: "127.0.0.1:8080".into(),
        ..v1::Hello::default()
    }
}
