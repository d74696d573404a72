//! What would become of a request, without sending it: the questions of the exchange, asked in its order.
//!
//! Each answer comes from the function that the exchange itself asks, so an explanation cannot disagree with what happens;
//! only the order is written twice, and a test sends what it has explained. Where the exchange stops at the first refusal,
//! this goes on, so that all that stands in a request's way is told at once; what happens is what the first one says.
//!
//! Nothing is changed: no bucket is drawn from, no place is taken, no trial begins.

/// Where nothing runs.
mod at_rest;
/// Routes that did not win, and why.
mod near_misses;
/// Lines of the file.
mod places;
/// One policy after the other.
mod steps;
/// In the API's words.
mod wire;

use std::{net::IpAddr, sync::Arc};

use apigw_config::names::BackendName;

use self::steps::Steps;
pub use self::{
    at_rest::{AtRest, ReadFiles},
    near_misses::NearMiss,
    places::{former_text, leave_unplaced, locate},
    wire::{QuestionError, answer},
};
use crate::{
    Snapshot,
    callers::{
        Vouched,
        api_key::ApiKeyError,
        basic::{self, BasicError},
    },
    circuit_breaker::BreakerState,
    head::{self, RequestHead},
    jwt::{claims::Claims, error::JwtError, providers::Accepted, verify::Verified},
    mode::JudgedMode,
    path::NormalPath,
    rate_limit::{BucketKey, Decision},
    rejection::Rejection,
    routing::Asked,
    snapshot::{Answerer, Route},
    target,
};

/// A request that is only thought of.
#[derive(Debug)]
pub struct Question {
    /// As it would arrive.
    pub head: RequestHead,
    /// Whose it would be.
    pub client: IpAddr,
    /// How its caller makes himself known.
    pub caller: Caller,
}

/// How a caller makes himself known.
#[derive(Debug, Clone)]
pub enum Caller {
    /// By what the header fields present, as in a real request.
    Presented,
    /// By a token that is taken to be true.
    Supposed {
        /// The provider whose token it would be.
        provider: String,
        /// What it would say.
        claims: Claims,
    },
}

/// The state of what runs, as far as anybody knows it.
pub trait Live {
    /// Judges a token.
    ///
    /// # Errors
    /// When it is not believed.
    fn verify(&self, snapshot: &Snapshot, token: &str, accepted: &Accepted) -> Result<Verified, JwtError>;

    /// Whose an API key is; none: nobody has read the file of keys.
    fn find_key(&self, key: &[u8]) -> Option<Result<Arc<Vouched>, ApiKeyError>>;

    /// Who has this name and password; none: nobody has read the file of users. May take long.
    fn find_user(&self, credentials: basic::Credentials) -> Option<Result<Arc<Vouched>, BasicError>>;

    /// What a caller's bucket would say; none: nobody knows.
    fn count(&self, key: &BucketKey<'_>) -> Option<Decision>;

    /// How many requests of a route are under way; none: nobody knows.
    fn in_flight(&self, route: &Route<'_>) -> Option<u64>;

    /// What a route's breaker would say; none: nobody knows.
    fn breaker(&self, route: &Route<'_>) -> Option<BreakerState>;
}

/// What would become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Place of the route in the configuration; none: none serves it.
    pub route: Option<usize>,
    /// Routes that one might have expected.
    pub near_misses: Vec<NearMiss>,
    /// The judgements in their order.
    pub steps: Vec<Step>,
    /// Status and reason of the refusal; none: it would be sent upstream.
    pub refusal: Option<(u16, &'static str)>,
    /// Whether it is refused because nobody has read the file of credentials that knows its caller.
    pub is_unread: bool,
    /// The backend that would be asked. None: the route names none, or it depends on whose turn it is.
    pub backend: Option<BackendName>,
    /// What the upstream would be asked for: path and query. None: there is no route, no path or no upstream.
    pub target: Option<String>,
    /// The status that the gateway itself would answer with; none: it would not.
    pub own_status: Option<u16>,
}

/// One judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The policy's key in the file, or what else is judged.
    pub policy: &'static str,
    /// None of what is no policy.
    pub mode: Option<JudgedMode>,
    /// What it says.
    pub verdict: Verdict,
    /// With its inputs, in words.
    pub detail: String,
    /// Key path in the file; empty: there is none.
    pub path: String,
}

/// What a judgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Refuse, for this reason.
    Deny(&'static str),
    /// Not asked for here.
    Skip,
}

/// Explains what would become of a request.
#[must_use]
pub fn explain(snapshot: &Snapshot, question: &Question, live: &impl Live) -> Explanation {
    let mut steps = Steps::new(snapshot, question);
    steps.check("request", head::check(&question.head), || "one host, a method that is forwarded".into());
    let path = match NormalPath::new(question.head.uri.path(), snapshot.settings().server.paths) {
        Ok(path) => path,
        Err(error) => {
            steps.check("path", Err::<(), _>(error.into()), String::new);
            return steps.explanation(None, Vec::new(), None);
        }
    };
    steps.check("path", Ok::<_, Rejection>(()), || {
        let is_changed = !path.is_as_received();
        if is_changed { format!("judged and sent as {path}") } else { format!("{path} has one meaning") }
    });
    steps.addresses("server", snapshot.addresses());
    let asked = Asked::new(&question.head, &path);
    let near_misses = near_misses::find(snapshot, &asked);
    let Some(route) = snapshot.route(&asked) else {
        steps.check("route", Err::<(), _>(Rejection::NoRoute), String::new);
        return steps.explanation(None, near_misses, None);
    };
    steps.check("route", Ok::<_, Rejection>(()), || near_misses::why_it_wins(route.config, &asked));
    steps.of_route(&route, live);
    let rules = snapshot.settings().server.paths;
    let backend = match route.answerer {
        Answerer::Backend(backend) => Some(steps.backend(backend)),
        Answerer::Split(backends) => steps.split(&route, backends),
        Answerer::Gateway(answer) => {
            steps.own_answer(answer, &route, &path, rules);
            None
        }
    };
    let target = backend.and_then(|backend| {
        let uri = &question.head.uri;
        steps.target(target::upstream_target(uri, &path, &route, backend, snapshot))
    });
    steps.explanation(Some(snapshot.place_of(&route)), near_misses, target)
}

#[cfg(test)]
mod tests;
