//! A gate that the scripts of upstreams wait at until their test opens it.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use crate::waiting::DEADLINE;

/// Closed at first. Its clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all pass from now on, those who wait too.
    pub fn open(&self) {
        let (is_open, changed) = &*self.0;
        *is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Waits until it is open.
    ///
    /// # Errors
    /// `TimedOut` when it is not before the deadline.
    pub fn pass(&self) -> io::Result<()> {
        let (is_open, changed) = &*self.0;
        let is_open = is_open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(is_open, DEADLINE, |is_open| !*is_open);
        let (is_open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_open { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}
