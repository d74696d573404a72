//! How callers are known: the providers of tokens, and what a route asks of its callers. Nothing here sees a token.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::names::{
    Algorithms, ClaimName, ClaimValue, ForwardedHeader, Period, PolicyMode, ProviderName, Secret, Span,
    TokenScope, UpstreamUrl, ValueError,
};

/// `auth`: whose tokens make a caller known. At least one provider; their names are unique.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    providers: Vec<Provider>,
}

/// A rule that no single provider can break by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Without a provider nobody can be known.
    #[error("at least one provider is needed")]
    NoProviders,
    /// Two providers have one name.
    #[error("the name \"{name}\" is already taken by auth.providers[{first}]")]
    DuplicateName {
        /// The name both have.
        name: ProviderName,
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
}

impl Auth {
    /// Takes providers, in the order of the file.
    ///
    /// # Errors
    /// Every broken rule: no provider at all, names given twice.
    pub fn new(providers: Vec<Provider>) -> Result<Self, Vec<AuthError>> {
        let errors = provider_conflicts(providers.iter().map(|provider| Some(&provider.name)));
        if errors.is_empty() { Ok(Self { providers }) } else { Err(errors) }
    }

    /// The providers, at least one.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider of that name.
    #[must_use]
    pub fn provider(&self, name: &ProviderName) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == *name)
    }
}

impl From<Provider> for Auth {
    fn from(provider: Provider) -> Self {
        Self { providers: vec![provider] }
    }
}

/// The rules across providers. One without a name could not be read, and breaks none of them.
pub(crate) fn provider_conflicts<'a>(
    names: impl Iterator<Item = Option<&'a ProviderName>>,
) -> Vec<AuthError> {
    let mut errors = Vec::new();
    let mut owners = HashMap::new();
    let mut count = 0;
    for (index, name) in names.enumerate() {
        count += 1;
        let Some(name) = name else { continue };
        let first = *owners.entry(name).or_insert(index);
        if first != index {
            errors.push(AuthError::DuplicateName { name: name.clone(), first, second: index });
        }
    }
    if count == 0 {
        errors.push(AuthError::NoProviders);
    }
    errors
}

/// One provider of tokens: how its signatures are checked, and what its tokens must say.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Unique in the configuration; "default" where the file does not name its only one.
    pub name: ProviderName,
    /// How signatures are checked.
    pub kind: ProviderKind,
    /// Accepted `iss`; empty: any.
    pub issuers: Vec<String>,
    /// Accepted `aud`; empty: any.
    pub audiences: Vec<String>,
    /// Allowance for clocks that differ.
    pub leeway: Span,
}

impl Provider {
    /// The allowance where the file names none.
    pub const DEFAULT_LEEWAY: Span = Span::seconds(30);
}

/// How the signatures of a provider's tokens are checked.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderKind {
    /// With the public keys of an issuer, which are fetched.
    Jwks(Jwks),
    /// With a shared secret, by HS256 and nothing else.
    Hmac(Secret),
}

/// Where an issuer's key set is, and what its keys may be used for.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwks {
    /// Where the key set is.
    pub url: UpstreamUrl,
    /// RS256 where the file names none.
    pub algorithms: Algorithms,
    /// How long a fetched key set counts as fresh.
    pub cache_ttl: Period,
    /// For one fetch.
    pub http_timeout: Period,
}

/// `routes[].auth`: which callers a route serves, and what its upstream learns of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteAuth {
    /// Whose tokens are accepted; empty: those of every provider.
    pub providers: Vec<ProviderName>,
    /// Scopes that a token must all grant.
    pub required_scopes: Vec<TokenScope>,
    /// Claims that a token must all have, with their values.
    pub required_claims: BTreeMap<ClaimName, ClaimValue>,
    /// Claims that the upstream is told.
    pub forward_claims: ForwardedClaims,
    /// What follows from the judgement.
    pub mode: PolicyMode,
}

impl RouteAuth {
    /// Whether it says anything of callers, which then must be known.
    #[must_use]
    pub fn needs_callers(&self) -> bool {
        let Self { providers, required_scopes, required_claims, forward_claims, mode: _ } = self;
        !(providers.is_empty()
            && required_scopes.is_empty()
            && required_claims.is_empty()
            && forward_claims.as_map().is_empty())
    }
}

/// `routes[].auth.forward_claims`: the header field of each claim that an upstream is told. No two have one field, nor
/// two that servers take for one (`x-user` and `x_user`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardedClaims(BTreeMap<ClaimName, ForwardedHeader>);

impl ForwardedClaims {
    /// Takes claims and their header fields.
    ///
    /// # Errors
    /// When two claims have one field.
    pub fn new(headers: BTreeMap<ClaimName, ForwardedHeader>) -> Result<Self, ValueError> {
        let mut spellings = HashSet::new();
        match headers.values().find(|header| !spellings.insert(header.spelling())) {
            Some(header) => Err(ValueError::SharedHeader { name: header.name().as_str().into() }),
            None => Ok(Self(headers)),
        }
    }

    /// The claims and their header fields, in the order of the claims' names.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<ClaimName, ForwardedHeader> {
        &self.0
    }
}
