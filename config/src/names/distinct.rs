//! Lists in which nothing may stand twice.

use std::{collections::BTreeSet, fmt};

use super::ValueError;

/// # Errors
/// When an item is there twice; it is told.
pub(crate) fn check_distinct<T: Ord + fmt::Display>(items: &[T]) -> Result<(), ValueError> {
    let mut seen = BTreeSet::new();
    match items.iter().find(|item| !seen.insert(*item)) {
        Some(twice) => Err(ValueError::Twice { text: twice.to_string() }),
        None => Ok(()),
    }
}
