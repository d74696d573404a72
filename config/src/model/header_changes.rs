//! What a route changes of header fields, as far as a file describes it. Doing it is the engine's business.

use std::collections::BTreeMap;

use crate::names::{AnswerPreset, ValueError, ValueTemplate, WritableHeader};

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

/// `response_headers`: what a preset says, then changes. These say nothing of callers, since answers are written for those who
/// are not known, too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerChanges {
    preset: AnswerPreset,
    changes: HeaderChanges,
}

impl AnswerChanges {
    /// Takes changes.
    ///
    /// # Errors
    /// When one of them tells a claim.
    pub fn new(changes: HeaderChanges) -> Result<Self, ValueError> {
        if changes.templates().any(|(_, template)| template.has_claims()) {
            return Err(ValueError::ClaimInAnswer);
        }
        Ok(Self { preset: AnswerPreset::None, changes })
    }

    /// The same after what a preset says.
    #[must_use]
    pub fn with_preset(self, preset: AnswerPreset) -> Self {
        Self { preset, ..self }
    }

    /// What answers say before they are changed.
    #[must_use]
    pub fn preset(&self) -> AnswerPreset {
        self.preset
    }

    /// The changes.
    #[must_use]
    pub fn as_changes(&self) -> &HeaderChanges {
        &self.changes
    }

    /// Whether answers remain what they are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.preset == AnswerPreset::None && self.changes.is_empty()
    }
}
