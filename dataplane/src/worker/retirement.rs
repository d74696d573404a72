//! Where workers leave what they no longer serve by. To take ten thousand routes apart takes milliseconds, and whoever lets
//! go last has to: that must not be a worker, whose requests would wait.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What may wait. Each worker leaves one with each change; beyond that it takes them apart itself.
const CAPACITY: usize = 64;

/// A worker's way to leave what it no longer serves by.
#[derive(Debug)]
pub(crate) struct Retirement<T>(Sender<Arc<T>>);

impl<T> Clone for Retirement<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Retirement<T> {
    /// Begins to take apart what is left. To be called in the control runtime.
    pub(crate) fn start() -> Self {
        let (sender, left) = channel(CAPACITY);
        tokio::spawn(take_apart(left));
        Self(sender)
    }

    /// Leaves one that somebody else may still serve by.
    pub(super) fn leave(&self, served: Arc<T>) {
        // At the end nobody is there to take it; it is dropped here then.
        let _ = self.0.try_send(served);
    }
}

async fn take_apart<T>(mut left: Receiver<Arc<T>>) {
    while let Some(served) = left.recv().await {
        tokio::task::block_in_place(|| drop(served));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        thread::{self, ThreadId},
    };

    use super::*;

    /// Tells which thread took it apart.
    struct Telling(mpsc::Sender<ThreadId>);

    impl Drop for Telling {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whoever_leaves_last_does_not_take_it_apart() {
        let retirement = Retirement::start();
        let (told, telling) = mpsc::channel();
        let worker = thread::spawn(move || {
            retirement.leave(Arc::new(Telling(told)));
            thread::current().id()
        });
        assert_ne!(telling.recv().unwrap(), worker.join().unwrap());
    }

    #[test]
    fn nothing_waits_beyond_the_bound() {
        let (sender, waiting) = channel(1);
        let (told, telling) = mpsc::channel();
        let retirement = Retirement(sender);
        retirement.leave(Arc::new(Telling(told.clone())));
        assert!(telling.try_recv().is_err());
        retirement.leave(Arc::new(Telling(told)));
        assert_eq!(telling.recv().unwrap(), thread::current().id());
        drop(waiting);
    }
}
