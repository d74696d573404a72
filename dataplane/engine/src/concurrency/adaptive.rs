//! A limit of requests under way that follows how long the upstream takes, so that nobody has to know what it can bear.
//!
//! The idea is that of TCP Vegas and of Netflix's gradient: an upstream with too much to do answers later, long before it
//! fails. What it takes lately is compared with what it usually takes. As long as the one is not half as much again as the other,
//! the limit rises with its root, which leaves room for a short queue and finds out what more there is; beyond, it falls with the
//! ratio. A limit that is not made use of does not rise: nothing would show that it is right.
//!
//! The usual time follows what is shorter within seconds and what is longer within minutes. So an overload is not soon taken
//! for the usual, while an upstream that has become slower for good is believed in the end. One that never ends would be,
//! too: therefore the upstream is given a rest from time to time, half the limit for three windows, which shows what it takes
//! when it has less to do. Where that is no less than before, it has not too much to do, and what it takes is believed at once: it is
//! asked for something else than before.
//!
//! What every interleaving keeps: the limit is never outside its bounds, and each answer counts in one window.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use apigw_config::model::AdaptiveConcurrency;

use crate::sync::{AtomicU64, Mutex};

/// What is judged together: answers of at least this time,
const WINDOW: Duration = Duration::from_millis(100);
/// and at least as many.
const LEAST_ANSWERS: u64 = 10;

/// Where it begins, within its bounds.
const FIRST_LIMIT: f64 = 20.0;
/// How much later than usual answers may come before the limit falls.
const TOLERANCE: f64 = 1.5;
/// The most that it falls by at once, and how far it follows what a window says.
const MOST_FALL: f64 = 0.5;
const PACE: f64 = 0.2;
/// How fast the usual time follows a window that was faster, or slower: within five seconds, or five minutes.
const FASTER: f64 = 0.02;
/// The same in a rest, which is there to show it.
const FASTER_IN_REST: f64 = 0.2;
const SLOWER: f64 = 1.0 / 3_000.0;

/// Of so many windows, the last are a rest.
const PERIOD: u32 = 100;
const REST: u32 = 3;
/// Where answers take at least this part of what they took before, a rest has not helped: nothing waits for its turn.
const UNHELPED: f64 = 0.8;

/// A window's answers and their times are one number, so that both are taken at once: the lowest bits count.
const COUNT_BITS: u32 = 24;
/// What takes longer counts as this; a window has room for a hundred thousand of them.
const MOST_MICROS: u64 = 10_000_000;

/// A limit that follows the upstream, shared by all workers.
#[derive(Debug)]
pub struct Adaptive {
    bounds: AdaptiveConcurrency,
    /// The limit in force, in whole requests.
    limit: AtomicU64,
    /// Answers since the last judgement, and their times in microseconds.
    window: AtomicU64,
    /// When the next judgement may be, in microseconds.
    due: AtomicU64,
    findings: Mutex<Findings>,
}

/// What windows have shown.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Findings {
    /// The limit, with what is left of it between two whole numbers.
    limit: f64,
    /// Microseconds; 0: there was no window yet.
    usual: f64,
    latest: f64,
    /// Of the last window that was no rest.
    at_work: f64,
    /// How many there were of the present period.
    windows: u32,
}

/// What an operator sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveNumbers {
    /// Between what it is found.
    pub bounds: AdaptiveConcurrency,
    /// How long the upstream usually takes; zero: nothing has been judged yet.
    pub usual_latency: Duration,
    /// How long it took lately.
    pub latency: Duration,
}

/// A request whose answer will teach the limit something. Dropped without an answer, it teaches nothing.
#[derive(Debug)]
pub struct Lesson {
    adaptive: Arc<Adaptive>,
    began: Duration,
}

impl Adaptive {
    /// A limit that has seen nothing.
    #[must_use]
    pub fn new(bounds: AdaptiveConcurrency) -> Self {
        let limit = FIRST_LIMIT.clamp(bounds.min().into(), bounds.max().into());
        Self {
            bounds,
            limit: AtomicU64::new(whole(limit)),
            window: AtomicU64::new(0),
            due: AtomicU64::new(0),
            findings: Mutex::new(Findings { limit, usual: 0.0, latest: 0.0, at_work: 0.0, windows: 0 }),
        }
    }

