//! Traces: what sampled exchanges were, told to a collector by OTLP over gRPC, which no request ever waits for.
//!
//! Each worker gathers exchanges that have ended and hands them over with its tick to one task in the control runtime, over a
//! bounded queue. When the collector cannot keep up the queue fills, and what does not fit is dropped and counted.

// In the order an exchange meets them:
/// What is kept of it.
pub(crate) mod finished;
/// The spans that it is.
mod spans;
/// What a collector is sent.
mod otlp;
/// The task that sends them.
mod exporter;
/// Where they are sent.
mod collector;
/// What became of them.
mod tally;

use std::{cell::RefCell, sync::Arc};

use tokio::sync::mpsc;

use self::finished::FinishedExchange;
pub(crate) use self::{
    exporter::{Exporter, Exporting},
    tally::{Loss, Tally},
};

/// A worker hands its exchanges over when it has so many, or with its next tick.
const BUFFERED_EXCHANGES: usize = 64;

/// The most buffers that wait for the exporter.
const QUEUED_BUFFERS: usize = 64;

/// What a worker hands over at once.
type Batch = Vec<FinishedExchange>;

/// Makes the queue that workers' buffers are made from, and what takes from it.
pub(crate) fn new() -> (TraceQueue, Exporter) {
    let (sender, receiver) = mpsc::channel(QUEUED_BUFFERS);
    let tally = Arc::<Tally>::default();
    (TraceQueue { sender, tally: Arc::clone(&tally) }, Exporter::new(receiver, tally))
}

/// What workers' buffers are handed to.
#[derive(Clone)]
pub(crate) struct TraceQueue {
    sender: mpsc::Sender<Batch>,
    tally: Arc<Tally>,
}

impl TraceQueue {
    /// A buffer for one worker.
    pub(crate) fn buffer(&self) -> TraceBuffer {
        TraceBuffer { exchanges: RefCell::default(), queue: self.clone() }
    }

    /// What became of all spans so far.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}

/// One worker's end of the queue.
pub(crate) struct TraceBuffer {
    exchanges: RefCell<Batch>,
    queue: TraceQueue,
}

impl TraceBuffer {
    /// Adds an exchange.
    pub(crate) fn add(&self, exchange: FinishedExchange) {
        let mut exchanges = self.exchanges.borrow_mut();
        exchanges.push(exchange);
        if exchanges.len() >= BUFFERED_EXCHANGES {
            self.hand_over(&mut exchanges);
        }
    }

    /// Hands over what has gathered.
    pub(crate) fn flush(&self) {
        let mut exchanges = self.exchanges.borrow_mut();
        if !exchanges.is_empty() {
            self.hand_over(&mut exchanges);
        }
    }

    fn hand_over(&self, exchanges: &mut Batch) {
        if let Err(refused) = self.queue.sender.try_send(std::mem::take(exchanges)) {
            let lost = refused.into_inner();
            self.queue.tally.lose(Loss::QueueFull, lost.iter().map(FinishedExchange::spans).sum());
        }
    }
}

impl Drop for TraceBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::{finished::samples::exchange, *};

    #[test]
    fn what_the_queue_cannot_take_is_dropped_and_counted() {
        let (queue, _exporter) = new();
        let buffer = queue.buffer();
        for _ in 0..QUEUED_BUFFERS {
            buffer.add(exchange());
            buffer.flush();
        }
        assert_eq!(queue.tally().lost(Loss::QueueFull), 0);
        for _ in 0..BUFFERED_EXCHANGES {
            buffer.add(exchange());
        }
        let spans = exchange().spans() * BUFFERED_EXCHANGES as u64;
        assert_eq!(queue.tally().lost(Loss::QueueFull), spans);
    }
}
