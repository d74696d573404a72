//! Reads when the requests of a peer's route are sent again.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{Hedge, Retry},
    names::{Percent, Period, RetryCondition, RetryConditions, RetryCount},
    problem::{KeyPath, Problems},
};

pub(super) fn retry(message: &v1::Retry, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Retry> {
    let v1::Retry { attempts, on, budget_percent, methods } = message;
    let mut fields = Fields { at: *at, problems };
    let attempts = fields.take("attempts", RetryCount::new(*attempts));
    let conditions = on.iter().map(|text| RetryCondition::new(text)).collect::<Result<Vec<_>, _>>();
    let on = fields.take("on", conditions.and_then(RetryConditions::new));
    let budget = fields.take("budget_percent", Percent::new(*budget_percent));
    let methods = fields.parse_all("methods", methods);
    Some(Retry { attempts: attempts?, on: on?, budget: budget?, methods: methods? })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "every section of a route is read so")]
pub(super) fn hedge(message: &v1::Hedge, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Hedge> {
    let v1::Hedge { after_us } = *message;
    let mut fields = Fields { at: *at, problems };
    let after = fields.take("after_seconds", Period::from_micros(after_us));
    Some(Hedge { after: after? })
}
