//! What a route asks of its callers, and what its upstream is told of them. Nothing here sees a token or a key.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use super::{ExternalAuth, Mtls, PolicyError};
use crate::names::{
    AuthMethod, ClaimName, ClaimValue, ForwardedHeader, PolicyMode, ProviderName, TokenScope, ValueError,
    check_distinct,
};

/// `routes[].auth`: which callers a route serves, and what its upstream learns of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteAuth {
    /// How callers make themselves known; none: by a token.
    pub methods: Option<AuthMethods>,
    /// The service that is asked; none: no service is. Where none of the methods is to ask it, it is asked after them, and has to
    /// agree.
    pub external: Option<Box<ExternalAuth>>,
    /// Whose certificates count, where that is one of the methods; none: nobody's.
    pub mtls: Option<Box<Mtls>>,
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
        let Self {
            methods,
            external,
            mtls,
            providers,
            required_scopes,
            required_claims,
            forward_claims,
            mode: _,
        } = self;
        !(methods.is_none()
            && external.is_none()
            && mtls.is_none()
            && providers.is_empty()
            && required_scopes.is_empty()
            && required_claims.is_empty()
            && forward_claims.as_map().is_empty())
    }

    /// In how callers make themselves known, in the order of the file.
    #[must_use]
    pub fn methods(&self) -> &[AuthMethod] {
        self.methods.as_ref().map_or(&[AuthMethod::Jwt], AuthMethods::as_slice)
    }

    /// The service that is asked when a caller has made himself known by all that is asked for, and has to agree; none: there is
    /// none, or it is one of the methods.
    #[must_use]
    pub fn second_opinion(&self) -> Option<&ExternalAuth> {
        self.external.as_deref().filter(|_| !self.methods().contains(&AuthMethod::External))
    }

    /// What it says, if its parts go together.
    ///
    /// # Errors
    /// When it speaks of tokens where callers do not make themselves known by any, or of a service or of certificates
    /// and does not say which.
    pub(crate) fn checked(self) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if !self.providers.is_empty() && !self.methods().contains(&AuthMethod::Jwt) {
            errors.push(PolicyError { key: "providers", error: ValueError::NoTokens });
        }
        if let Some(methods) = &self.methods
            && methods.as_slice().contains(&AuthMethod::External)
            && self.external.is_none()
        {
            errors.push(PolicyError { key: methods.combination().key(), error: ValueError::NoService });
        }
        match (&self.methods, &self.mtls) {
            (Some(methods), None) if methods.as_slice().contains(&AuthMethod::Mtls) => {
                errors.push(PolicyError {
                    key: methods.combination().key(),
                    error: ValueError::NoCertificates,
                });
            }
            (_, Some(_)) if !self.methods().contains(&AuthMethod::Mtls) => {
                errors.push(PolicyError { key: "mtls", error: ValueError::CertificatesUnasked });
            }
            _ => {}
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}

/// `any` and `all` of `routes[].auth`: in how a caller makes himself known. At least one method, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthMethods {
    combination: Combination,
    methods: Vec<AuthMethod>,
}

/// How many of the methods a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    /// One of them; the first in the order of the file counts.
    Any,
    /// Each; whom the first makes known is the caller.
    All,
}

impl Combination {
    /// The key in the file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

impl AuthMethods {
    /// Takes methods in the order of the file.
    ///
    /// # Errors
    /// When there is none, one is there twice, or no request could satisfy all.
    pub fn new(combination: Combination, methods: Vec<AuthMethod>) -> Result<Self, ValueError> {
        if methods.is_empty() {
            return Err(ValueError::Empty);
        }
        check_distinct(&methods)?;
        let both = [AuthMethod::Jwt, AuthMethod::Basic];
        if combination == Combination::All && both.iter().all(|method| methods.contains(method)) {
            return Err(ValueError::OneAuthorization);
        }
        Ok(Self { combination, methods })
    }

    /// How many of them a caller needs.
    #[must_use]
    pub fn combination(&self) -> Combination {
        self.combination
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[AuthMethod] {
        &self.methods
    }

    /// Whether whoever makes himself known in these ways is known.
    #[must_use]
    pub fn suffices(&self, known: &[AuthMethod]) -> bool {
        match self.combination {
            Combination::Any => self.methods.iter().any(|method| known.contains(method)),
            Combination::All => self.methods.iter().all(|method| known.contains(method)),
        }
    }

    /// The sets of ways that suffice, and would not without any of theirs.
    pub fn least(&self) -> impl Iterator<Item = &[AuthMethod]> {
        let length = match self.combination {
            Combination::Any => 1,
            Combination::All => self.methods.len(),
        };
        self.methods.chunks(length)
    }
}

impl Default for AuthMethods {
    /// Where the file says nothing: by a token.
    fn default() -> Self {
        Self { combination: Combination::Any, methods: vec![AuthMethod::Jwt] }
    }
}

impl fmt::Display for AuthMethods {
    /// Such as `any of jwt, api_key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            match index {
                0 if self.methods.len() == 1 => {}
                0 => write!(f, "{} of ", self.combination.key())?,
                _ => f.write_str(", ")?,
            }
            f.write_str(method.as_str())?;
        }
        Ok(())
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
