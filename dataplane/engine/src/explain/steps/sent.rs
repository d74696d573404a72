//! What is said of a request that has passed all judgements: nothing here refuses one.

use apigw_config::{json::Number, names::Period};

use super::Steps;
use crate::{rejection::Rejection, snapshot::Route};

impl Steps<'_> {
    /// How long the route waits.
    pub(super) fn timeouts(&mut self, route: &Route<'_>, path: String) {
        let Some(timeouts) = &route.policies.timeouts else {
            return self.skip("timeouts", "as the settings say");
        };
        let limits = [
            ("total", timeouts.total),
            ("connect", timeouts.connect),
            ("first byte", timeouts.first_byte),
            ("idle", timeouts.idle),
        ];
        let told = limits.into_iter().filter_map(|(what, limit)| Some(format!("{what} {}", seconds(limit?))));
        self.tell("timeouts", told.collect::<Vec<_>>().join(", "), path);
    }

    /// What no judgement follows from.
    fn tell(&mut self, policy: &'static str, detail: String, path: String) {
        self.add(policy, None, Ok::<_, Rejection>(()), detail, path);
    }
}

fn seconds(period: Period) -> String {
    format!("{} s", Number::seconds(period.micros()))
}
