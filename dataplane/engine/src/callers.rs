//! Who sends a request, however he makes himself known. Tokens are judged in [`jwt`](crate::jwt); here are the other
//! credentials, and what follows where a route takes several.

/// By an API key.
pub mod api_key;
/// By a name and a password.
pub mod basic;
/// By what a service says.
pub mod external;
/// By any of several, or by all.
pub mod methods;
/// By a certificate.
pub mod mtls;
/// Passwords that were judged before.
pub mod remembered;

use std::sync::Arc;

use apigw_config::names::AuthMethod;
use http::{HeaderName, HeaderValue, StatusCode};

use self::{
    api_key::ApiKeyError,
    basic::BasicError,
    external::{ExternalError, Refusal},
    mtls::MtlsError,
};
use crate::{
    jwt::{claims::Claims, error::JwtError, verify::Verified},
    rate_limit::User,
};

/// Who sends a request.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Whom a token is about.
    Token(Arc<Verified>),
    /// Whom a file of credentials, or what else is not a token, makes known.
    Vouched(Arc<Vouched>),
    /// One of these, of whom a service has said what the upstream is to be told.
    Approved(Arc<Approved>),
}

/// A caller, and what a service has said of him.
#[derive(Debug)]
pub struct Approved {
    caller: Caller,
    told: Vec<(HeaderName, HeaderValue)>,
}

/// A caller who is known by something else than a token, in the words of one: `sub` is his name, `scope` what is granted.
#[derive(Debug, PartialEq)]
pub struct Vouched {
    method: AuthMethod,
    claims: Claims,
}

impl Caller {
    /// What is known of him.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        match self {
            Self::Token(verified) => verified.claims(),
            Self::Vouched(vouched) => &vouched.claims,
            Self::Approved(approved) => approved.caller.claims(),
        }
    }

    /// Whether it is a token that he is known by.
    #[must_use]
    pub fn has_token(&self) -> bool {
        match self {
            Self::Token(_) => true,
            Self::Vouched(_) => false,
            Self::Approved(approved) => approved.caller.has_token(),
        }
    }

    /// By whom else he is known; none: by a token.
    #[must_use]
    pub fn vouched(&self) -> Option<&Arc<Vouched>> {
        match self {
            Self::Token(_) => None,
            Self::Vouched(vouched) => Some(vouched),
            Self::Approved(approved) => approved.caller.vouched(),
        }
    }

    /// What a service has said that the upstream is to be told.
    #[must_use]
    pub fn told(&self) -> &[(HeaderName, HeaderValue)] {
        match self {
            Self::Token(_) | Self::Vouched(_) => &[],
            Self::Approved(approved) => &approved.told,
        }
    }

    /// The same, of whom the upstream is to be told this.
    fn with_told(self, told: Vec<(HeaderName, HeaderValue)>) -> Self {
        if told.is_empty() { self } else { Self::Approved(Arc::new(Approved { caller: self, told })) }
    }

    /// His name, if he has one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims().subject()
    }

    /// Whose word it is that his name is this: two people may have one name with two of them.
    #[must_use]
    pub fn authority(&self) -> &str {
        match self {
            Self::Token(verified) => verified.provider(),
            Self::Vouched(vouched) => vouched.authority(),
            Self::Approved(approved) => approved.caller.authority(),
        }
    }

    /// Who he is, where callers are counted by that.
    #[must_use]
    pub fn user(&self) -> Option<User<'_>> {
        Some(User { provider: self.authority(), subject: self.subject()? })
    }
}

impl Vouched {
    pub(crate) fn new(method: AuthMethod, claims: Claims) -> Self {
        Self { method, claims }
    }

    /// His name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.claims.subject()
    }

    /// As [`Caller::authority`]; no provider has such a name, for there are no spaces in theirs.
    fn authority(&self) -> &'static str {
        match self.method {
            AuthMethod::Jwt => "a token",
            AuthMethod::ApiKey => "an API key",
            AuthMethod::Basic => "a password",
            AuthMethod::External => "a service",
            AuthMethod::Mtls => "a certificate",
        }
    }
}

