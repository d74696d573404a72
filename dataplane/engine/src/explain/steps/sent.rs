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

    /// When the request is sent once more.
    pub(super) fn retry(&mut self, route: &Route<'_>, path: String) {
        let Some(retry) = &route.config.retry else {
            return self.skip("retry", "only what an upstream has not looked at");
        };
        let on = retry.on.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (attempts, percent) = (retry.attempts.get(), retry.budget.get());
        let detail = format!("up to {attempts} more on {on}, as long as retries are under {percent}%");
        self.tell("retry", detail, path);
    }

    /// What no judgement follows from.
    fn tell(&mut self, policy: &'static str, detail: String, path: String) {
        self.add(policy, None, Ok::<_, Rejection>(()), detail, path);
    }
}

fn seconds(period: Period) -> String {
    format!("{} s", Number::seconds(period.micros()))
}
