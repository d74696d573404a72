//! Tells the follower to look, and why.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use super::settle::Sign;

/// Any number of calls before the follower looks are one: nothing queues up, and none is lost, because it looks after it took
/// the signal.
#[derive(Debug, Clone)]
pub(super) struct Wake {
    signals: SyncSender<()>,
    is_replaced: Arc<AtomicBool>,
}

/// What the follower waits for.
#[derive(Debug)]
pub(super) struct Signals {
    signals: Receiver<()>,
    /// What the last of them said. Told before the signal, so nobody who has taken one hears less.
    is_replaced: Arc<AtomicBool>,
}

pub(super) fn channel() -> (Wake, Signals) {
    let (wake, signals) = sync_channel(1);
    let is_replaced = Arc::new(AtomicBool::new(false));
    (Wake { signals: wake, is_replaced: Arc::clone(&is_replaced) }, Signals { signals, is_replaced })
}

impl Wake {
    pub(super) fn up(&self, sign: Sign) {
        self.is_replaced.store(sign == Sign::Replaced, Ordering::Release);
        // Full: a signal is already waiting. Closed: nobody is left to look.
        let _already_signalled = self.signals.try_send(());
    }
}

impl Signals {
    /// The next signal within that time.
    ///
    /// # Errors
    /// When there is none, or when nobody is left who could give one.
    pub(super) fn wait(&self, most: Duration) -> Result<Sign, RecvTimeoutError> {
        self.signals.recv_timeout(most)?;
        let is_replaced = self.is_replaced.load(Ordering::Acquire);
        Ok(if is_replaced { Sign::Replaced } else { Sign::Touched })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_nobody_takes_are_one_and_say_what_the_last_said() {
        let (wake, signals) = channel();
        for signs in [[Sign::Replaced, Sign::Touched], [Sign::Touched, Sign::Replaced]] {
            signs.into_iter().for_each(|sign| wake.up(sign));
            assert_eq!(signals.wait(Duration::ZERO), Ok(signs[1]));
            assert_eq!(signals.wait(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        }
        drop(wake);
        assert_eq!(signals.wait(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    }
}
