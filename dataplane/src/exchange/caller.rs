//! Who sends a request: its token judged once, and again after each wait that may help: for a provider's first keys, or for
//! a fetch that an unknown key has brought forward. Both waits are shared by all who ask and bounded by one fetch; see
//! [`jwks`](crate::jwks). Routes that take more than tokens ask for one after the other.

/// By any of several credentials, or by all.
mod methods;
/// By what a service says.
pub(crate) mod service;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use apigw_engine::{
    access::AccessRules,
    callers::Caller,
    fields::{Fields, Several},
    head::RequestHead,
    jwt::{
        authorization::bearer_token, error::JwtError, providers::Refusal, time::UnixTime, token::Token,
        verify::Verified,
    },
    mode::JudgedMode,
    path::NormalPath,
    policies::Policies,
    rejection::{Awaited, Rejection},
};
use http::header::AUTHORIZATION;

use self::methods::Asked;
use super::{record::Record, sending::overdue};
use crate::{
    connection::Client,
    worker::{View, Worker},
};

/// Finds out who sends a request for this path, if the route wants to know. None: nobody is known.
///
/// # Errors
/// When nobody is known, or the route does not serve him.
pub(crate) async fn admit(
    worker: &Worker,
    view: &View,
    policies: &Policies,
    record: &mut Record,
    (client, head, path): (&Client, &RequestHead, &NormalPath<'_>),
) -> Result<Option<Caller>, Rejection> {
    let Some(access) = &policies.access else { return Ok(None) };
    let rules = access.rules();
    let identified = match rules.methods() {
        None => {
            by_token(worker, view, rules, &head.headers).await.map(Caller::Token).map_err(Rejection::from)
        }
        // Boxed, so that requests with tokens do not carry the room for it.
        Some(methods) => {
            let asked = Asked { worker, view, rules, mode: access.mode(), record, client, head, path };
            let identified = Box::pin(asked.identify(methods)).await;
            // Whatever was found out until then, it was too late.
            if let Some(limit) = client.deadlines.overdue() {
                return Err(overdue(limit, Awaited::Client));
            }
            match identified {
                // Its password takes long to judge, and in earnest it would have waited: nothing is known of it.
                Err(unidentified) if access.mode() == JudgedMode::Shadow && unidentified.is_busy() => {
                    return Ok(None);
                }
                identified => identified.map_err(Rejection::from),
            }
        }
    };
    let caller = record.pass(access.apply(identified)?);
    if let Some(caller) = &caller {
        record.set_caller(caller);
        // Apart, so that a shadowed refusal of a known caller leaves him known.
        let served = access.rules().admit(caller).map_err(Rejection::from);
        record.pass(access.apply(served)?);
    }
    Ok(caller)
}

/// Tells the upstream what the route says of a caller who is known, and not what he is known by.
pub(super) fn tell_upstream(policies: &Policies, caller: Option<&Caller>, headers: &mut Fields) {
    let Some(access) = &policies.access else {
        if let Some(methods) = &policies.kept_back {
            methods.keep_back(headers);
        }
        return;
    };
    let is_ours = match access.mode() {
        JudgedMode::Enforce => true,
        // What is not good for this gateway may be for the upstream.
        JudgedMode::Shadow => caller.is_some_and(|caller| access.rules().has_password_of(caller)),
    };
    if is_ours {
        access.rules().keep_back(headers);
    }
    if let Some(caller) = caller {
        access.rules().tell(caller, headers);
    }
}

async fn by_token(
    worker: &Worker,
    view: &View,
    rules: &AccessRules,
    headers: &Fields,
) -> Result<Arc<Verified>, JwtError> {
    let authorization = headers.bytes_of_single(AUTHORIZATION).map_err(|Several| JwtError::Several)?;
    let token = bearer_token(authorization)?;
    match judge(worker, view, rules, token) {
        Ok(verified) => Ok(verified),
        // Boxed, so that requests that need not wait do not carry the room for it.
        Err(refusal) if !refusal.awaited.is_empty() => {
            Box::pin(judge_again(worker, view, rules, token, refusal)).await
        }
        Err(refusal) => Err(refusal.error),
    }
}

fn judge(worker: &Worker, view: &View, rules: &AccessRules, token: &str) -> Result<Arc<Verified>, Refusal> {
    let providers = view.snapshot().providers();
    let tokens = &mut worker.tokens.borrow_mut();
    providers.judge(token, rules.accepted(), &view.serving().keys, tokens, now())
}

/// Judges again after waiting for what the refusal says may help: for all providers at once, and each time that one of them
/// may tell more, so that none which hangs keeps those waiting whom another knows.
async fn judge_again(
    worker: &Worker,
    view: &View,
    rules: &AccessRules,
    token: &str,
    refusal: Refusal,
) -> Result<Arc<Verified>, JwtError> {
    let parsed = Token::parse(token)?;
    let keys = &view.serving().keys;
    let waits = refusal.awaited.iter().map(|provider| Box::pin(keys.look_again(*provider, parsed.kid())));
    let mut waits: Vec<_> = waits.collect();
    let mut error = refusal.error;
    while !waits.is_empty() {
        let (ended, may_help) = poll_fn(|context| any(&mut waits, context)).await;
        drop(waits.swap_remove(ended));
        if may_help {
            match judge(worker, view, rules, token) {
                Ok(verified) => return Ok(verified),
                Err(refusal) => error = refusal.error,
            }
        }
    }
    Err(error)
}

/// The place of a future that has ended, and what it gives.
fn any<F: Future + Unpin>(futures: &mut [F], context: &mut Context<'_>) -> Poll<(usize, F::Output)> {
    for (index, future) in futures.iter_mut().enumerate() {
        if let Poll::Ready(output) = Pin::new(future).poll(context) {
            return Poll::Ready((index, output));
        }
    }
    Poll::Pending
}

/// The time that tokens are judged by.
pub(crate) fn now() -> UnixTime {
    UnixTime::of(SystemTime::now())
}
