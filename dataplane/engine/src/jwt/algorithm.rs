//! How tokens are signed (RFC 7518 section 3.1, RFC 8037 section 3.1), and sets of such ways.

use apigw_config::names;

/// A signature algorithm.
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
    Hs256,
}

impl Algorithm {
    /// Each of them once.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
    ];

    /// The algorithm with this registered name. Names are case-sensitive, and `none` is not one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// What the library that verifies calls it.
    pub(super) const fn in_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl From<names::Algorithm> for Algorithm {
    fn from(algorithm: names::Algorithm) -> Self {
        match algorithm {
            names::Algorithm::Rs256 => Self::Rs256,
            names::Algorithm::Rs384 => Self::Rs384,
            names::Algorithm::Rs512 => Self::Rs512,
            names::Algorithm::Ps256 => Self::Ps256,
            names::Algorithm::Ps384 => Self::Ps384,
            names::Algorithm::Ps512 => Self::Ps512,
            names::Algorithm::Es256 => Self::Es256,
            names::Algorithm::Es384 => Self::Es384,
            names::Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

/// A set of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// What an RSA key can verify.
    pub const RSA: Self = Self::of(&[
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ]);

    /// The algorithms listed.
    #[must_use]
    pub const fn of(algorithms: &[Algorithm]) -> Self {
        let mut set = Self(0);
        let mut index = 0;
        while index < algorithms.len() {
            set.0 |= 1 << algorithms[index] as u16;
            index += 1;
        }
        set
    }

    /// Whether the algorithm is in the set.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// Whether the sets have an algorithm in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set as a number: equal for equal sets, stable within a process.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        algorithms.into_iter().fold(Self::default(), |set, algorithm| Self(set.0 | Self::of(&[algorithm]).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exactly_the_registered_ones() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
            assert_eq!(format!("{:?}", algorithm.in_library()), algorithm.name());
        }
        for name in
            ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS512", "ES512", "ES256K", "RS256\0"]
        {
            assert_eq!(Algorithm::named(name), None, "{name:?}");
        }
    }

    #[test]
    fn configured_names_mean_the_same() {
        for algorithm in Algorithm::ALL {
            if let Ok(configured) = algorithm.name().parse::<names::Algorithm>() {
                assert_eq!(Algorithm::from(configured), algorithm);
            } else {
                assert_eq!(
                    algorithm,
                    Algorithm::Hs256,
                    "only a secret's algorithm is not configured by name"
                );
            }
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        for (index, one) in Algorithm::ALL.into_iter().enumerate() {
            let set = AlgorithmSet::of(&[one]);
            for (other_index, other) in Algorithm::ALL.into_iter().enumerate() {
                assert_eq!(set.contains(other), index == other_index);
                assert_eq!(set.overlaps(AlgorithmSet::from_iter([other])), index == other_index);
            }
        }
    }
}
