//! Writes what runs to the state directory, in a thread of its own: a slow disk delays nobody.
//!
//! At most one configuration waits to be written; a newer one takes its place. What could not be written is tried again
//! until it was, or until there is a newer one.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    time::Duration,
};

use prometheus::IntCounter;

use super::{directory::StateDirectory, slot::Kept};

/// Before what failed is tried again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(30);

/// Hands what runs to the writing thread. When this is dropped, the thread writes what waits, and ends.
#[derive(Debug)]
pub(crate) struct Keeper(Arc<Mailbox>);

#[derive(Debug, Default)]
struct Mailbox {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    waiting: Option<Kept>,
    is_closed: bool,
}

impl Keeper {
    /// Starts the thread. It holds `alive` until it has ended, and counts failures.
    pub(crate) fn start(
        mut directory: StateDirectory,
        failures: IntCounter,
        alive: Sender<Infallible>,
    ) -> io::Result<Self> {
        let mailbox = Arc::<Mailbox>::default();
        let letters = Arc::clone(&mailbox);
        std::thread::Builder::new().name("state".into()).spawn(move || {
            let _alive = alive;
            letters.empty(|kept| attempt(&mut directory, kept, &failures));
        })?;
        Ok(Self(mailbox))
    }

    /// Has this written, instead of whatever still waits. Never blocks on the disk.
    pub(crate) fn keep(&self, kept: Kept) {
        self.0.lock().waiting = Some(kept);
        self.0.changed.notify_one();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

/// What is to be done with what was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Done,
    Failed,
}

impl Mailbox {
    /// Attempts each content until it is done or there is a newer one; until the box is closed.
    fn empty(&self, mut attempt: impl FnMut(&Kept) -> Attempt) {
        let mut unfinished = None;
        loop {
            let mut content = self.lock();
            let is_idle = |content: &mut Content| content.waiting.is_none() && !content.is_closed;
            content = if unfinished.is_some() {
                let waited = self.changed.wait_timeout_while(content, BETWEEN_ATTEMPTS, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait_while(content, is_idle).unwrap_or_else(PoisonError::into_inner)
            };
            let (newer, is_closed) = (content.waiting.take(), content.is_closed);
            drop(content);
            unfinished = newer.or(unfinished).filter(|kept| attempt(kept) == Attempt::Failed);
            if is_closed {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing that can panic runs while it is held.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn attempt(directory: &mut StateDirectory, kept: &Kept, failures: &IntCounter) -> Attempt {
    let (epoch, seq) = (kept.revision.epoch, kept.revision.seq);
    match directory.write(kept) {
        Ok(()) => {
            tracing::debug!(epoch, seq, "configuration kept");
            Attempt::Done
        }
        Err(error) => {
            failures.inc();
            tracing::warn!(epoch, seq, %error, "the configuration that runs could not be kept; a restart without a control plane would run an older one");
            Attempt::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::slot::tests::kept, *};

    #[test]
    fn only_the_newest_is_written_and_the_last_one_before_the_end() {
        let mailbox = Arc::<Mailbox>::default();
        let keeper = Keeper(Arc::clone(&mailbox));
        keeper.keep(kept(1, "a"));
        keeper.keep(kept(2, "b"));
        drop(keeper);
        let mut attempts = Vec::new();
        mailbox.empty(|kept| {
            attempts.push(kept.revision.seq);
            Attempt::Done
        });
        assert_eq!(attempts, [2]);
    }

    #[test]
    fn what_failed_gives_way_to_what_is_newer() {
        let mailbox = Arc::<Mailbox>::default();
        let keeper = Keeper(Arc::clone(&mailbox));
        keeper.keep(kept(1, "a"));
        let mut keeper = Some(keeper);
        let mut attempts = Vec::new();
        mailbox.empty(|earlier| {
            attempts.push(earlier.revision.seq);
            if let Some(keeper) = keeper.take() {
                keeper.keep(kept(2, "b"));
            }
            Attempt::Failed
        });
        assert_eq!(attempts, [1, 2]);
    }
}