/// Why a request does not show who sends it, by one method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    /// By a token.
    #[error("{0}")]
    Token(#[from] JwtError),
    /// By an API key.
    #[error("{0}")]
    ApiKey(#[from] ApiKeyError),
    /// By a name and a password.
    #[error("{0}")]
    Basic(#[from] BasicError),
    /// By what a service says.
    #[error("{0}")]
    External(#[from] ExternalError),
    /// By a certificate.
    #[error("{0}")]
    Mtls(#[from] MtlsError),
}

impl CallerError {
    /// That the request has no credentials for a method; none: it needs none for it.
    #[must_use]
    pub fn absent(method: AuthMethod) -> Option<Self> {
        match method {
            AuthMethod::Jwt => Some(JwtError::Missing.into()),
            AuthMethod::ApiKey => Some(ApiKeyError::Missing.into()),
            AuthMethod::Basic => Some(BasicError::Missing.into()),
            AuthMethod::External => None,
            AuthMethod::Mtls => Some(MtlsError::Missing.into()),
        }
    }

    /// Whether the request has no credentials for the method, so that it does not fail by bad ones.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Token(error) => matches!(error, JwtError::Missing | JwtError::Scheme),
            Self::ApiKey(error) => *error == ApiKeyError::Missing,
            Self::Basic(error) => *error == BasicError::Missing,
            Self::Mtls(error) => *error == MtlsError::Missing,
            // What it looks at is its own.
            Self::External(_) => false,
        }
    }

    /// Whether nobody has judged: the caller may be a good one.
    #[must_use]
    pub fn is_unjudged(&self) -> bool {
        match self {
            Self::Token(_) | Self::ApiKey(_) | Self::Mtls(_) => false,
            Self::Basic(error) => *error == BasicError::Busy,
            Self::External(error) => error.refusal().is_none(),
        }
    }

    /// The method by which nobody is known.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match self {
            Self::Token(_) => AuthMethod::Jwt,
            Self::ApiKey(_) => AuthMethod::ApiKey,
            Self::Basic(_) => AuthMethod::Basic,
            Self::External(_) => AuthMethod::External,
            Self::Mtls(_) => AuthMethod::Mtls,
        }
    }

    /// What a service wants the client to be told; none: it is not by its word that nobody is known.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Token(_) | Self::ApiKey(_) | Self::Basic(_) | Self::Mtls(_) => None,
            Self::External(error) => error.refusal(),
        }
    }

    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::ApiKey(error) => error.reason(),
            Self::Basic(error) => error.reason(),
            Self::External(error) => error.reason(),
            Self::Mtls(error) => error.reason(),
        }
    }

    /// Status, reason code, and the body's `error`.
    pub(crate) fn summary(&self) -> (StatusCode, &'static str, &'static str) {
        let (status, error) = match self {
            Self::External(ExternalError::Forbidden(refusal)) => (refusal.status, "forbidden"),
            Self::External(ExternalError::Unauthorized(refusal)) => (refusal.status, "unauthorized"),
            Self::External(ExternalError::Late | ExternalError::Failed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "auth_unavailable")
            }
            Self::Basic(BasicError::Busy) | Self::External(ExternalError::Busy) => {
                (StatusCode::SERVICE_UNAVAILABLE, "too_busy")
            }
            // Whoever he is, he is not one of those.
            Self::Mtls(MtlsError::Name) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Token(_) | Self::ApiKey(_) | Self::Basic(_) | Self::Mtls(MtlsError::Missing) => {
                (StatusCode::UNAUTHORIZED, "unauthorized")
            }
        };
        (status, self.reason(), error)
    }
}

impl Unidentified {
    /// Whether his password is still to be judged.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.error == CallerError::Basic(BasicError::Busy)
    }
}

/// Why it is not known who sends a request, and what a client is told to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unidentified {
    /// Why.
    pub error: CallerError,
    /// One `WWW-Authenticate` each (RFC 9110 section 11.6.1).
    pub challenges: Vec<HeaderValue>,
}
