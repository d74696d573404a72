//! Whether a token of one provider is believed (RFC 7519 section 7.2).
//!
//! The order matters: the algorithm is allowed by the configuration, then the key is found by its name and is for that
//! algorithm, then the signature is the key's; only then are claims looked at. So nothing that a forger writes is
//! believed, and what a refusal says tells him nothing of what a true token would hold.

use std::{sync::Arc, time::Duration};

use apigw_config::model::{Provider, ProviderKind};
use serde_json::{Map, Value};

use super::{
    algorithm::{Algorithm, AlgorithmSet},
    claims::Claims,
    error::JwtError,
    keys::KeySet,
    mark::Mark,
    time::UnixTime,
    token::Token,
};

/// What the tokens of a provider must say.
#[derive(Debug, Clone)]
pub struct Verifier {
    name: Arc<str>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: AlgorithmSet,
    leeway: Duration,
    mark: Mark,
}

/// What a provider's configuration demands.
#[derive(Debug, Clone)]
pub struct Demands {
    /// Accepted `iss`; none: any, or no `iss`.
    pub issuers: Vec<String>,
    /// Accepted `aud`; none: any, or no `aud`.
    pub audiences: Vec<String>,
    /// Accepted `alg`.
    pub algorithms: AlgorithmSet,
    /// Allowance for clocks that differ, on `exp` and `nbf`.
    pub leeway: Duration,
}

/// A token that was found to be true, until it expires or its key or provider changes.
#[derive(Debug, Clone)]
pub struct Verified {
    provider: Arc<str>,
    claims: Claims,
    expires: UnixTime,
    pub(super) verifier: Mark,
    pub(super) key_set: Mark,
    /// None: the token named no key, so another set, even with the same key in it, may give another answer.
    pub(super) key: Option<Mark>,
}

impl Verified {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The name of the provider whose token it is.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// From when on it is not believed: `exp` and the leeway.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    #[cfg(test)]
    pub(super) fn ending_at(&self, expires: UnixTime) -> Self {
        Self { expires, ..self.clone() }
    }
}

impl From<&Provider> for Verifier {
    /// As the file says; with a shared secret by HS256 and nothing else.
    fn from(provider: &Provider) -> Self {
        let algorithms = match &provider.kind {
            ProviderKind::Jwks(jwks) => {
                jwks.algorithms.as_slice().iter().copied().map(Algorithm::from).collect()
            }
            ProviderKind::Hmac(_) => AlgorithmSet::of(&[Algorithm::Hs256]),
        };
        let demands = Demands {
            issuers: provider.issuers.clone(),
            audiences: provider.audiences.clone(),
            algorithms,
            leeway: provider.leeway.duration(),
        };
        Self::new(provider.name.as_str(), demands)
    }
}

impl Verifier {
    /// The verifier of the provider with this name.
    #[must_use]
    pub fn new(name: &str, demands: Demands) -> Self {
        let Demands { issuers, audiences, algorithms, leeway } = demands;
        let texts = |texts: &[String]| Mark::of(texts.iter().map(String::as_bytes));
        let mark = Mark::of([
            name.as_bytes(),
            texts(&issuers).as_bytes(),
            texts(&audiences).as_bytes(),
            &algorithms.bits().to_be_bytes(),
            &leeway.as_nanos().to_be_bytes(),
        ]);
        Self { name: name.into(), issuers, audiences, algorithms, leeway, mark }
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Accepted `iss`; none: any.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Equal for providers of the same name and demands.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Judges a token.
    ///
    /// # Errors
    /// When it is not believed; the first reason in the order of the module's head.
    pub fn verify(&self, token: &Token<'_>, keys: &KeySet, now: UnixTime) -> Result<Verified, JwtError> {
        let algorithm = token
            .algorithm()
            .filter(|algorithm| self.algorithms.contains(*algorithm))
            .ok_or(JwtError::Algorithm)?;
        let key = keys.select(algorithm, token.kid())?;
        if !key.verifies(algorithm, token.signing_input(), token.signature()) {
            return Err(JwtError::Signature);
        }
        let claims = token.unverified_claims();
        let expires = self.check_claims(claims, now)?;
        Ok(Verified {
            provider: Arc::clone(&self.name),
            claims: Claims::new(claims.clone()),
            expires,
            verifier: self.mark,
            key_set: keys.mark(),
            key: token.kid().map(|_| key.mark()),
        })
    }

    /// Types first: a token that writes them wrongly is not read loosely. Gives the moment the token ends.
    fn check_claims(&self, claims: &Map<String, Value>, now: UnixTime) -> Result<UnixTime, JwtError> {
        let RegisteredClaims { issuer, audiences, expires, not_before } = RegisteredClaims::read(claims)?;
        // RFC 7519 section 4.1.4: "on or after" is too late.
        let expires = expires.plus(self.leeway);
        if now >= expires {
            return Err(JwtError::Expired);
        }
        if not_before.is_some_and(|not_before| now.plus(self.leeway) < not_before) {
            return Err(JwtError::NotYetValid);
        }
        let is_listed = |list: &[String], text: &str| list.iter().any(|listed| listed == text);
        if !self.issuers.is_empty() && !issuer.is_some_and(|issuer| is_listed(&self.issuers, issuer)) {
            return Err(JwtError::Issuer);
        }
        if !self.audiences.is_empty()
            && !audiences.iter().any(|audience| is_listed(&self.audiences, audience))
        {
            return Err(JwtError::Audience);
        }
        Ok(expires)
    }
}

/// The claims of RFC 7519 section 4.1, in their types.
struct RegisteredClaims<'a> {
    issuer: Option<&'a str>,
    audiences: Vec<&'a str>,
    expires: UnixTime,
    not_before: Option<UnixTime>,
}

impl<'a> RegisteredClaims<'a> {
    fn read(claims: &'a Map<String, Value>) -> Result<Self, JwtError> {
        let text = |name| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(JwtError::Claims),
        };
        let time = |name| match claims.get(name) {
            None => Ok(None),
            Some(value) => UnixTime::from_json(value).map(Some).ok_or(JwtError::Claims),
        };
        let audiences = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(audience)) => vec![audience.as_str()],
            Some(Value::Array(audiences)) => {
                let texts: Option<Vec<_>> = audiences.iter().map(Value::as_str).collect();
                texts.ok_or(JwtError::Claims)?
            }
            Some(_) => return Err(JwtError::Claims),
        };
        text("sub")?;
        text("jti")?;
        time("iat")?;
        Ok(Self {
            issuer: text("iss")?,
            audiences,
            expires: time("exp")?.ok_or(JwtError::Claims)?,
            not_before: time("nbf")?,
        })
    }
}

#[cfg(test)]
mod tests;
