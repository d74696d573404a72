//! One route and its policies, as far as a file describes them. What they do to a request is the engine's business.

use super::{
    AnswerChanges, BackendPlace, CircuitBreaker, Compression, Concurrency, FixedAnswer, HeaderChanges, Hedge,
    HostRewrite, Mirror, PathChange, PathMatch, PathRewrite, RateLimit, Redirect, Retry, RouteAuth,
    RouteMatch, Split, Timeouts,
};
use crate::names::{
    AddressRange, AllowedOrigins, BackendName, ByteCount, HeaderName, MethodName, PathPrefix, PolicyMode,
    RouteName, Span, UpstreamUrl, ValueError,
};

/// One entry of `routes`. What few routes have is on the heap, since there may be a hundred thousand.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Unique in the configuration.
    pub name: RouteName,
    /// The requests it serves.
    pub matches: RouteMatch,
    /// Where its requests go.
    pub destination: Destination,
    /// Who is sent copies of them; none: nobody.
    pub mirror: Option<Box<Mirror>>,
    /// What becomes of the path before it is sent.
    pub path_change: PathChange,
    /// What host the upstream is asked for.
    pub host_rewrite: HostRewrite,
    /// What is changed of requests' header fields.
    pub request_headers: HeaderChanges,
    /// What is changed of answers' header fields; no claim is told in them.
    pub response_headers: AnswerChanges,
    /// Which answers are compressed; none: as they come.
    pub compression: Option<Box<Compression>>,
    /// Who may send requests, beside what the server's lists say.
    pub address_lists: AddressLists,
    /// Whether a caller must be known.
    pub auth_required: bool,
    /// Which callers, and what is said of them; none: the file says nothing of it.
    pub auth: Option<RouteAuth>,
    /// None: the file says nothing of it.
    pub rate_limit: Option<Box<RateLimit>>,
    /// How many requests may be under way at once.
    pub concurrency: Concurrency,
    /// None: the file says nothing of it.
    pub circuit_breaker: Option<Box<CircuitBreaker>>,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// When a request is sent again; none: where the upstream has not looked at it.
    pub retry: Option<Box<Retry>>,
    /// When a second endpoint is asked as well; none: never.
    pub hedge: Option<Hedge>,
    /// None: pages of other origins are not answered for.
    pub cors: Option<Box<Cors>>,
    /// The most bytes of a request's head, no more than the server's; none: as the server's.
    pub max_header_bytes: Option<ByteCount>,
    /// The most bytes of a request's body, in place of the server's; none: as the server's.
    pub max_body_bytes: Option<ByteCount>,
}

impl Route {
    /// A route that forwards and does nothing else.
    #[must_use]
    pub fn new(name: RouteName, path_prefix: PathPrefix, upstream: UpstreamUrl) -> Self {
        Self {
            name,
            matches: path_prefix.into(),
            destination: Destination::Upstream(upstream),
            mirror: None,
            path_change: PathChange::default(),
            host_rewrite: HostRewrite::default(),
            request_headers: HeaderChanges::default(),
            response_headers: AnswerChanges::default(),
            compression: None,
            address_lists: AddressLists::default(),
            auth_required: false,
            auth: None,
            rate_limit: None,
            concurrency: Concurrency::default(),
            circuit_breaker: None,
            timeouts: Timeouts::default(),
            retry: None,
            hedge: None,
            cors: None,
            max_header_bytes: None,
            max_body_bytes: None,
        }
    }

