//! Who sends a request, and whether the route serves him.

use std::sync::Arc;

use apigw_config::names::AuthMethod;
use http::header::AUTHORIZATION;

use super::Steps;
use crate::{
    access::{AccessRules, Forbidden},
    callers::{
        self, CallerError, Unidentified, Vouched, api_key,
        api_key::ApiKeyError,
        basic,
        basic::BasicError,
        external::{ExternalError, Service},
    },
    explain::{Caller, Live},
    jwt::{authorization::bearer_token, claims::Claims, error::JwtError},
    rate_limit::User,
    rejection::Rejection,
    snapshot::Route,
};

/// A caller, known or supposed.
#[derive(Clone)]
pub(super) enum Known {
    /// By what the request presents.
    Caller(callers::Caller),
    /// By what it is supposed to present.
    Supposed { provider: String, claims: Claims },
}

impl Known {
    pub(super) fn claims(&self) -> &Claims {
        match self {
            Self::Caller(caller) => caller.claims(),
            Self::Supposed { claims, .. } => claims,
        }
    }

    pub(super) fn user(&self) -> Option<User<'_>> {
        match self {
            Self::Caller(caller) => caller.user(),
            Self::Supposed { provider, claims } => Some(User { provider, subject: claims.subject()? }),
        }
    }

    fn admitted(&self, rules: &AccessRules) -> Result<(), Forbidden> {
        match self {
            Self::Caller(caller) => rules.admit(caller),
            Self::Supposed { claims, .. } => rules.judge(claims),
        }
    }

    /// Who it is, in words.
    fn told(&self) -> String {
        let subject = self.claims().subject().unwrap_or("nobody");
        match self {
            Self::Caller(caller) if caller.has_token() => {
                format!("{subject:?} by a token of {}", caller.authority())
            }
            Self::Caller(caller) => format!("{subject:?} by {}", caller.authority()),
            Self::Supposed { provider, .. } => format!("{subject:?} by a token of {provider}"),
        }
    }
}

/// A caller, and what was supposed of him.
struct Identified<'p> {
    known: Known,
    /// The service that would be asked, and would have to agree; none: none would be.
    unasked: Option<&'p Service>,
}

/// Why nobody is known, and what is to be said of it.
struct Unknown {
    rejection: Rejection,
    remark: Remark,
}

/// What is to be said where nobody is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remark {
    /// Nothing else.
    Nobody,
    /// Keys are missing here.
    Unfetched,
    /// A certificate cannot be shown here.
    Unshown,
    /// A file is missing here.
    Unread,
}

impl Remark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "no caller is known",
            Self::Unfetched => "only data planes fetch keys, so nothing is known of this token here",
            Self::Unshown => "a question shows no certificate; --claims says who is supposed to ask",
            Self::Unread => {
                "only data planes read the file of credentials, so nothing is known of these here"
            }
        }
    }
}

impl Steps<'_> {
    pub(super) fn access(&mut self, route: &Route<'_>, path: String, live: &impl Live) {
        let Some(policy) = &route.policies.access else {
            return self.skip("auth", "the route serves everybody");
        };
        // Where nothing runs, no keys are fetched and no file is read: that is said, or it looks like a fault of the issuer.
        let is_at_rest = live.in_flight(route).is_none();
        let was_refused = self.refusal.is_some();
        let mut is_unread = false;
        let (judgement, detail) = match self.identify(policy.rules(), live, is_at_rest) {
            Err(Unknown { rejection, remark }) => {
                is_unread = remark == Remark::Unread;
                (Err(rejection), remark.as_str().into())
            }
            Ok(Identified { known, unasked }) => {
                let admitted = known.admitted(policy.rules());
                let told = match unasked {
                    None => known.told(),
                    Some(service) if known.claims().subject().is_none() => unasked_service(service),
                    Some(service) => format!("{}; {}", known.told(), unasked_service(service)),
                };
                self.caller = Some(known);
                (admitted.map_err(Rejection::from), told)
            }
        };
        self.add("auth", Some(policy.mode()), judgement, detail, path);
        self.is_unread = is_unread && !was_refused && self.refusal.is_some();
    }

    fn identify<'p>(
        &self,
        rules: &'p AccessRules,
        live: &impl Live,
        is_at_rest: bool,
    ) -> Result<Identified<'p>, Unknown> {
        if let Caller::Supposed { provider, claims } = &self.question.caller {
            let known = Known::Supposed { provider: provider.clone(), claims: claims.clone() };
            return Ok(Identified { known, unasked: None });
        }
        let Some(methods) = rules.methods() else {
            let known = self.by_token(rules, live).map_err(|error| {
                let is_unfetched = is_at_rest && error == JwtError::KeysUnavailable;
                let remark = if is_unfetched { Remark::Unfetched } else { Remark::Nobody };
                Unknown { rejection: error.into(), remark }
            });
            return Ok(Identified { known: Known::Caller(known?), unasked: None });
        };
        let (mut inquiry, mut remark, mut unasked) = (methods.inquire(), Remark::Nobody, None);
        while let Some(method) = inquiry.next_method() {
            let answer = match method {
                // To ask it would be traffic, and its log would tell of a request that nobody has sent.
                AuthMethod::External => {
                    let service = methods.service();
                    unasked = service;
                    inquiry.hear_service(service.map(Service::supposed).ok_or(ExternalError::Failed));
                    continue;
                }
                AuthMethod::Jwt => self.by_token(rules, live).map_err(CallerError::from),
                AuthMethod::ApiKey => {
                    let key = api_key::presented(&self.question.head.headers, methods.key_header());
                    known(key, |key| live.find_key(key), ApiKeyError::Unknown, &mut remark)
                }
                AuthMethod::Mtls => {
                    remark = Remark::Unshown;
                    methods.by_certificate(None).map_err(CallerError::from)
                }
                AuthMethod::Basic => {
                    let presented = basic::presented(self.authorization());
                    known(presented, |user| live.find_user(user), BasicError::Wrong, &mut remark)
                }
            };
            if is_at_rest && matches!(answer, Err(CallerError::Token(JwtError::KeysUnavailable))) {
                remark = Remark::Unfetched;
            }
            inquiry.hear(answer);
        }
        let verdict = inquiry.verdict().map(|caller| Identified { known: Known::Caller(caller), unasked });
        verdict.map_err(|unidentified: Unidentified| Unknown { rejection: unidentified.into(), remark })
    }

    fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.question.head.headers.bytes_of_all(AUTHORIZATION)
    }

    fn by_token(&self, rules: &AccessRules, live: &impl Live) -> Result<callers::Caller, JwtError> {
        let token = bearer_token(self.authorization())?;
        let verified = live.verify(self.snapshot, token, rules.accepted())?;
        Ok(callers::Caller::Token(verified.into()))
    }
}

fn unasked_service(service: &Service) -> String {
    let told = format!("asks {}, which was not asked here", service.url());
    match service.cache() {
        None => told,
        Some(cache) => format!("{told}; a yes of it holds for {} s", cache.ttl.duration().as_secs_f64()),
    }
}

/// Whom a file of credentials knows, if it was read.
fn known<P, E: Into<CallerError>>(
    presented: Result<P, E>,
    find: impl FnOnce(P) -> Option<Result<Arc<Vouched>, E>>,
    unknown: E,
    remark: &mut Remark,
) -> Result<callers::Caller, CallerError> {
    let found = find(presented.map_err(Into::into)?);
    let found = found.unwrap_or_else(|| {
        *remark = Remark::Unread;
        Err(unknown)
    });
    found.map(callers::Caller::Vouched).map_err(Into::into)
}
