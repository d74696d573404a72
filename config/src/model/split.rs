//! `routes[].split`: backends that share the requests of a route. Nothing here chooses one.

use std::collections::HashMap;

use super::HashKey;
use crate::names::{BackendName, SplitWeight};

/// Backends that share the requests of a route, by their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    parts: Vec<SplitPart>,
    by: Option<HashKey>,
}

/// One entry of `split`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPart {
    /// The name of a backend of the configuration.
    pub backend: BackendName,
    /// Its share of the requests.
    pub weight: SplitWeight,
}

/// What is not legal of a split as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing could take a request.
    #[error("at least one backend is needed")]
    NoParts,
    /// More than can be chosen from in no time.
    #[error("{count} backends, more than {}", Split::MAX_PARTS)]
    TooManyParts {
        /// How many.
        count: usize,
    },
    /// Every request would be refused.
    #[error("every weight is 0, at least one backend must take requests")]
    NoWeight,
    /// It would be unclear which of the weights is meant.
    #[error("the same backend as split[{first}]; give that one a higher weight")]
    DuplicateBackend {
        /// Index of the first of the two.
        first: usize,
        /// Index of the second.
        second: usize,
    },
}

impl SplitError {
    /// Which part has the fault; none: all of them together.
    #[must_use]
    pub fn part(&self) -> Option<usize> {
        match self {
            Self::NoParts | Self::TooManyParts { .. } | Self::NoWeight => None,
            Self::DuplicateBackend { second, .. } => Some(*second),
        }
    }
}

impl Split {
    /// The most backends: choosing looks at each of them.
    pub const MAX_PARTS: usize = 16;

    /// Backends that share requests; `by` is what of a request keeps it with its backend.
    ///
    /// # Errors
    /// Everything wrong with the parts.
    pub fn new(parts: Vec<SplitPart>, by: Option<HashKey>) -> Result<Self, Vec<SplitError>> {
        let errors = faults(&parts);
        if errors.is_empty() { Ok(Self { parts, by }) } else { Err(errors) }
    }

    /// At least one, of which at least one has a weight above 0; no two with one backend.
    #[must_use]
    pub fn parts(&self) -> &[SplitPart] {
        &self.parts
    }

    /// What keeps a request with its backend; none: each takes its turn.
    #[must_use]
    pub fn by(&self) -> Option<&HashKey> {
        self.by.as_ref()
    }
}

fn faults(parts: &[SplitPart]) -> Vec<SplitError> {
    if parts.is_empty() {
        return vec![SplitError::NoParts];
    }
    if parts.len() > Split::MAX_PARTS {
        return vec![SplitError::TooManyParts { count: parts.len() }];
    }
    let mut errors = Vec::new();
    if parts.iter().all(|part| part.weight.as_weight().is_none()) {
        errors.push(SplitError::NoWeight);
    }
    let mut places = HashMap::with_capacity(parts.len());
    for (second, part) in parts.iter().enumerate() {
        let first = *places.entry(&part.backend).or_insert(second);
        if first != second {
            errors.push(SplitError::DuplicateBackend { first, second });
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[(&str, u32)], expected: &[&str]) {
        let part = |(name, weight): &(&str, u32)| SplitPart {
            backend: BackendName::new(name).unwrap(),
            weight: SplitWeight::new(*weight).unwrap(),
        };
        let errors = Split::new(parts.iter().map(part).collect(), None).err().unwrap_or_default();
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected, "{parts:?}");
    }

    #[test]
    fn parts_are_different_backends_of_which_one_takes_requests() {
        check(&[("a", 0), ("b", 1)], &[]);
        check(&[("a", 1_000)], &[]);
        check(&[], &["at least one backend is needed"]);
        let twice = "the same backend as split[0]; give that one a higher weight";
        let none = "every weight is 0, at least one backend must take requests";
        check(&[("a", 0), ("b", 0), ("a", 0)], &[none, twice]);
    }

    #[test]
    fn there_are_so_many_parts_and_not_one_more() {
        let names: Vec<_> = (0..=Split::MAX_PARTS).map(|number| format!("b{number}")).collect();
        let parts: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        check(&parts[1..], &[]);
        check(&parts, &["17 backends, more than 16"]);
    }
}
