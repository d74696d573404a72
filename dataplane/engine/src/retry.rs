//! Whether a request is sent once more: after what, how often, and within which budget; and whether to a second endpoint while
//! the first has not answered. Who sends it, waits and looks at clocks is the caller.

/// How many retries there may be.
mod budget;

use std::{sync::Arc, time::Duration};

use apigw_config::{
    model,
    names::{MethodName, RetryCondition},
};
use http::{Method, StatusCode};

pub use self::budget::{Budget, BudgetState};
use crate::rejection::UpstreamFailure;

/// The longest wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// The longest wait before any.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// When the requests of a route are sent more than once.
#[derive(Debug)]
pub struct RetryRules {
    attempts: u8,
    /// Empty: after nothing.
    on: Vec<RetryCondition>,
    methods: Vec<MethodName>,
    /// None: no second endpoint is asked while the first has not answered.
    hedge_after: Option<Duration>,
    budget_percent: f64,
    budget: Arc<Budget>,
}

/// An attempt that has ended.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Counted from 1.
    pub number: usize,
    /// Of the request.
    pub method: &'a Method,
    /// What it came to.
    pub outcome: Outcome,
    /// What is left of the request's body.
    pub body: KeptBody,
    /// Where the next one could go.
    pub others: Others,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is no answer.
    Failed(UpstreamFailure),
    /// The head of an answer has come.
    Answered(StatusCode),
}

/// Whether a body can be sent from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBody {
    /// All of it is still to be had.
    Whole,
    /// More was sent than is kept.
    Lost,
}

/// Endpoints that the request has not been sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// There is one.
    Left,
    /// There is none.
    Tried,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its outcome is the request's.
    Final,
    /// Another one, for this reason.
    Again(RetryReason),
    /// There would be another one, if the budget were not spent.
    BudgetSpent,
}

/// Why there is another attempt, as metrics have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// There was no connection.
    ConnectFailure,
    /// The connection ended.
    Reset,
    /// There was no answer in time.
    Timeout,
    /// The answer had such a status.
    Status,
    /// There was no answer yet, and there still may be.
    Hedge,
}

impl RetryReason {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Hedge => "hedge",
        }
    }
}

impl RetryRules {
    /// Makes a route's rules ready; none: it has none. What has been counted goes on, whatever has changed of the rules.
    pub(crate) fn new(route: &model::Route, previous: Option<&Self>) -> Option<Self> {
        let retry = route.retry.as_deref();
        if retry.is_none() && route.hedge.is_none() {
            return None;
        }
        Some(Self {
            attempts: retry.map_or(0, |retry| retry.attempts.get()),
            on: retry.map_or_else(Vec::new, |retry| retry.on.as_slice().to_vec()),
            methods: retry.map_or_else(Vec::new, |retry| retry.methods.clone()),
            hedge_after: route.hedge.map(|hedge| hedge.after.duration()),
            budget_percent: retry.map_or(model::Retry::DEFAULT_BUDGET, |retry| retry.budget).get(),
            budget: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.budget)),
        })
    }

    /// Counts a request, of which retries may be a share.
    pub fn count_request(&self, now: Duration) {
        self.budget.count_request(now);
    }

    /// Whether an outcome is one after which there may be another attempt.
    #[must_use]
    pub fn is_reason(&self, outcome: Outcome) -> bool {
        condition(outcome).is_some_and(|(condition, _)| self.on.contains(&condition))
    }

    /// What follows an attempt; a retry is counted.
    #[must_use]
    pub fn judge(&self, attempt: &Attempt<'_>, now: Duration) -> Verdict {
        let Some((condition, reason)) = condition(attempt.outcome) else { return Verdict::Final };
        let is_unsent = condition == RetryCondition::ConnectFailure;
        let may_follow = self.on.contains(&condition)
            && attempt.number <= usize::from(self.attempts)
            && attempt.body == KeptBody::Whole
            && (is_unsent || self.may_be_sent_twice(attempt.method));
        if !may_follow {
            return Verdict::Final;
        }
        // What no upstream has seen multiplies nothing: an endpoint that is down costs its requests a detour, not the budget.
        let is_detour = is_unsent && attempt.others == Others::Left;
        if is_detour || self.budget.take(self.budget_percent, now) {
            Verdict::Again(reason)
        } else {
            Verdict::BudgetSpent
        }
    }

    /// How long a request may be without an answer before a second endpoint is asked as well; none: it is asked once. Only what
    /// asks for nothing to be done (RFC 9110 section 9.2.1) is done twice on purpose.
    #[must_use]
    pub fn hedge_after(&self, method: &Method) -> Option<Duration> {
        self.hedge_after.filter(|_| matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS))
    }

    /// Whether a second endpoint may be asked; it is counted as a retry then.
    #[must_use]
    pub fn may_hedge(&self, now: Duration) -> bool {
        self.budget.take(self.budget_percent, now)
    }

    /// What an operator sees of the budget.
    #[must_use]
    pub fn budget(&self, now: Duration) -> BudgetState {
        self.budget.state(self.budget_percent, now)
    }

    /// Whether it does no harm that an upstream sees a request twice: the idempotent methods (RFC 9110 section 9.2.2), and those
    /// of which the file says so.
    fn may_be_sent_twice(&self, method: &Method) -> bool {
        matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
            || self.methods.iter().any(|known| known.as_http() == method)
    }
}

