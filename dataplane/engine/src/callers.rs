//! Who sends a request, however he makes himself known. Tokens are judged in [`jwt`](crate::jwt); here are the other
//! credentials, and what follows where a route takes several.

/// By an API key.
pub mod api_key;
/// By a name and a password.
pub mod basic;
/// By any of several, or by all.
pub mod methods;
/// Passwords that were judged before.
pub mod remembered;

use std::sync::Arc;

use apigw_config::names::AuthMethod;
use http::HeaderValue;

use self::{api_key::ApiKeyError, basic::BasicError};
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
        }
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
        }
    }
}

/// Why a request does not show who sends it, by one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}

impl CallerError {
    /// That the request has no credentials for a method.
    #[must_use]
    pub fn absent(method: AuthMethod) -> Self {
        match method {
            AuthMethod::Jwt => JwtError::Missing.into(),
            AuthMethod::ApiKey => ApiKeyError::Missing.into(),
            AuthMethod::Basic => BasicError::Missing.into(),
        }
    }

    /// Whether the request has no credentials for the method, so that it does not fail by bad ones.
    #[must_use]
    pub fn is_absent(self) -> bool {
        match self {
            Self::Token(error) => matches!(error, JwtError::Missing | JwtError::Scheme),
            Self::ApiKey(error) => error == ApiKeyError::Missing,
            Self::Basic(error) => error == BasicError::Missing,
        }
    }

    /// Whether nobody has looked at the credentials for want of time: they may be good.
    #[must_use]
    pub fn is_overload(self) -> bool {
        self == Self::Basic(BasicError::Busy)
    }

    /// The method by which nobody is known.
    #[must_use]
    pub fn method(self) -> AuthMethod {
        match self {
            Self::Token(_) => AuthMethod::Jwt,
            Self::ApiKey(_) => AuthMethod::ApiKey,
            Self::Basic(_) => AuthMethod::Basic,
        }
    }

    /// Stable code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::ApiKey(error) => error.reason(),
            Self::Basic(error) => error.reason(),
        }
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
