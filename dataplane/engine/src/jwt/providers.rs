//! Whether a token of any provider is believed. The provider is chosen by what the token says of its issuer; whether that
//! is true, only the provider's keys can tell.

use std::sync::Arc;

use super::{
    cache::{Standing, TokenCache},
    error::JwtError,
    keys::KeySet,
    mark::Mark,
    time::UnixTime,
    token::Token,
    verify::{Verified, Verifier},
};

/// A provider's place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProviderIndex(pub usize);

/// All providers of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Providers(Vec<Verifier>);

/// Which providers' tokens a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Any provider's.
    All,
    /// Only theirs.
    Only(Vec<ProviderIndex>),
}

impl Accepted {
    fn contains(&self, provider: ProviderIndex) -> bool {
        match self {
            Self::All => true,
            Self::Only(listed) => listed.contains(&provider),
        }
    }
}

/// Where the providers' keys are: whatever holds them for as long as they are read.
pub trait KeySets {
    /// Reads a provider's keys; none, if they were never fetched.
    fn read<R>(&self, provider: ProviderIndex, read: impl FnOnce(Option<&KeySet>) -> R) -> R;
}

/// Why no provider believes a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// The reason.
    pub error: JwtError,
    /// Providers whose next key set may tell more: they have none yet, or none with the token's key.
    pub awaited: Vec<ProviderIndex>,
}

impl From<JwtError> for Refusal {
    fn from(error: JwtError) -> Self {
        Self { error, awaited: Vec::new() }
    }
}

impl Providers {
    /// The providers in the order of the configuration.
    #[must_use]
    pub fn new(verifiers: Vec<Verifier>) -> Self {
        Self(verifiers)
    }

    /// The provider with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<ProviderIndex> {
        self.0.iter().position(|verifier| verifier.name() == name).map(ProviderIndex)
    }

    /// Judges the token of a request: a token that was believed before costs no signature check while its key stays.
    ///
    /// # Errors
    /// When no accepted provider believes it.
    pub fn judge(
        &self,
        token: &str,
        accepted: &Accepted,
        keys: &impl KeySets,
        cache: &mut TokenCache,
        now: UnixTime,
    ) -> Result<Arc<Verified>, Refusal> {
        let standing = |verified: &Verified, key_set: Mark| self.standing(verified, key_set, accepted, keys);
        if let Some(verified) = cache.find(token, now, standing) {
            return Ok(verified);
        }
        let verified = Arc::new(self.verify(&Token::parse(token)?, accepted, keys, now)?);
        cache.insert(token, Arc::clone(&verified));
        Ok(verified)
    }

    /// Judges a token without memory of others.
    ///
    /// # Errors
    /// When no accepted provider believes it. Where several are asked, the reason of the one that got furthest.
    pub fn verify(
        &self,
        token: &Token<'_>,
        accepted: &Accepted,
        keys: &impl KeySets,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        let mut refusal = Refusal::from(JwtError::Issuer);
        for (index, verifier) in self.candidates(token.claimed_issuer()?, accepted) {
            let verdict =
                keys.read(index, |keys| verifier.verify(token, keys.ok_or(JwtError::KeysUnavailable)?, now));
            match verdict {
                Ok(verified) => return Ok(verified),
                Err(error) => {
                    let is_nameless = token.kid().is_none();
                    if error == JwtError::KeysUnavailable || error == JwtError::UnknownKey && !is_nameless {
                        refusal.awaited.push(index);
                    }
                    if distance(error) > distance(refusal.error) {
                        refusal.error = error;
                    }
                }
            }
        }
        Err(refusal)
    }

    /// The accepted providers that name the issuer; if there is none, those that take any issuer.
    fn candidates<'a>(
        &'a self,
        issuer: Option<&'a str>,
        accepted: &'a Accepted,
    ) -> impl Iterator<Item = (ProviderIndex, &'a Verifier)> {
        let names_it = move |verifier: &Verifier| {
            verifier.issuers().iter().any(|listed| Some(listed.as_str()) == issuer)
        };
        let of_route = move || {
            let all = self.0.iter().enumerate().map(|(index, verifier)| (ProviderIndex(index), verifier));
            all.filter(move |(index, _)| accepted.contains(*index))
        };
        let is_named = of_route().any(|(_, verifier)| names_it(verifier));
        of_route().filter(
            move |(_, verifier)| {
                if is_named { names_it(verifier) } else { verifier.issuers().is_empty() }
            },
        )
    }

    /// Whether a verdict of before would be given again.
    fn standing(
        &self,
        verified: &Verified,
        key_set: Mark,
        accepted: &Accepted,
        keys: &impl KeySets,
    ) -> Standing {
        let Some(index) = self.0.iter().position(|verifier| verifier.mark() == verified.verifier) else {
            return Standing::Fallen;
        };
        if !accepted.contains(ProviderIndex(index)) {
            return Standing::Elsewhere;
        }
        keys.read(ProviderIndex(index), |keys| match (keys, &verified.key) {
            (None, _) => Standing::Elsewhere,
            (Some(keys), _) if keys.mark() == key_set => Standing::Stands,
            (Some(keys), Some(key)) if keys.holds(key) => Standing::StandsUnder(keys.mark()),
            (Some(_), _) => Standing::Fallen,
        })
    }
}

/// How far a token came before it was refused; an operator is told of the furthest.
fn distance(error: JwtError) -> usize {
    JwtError::ALL.iter().position(|other| *other == error).unwrap_or_default()
}

#[cfg(test)]
mod tests;
