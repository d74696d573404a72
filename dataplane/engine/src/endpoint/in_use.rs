//! A request that an endpoint is given, until it ends.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Change, EndpointState, OutlierRules};

/// A request under way to an endpoint.
#[derive(Debug)]
pub struct EndpointUse {
    pub(super) state: Arc<EndpointState>,
    /// None: it has no consequences how it ends, or it has ended.
    pub(super) rules: Option<OutlierRules>,
}

impl EndpointUse {
    /// The endpoint answered, and not with a failure.
    pub fn succeeded(&mut self, now: Duration) {
        if let Some(rules) = self.rules.take() {
            self.state.succeeded(&rules, now);
        }
    }

    /// The endpoint failed; gives what follows. Only the first end of a request counts.
    pub fn failed(&mut self, now: Duration) -> Option<Change> {
        self.state.failed(&self.rules.take()?, now)
    }

    /// How it ends says nothing about the endpoint.
    pub fn says_nothing(&mut self) {
        self.rules = None;
    }
}

impl Drop for EndpointUse {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
