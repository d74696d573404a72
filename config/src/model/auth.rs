//! How callers are known: by the tokens of providers, and by files of credentials. Nothing here sees a token or a key.

use std::collections::HashMap;

use super::CredentialFiles;
use crate::names::{Algorithms, AuthMethod, Period, ProviderName, Secret, Span, UpstreamUrl};

/// `auth`: what makes a caller known. There is at least one provider or file; the names of providers are unique.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    providers: Vec<Provider>,
    files: CredentialFiles,
}

/// A rule that no single provider can break by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Without a provider, and without files, nobody can be known.
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
    /// Takes providers, in the order of the file, and files of credentials.
    ///
    /// # Errors
    /// Every broken rule: nothing by which anybody is known, names given twice.
    pub fn new(providers: Vec<Provider>, files: CredentialFiles) -> Result<Self, Vec<AuthError>> {
        let errors = provider_conflicts(providers.iter().map(|provider| Some(&provider.name)), &files);
        if errors.is_empty() { Ok(Self { providers, files }) } else { Err(errors) }
    }

    /// Whether anybody can make himself known like this.
    #[must_use]
    pub fn offers(&self, method: AuthMethod) -> bool {
        match method {
            AuthMethod::Jwt => !self.providers.is_empty(),
            AuthMethod::ApiKey => self.files.api_keys.is_some(),
            AuthMethod::Basic => self.files.basic.is_some(),
            // A route says itself which service that is, and whose certificates count.
            AuthMethod::External | AuthMethod::Mtls => true,
        }
    }

    /// The files of credentials.
    #[must_use]
    pub fn files(&self) -> &CredentialFiles {
        &self.files
    }

    /// The providers; none: nobody is known by a token.
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
        Self { providers: vec![provider], files: CredentialFiles::default() }
    }
}

/// The rules across providers. One without a name could not be read, and breaks none of them.
pub(crate) fn provider_conflicts<'a>(
    names: impl Iterator<Item = Option<&'a ProviderName>>,
    files: &CredentialFiles,
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
    if count == 0 && *files == CredentialFiles::default() {
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
