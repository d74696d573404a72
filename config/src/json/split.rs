//! Which backends share a route's requests, and which one is sent copies, as operators see it in JSON.

use std::fmt;

use apigw_proto::v1::{self, hash_key::Key};
use serde::Serialize;

use super::Number;

/// One entry of `split`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct SplitPartJson {
    pub backend: String,
    pub weight: u32,
}

/// `split_by`: one of its keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub enum SplitKeyJson {
    Header(String),
    Cookie(String),
    Ip(bool),
}

/// Who is sent copies.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct MirrorJson {
    pub backend: String,
    pub percent: Number,
}

impl From<v1::Mirror> for MirrorJson {
    fn from(v1::Mirror { backend, percent }: v1::Mirror) -> Self {
        Self { backend, percent: Number(percent) }
    }
}

impl From<v1::SplitPart> for SplitPartJson {
    fn from(v1::SplitPart { backend, weight }: v1::SplitPart) -> Self {
        Self { backend, weight }
    }
}

impl SplitKeyJson {
    /// None of a message that says nothing.
    pub(super) fn of(key: v1::HashKey) -> Option<Self> {
        key.key.map(|key| match key {
            Key::Header(name) => Self::Header(name),
            Key::Cookie(name) => Self::Cookie(name),
            Key::Ip(is_it) => Self::Ip(is_it),
        })
    }
}

impl fmt::Display for SplitKeyJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Ip(_) => f.write_str("ip"),
        }
    }
}
