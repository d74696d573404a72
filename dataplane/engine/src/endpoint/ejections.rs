//! When an endpoint that fails the requests it is given is left out, and for how long. Nothing here knows of the others.

use std::time::Duration;

use apigw_config::model::Outlier;

use crate::circuit_breaker::window::Window;

/// The most that an ejection is longer than the first one.
const MAX_TIMES: u32 = 30;

/// What became of requests, and what followed.
#[derive(Debug)]
pub(super) struct Ejections {
    settings: Outlier,
    failures_in_a_row: u32,
    window: Option<Window>,
    /// How often it was left out lately.
    times: u32,
    /// The last one; none: there was none.
    last: Option<Ejection>,
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    until: Duration,
    length: Duration,
    is_over: bool,
}

impl Ejections {
    pub(super) fn new(settings: Outlier) -> Self {
        let window = settings.failure_rate().map(Window::new);
        Self { settings, failures_in_a_row: 0, window, times: 0, last: None }
    }

    pub(super) fn settings(&self) -> &Outlier {
        &self.settings
    }

    /// Until when it is left out; none: it is not.
    pub(super) fn until(&self) -> Option<Duration> {
        self.last.filter(|last| !last.is_over).map(|last| last.until)
    }

    /// A success; whether there is nothing left that a further one could change.
    pub(super) fn succeeded(&mut self, now: Duration) -> Memory {
        self.failures_in_a_row = 0;
        match &mut self.window {
            Some(window) => {
                window.count_success(now);
                Memory::Kept
            }
            None => Memory::Empty,
        }
    }

    /// A failure; whether it was one too many.
    pub(super) fn failed(&mut self, now: Duration) -> Verdict {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if let Some(window) = &mut self.window {
            window.count_failure(now);
        }
        let allowed = self.settings.consecutive_failures();
        let are_too_many_in_a_row = allowed > 0 && self.failures_in_a_row >= allowed;
        let are_too_many = are_too_many_in_a_row || self.window.as_ref().is_some_and(Window::is_failing);
        if are_too_many { Verdict::Eject } else { Verdict::Keep }
    }

    /// Leaves it out; gives for how long. Each time is longer than the last one by the first, unless it was well in between
    /// for as long as it was left out.
    pub(super) fn begin(&mut self, now: Duration) -> Duration {
        let is_relapse = self.last.is_some_and(|last| now < last.until.saturating_add(last.length));
        self.times = if is_relapse { (self.times + 1).min(MAX_TIMES) } else { 1 };
        let length = self.settings.ejection.duration() * self.times;
        self.last = Some(Ejection { until: now.saturating_add(length), length, is_over: false });
        length
    }

    /// Lets it in again, if it is time; what was before does not count.
    pub(super) fn end_if_due(&mut self, now: Duration) {
        if let Some(last) = self.last.as_mut().filter(|last| !last.is_over && now >= last.until) {
            last.is_over = true;
            self.failures_in_a_row = 0;
            self.window.iter_mut().for_each(Window::clear);
        }
    }
}

/// Whether there is anything that a success would have to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Kept,
    Empty,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Eject,
    Keep,
}

#[cfg(test)]
mod tests {
    use apigw_config::{
        model::FailureRate,
        names::{Percent, Period},
    };

    use super::*;

    fn ejections(in_a_row: u32, rate: Option<FailureRate>) -> Ejections {
        let (ejection, most) = (Period::seconds(10), Percent::new(50.0).unwrap());
        Ejections::new(Outlier::new(in_a_row, rate, ejection, most).unwrap())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What follows from each of these ends of requests; `+` for a success, `E` for one too many.
    fn check(mut ejections: Ejections, ends: &str, expected: &str) {
        let follows = ends.bytes().map(|end| match end {
            b'+' => {
                ejections.succeeded(at(1));
                '.'
            }
            _ if ejections.failed(at(1)) == Verdict::Eject => 'E',
            _ => '.',
        });
        assert_eq!(follows.collect::<String>(), expected, "{ends}");
    }

    #[test]
    fn so_many_failures_in_a_row_are_too_many() {
        check(ejections(3, None), "--+--+---", "........E");
        check(ejections(1, None), "+-", ".E");
    }

    #[test]
    fn such_a_share_of_failures_is_too_much() {
        let rate = FailureRate {
            percent: Percent::new(50.0).unwrap(),
            window: Period::seconds(10),
            minimum_requests: 4.try_into().unwrap(),
        };
        check(ejections(0, Some(rate)), "-+-+-", "....E");
        check(ejections(0, Some(rate)), "---", "...");
        check(ejections(2, Some(rate)), "--", ".E");
    }

    #[test]
    fn each_relapse_is_left_out_for_longer_up_to_a_bound() {
        let mut ejections = ejections(1, None);
        let mut now = at(100);
        for times in 1..40 {
            let length = ejections.begin(now);
            assert_eq!(length, at(10) * times.min(30));
            assert_eq!(ejections.until(), Some(now + length));
            ejections.end_if_due(now + length * 9 / 10);
            assert!(ejections.until().is_some());
            now += length;
            ejections.end_if_due(now);
            assert_eq!(ejections.until(), None);
        }
        assert_eq!(ejections.begin(now + at(300)), at(10), "it was well for long enough");
    }

    #[test]
    fn what_was_before_an_ejection_does_not_count_behind_it() {
        let mut ejections = ejections(2, None);
        ejections.failed(at(1));
        ejections.failed(at(1));
        ejections.begin(at(1));
        ejections.end_if_due(at(11));
        assert_eq!(ejections.failed(at(12)), Verdict::Keep);
        assert_eq!(ejections.failed(at(12)), Verdict::Eject);
    }
}
