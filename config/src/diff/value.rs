//! The value of a key, as far as two of them are compared and shown.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use crate::json::Number;

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Truth(bool),
    /// Also times, in seconds.
    Number(Number),
    /// Words, addresses, names.
    Text(String),
    /// Several of them, in their order.
    List(Vec<String>),
    /// What is compared and never shown.
    Secret(Hidden),
    /// Keys beneath a key.
    Section(BTreeMap<String, Value>),
}

/// A text that can be compared, and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// What stands in its place.
    const SHOWN: &str = "(secret)";

    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::SHOWN)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(truth) => truth.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(texts) => write!(f, "[{}]", texts.join(", ")),
            Self::Secret(_) => f.write_str(Hidden::SHOWN),
            Self::Section(values) => {
                let values: Vec<_> = values.iter().map(|(key, value)| format!("{key} {value}")).collect();
                write!(f, "({})", values.join(", "))
            }
        }
    }
}
