//! Rate limits counted in Redis or Valkey, so that several data planes together admit what one may.
//!
//! The judgement is the engine's script; here are the connection and its bounds. Whoever asks has an answer or a
//! [`Failure`] when the deadline is over, whatever the server does; what follows from a failure is not decided here.
//!
//! - Each worker has a [`RedisLimiter`] and with it one connection, on its own runtime; requests are pipelined on it.
//! - At most [`MAX_IN_FLIGHT`] requests wait for the server. They are counted until their answers are read, not only
//!   while somebody waits for them, so a server that has stopped reading is owed no more than that.
//! - While an answer is overdue, others fail at once instead of waiting too (in a cluster those for the same part of it).
//!   The answer itself says that the server is back; if it takes longer than [`PATIENCE`], the connection is replaced.
//! - Connecting happens in the background, with growing pauses. Meanwhile all requests fail at once; only in a cluster,
//!   where a lost server says nothing about the others, the old connection serves until there is a new one, which then
//!   knows who took over.
//!
//! A user of its own needs no more than `~apigw:rl:* +evalsha +eval +time +get +set`, in a cluster also `+cluster`.

mod connection;
mod overdue;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use apigw_config::model::RedisBackend;
use apigw_engine::rate_limit::{
    Decision,
    redis_script::{RedisKey, ReplyError, ScriptArguments},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch},
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

pub(crate) use self::connection::ConnectError;
use self::{connection::Connection, overdue::Overdue};
use crate::delivery::backoff::Backoff;

/// Requests of one worker that may wait for the server.
pub(crate) const MAX_IN_FLIGHT: usize = 1_024;

/// How long an answer may take before the connection is given up; longer than a deadline by far.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// How long a connection must have lasted for the next attempts to begin with short pauses again.
const STEADY: Duration = Duration::from_secs(10);

/// Who vouches for a server's certificate, where one is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Roots {
    /// Those that the platform trusts.
    Platform,
    /// A certificate in PEM.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests bring an authority of their own"))]
    Pem(Vec<u8>),
}

/// Why there is no decision. Each has a code of its own, under which it is counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("not connected to the rate limit server")]
    NotConnected,
    #[error("an earlier answer of the rate limit server is overdue")]
    Stalled,
    #[error("too many requests wait for the rate limit server")]
    Busy,
    #[error("no answer of the rate limit server in time")]
    Deadline,
    #[error("the connection to the rate limit server broke")]
    ConnectionLost(#[source] redis::RedisError),
    #[error("the rate limit server refused")]
    Refused(#[source] redis::RedisError),
    #[error("the answer of the rate limit server makes no sense")]
    Malformed(#[from] ReplyError),
    #[error("the gateway is ending")]
    Ending,
}

impl Failure {
    /// The stable code for logs and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NotConnected => "redis_not_connected",
            Self::Stalled => "redis_stalled",
            Self::Busy => "redis_busy",
            Self::Deadline => "redis_deadline",
            Self::ConnectionLost(_) => "redis_connection_lost",
            Self::Refused(_) => "redis_refused",
            Self::Malformed(_) => "redis_malformed",
            Self::Ending => "redis_ending",
        }
    }
}

/// Asks a server about requests. Dropping it closes its connection.
#[derive(Debug)]
pub(crate) struct RedisLimiter {
    deadline: Duration,
    places: Arc<Semaphore>,
    link: watch::Receiver<Option<Arc<Link>>>,
    keeper: AbortHandle,
}

/// A connection in use, and what is known of its health.
#[derive(Debug)]
struct Link {
    connection: Connection,
    overdue: Overdue,
    lost: Notify,
}

impl RedisLimiter {
    /// Checks that a connection could be made, as far as the settings alone can tell.
    ///
    /// # Errors
    /// When none could ever be made.
    pub(crate) fn check(backend: &RedisBackend) -> Result<(), ConnectError> {
        connection::Client::new(backend, &Roots::Platform).map(drop)
    }

