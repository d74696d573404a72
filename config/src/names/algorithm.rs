//! The signature algorithms that a token may have. Nothing here verifies one.

use std::str::FromStr;

use super::ValueError;

/// A JWS signature algorithm a provider may allow (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the registered ones")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Ps256, "PS256"),
        (Self::Ps384, "PS384"),
        (Self::Ps512, "PS512"),
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::EdDsa, "EdDSA"),
    ];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Algorithm {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(algorithm, _)| *algorithm);
        found.ok_or_else(|| ValueError::UnknownChoice {
            choices: "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
            text: text.into(),
        })
    }
}

/// The algorithms that an issuer's tokens may have: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(Vec<Algorithm>);

impl Algorithms {
    /// Takes algorithms; their order decides nothing.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(algorithms: Vec<Algorithm>) -> Result<Self, ValueError> {
        if algorithms.is_empty() { Err(ValueError::Empty) } else { Ok(Self(algorithms)) }
    }

    /// The algorithms, at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[Algorithm] {
        &self.0
    }
}

impl Default for Algorithms {
    /// What issuers use that say nothing of it: RS256 alone.
    fn default() -> Self {
        Self(vec![Algorithm::Rs256])
    }
}