    /// Between what it is found.
    #[must_use]
    pub fn bounds(&self) -> AdaptiveConcurrency {
        self.bounds
    }

    /// The limit in force.
    #[must_use]
    pub fn limit(&self) -> u32 {
        u32::try_from(self.limit.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// What an operator sees of it.
    #[must_use]
    pub fn numbers(&self) -> AdaptiveNumbers {
        let Findings { usual, latest, .. } = *self.findings.lock();
        let time = |micros| Duration::from_micros(whole(micros));
        AdaptiveNumbers { bounds: self.bounds, usual_latency: time(usual), latency: time(latest) }
    }

    /// Notes that a request goes to the upstream now.
    #[must_use]
    pub fn begin(self: &Arc<Self>, now: Duration) -> Lesson {
        Lesson { adaptive: Arc::clone(self), began: now }
    }

    /// Counts an answer; judges, if it is the one that completes a window.
    fn answered(&self, latency: Duration, now: Duration, in_flight: u64) {
        let one = micros(latency).min(MOST_MICROS) << COUNT_BITS | 1;
        let add = |window: u64| Some(window.saturating_add(one));
        let before = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or_default();
        let is_due = |due: &AtomicU64| micros(now) >= due.load(Ordering::Relaxed);
        if count_of(before) + 1 < LEAST_ANSWERS || !is_due(&self.due) {
            return;
        }
        let mut findings = self.findings.lock();
        if !is_due(&self.due) {
            // Somebody else was faster.
            return;
        }
        let take = |_: u64| Some(0);
        let window = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        if count_of(window) == 0 {
            return;
        }
        self.due.store(micros(now + WINDOW), Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a mean of times, of which microseconds are enough")]
        let mean = (window >> COUNT_BITS) as f64 / count_of(window) as f64;
        *findings = findings.after(mean, in_flight, self.bounds);
        self.limit.store(whole(findings.in_force(self.bounds)), Ordering::Relaxed);
    }
}

impl Findings {
    /// What is found after a window whose answers took so long, when so many were under way.
    fn after(self, mean: f64, in_flight: u64, bounds: AdaptiveConcurrency) -> Self {
        // The clock's own precision, so that nothing is divided by nothing.
        let mean = mean.max(1.0);
        let usual = match self.usual {
            0.0 => mean,
            usual if mean < usual && self.is_rest() => usual + (mean - usual) * FASTER_IN_REST,
            usual if mean < usual => usual + (mean - usual) * FASTER,
            usual => usual + (mean - usual) * SLOWER,
        };
        let after = Self { usual, latest: mean, windows: (self.windows + 1) % PERIOD, ..self };
        if self.is_rest() {
            let is_over = self.windows == PERIOD - 1;
            let is_believed = is_over && mean >= UNHELPED * self.at_work;
            return Self { usual: if is_believed { usual.max(mean) } else { usual }, ..after };
        }
        let gradient = (TOLERANCE * usual / mean).clamp(MOST_FALL, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        let mut limit = self.limit + (wanted - self.limit) * PACE;
        if 2 * in_flight < whole(self.limit) {
            limit = limit.min(self.limit);
        }
        Self { limit: limit.clamp(bounds.min().into(), bounds.max().into()), at_work: mean, ..after }
    }

    fn is_rest(self) -> bool {
        self.windows >= PERIOD - REST
    }

    /// The limit until the next window.
    fn in_force(self, bounds: AdaptiveConcurrency) -> f64 {
        if self.is_rest() { (self.limit / 2.0).max(bounds.min().into()) } else { self.limit }
    }
}

impl Lesson {
    /// The upstream has answered, or let its time pass; so many requests are under way, this one included. `whole` is when it could
    /// have all of the request: what it took until then was its client's time.
    pub fn answered(self, whole: Duration, now: Duration, in_flight: u64) {
        self.adaptive.answered(now.saturating_sub(self.began.max(whole)), now, in_flight);
    }
}

fn count_of(window: u64) -> u64 {
    window & ((1 << COUNT_BITS) - 1)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the highest bound"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests;
