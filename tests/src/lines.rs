//! Lines that one thread gathers while others wait for the one they need.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::waiting::DEADLINE;

/// The most lines kept; older ones are forgotten, so that a program may talk for days.
const MOST_LINES: usize = 100_000;

/// Lines in the order they came.
#[derive(Debug, Default)]
pub struct Lines {
    gathered: Mutex<Gathered>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gathered {
    lines: VecDeque<String>,
    forgotten: usize,
    is_closed: bool,
}

impl Lines {
    /// Adds a line.
    pub fn push(&self, line: String) {
        let mut gathered = self.lock();
        if gathered.lines.len() == MOST_LINES {
            gathered.lines.pop_front();
            gathered.forgotten += 1;
        }
        gathered.lines.push_back(line);
        drop(gathered);
        self.changed.notify_all();
    }

    /// Says that no line will come any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// The lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.last(MOST_LINES)
    }

    /// The last lines, at most `count`.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<String> {
        let lines = &self.lock().lines;
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Hands each line on, the earlier ones too, until the stream ends or nobody wants more.
    pub fn follow(&self, mut is_wanted: impl FnMut(&str) -> bool) {
        let mut seen = 0;
        loop {
            match self.line(seen, Instant::now() + DEADLINE) {
                (Some((index, line)), _) if is_wanted(&line) => seen = index + 1,
                (Some(_), _) | (None, true) => return,
                (None, false) => {}
            }
        }
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
                Some((index, line)) => {
                    seen = index + 1;
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

    /// The first line of at least that index, waiting for it; and whether the stream is closed.
    fn line(&self, index: usize, give_up: Instant) -> (Option<(usize, String)>, bool) {
        let left = give_up.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let missing = |gathered: &mut Gathered| {
            gathered.forgotten + gathered.lines.len() <= index && !gathered.is_closed
        };
        let waited = self.changed.wait_timeout_while(self.lock(), left, missing);
        let (gathered, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let index = index.max(gathered.forgotten);
        let line = gathered.lines.get(index - gathered.forgotten).cloned();
        (line.map(|line| (index, line)), gathered.is_closed)
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_lines_are_forgotten_beyond_the_bound() {
        let lines = Lines::default();
        (0..=MOST_LINES).for_each(|number| lines.push(number.to_string()));
        lines.close();
        assert_eq!(lines.all().len(), MOST_LINES);
        assert_eq!(lines.first(|line| Some(line.to_owned())), Some("1".to_owned()));
        assert_eq!(lines.last(1), [MOST_LINES.to_string()]);
    }

    #[test]
    fn following_ends_with_the_stream_or_the_interest() {
        let lines = Lines::default();
        (0..3).for_each(|number| lines.push(number.to_string()));
        lines.close();
        let mut seen = Vec::new();
        lines.follow(|line| {
            seen.push(line.to_owned());
            line != "1"
        });
        assert_eq!(seen, ["0", "1"]);
        lines.follow(|_| true);
    }
}