/// The condition that an outcome fulfils; none: that would be no reason for another attempt.
fn condition(outcome: Outcome) -> Option<(RetryCondition, RetryReason)> {
    Some(match outcome {
        Outcome::Answered(status) => (RetryCondition::Status(status.as_u16()), RetryReason::Status),
        Outcome::Failed(failure) => match failure {
            UpstreamFailure::Unresolved
            | UpstreamFailure::Connect
            | UpstreamFailure::ConnectTimeout
            | UpstreamFailure::Tls
            | UpstreamFailure::NotHttp2
            | UpstreamFailure::Busy => (RetryCondition::ConnectFailure, RetryReason::ConnectFailure),
            UpstreamFailure::Reset => (RetryCondition::Reset, RetryReason::Reset),
            UpstreamFailure::ResponseTimeout => (RetryCondition::Timeout, RetryReason::Timeout),
            // Who says what is no HTTP has seen the request, and would say it again.
            UpstreamFailure::Malformed => return None,
        },
    })
}

/// How long to wait after an attempt, counted from 1, before all endpoints are tried anew: by chance, from 0 to 1, up to 25 ms,
/// twice as much after each further one, at most 250 ms.
#[must_use]
pub fn wait_after(number: usize, chance: f64) -> Duration {
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX).min(8);
    let longest = (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT);
    longest.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use apigw_config::{
        model::{Hedge, Route},
        names::{PathPrefix, Percent, Period, RetryConditions, RetryCount, RouteName, UpstreamUrl},
    };

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn rules(on: &[&str], methods: &[&str]) -> RetryRules {
        let conditions = on.iter().map(|text| RetryCondition::new(text).unwrap()).collect();
        let config = model::Retry {
            attempts: RetryCount::new(2).unwrap(),
            on: RetryConditions::new(conditions).unwrap(),
            budget: Percent::FIFTH,
            methods: methods.iter().map(|text| text.parse().unwrap()).collect(),
        };
        RetryRules::new(&with(config), None).unwrap()
    }

    fn route() -> Route {
        let (name, prefix) = (RouteName::new("r").unwrap(), PathPrefix::new("/").unwrap());
        Route::new(name, prefix, UpstreamUrl::new("http://h").unwrap())
    }

    fn with(retry: model::Retry) -> Route {
        Route { retry: Some(Box::new(retry)), ..route() }
    }

    fn attempt(method: &Method, outcome: Outcome) -> Attempt<'_> {
        Attempt { number: 1, method, outcome, body: KeptBody::Whole, others: Others::Tried }
    }

    const RESET: Outcome = Outcome::Failed(UpstreamFailure::Reset);
    const REFUSED: Outcome = Outcome::Failed(UpstreamFailure::Connect);

    #[test]
    fn what_is_not_named_is_final() {
        let rules = rules(&["reset", "503"], &[]);
        let judged = |outcome| rules.judge(&attempt(&Method::GET, outcome), NOW);
        assert_eq!(judged(RESET), Verdict::Again(RetryReason::Reset));
        assert_eq!(judged(REFUSED), Verdict::Final);
        assert_eq!(judged(Outcome::Failed(UpstreamFailure::ResponseTimeout)), Verdict::Final);
        assert_eq!(judged(Outcome::Failed(UpstreamFailure::Malformed)), Verdict::Final);
        let answered = |status| judged(Outcome::Answered(StatusCode::from_u16(status).unwrap()));
        assert_eq!(answered(503), Verdict::Again(RetryReason::Status));
        assert_eq!([answered(502), answered(200)], [Verdict::Final; 2]);
    }

    #[test]
    fn what_may_have_been_done_is_not_done_twice_unless_asked() {
        let (plain, asked) = (rules(&["reset", "connect_failure"], &[]), rules(&["reset"], &["POST"]));
        assert_eq!(plain.judge(&attempt(&Method::POST, RESET), NOW), Verdict::Final);
        assert_eq!(plain.judge(&attempt(&Method::PATCH, RESET), NOW), Verdict::Final);
        assert_eq!(plain.judge(&attempt(&Method::PUT, RESET), NOW), Verdict::Again(RetryReason::Reset));
        assert_eq!(asked.judge(&attempt(&Method::POST, RESET), NOW), Verdict::Again(RetryReason::Reset));
        let unsent = plain.judge(&attempt(&Method::POST, REFUSED), NOW);
        assert_eq!(unsent, Verdict::Again(RetryReason::ConnectFailure), "nobody has seen it");
    }

    #[test]
    fn attempts_have_an_end_and_need_the_whole_body() {
        let rules = rules(&["reset"], &[]);
        let judged =
            |number, body| rules.judge(&Attempt { number, body, ..attempt(&Method::PUT, RESET) }, NOW);
        assert_eq!(judged(2, KeptBody::Whole), Verdict::Again(RetryReason::Reset));
        assert_eq!(judged(3, KeptBody::Whole), Verdict::Final);
        assert_eq!(judged(1, KeptBody::Lost), Verdict::Final);
    }

    #[test]
    fn a_detour_costs_nothing_of_the_budget() {
        let rules = rules(&["reset", "connect_failure"], &[]);
        for _ in 0..1_000 {
            let detour = Attempt { others: Others::Left, ..attempt(&Method::GET, REFUSED) };
            assert_eq!(rules.judge(&detour, NOW), Verdict::Again(RetryReason::ConnectFailure));
        }
        assert_eq!(rules.budget(NOW).retries, 0);
        while rules.judge(&attempt(&Method::GET, RESET), NOW) != Verdict::BudgetSpent {}
        assert_eq!(rules.budget(NOW).retries, rules.budget(NOW).max_retries);
        let again = rules.judge(&attempt(&Method::GET, REFUSED), NOW);
        assert_eq!(again, Verdict::BudgetSpent, "all endpoints have been tried");
    }

    #[test]
    fn changed_rules_go_on_with_what_was_counted() {
        let first = rules(&["reset"], &[]);
        let _ = first.judge(&attempt(&Method::GET, RESET), NOW);
        let config = model::Retry {
            attempts: RetryCount::ONE,
            on: RetryConditions::default(),
            budget: Percent::new(50.0).unwrap(),
            methods: Vec::new(),
        };
        assert_eq!(RetryRules::new(&with(config), Some(&first)).unwrap().budget(NOW).retries, 1);
    }

    #[test]
    fn only_what_does_nothing_is_asked_twice_at_once_and_within_the_budget() {
        let hedge = Some(Hedge { after: Period::from_micros(50_000).unwrap() });
        let rules = RetryRules::new(&Route { hedge, ..route() }, None).unwrap();
        let after = |method| rules.hedge_after(&method);
        assert_eq!(after(Method::GET), Some(Duration::from_millis(50)));
        assert_eq!([after(Method::PUT), after(Method::DELETE), after(Method::POST)], [None; 3]);
        assert!(!rules.is_reason(RESET), "it has no retry");
        let hedges = (0..1_000).filter(|_| rules.may_hedge(NOW)).count();
        assert_eq!(hedges as u64, rules.budget(NOW).max_retries);
        assert!(RetryRules::new(&route(), None).is_none());
    }

    #[test]
    fn waits_are_short_and_by_chance() {
        assert_eq!(wait_after(1, 0.0), Duration::ZERO);
        assert_eq!(wait_after(1, 1.0), FIRST_WAIT);
        assert_eq!(wait_after(2, 0.5), FIRST_WAIT);
        assert_eq!(wait_after(usize::MAX, 1.0), LONGEST_WAIT);
    }
}