    /// The route, if its parts go together.
    ///
    /// # Errors
    /// Every part that does not go with the others.
    pub(crate) fn checked(self) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if self.destination.is_own_answer() {
            let error = |key| PolicyError { key, error: ValueError::NotForwarded };
            errors.extend(self.parts_for_upstreams().map(error));
        }
        if self.concurrency.is_ambiguous() {
            errors.push(PolicyError { key: "concurrency", error: ValueError::TwoLimits });
        }
        let has_prefix = !matches!(self.matches.path, PathMatch::Regex(_));
        let rewrites = |key, rewrite: &PathRewrite| {
            let is_lost = matches!(rewrite, PathRewrite::Prefix(_)) && !has_prefix;
            is_lost.then_some(PolicyError { key, error: ValueError::NoPrefixToReplace })
        };
        if let PathChange::Rewrite(rewrite) = &self.path_change {
            errors.extend(rewrites("rewrite", rewrite));
        }
        if let Destination::Redirect(redirect) = &self.destination {
            errors.extend(redirect.path.as_ref().and_then(|rewrite| rewrites("redirect", rewrite)));
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The keys that it has and that say how requests are sent.
    fn parts_for_upstreams(&self) -> impl Iterator<Item = &'static str> {
        let is_rewritten = matches!(self.path_change, PathChange::Rewrite(_));
        let has = [
            ("strip_prefix", matches!(self.path_change, PathChange::Strip(_))),
            ("rewrite", is_rewritten || self.host_rewrite != HostRewrite::Upstream),
            ("request_headers", !self.request_headers.is_empty()),
            ("concurrency", self.concurrency.is_limited()),
            ("circuit_breaker", self.circuit_breaker.as_ref().is_some_and(|breaker| breaker.is_enabled())),
            ("max_body_bytes", self.max_body_bytes.is_some()),
            ("timeouts", !self.timeouts.is_empty()),
            ("retry", self.retry.is_some()),
            ("hedge", self.hedge.is_some()),
            ("mirror", self.mirror.is_some()),
            ("compression", self.compression.is_some()),
        ];
        has.into_iter().filter_map(|(key, has)| has.then_some(key))
    }
}

/// Where a route's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To one URL: an endpoint alone, without a name.
    Upstream(UpstreamUrl),
    /// To a backend of the configuration.
    Backend(BackendName),
    /// To one of several backends of the configuration.
    Split(Box<Split>),
    /// To nobody: clients are sent elsewhere.
    Redirect(Box<Redirect>),
    /// To nobody: clients are told what the file says.
    Respond(FixedAnswer),
}

impl Destination {
    /// The backends it names, and where.
    pub(crate) fn backends(&self) -> impl Iterator<Item = (BackendPlace, &BackendName)> {
        let (alone, parts) = match self {
            Self::Backend(name) => (Some(name), &[][..]),
            Self::Split(split) => (None, split.parts()),
            Self::Upstream(_) | Self::Redirect(_) | Self::Respond(_) => (None, &[][..]),
        };
        let parts = parts.iter().enumerate();
        let parts = parts.map(|(index, part)| (BackendPlace::Split(index), &part.backend));
        alone.map(|name| (BackendPlace::Backend, name)).into_iter().chain(parts)
    }

    /// Whether the gateway answers itself.
    #[must_use]
    pub fn is_own_answer(&self) -> bool {
        matches!(self, Self::Redirect(_) | Self::Respond(_))
    }
}

/// Which part of a policy is not legal, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {error}")]
pub struct PolicyError {
    /// The key beneath the policy's own.
    pub key: &'static str,
    /// What is wrong with its value.
    pub error: ValueError,
}

/// `allow_cidrs` and `deny_cidrs`: from which addresses requests are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressLists {
    /// Only these; empty: all.
    pub allow: Vec<AddressRange>,
    /// Not these, even if they are allowed.
    pub deny: Vec<AddressRange>,
    /// What follows from the judgement.
    pub mode: PolicyMode,
}

/// `routes[].cors`: what pages of other origins may do (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages.
    pub allow_origins: AllowedOrigins,
    /// Methods beside those that need no permission (GET, HEAD, POST).
    pub allow_methods: Vec<MethodName>,
    /// Header fields beside those that need no permission.
    pub allow_headers: Vec<HeaderName>,
    /// How long a browser may rely on a permission.
    pub max_age: Span,
    /// What follows from the judgement.
    pub mode: PolicyMode,
}

impl Cors {
    /// What browsers assume where nothing is said.
    pub const DEFAULT_MAX_AGE: Span = Span::seconds(5);
}
