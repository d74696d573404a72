//! When a route's requests are sent again, as operators see it in JSON.

use apigw_proto::v1;
use serde::Serialize;

use super::Number;

/// A route's retries.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RetryJson {
    pub attempts: u32,
    pub on: Vec<String>,
    pub budget_percent: Number,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

impl From<v1::Retry> for RetryJson {
    fn from(retry: v1::Retry) -> Self {
        let v1::Retry { attempts, on, budget_percent, methods } = retry;
        Self { attempts, on, budget_percent: Number(budget_percent), methods }
    }
}

/// When a second endpoint is asked as well.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the member is the file's key")]
pub struct HedgeJson {
    pub after_seconds: Number,
}

impl From<v1::Hedge> for HedgeJson {
    fn from(hedge: v1::Hedge) -> Self {
        let v1::Hedge { after_us } = hedge;
        Self { after_seconds: Number::seconds(after_us) }
    }
}

/// What the budget of a route's retries is at, over the last seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RetryStateJson {
    pub requests: u64,
    pub retries: u64,
    pub max_retries: u64,
    /// Since the start.
    pub refused: u64,
}

impl From<v1::RetryState> for RetryStateJson {
    fn from(state: v1::RetryState) -> Self {
        let v1::RetryState { requests, retries, max_retries, refused } = state;
        Self { requests, retries, max_retries, refused }
    }
}
