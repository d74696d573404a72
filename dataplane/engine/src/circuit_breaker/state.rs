//! What a breaker does at each event, one at a time. How events of several threads come one at a time is not known here.

use std::time::Duration;

use super::{BreakerPhase, BreakerSettings, BreakerState, Open, window::Window};

/// All that a breaker remembers.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    /// Number of the present period.
    period: u64,
    /// In a row, since the breaker last closed.
    failures: u32,
    /// None: the share of failures is no condition.
    window: Option<Window>,
    /// Of whatever period: what a trial asks of the upstream does not end with the period that admitted it.
    trials_in_flight: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { since: Duration, until: Duration },
    HalfOpen,
}

/// How a call got through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admission {
    period: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Trial,
}

/// What a call says of its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
}

impl Admission {
    /// In a closed period.
    pub(super) fn ordinary(period: u64) -> Self {
        Self { period, kind: Kind::Ordinary }
    }

    pub(super) fn is_trial(&self) -> bool {
        self.kind == Kind::Trial
    }
}

impl State {
    pub(super) fn new(settings: &BreakerSettings) -> Self {
        let window = settings.failure_rate.map(Window::new);
        Self { phase: Phase::Closed, period: 0, failures: 0, window, trials_in_flight: 0 }
    }

    pub(super) fn period(&self) -> u64 {
        self.period
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the success of an ordinary call would change nothing.
    pub(super) fn ignores_success(&self) -> bool {
        self.failures == 0 && self.window.is_none()
    }

    pub(super) fn admit(&mut self, now: Duration, settings: &BreakerSettings) -> Result<Admission, Open> {
        if let Phase::Open { until, .. } = self.phase {
            if let Some(retry_after) = remaining(until, now) {
                return Err(Open { retry_after });
            }
            self.enter(Phase::HalfOpen);
        }
        if self.is_closed() {
            return Ok(Admission::ordinary(self.period));
        }
        if self.trials_in_flight >= settings.half_open_max_in_flight.get() {
            return Err(Open { retry_after: Duration::ZERO });
        }
        self.trials_in_flight += 1;
        Ok(Admission { period: self.period, kind: Kind::Trial })
    }

    /// A call has ended and says something of its upstream.
    pub(super) fn end(
        &mut self,
        admission: Admission,
        outcome: Outcome,
        now: Duration,
        settings: &BreakerSettings,
    ) {
        self.give_up(admission);
        if admission.period != self.period {
            return;
        }
        match (self.phase, outcome) {
            (Phase::HalfOpen, Outcome::Success) => self.close(),
            (Phase::HalfOpen, Outcome::Failure) => {
                self.failures = self.failures.saturating_add(1);
                self.open(now, settings);
            }
            (Phase::Closed, outcome) => self.count(outcome, now, settings),
            // It admits nobody, so nobody's end counts in it.
            (Phase::Open { .. }, _) => {}
        }
    }

    /// A call has ended and says nothing: only its place is free again.
    pub(super) fn give_up(&mut self, admission: Admission) {
        if admission.is_trial() {
            self.trials_in_flight -= 1;
        }
    }

    /// What an operator sees.
    pub(super) fn seen(&self, now: Duration) -> BreakerState {
        let retry_after = match self.phase {
            Phase::Open { until, .. } => remaining(until, now),
            Phase::Closed | Phase::HalfOpen => None,
        };
        let (phase, opened_at) = match self.phase {
            Phase::Closed => (BreakerPhase::Closed, None),
            Phase::Open { since, .. } if retry_after.is_some() => (BreakerPhase::Open, Some(since)),
            // The next call makes it so.
            Phase::Open { .. } | Phase::HalfOpen => (BreakerPhase::HalfOpen, None),
        };
        let (failures, half_open_in_flight) = (self.failures, self.trials_in_flight);
        BreakerState { phase, failures, opened_at, retry_after, half_open_in_flight }
    }

    fn count(&mut self, outcome: Outcome, now: Duration, settings: &BreakerSettings) {
        match outcome {
            Outcome::Success => self.failures = 0,
            Outcome::Failure => self.failures = self.failures.saturating_add(1),
        }
        let has_too_many =
            settings.failure_threshold.is_some_and(|threshold| self.failures >= threshold.get());
        let has_too_large_a_share = self.window.as_mut().is_some_and(|window| {
            match outcome {
                Outcome::Success => window.count_success(now),
                Outcome::Failure => window.count_failure(now),
            }
            window.is_failing()
        });
        if has_too_many || has_too_large_a_share {
            self.open(now, settings);
        }
    }

    fn open(&mut self, now: Duration, settings: &BreakerSettings) {
        let until = now.saturating_add(settings.open_for.duration());
        self.enter(Phase::Open { since: now, until });
    }

    fn close(&mut self) {
        self.failures = 0;
        if let Some(window) = &mut self.window {
            window.clear();
        }
        self.enter(Phase::Closed);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
    }
}

/// What is left of an open period; none once it is over.
fn remaining(until: Duration, now: Duration) -> Option<Duration> {
    until.checked_sub(now).filter(|left| !left.is_zero())
}