    /// Begins to connect, and goes on doing so. Must be called on the runtime that is to hold the connection.
    ///
    /// # Errors
    /// When the settings are such that no connection could ever be made.
    pub(crate) fn start(backend: &RedisBackend, roots: &Roots) -> Result<Self, ConnectError> {
        let client = connection::Client::new(backend, roots)?;
        let (publish, link) = watch::channel(None);
        let keeper = tokio::spawn(keep_connected(client, publish)).abort_handle();
        Ok(Self {
            deadline: backend.timeout.duration(),
            places: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            link,
            keeper,
        })
    }

    /// Whether there is a connection at this moment.
    pub(crate) fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Requests that wait for the server, also those that nobody waits for any more.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        MAX_IN_FLIGHT - self.places.available_permits()
    }

    /// Judges a request, within the deadline.
    ///
    /// It is judged even if the caller does not wait for the end: the server has been asked.
    ///
    /// # Errors
    /// When the server gave no decision in time.
    pub(crate) async fn decide(
        &self,
        key: &RedisKey,
        arguments: &ScriptArguments,
    ) -> Result<Decision, Failure> {
        let deadline = Instant::now() + self.deadline;
        let link = self.link.borrow().clone().ok_or(Failure::NotConnected)?;
        let part = link.overdue.part_of(key);
        if link.overdue.is_any(part) {
            return Err(Failure::Stalled);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Failure::Busy)?;
        let command = connection::Command::new(key, arguments);
        let (answer, answered) = oneshot::channel();
        tokio::spawn(ask(link, part, command, deadline, place, answer));
        let (judgement, debt) = answered.await.unwrap_or(Err(Failure::Ending))?;
        Ok(arguments.read_reply(judgement, debt)?)
    }
}

impl Drop for RedisLimiter {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Asks, answers when there is an answer or the deadline is over, and keeps its place until the server has answered or
/// has been given up.
async fn ask(
    link: Arc<Link>,
    part: overdue::Part,
    command: connection::Command,
    deadline: Instant,
    _place: OwnedSemaphorePermit,
    answer: oneshot::Sender<Result<(i64, i64), Failure>>,
) {
    let mut reply = std::pin::pin!(link.connection.evaluate(&command));
    // Who does not wait for the answer any more has left for good.
    match timeout_at(deadline, &mut reply).await {
        Ok(reply) => {
            link.note(&reply);
            let _ = answer.send(reply);
        }
        Err(_) => {
            let _overdue = link.overdue.begin(part);
            let _ = answer.send(Err(Failure::Deadline));
            match timeout(PATIENCE, reply).await {
                Ok(reply) => link.note(&reply),
                Err(_) => link.lost.notify_one(),
            }
        }
    }
}

impl Link {
    fn note(&self, reply: &Result<(i64, i64), Failure>) {
        if let Err(Failure::ConnectionLost(_)) = reply {
            self.lost.notify_one();
        }
    }
}

/// Makes a connection, waits until it is lost, and begins again. Ends with the task.
async fn keep_connected(client: connection::Client, publish: watch::Sender<Option<Arc<Link>>>) {
    let mut backoff = Backoff::new();
    let mut is_first_failure = true;
    loop {
        match client.connect().await {
            Ok(connection) => {
                let since = Instant::now();
                tracing::info!("rate limit server connected");
                let overdue = Overdue::new(connection.parts());
                let link = Arc::new(Link { connection, overdue, lost: Notify::new() });
                publish.send_replace(Some(Arc::clone(&link)));
                link.lost.notified().await;
                if !link.connection.is_of_several() {
                    publish.send_replace(None);
                }
                tracing::warn!("rate limit server lost");
                is_first_failure = true;
                if since.elapsed() >= STEADY {
                    backoff = Backoff::new();
                }
            }
            Err(error) => {
                publish.send_replace(None);
                if is_first_failure {
                    tracing::warn!(error = %error.cause(), "rate limit server not connected; trying on");
                }
                is_first_failure = false;
            }
        }
        tokio::time::sleep(backoff.next(fastrand::f64())).await;
    }
}
