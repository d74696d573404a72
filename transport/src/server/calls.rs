//! How many calls of a connection are under way: from their head to the last byte of the answer, or its being given up.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::watch, time::timeout};

/// The number.
#[derive(Debug, Default)]
pub(super) struct Calls(watch::Sender<usize>);

impl Calls {
    pub(super) fn subscribe(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    pub(super) fn begin(&self) -> Call {
        self.0.send_modify(|calls| *calls += 1);
        Call(self.0.clone())
    }
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Call(watch::Sender<usize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

/// Waits until there was no call for so long. Of a connection that is gone, for ever.
pub(super) async fn idle(mut calls: watch::Receiver<usize>, patience: Duration) {
    while calls.wait_for(|calls| *calls == 0).await.is_ok() {
        if timeout(patience, calls.changed()).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The body of an answer, which the call lasts as long as.
#[derive(Debug)]
pub(super) struct Counted<B> {
    body: B,
    _call: Call,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, call: Call) -> Self {
        Self { body, _call: call }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_it_had_no_call_for_long() {
        let calls = Calls::default();
        let mut idle = Box::pin(idle(calls.subscribe(), PATIENCE));
        let call = calls.begin();
        assert!(timeout(PATIENCE * 10, &mut idle).await.is_err(), "a call is under way");
        drop(call);
        assert!(timeout(PATIENCE / 2, &mut idle).await.is_err(), "it has just ended");
        drop(calls.begin());
        assert!(timeout(PATIENCE / 4 * 3, &mut idle).await.is_err(), "there was another");
        assert!(timeout(PATIENCE / 2, &mut idle).await.is_ok());
    }
}
