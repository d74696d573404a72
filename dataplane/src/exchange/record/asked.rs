//! Whom an exchange asks: one endpoint after the other, or two at once for a while.

use std::{mem::swap, sync::Arc, time::Duration};

use apigw_engine::{
    endpoint::EndpointUse,
    retry::RetryReason,
    snapshot::{Endpoint, Upstream},
};

use super::Record;
use crate::{
    exchange::{
        attempts::{FailedAttempt, WhyFailed},
        hedging::Racer,
    },
    health,
};

/// An endpoint that is asked beside the present one.
pub(super) struct Asked {
    upstream: Option<Arc<Upstream>>,
    used: Option<EndpointUse>,
}

impl Record {
    /// Notes that an endpoint is asked. It is busy until the exchange ends.
    pub(crate) fn set_endpoint(&mut self, endpoint: &Endpoint) {
        self.upstream = Some(Arc::clone(&endpoint.upstream));
        self.endpoint_use = endpoint.begin();
        self.attempts += 1;
        if let Some(trace) = &mut self.trace {
            let (now, random) = (self.deadlines.now(), &mut self.worker.random.borrow_mut());
            trace.begin_attempt(&endpoint.upstream, now, random);
        }
    }

    /// Notes an attempt that another one follows, for this reason. The endpoint is told what it would have been told without
    /// another one; the breaker waits for the last.
    pub(crate) fn add_failed_attempt(&mut self, attempt: FailedAttempt, reason: RetryReason) {
        if attempt.why.is_upstream_failure() {
            self.endpoint_failed(self.worker.time(self.now()));
        }
        if let Some(trace) = &mut self.trace {
            trace.end_attempt(self.deadlines.now(), attempt.why);
        }
        self.failed_attempts.push(attempt);
        self.counters().count_retry(reason.as_str());
    }

    /// Notes that a second endpoint is asked while the first may still answer. Both are busy.
    pub(crate) fn begin_hedge(&mut self, endpoint: &Endpoint) {
        let first = Asked { upstream: self.upstream.take(), used: self.endpoint_use.take() };
        self.hedged = Some(Box::new(first));
        self.set_endpoint(endpoint);
        self.counters().count_retry(RetryReason::Hedge.as_str());
    }

    /// Notes why one of the two is not the request's outcome; the other is the endpoint that is asked from now on.
    pub(crate) fn end_hedge(&mut self, racer: Racer, why: WhyFailed) {
        let Some(mut other) = self.hedged.take() else { return };
        if racer == Racer::First {
            self.exchange_with(&mut other);
        }
        if why.is_upstream_failure() {
            self.endpoint_failed(self.worker.time(self.now()));
        }
        if let Some(trace) = &mut self.trace {
            trace.end_hedge(racer, self.deadlines.now(), why);
        }
        self.exchange_with(&mut other);
        self.failed_attempts.extend(other.upstream.map(|upstream| FailedAttempt { upstream, why }));
    }

    fn exchange_with(&mut self, other: &mut Asked) {
        swap(&mut self.upstream, &mut other.upstream);
        swap(&mut self.endpoint_use, &mut other.used);
    }

    /// Notes that there would be another attempt, if the budget were not spent.
    pub(crate) fn count_refused_retry(&self) {
        self.counters().count_refused_retry();
    }

    pub(super) fn endpoint_failed(&mut self, now: Duration) {
        if let Some(change) = self.endpoint_use.as_mut().and_then(|used| used.failed(now)) {
            let (backend, endpoint) = (self.backend_name(), self.upstream_name());
            health::tell(backend, &endpoint, change);
        }
    }
}
