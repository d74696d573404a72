//! How many requests a route admits from one caller: a burst at once, and then so many a second.
//!
//! Every judgement is one call of [`Quota::decide`]; the table and the Redis script only remember what it needs to know
//! of a bucket. Nothing here decides what happens to a request that is not allowed, nor opens a connection: the script
//! is text and arguments, and somebody else sends it.
//!
//! State outlives configurations without being told of them: what a bucket is found by holds the route's identity, its
//! quota and its scope. A route whose limit did not change finds its buckets again; one whose rate, burst or scope did
//! starts with full ones, and what it had is forgotten as all else, when it would be full again.

/// The judgement: a token bucket in integer nanoseconds.
pub mod gcra;
/// What tells callers apart.
pub mod scope;
/// The buckets of this process.
pub mod table;
/// The buckets of a fleet.
pub mod redis_script;
/// What a client is told.
pub mod headers;

use apigw_config::{
    model::{RateLimit, RateLimitScope},
    names::RouteName,
};

pub use gcra::{Decision, Quota, Tat};
pub use scope::{Counted, ScopeValue, User};
pub use table::{BucketKey, Table};

use self::{headers::LimitHeaders, redis_script::ScriptArguments};

/// A route's limit, ready to judge and to tell of itself.
#[derive(Debug)]
pub struct RouteLimit {
    /// What one caller may do.
    pub quota: Quota,
    /// What tells callers apart.
    pub scope: RateLimitScope,
    /// What clients are told.
    pub headers: LimitHeaders,
    /// The quota as the Redis script is told it.
    pub arguments: ScriptArguments,
}

impl RouteLimit {
    /// Makes what the file says ready; none, if the limit is disabled.
    pub(crate) fn new(route: &RouteName, config: &RateLimit) -> Option<Self> {
        if !config.is_enabled() {
            return None;
        }
        let (rate, burst) = (config.requests_per_second(), config.burst());
        let quota = Quota::new(rate, burst).expect("an enabled limit has a rate and a burst above 0");
        let scope = config.scope().expect("an enabled limit has a scope").clone();
        let headers = LimitHeaders::new(route, rate, burst, &quota, &scope);
        Some(Self { quota, scope, headers, arguments: ScriptArguments::new(&quota) })
    }
}
