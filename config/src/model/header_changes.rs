//! What a route changes of header fields, as far as a file describes it. Doing it is the engine's business.

use std::collections::BTreeMap;

use crate::names::{ValueError, ValueTemplate, WritableHeader};

/// `request_headers` and `response_headers`: removed first, then set, then added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderChanges {
    remove: Vec<WritableHeader>,
    set: BTreeMap<WritableHeader, ValueTemplate>,
    add: BTreeMap<WritableHeader, ValueTemplate>,
}

impl HeaderChanges {
    /// The most fields of each kind.
    pub const MAX_FIELDS: usize = 64;

    /// Takes changes.
    ///
    /// # Errors
    /// When there are too many of a kind.
    pub fn new(
        remove: Vec<WritableHeader>,
        set: BTreeMap<WritableHeader, ValueTemplate>,
        add: BTreeMap<WritableHeader, ValueTemplate>,
    ) -> Result<Self, ValueError> {
        match [remove.len(), set.len(), add.len()].into_iter().find(|count| *count > Self::MAX_FIELDS) {
            Some(count) => Err(ValueError::TooMany { count, limit: Self::MAX_FIELDS }),
            None => Ok(Self { remove, set, add }),
        }
    }

    /// Fields that are taken away.
    #[must_use]
    pub fn remove(&self) -> &[WritableHeader] {
        &self.remove
    }

    /// Fields that have one value, whatever they had.
    #[must_use]
    pub fn set(&self) -> &BTreeMap<WritableHeader, ValueTemplate> {
        &self.set
    }

    /// Values beside those that are there.
    #[must_use]
    pub fn add(&self) -> &BTreeMap<WritableHeader, ValueTemplate> {
        &self.add
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// All values that are written.
    pub fn templates(&self) -> impl Iterator<Item = (&WritableHeader, &ValueTemplate)> {
        self.set.iter().chain(&self.add)
    }
}

/// `response_headers`: changes that say nothing of callers, since answers are written for those who are not known, too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerChanges(HeaderChanges);

impl AnswerChanges {
    /// Takes changes.
    ///
    /// # Errors
    /// When one of them tells a claim.
    pub fn new(changes: HeaderChanges) -> Result<Self, ValueError> {
        if changes.templates().any(|(_, template)| template.has_claims()) {
            return Err(ValueError::ClaimInAnswer);
        }
        Ok(Self(changes))
    }

    /// The changes.
    #[must_use]
    pub fn as_changes(&self) -> &HeaderChanges {
        &self.0
    }
}
