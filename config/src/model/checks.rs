//! What a file demands of itself before it goes out: `tests` and `invariants`. Data planes never see it, and nothing here
//! judges; the engine does.

use std::{collections::BTreeMap, net::IpAddr};

use crate::names::{ClaimName, ClaimValue, HeaderName, MethodName, PathPrefix, Percent, RouteName};

/// `tests` and `invariants`, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checks {
    /// Requests and what is to become of them.
    pub tests: Vec<RequestTest>,
    /// What must hold of all routes, or of a change.
    pub invariants: Vec<Invariant>,
}

impl Checks {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.invariants.is_empty()
    }
}

/// One entry of `tests`.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestTest {
    /// What it is called when it fails.
    pub name: String,
    /// What would be sent.
    pub request: TestRequest,
    /// What is to become of it.
    pub expect: Expectation,
}

/// A request that is only thought of.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRequest {
    /// GET where the file names none.
    pub method: MethodName,
    /// Whose site is asked for; none: any.
    pub host: Option<String>,
    /// With its query.
    pub path: String,
    /// Header fields.
    pub headers: BTreeMap<HeaderName, String>,
    /// What its token would say; none: it has none.
    pub claims: Option<BTreeMap<ClaimName, ClaimValue>>,
    /// Whose it would be; none: 127.0.0.1.
    pub client: Option<IpAddr>,
}

/// What is to become of a request. What is absent is not looked at; without a status and a reason it is to be sent
/// upstream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectation {
    /// The route that serves it.
    pub route: Option<RouteName>,
    /// Of the refusal.
    pub status: Option<u32>,
    /// Of the refusal: a reason code.
    pub reason: Option<String>,
    /// What the upstream is asked for: path and query.
    pub upstream_path: Option<String>,
}

/// One entry of `invariants`.
#[derive(Debug, Clone, PartialEq)]
pub enum Invariant {
    /// Every route that serves a path under this prefix has, enforced, what is required.
    RoutesUnder {
        /// The paths.
        prefix: PathPrefix,
        /// The policy.
        require: Required,
    },
    /// No change takes away more than this share of the routes.
    RoutesRemoved {
        /// Of the routes before the change.
        at_most: Percent,
    },
}

/// A policy that routes may be required to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// A known caller.
    Auth,
    /// A rate limit.
    RateLimit,
    /// A limit of requests at once.
    Concurrency,
    /// A circuit breaker.
    CircuitBreaker,
}

impl Required {
    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RateLimit => "rate_limit",
            Self::Concurrency => "concurrency",
            Self::CircuitBreaker => "circuit_breaker",
        }
    }
}
