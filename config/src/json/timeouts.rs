//! How long a route waits, as operators see it in JSON.

use apigw_proto::v1;
use serde::Serialize;

use super::Number;

/// A route's own timeouts.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct TimeoutsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_seconds: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_seconds: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_seconds: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<Number>,
}

impl From<v1::Timeouts> for TimeoutsJson {
    fn from(timeouts: v1::Timeouts) -> Self {
        let v1::Timeouts { total_us, connect_us, first_byte_us, idle_us } = timeouts;
        let seconds = |micros: u64| (micros > 0).then(|| Number::seconds(micros));
        Self {
            total_seconds: seconds(total_us),
            connect_seconds: seconds(connect_us),
            first_byte_seconds: seconds(first_byte_us),
            idle_seconds: seconds(idle_us),
        }
    }
}
