//! Sends spans to a collector: one task in the control runtime, one call at a time. Where the collector is slow or away, the
//! queue before it fills; nothing here grows with that, and no request waits.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tonic::{Code, Status};

use super::{
    Batch,
    collector::Collector,
    otlp::{ExportRequest, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span},
    spans::spans,
    tally::{Loss, Tally},
};
use crate::status::OwnStatus;

/// A call is made when there are so many spans, or so long after the first of them came. With those of the batch that makes them
/// so many they are below the 4 MiB that collectors take of one message.
const SPANS_OF_A_CALL: usize = 512;
const GATHERING: Duration = Duration::from_secs(1);

/// How often a call is made once more that may succeed then, and how long after the first failure; then twice as long.
const REPETITIONS: u32 = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What takes from the queue.
pub(crate) struct Exporter {
    batches: mpsc::Receiver<Batch>,
    tally: Arc<Tally>,
}

/// The task that sends spans.
pub(crate) struct Exporting {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Sends what has been handed over so far, without waiting for more, and ends. The caller bounds the time.
    pub(crate) async fn finish(self) {
        // One that has ended has nothing left to send.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

/// The task's state.
struct Task {
    batches: mpsc::Receiver<Batch>,
    tally: Arc<Tally>,
    status: OwnStatus,
    /// None: nothing has been sent yet.
    collector: Option<Collector>,
    end: End,
    health: Health,
}

/// Whether people have been told that the collector takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
}

/// When nothing more comes.
struct End(Option<oneshot::Receiver<()>>);

impl End {
    /// Waits until it has come; once it has, it is there at once.
    async fn comes(&mut self) {
        if let Some(end) = &mut self.0 {
            // Nobody left to say it is as good as having said it.
            let _ = end.await;
            self.0 = None;
        }
    }

    fn has_come(&self) -> bool {
        self.0.is_none()
    }
}

impl Exporter {
    pub(super) fn new(batches: mpsc::Receiver<Batch>, tally: Arc<Tally>) -> Self {
        Self { batches, tally }
    }

    /// Begins to send, to where the configuration that runs says, in the runtime of the caller.
    pub(crate) fn start(self, status: OwnStatus) -> Exporting {
        let (end, ends) = oneshot::channel();
        let Self { batches, tally } = self;
        let task =
            Task { batches, tally, status, collector: None, end: End(Some(ends)), health: Health::Well };
        Exporting { end, task: tokio::spawn(task.run()) }
    }
}

impl Task {
    async fn run(mut self) {
        loop {
            let spans = self.gather().await;
            if spans.is_empty() {
                return;
            }
            self.send(spans).await;
        }
    }

    /// The spans of one call; none: there will be no more.
    async fn gather(&mut self) -> Vec<Span> {
        let mut gathered = Vec::new();
        let mut deadline = None;
        while gathered.len() < SPANS_OF_A_CALL {
            let batch = match deadline {
                None => self.next().await,
                Some(deadline) => match timeout_at(deadline, self.next()).await {
                    Ok(batch) => batch,
                    Err(_elapsed) => break,
                },
            };
            let Some(batch) = batch else { break };
            gathered.extend(batch.iter().flat_map(spans));
            deadline.get_or_insert_with(|| Instant::now() + GATHERING);
        }
        gathered
    }

    /// The next exchanges; none: there will be no more.
    async fn next(&mut self) -> Option<Batch> {
        if !self.end.has_come() {
            tokio::select! {
                batch = self.batches.recv() => return batch,
                () = self.end.comes() => self.batches.close(),
            }
        }
        self.batches.recv().await
    }

    async fn send(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        self.follow_configuration();
        let Some(collector) = &mut self.collector else {
            // Nobody has ever said where to.
            return self.tally.lose(Loss::ExportFailed, count);
        };
        let request = request(spans, self.status.name.get());
        let request = Bytes::from(request.encode_to_vec());
        let mut pause = FIRST_PAUSE;
        for repetition in 0..=REPETITIONS {
            let error = match collector.export(request.clone()).await {
                Ok(answer) => {
                    let refused = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                    let refused = u64::try_from(refused).unwrap_or(0).min(count);
                    self.tally.export(count - refused);
                    self.tally.lose(Loss::Refused, refused);
                    return self.tell_well();
                }
                Err(error) => error,
            };
            self.health = tell_failing(self.health, collector, &error);
            if !may_be_repeated(&error) {
                return self.tally.lose(Loss::Refused, count);
            }
            if repetition == REPETITIONS || self.end.has_come() {
                break;
            }
            tokio::select! {
                () = sleep(pause.mul_f64(0.5 + fastrand::f64())) => {}
                () = self.end.comes() => self.batches.close(),
            }
            pause *= 2;
        }
        self.tally.lose(Loss::ExportFailed, count);
    }

    /// Finds the collector that the configuration names. What was handed over under one that names none any more goes to the last.
    fn follow_configuration(&mut self) {
        let snapshot = self.status.running.snapshot();
        let named = snapshot.as_ref().and_then(|snapshot| snapshot.settings().tracing.as_ref());
        if let Some(tracing) = named
            && self.collector.as_ref().is_none_or(|known| *known.url() != tracing.otlp_endpoint)
        {
            self.collector = Some(Collector::new(tracing.otlp_endpoint.clone()));
        }
    }

    fn tell_well(&mut self) {
        if std::mem::replace(&mut self.health, Health::Well) == Health::Failing {
            tracing::info!("traces are collected again");
        }
    }
}

/// Tells people once that the collector takes nothing.
fn tell_failing(health: Health, collector: &Collector, error: &Status) -> Health {
    if health == Health::Well {
        let endpoint = collector.url().as_url().as_str();
        tracing::warn!(endpoint, code = ?error.code(), "traces are not collected");
    }
    Health::Failing
}

/// Whether the same call may succeed later, as OTLP has it. A collector that is out of its means is not asked more often.
fn may_be_repeated(error: &Status) -> bool {
    matches!(
        error.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            // Of the connection, not of the collector.
            | Code::Unknown
    )
}

fn request(spans: Vec<Span>, data_plane: Option<&String>) -> ExportRequest {
    let (name, version) = ("apigw", env!("CARGO_PKG_VERSION"));
    let mut attributes =
        vec![KeyValue::text("service.name", name), KeyValue::text("service.version", version)];
    attributes.extend(data_plane.map(|name| KeyValue::text("service.instance.id", name)));
    let scope = Scope { name: name.into(), version: version.into() };
    ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{BUFFERED_EXCHANGES, finished::samples::longest},
        *,
    };

    #[test]
    fn the_largest_call_is_what_collectors_take() {
        let exchange = longest();
        let exchanges = SPANS_OF_A_CALL.div_ceil(exchange.attempts.len() + 1) + BUFFERED_EXCHANGES;
        let spans = std::iter::repeat_n(&exchange, exchanges).flat_map(spans).collect();
        let length = request(spans, Some(&"d".repeat(255))).encoded_len();
        assert!((1 << 20..4 << 20).contains(&length), "{length}");
    }
}
