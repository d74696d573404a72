//! Reads a mapping whose keys are names of the user's: any may be there, each once.

use std::collections::BTreeMap;

use super::{Place, Read, Reader};
use crate::{
    names::{ClaimName, HeaderName, ValueError, WritableHeader},
    problem::Position,
    yaml::Value,
};

/// A name that may be a key.
pub(super) trait Key: Ord + Sized {
    fn from_key(text: &str) -> Result<Self, ValueError>;
}

impl Key for ClaimName {
    fn from_key(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl Key for WritableHeader {
    fn from_key(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl Key for HeaderName {
    fn from_key(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl<K: Key, V: Read> Read for BTreeMap<K, V> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let pairs = match &place.node.value {
            Value::Mapping(pairs) => pairs.as_slice(),
            // No key of such a mapping is one of the file's.
            Value::Probe => &[],
            _ => {
                reader.expected("a mapping", place);
                return None;
            }
        };
        let mut entries = Self::new();
        let mut first_places: BTreeMap<&str, Position> = BTreeMap::new();
        for pair in pairs {
            let parent = place.path;
            let path = parent.key(&pair.key);
            let first = *first_places.entry(&pair.key).or_insert(pair.position);
            if first != pair.position {
                let Position { line, column } = first;
                let message = format_args!("written twice, first in line {line}, column {column}");
                reader.problems.report(Some(pair.position), &path, message);
                continue;
            }
            let key = K::from_key(&pair.key);
            if let Err(error) = &key {
                reader.problems.report(Some(pair.position), &path, error);
            }
            let value = V::read(Place { node: &pair.value, path }, reader);
            entries.extend(key.ok().zip(value));
        }
        (entries.len() == pairs.len()).then_some(entries)
    }
}
