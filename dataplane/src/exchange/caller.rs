//! Who sends a request: its token judged, at most twice.
//!
//! The second time is after a wait: for the provider's first keys, or for a fetch that an unknown key has brought forward.
//! Both waits are shared by all who ask and bounded by one fetch; see [`jwks`](crate::jwks).

use std::{
    future::{Future as _, poll_fn},
    sync::Arc,
    task::Poll,
    time::SystemTime,
};

use apigw_engine::{
    access::AccessRules,
    jwt::{
        authorization::bearer_token,
        error::JwtError,
        providers::{ProviderIndex, Refusal},
        time::UnixTime,
        token::Token,
        verify::Verified,
    },
    policies::Policies,
    rejection::Rejection,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::record::Record;
use crate::worker::{View, Worker};

/// Finds out who sends a request with these header fields, if the route wants to know. None: nobody is known.
///
/// # Errors
/// When nobody is known, or the route does not serve him.
pub(crate) async fn admit(
    worker: &Worker,
    view: &View,
    policies: &Policies,
    record: &mut Record,
    headers: &HeaderMap,
) -> Result<Option<Arc<Verified>>, Rejection> {
    let Some(access) = &policies.access else { return Ok(None) };
    let identified = identify(worker, view, access.rules(), headers).await;
    let caller = record.pass(access.apply(identified)?);
    if let Some(caller) = &caller {
        // Apart, so that a shadowed refusal of a known caller leaves him known.
        let served = access.rules().admit(caller.claims()).map_err(Rejection::from);
        record.pass(access.apply(served)?);
    }
    Ok(caller)
}

async fn identify(
    worker: &Worker,
    view: &View,
    rules: &AccessRules,
    headers: &HeaderMap,
) -> Result<Arc<Verified>, Rejection> {
    let token = bearer_token(headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes))?;
    match judge(worker, view, rules, token) {
        Ok(verified) => Ok(verified),
        // Boxed, so that requests that need not wait do not carry the room for it.
        Err(refusal) if !refusal.awaited.is_empty() => {
            Ok(Box::pin(judge_again(worker, view, rules, token, refusal)).await?)
        }
        Err(refusal) => Err(refusal.error.into()),
    }
}

fn judge(worker: &Worker, view: &View, rules: &AccessRules, token: &str) -> Result<Arc<Verified>, Refusal> {
    let providers = view.snapshot().providers();
    let tokens = &mut worker.tokens.borrow_mut();
    providers.judge(token, rules.accepted(), &view.serving().keys, tokens, now())
}

/// Judges once more after waiting for what the refusal says may help.
async fn judge_again(
    worker: &Worker,
    view: &View,
    rules: &AccessRules,
    token: &str,
    refusal: Refusal,
) -> Result<Arc<Verified>, JwtError> {
    let parsed = Token::parse(token)?;
    if !may_help(view, &refusal.awaited, parsed.kid()).await {
        return Err(refusal.error);
    }
    judge(worker, view, rules, token).map_err(|refusal| refusal.error)
}

/// Waits for all of these providers at once, so that several that hang take no longer than one: whether to look again.
async fn may_help(view: &View, awaited: &[ProviderIndex], kid: Option<&str>) -> bool {
    let mut may_help = false;
    let mut waiting: Vec<_> =
        awaited.iter().map(|provider| Box::pin(view.serving().keys.look_again(*provider, kid))).collect();
    poll_fn(|context| {
        waiting.retain_mut(|look| match look.as_mut().poll(context) {
            Poll::Ready(helps) => {
                may_help |= helps;
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    may_help
}

/// The time that tokens are judged by.
pub(crate) fn now() -> UnixTime {
    UnixTime::new(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
