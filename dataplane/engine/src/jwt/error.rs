//! Why a token is not believed, in the words that logs, metrics and clients get. Nothing here holds a part of a token.

use http::HeaderValue;

/// Why a request does not show who sends it. In the order a token meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JwtError {
    /// There is no `Authorization` header.
    #[error("no credentials were sent")]
    Missing,
    /// More than one `Authorization` header: it is not clear which is meant.
    #[error("more than one Authorization header")]
    Several,
    /// An `Authorization` header of another scheme than Bearer.
    #[error("the Authorization header is not a bearer token")]
    Scheme,
    /// More than anybody needs.
    #[error("the token is too large")]
    TooLarge,
    /// Not a JSON Web Signature in its compact form, or not JSON of one meaning inside.
    #[error("the token is malformed")]
    Malformed,
    /// It demands to be understood (`crit`), and it is not.
    #[error("the token has critical header parameters")]
    Critical,
    /// None of the providers that the route accepts issues such tokens.
    #[error("the token's issuer is not accepted")]
    Issuer,
    /// Signed, if at all, in a way that the provider, or the key, does not allow.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// The keys of its provider were never fetched.
    #[error("the provider's keys are not available")]
    KeysUnavailable,
    /// No key of its provider has its `kid`; or it names none and more than one key, or none, would do.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A registered claim of the wrong type, or no `exp`.
    #[error("the token's claims are malformed")]
    Claims,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
}

/// What a challenge tells a client (RFC 6750 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BearerError {
    /// The request is not one that could be authorised.
    InvalidRequest,
    /// The token is of no use.
    InvalidToken,
}

impl JwtError {
    /// Each of them once.
    pub const ALL: [Self; 15] = [
        Self::Missing,
        Self::Several,
        Self::Scheme,
        Self::TooLarge,
        Self::Malformed,
        Self::Critical,
        Self::Issuer,
        Self::Algorithm,
        Self::KeysUnavailable,
        Self::UnknownKey,
        Self::Signature,
        Self::Claims,
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
    ];

    /// The stable reason code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "jwt_missing",
            Self::Several => "jwt_several",
            Self::Scheme => "jwt_scheme",
            Self::TooLarge => "jwt_too_large",
            Self::Malformed => "jwt_malformed",
            Self::Critical => "jwt_critical",
            Self::Issuer => "jwt_issuer",
            Self::Algorithm => "jwt_algorithm",
            Self::KeysUnavailable => "jwt_keys_unavailable",
            Self::UnknownKey => "jwt_unknown_key",
            Self::Signature => "jwt_signature",
            Self::Claims => "jwt_claims",
            Self::Expired => "jwt_expired",
            Self::NotYetValid => "jwt_not_yet_valid",
            Self::Audience => "jwt_audience",
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3).
    #[must_use]
    pub fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self.bearer_error() {
            None => "Bearer",
            Some(BearerError::InvalidRequest) => "Bearer error=\"invalid_request\"",
            Some(BearerError::InvalidToken) => "Bearer error=\"invalid_token\"",
        })
    }

    /// The error of the challenge. None where the client sent no token, and so did nothing wrong with one (RFC 6750
    /// section 3.1), and where a good token may be refused because the gateway has no keys: no client should throw its
    /// token away for that.
    fn bearer_error(self) -> Option<BearerError> {
        match self {
            Self::Missing | Self::Scheme | Self::KeysUnavailable => None,
            Self::Several => Some(BearerError::InvalidRequest),
            Self::TooLarge
            | Self::Malformed
            | Self::Critical
            | Self::Issuer
            | Self::Algorithm
            | Self::UnknownKey
            | Self::Signature
            | Self::Claims
            | Self::Expired
            | Self::NotYetValid
            | Self::Audience => Some(BearerError::InvalidToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_error_has_a_reason_of_its_own() {
        let reasons: HashSet<_> = JwtError::ALL.iter().map(|error| error.reason()).collect();
        assert_eq!(reasons.len(), JwtError::ALL.len());
        assert!(reasons.iter().all(|reason| reason.starts_with("jwt_")));
    }

    #[test]
    fn clients_that_sent_no_token_are_told_of_no_error() {
        let silent: Vec<_> =
            JwtError::ALL.into_iter().filter(|error| error.bearer_error().is_none()).collect();
        assert_eq!(silent, [JwtError::Missing, JwtError::Scheme, JwtError::KeysUnavailable]);
        assert_eq!(JwtError::Missing.challenge(), "Bearer");
        assert_eq!(JwtError::Several.challenge(), r#"Bearer error="invalid_request""#);
        assert_eq!(JwtError::Expired.challenge(), r#"Bearer error="invalid_token""#);
    }
}
