//! Reads when the requests of a peer's route are sent again.

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::Retry,
    names::{Percent, RetryCondition, RetryConditions, RetryCount},
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
