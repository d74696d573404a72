//! One policy after the other, each asked by the function that the exchange asks.

/// Who sends it.
mod caller;
/// What becomes of the request once it is sent.
mod sent;

use std::{sync::Arc, time::Duration};

use apigw_config::{
    model::{PathRules, RateLimitScope},
    names::{BackendName, Scheme},
};
use http::Uri;

use self::caller::Known;
use super::{Explanation, Live, NearMiss, Question, Step, Verdict};
use crate::{
    Snapshot,
    circuit_breaker::{Breaker, BreakerPhase, BreakerState, Open},
    concurrency::Full,
    cors::CorsVerdict,
    head,
    mode::{JudgedMode, Policy},
    own_answer::{OwnAnswer, Reply},
    path::NormalPath,
    policies::{AddressPolicy, Places, PlacesLimit},
    rate_limit::{
        BucketKey, Counted, Decision, RouteLimit, ScopeValue, Tat,
        headers::{CountedBy, retry_after_seconds},
    },
    rejection::Rejection,
    snapshot::Route,
};

/// Judgements so far.
pub(super) struct Steps<'q> {
    snapshot: &'q Snapshot,
    question: &'q Question,
    /// The caller, once he is known.
    caller: Option<Known>,
    judgements: Vec<Step>,
    refusal: Option<(u16, &'static str)>,
    is_unread: bool,
    own_status: Option<u16>,
    backend: Option<BackendName>,
}

impl<'q> Steps<'q> {
    pub(super) fn new(snapshot: &'q Snapshot, question: &'q Question) -> Self {
        let (caller, refusal, is_unread, own_status, backend) = Default::default();
        Self { snapshot, question, caller, judgements: Vec::new(), refusal, is_unread, own_status, backend }
    }

    pub(super) fn explanation(
        self,
        route: Option<usize>,
        near_misses: Vec<NearMiss>,
        target: Option<String>,
    ) -> Explanation {
        let Self { judgements: steps, refusal, is_unread, own_status, backend, .. } = self;
        let own_status = own_status.filter(|_| refusal.is_none());
        Explanation { route, near_misses, steps, refusal, is_unread, backend, target, own_status }
    }

    /// What the upstream is asked for. It is judged where the route changes it; else it is what was judged before.
    pub(super) fn target(&mut self, target: Result<Uri, Rejection>) -> Option<String> {
        match target {
            Ok(uri) => uri.path_and_query().map(ToString::to_string),
            Err(rejection) => {
                self.check("upstream path", Err::<(), _>(rejection), String::new);
                None
            }
        }
    }

    /// What the gateway itself answers.
    pub(super) fn own_answer(
        &mut self,
        answer: &OwnAnswer,
        route: &Route<'_>,
        path: &NormalPath<'_>,
        rules: PathRules,
    ) {
        let key = answer.key();
        let file_path = format!("routes[{}].{key}", self.snapshot.place_of(route));
        // Who asks what would become of a request does not say how it would come.
        let reply = answer.reply(route.config, &self.question.head, path, Scheme::Http, rules);
        let detail = reply.as_ref().map_or_else(|_rejection| String::new(), in_words);
        self.own_status = reply.as_ref().ok().map(|reply| reply.status.as_u16());
        self.add(key, None, reply, detail, file_path);
    }

    /// A judgement that is no policy.
    pub(super) fn check<A>(
        &mut self,
        what: &'static str,
        judgement: Result<A, Rejection>,
        detail: impl FnOnce() -> String,
    ) {
        self.add(what, None, judgement, detail(), String::new());
    }

    /// Address lists, of the server or of a route.
    pub(super) fn addresses(&mut self, path: &str, policy: &AddressPolicy) {
        let Some(mode) = policy.mode() else { return self.skip("addresses", "every address may") };
        let judgement = policy.judge(self.question.client).map_err(Rejection::from);
        let detail = format!("{} against the lists", self.question.client);
        self.add("addresses", Some(mode), judgement, detail, path.into());
    }

    /// All policies of a route.
    pub(super) fn of_route(&mut self, route: &Route<'_>, live: &impl Live) {
        let place = self.snapshot.place_of(route);
        let path = |key: &str| format!("routes[{place}]{key}");
        self.addresses(&path(""), &route.policies.addresses);
        self.cors(route, path(".cors"));
        self.check("head size", head::check_size(&self.question.head, route.config), || {
            "within what the route takes".into()
        });
        let key = if route.config.auth.is_some() { ".auth" } else { ".auth_required" };
        self.access(route, path(key), live);
        self.rate_limit(route, path(".rate_limit"), live);
        self.concurrency(route, path(".concurrency"), live);
        self.circuit_breaker(route, path(".circuit_breaker"), live);
        self.timeouts(route, path(".timeouts"));
        self.retry(route, path(".retry"));
        self.hedge(route, path(".hedge"));
        self.mirror(route, path(".mirror"));
        self.compression(route, path(".compression"));
    }

    fn cors(&mut self, route: &Route<'_>, path: String) {
        let Some(policy) = &route.policies.cors else { return self.skip("cors", "not configured") };
        let (verdict, _) = policy.rules().judge(&self.question.head.method, &self.question.head.headers);
        let (judgement, detail) = match verdict {
            CorsVerdict::NoPreflight => (Ok(()), "no preflight; the browser is told what it may"),
            CorsVerdict::Preflight => (Ok(()), "a preflight, answered by the gateway with 204"),
            CorsVerdict::Refused(refusal) => (Err(Rejection::from(refusal)), "a preflight"),
        };
        self.add("cors", Some(policy.mode()), judgement, detail.into(), path);
    }

