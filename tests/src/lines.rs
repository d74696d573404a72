//! Lines that one thread gathers while others wait for the one they need.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::waiting::DEADLINE;

/// Lines in the order they came.
#[derive(Debug, Default)]
pub struct Lines {
    gathered: Mutex<Gathered>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gathered {
    lines: Vec<String>,
    is_closed: bool,
}

impl Lines {
    /// Adds a line.
    pub fn push(&self, line: String) {
        self.lock().lines.push(line);
        self.changed.notify_all();
    }

    /// Says that no line will come any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// The last lines, at most `count`.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<String> {
        let gathered = self.lock();
        gathered.lines[gathered.lines.len().saturating_sub(count)..].to_vec()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// What the first line that fits means; waits for it until the deadline or the end of the stream.
    pub fn first<T>(&self, meaning: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.nth(0, meaning)
    }

    /// What a line means that fits, after `skipped` others that fit.
    pub fn nth<T>(&self, mut skipped: usize, mut meaning: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let give_up = Instant::now() + DEADLINE;
        let mut seen = 0;
        loop {
            let (line, is_closed) = self.line(seen, give_up);
            match line {
                Some(line) => {
                    seen += 1;
                    match meaning(&line) {
                        Some(meaning) if skipped == 0 => return Some(meaning),
                        Some(_) => skipped -= 1,
                        None => {}
                    }
                }
                None if is_closed || Instant::now() >= give_up => return None,
                None => {}
            }
        }
    }

    /// The line of that index, waiting for it; and whether the stream is closed.
    fn line(&self, index: usize, give_up: Instant) -> (Option<String>, bool) {
        let left = give_up.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let missing = |gathered: &mut Gathered| gathered.lines.len() <= index && !gathered.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), left, missing);
        let (gathered, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (gathered.lines.get(index).cloned(), gathered.is_closed)
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
