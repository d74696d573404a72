//! Whether a request comes too soon: counted here, or by a server that several data planes share.

use std::{net::IpAddr, time::Duration};

use apigw_config::model::{RateLimitScope, RedisFailure};
use apigw_engine::{
    callers::Caller,
    fields::Fields,
    rate_limit::{
        BucketKey, Counted, Decision, RouteLimit, ScopeValue,
        headers::{CountedBy, retry_after_seconds},
        redis_script::RedisKey,
    },
    rejection::Rejection,
    snapshot::Route,
};

use super::record::Record;
use crate::worker::{SharedLimiter, View, Worker};

/// How a request was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) decision: Decision,
    pub(crate) by: CountedBy,
}

/// Counts a request, if the route limits them.
///
/// # Errors
/// When it comes too soon; when nobody could count it, and the file says to refuse it then.
pub(crate) async fn admit(
    worker: &Worker,
    view: &View,
    route: &Route<'_>,
    record: &mut Record,
    caller: Option<&Caller>,
    headers: &Fields,
) -> Result<(), Rejection> {
    let Some(policy) = &route.policies.rate_limit else { return Ok(()) };
    let limit = policy.rules();
    let counted = counted(&limit.scope, record.client(), caller, headers);
    let value = ScopeValue::of(&limit.scope, &counted);
    let by = CountedBy::from(&value);
    let shared = worker.shared_limiter();
    let now = worker.time(record.now());
    let decision = match &shared {
        None => Ok(Some(count_here(view, route, limit, value, now))),
        // Boxed, so that requests counted here do not carry the room for it.
        Some(shared) => Box::pin(count_there(worker, view, route, limit, value, shared, now)).await,
    };
    let judgement = match decision {
        Ok(Some(decision)) => {
            let count = Count { decision, by };
            record.answer_fields().set_count(count);
            count.judge(limit)
        }
        Ok(None) => Ok(()),
        Err(unavailable) => Err(unavailable),
    };
    record.pass(policy.apply(judgement)?);
    Ok(())
}

fn counted<'a>(
    scope: &RateLimitScope,
    address: IpAddr,
    caller: Option<&'a Caller>,
    headers: &'a Fields,
) -> Counted<'a> {
    let claim = match scope {
        RateLimitScope::Claim(name) => caller.and_then(|caller| caller.claims().text(name.as_str())),
        _ => None,
    };
    Counted { address, user: caller.and_then(Caller::user), headers, claim }
}

impl Count {
    /// # Errors
    /// When the request comes too soon.
    fn judge(&self, limit: &RouteLimit) -> Result<(), Rejection> {
        if self.decision.allowed {
            return Ok(());
        }
        Err(Rejection::RateLimited {
            scope: limit.headers.scope_word(self.by).into(),
            retry_after_seconds: retry_after_seconds(&self.decision),
        })
    }
}

fn count_here(
    view: &View,
    route: &Route<'_>,
    limit: &RouteLimit,
    scope: ScopeValue<'_>,
    now: Duration,
) -> Decision {
    let key = BucketKey { route: route.id, quota: limit.quota, scope };
    view.serving().buckets.decide(&key, now)
}

/// None: nobody could count, and the file says to let the request pass then.
async fn count_there(
    worker: &Worker,
    view: &View,
    route: &Route<'_>,
    limit: &RouteLimit,
    scope: ScopeValue<'_>,
    shared: &SharedLimiter,
    now: Duration,
) -> Result<Option<Decision>, Rejection> {
    let SharedLimiter { limiter, backend } = shared;
    let key = RedisKey::new(backend.key_prefix.as_str(), &route.config.name, &limit.quota, &scope);
    let failure = match limiter.decide(&key, &limit.arguments).await {
        Ok(decision) => return Ok(Some(decision)),
        Err(failure) => failure,
    };
    worker.counted().rate_limit_backend_failed(failure.reason());
    match backend.on_failure {
        RedisFailure::Allow => Ok(None),
        RedisFailure::Deny => Err(Rejection::RateLimitUnavailable),
        RedisFailure::Local => Ok(Some(count_here(view, route, limit, scope, now))),
    }
}