    fn rate_limit(&mut self, route: &Route<'_>, path: String, live: &impl Live) {
        let Some(policy) = &route.policies.rate_limit else {
            return self.skip("rate_limit", "not configured");
        };
        let limit = policy.rules();
        let caller = self.caller.clone();
        let counted = self.counted(caller.as_ref(), &limit.scope);
        let value = ScopeValue::of(&limit.scope, &counted);
        let by = CountedBy::from(&value);
        let word = limit.headers.scope_word(by).to_owned();
        let key = BucketKey { route: route.id, quota: limit.quota, scope: value };
        let (decision, source) = match live.count(&key) {
            Some(decision) => (decision, "as it is now"),
            None => (limit.quota.decide(Tat::default(), Duration::ZERO), "with a full bucket"),
        };
        let detail = format!("counted by {word}, {} left after it, {source}", decision.remaining);
        let judgement = judge_count(limit, by, &decision);
        self.add("rate_limit", Some(policy.mode()), judgement, detail, path);
    }

    fn counted<'k>(&self, known: Option<&'k Known>, scope: &RateLimitScope) -> Counted<'k>
    where
        'q: 'k,
    {
        let user = known.and_then(Known::user);
        let claim = match scope {
            RateLimitScope::Claim(name) => known.and_then(|known| known.claims().text(name.as_str())),
            _ => None,
        };
        Counted { address: self.question.client, user, headers: &self.question.head.headers, claim }
    }

    fn concurrency(&mut self, route: &Route<'_>, path: String, live: &impl Live) {
        let Some(policy) = &route.policies.concurrency else {
            return self.skip("concurrency", "not configured");
        };
        let max_in_flight = policy.rules().max_in_flight();
        let (judgement, detail) = match live.in_flight(route) {
            Some(in_flight) if in_flight >= u64::from(max_in_flight) => {
                (Err(Full { max_in_flight }.into()), format!("{in_flight} of {max_in_flight} are under way"))
            }
            Some(in_flight) => (Ok(()), format!("{in_flight} of {max_in_flight} are under way")),
            None => (Ok(()), at_rest(policy.rules())),
        };
        self.add("concurrency", Some(policy.mode()), judgement, detail, path);
    }

    fn circuit_breaker(&mut self, route: &Route<'_>, path: String, live: &impl Live) {
        let Some(policy) = &route.policies.breaker else {
            return self.skip("circuit_breaker", "not configured");
        };
        let (judgement, detail) = match live.breaker(route) {
            Some(state) => (judge_breaker(policy, &state), state.phase.as_str().into()),
            None => (Ok(()), "closed, unless the upstream has failed".into()),
        };
        self.add("circuit_breaker", Some(policy.mode()), judgement, detail, path);
    }

    fn skip(&mut self, policy: &'static str, detail: &str) {
        let (mode, path) = (None, String::new());
        self.judgements.push(Step { policy, mode, verdict: Verdict::Skip, detail: detail.into(), path });
    }

    fn add<A>(
        &mut self,
        policy: &'static str,
        mode: Option<JudgedMode>,
        judgement: Result<A, Rejection>,
        detail: String,
        path: String,
    ) {
        let (verdict, detail) = match judgement {
            Ok(_) => (Verdict::Allow, detail),
            Err(rejection) => {
                let answer = rejection.answer();
                if mode != Some(JudgedMode::Shadow) {
                    self.refusal.get_or_insert((answer.status.as_u16(), answer.reason));
                }
                let separator = if detail.is_empty() { "" } else { ": " };
                (Verdict::Deny(answer.reason), format!("{detail}{separator}{rejection}"))
            }
        };
        self.judgements.push(Step { policy, mode, verdict, detail, path });
    }
}

fn in_words(reply: &Reply) -> String {
    match reply.location.as_ref().and_then(|location| location.to_str().ok()) {
        Some(location) => format!("{} to {location}", reply.status.as_u16()),
        None => format!("{} with {} bytes", reply.status.as_u16(), reply.body.len()),
    }
}

fn judge_count(limit: &RouteLimit, by: CountedBy, decision: &Decision) -> Result<(), Rejection> {
    if decision.allowed {
        return Ok(());
    }
    let scope = limit.headers.scope_word(by).into();
    Err(Rejection::RateLimited { scope, retry_after_seconds: retry_after_seconds(decision) })
}

/// What the breaker would say now, without asking it: asking would begin a trial.
fn judge_breaker(policy: &Policy<Arc<Breaker>>, state: &BreakerState) -> Result<(), Rejection> {
    let trials = policy.rules().settings().half_open_max_in_flight.get();
    match state.phase {
        BreakerPhase::Closed => Ok(()),
        BreakerPhase::HalfOpen if state.half_open_in_flight < trials => Ok(()),
        BreakerPhase::HalfOpen | BreakerPhase::Open => {
            Err(Open { retry_after: state.retry_after.unwrap_or_default() }.into())
        }
    }
}

/// What a limit of requests at once says where nothing runs.
fn at_rest(places: &Places) -> String {
    match &places.limit {
        PlacesLimit::Given(max_in_flight) => format!("at most {max_in_flight} at once"),
        PlacesLimit::Found(adaptive) => {
            let (min, max) = (adaptive.bounds().min(), adaptive.bounds().max());
            format!("at most {min} to {max} at once, as the upstream bears")
        }
    }
}
