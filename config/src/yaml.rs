//! YAML text as a tree that knows where each part stands.
//!
//! The only module that knows the YAML parser. It decides what of YAML a configuration may use, and how much of it; what
//! the keys mean is not its business.

mod build;
mod scalar;
mod text;

use std::borrow::Cow;

pub(crate) use self::{
    build::{MAX_NODES, parse},
    scalar::{Meaning, Scalar},
};
use crate::problem::Position;

/// A text that was read to its end.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) root: Node<'a>,
    /// How many values and keys were read.
    pub(crate) nodes: usize,
    /// Whether anything in it may be repeated by an alias.
    pub(crate) has_anchors: bool,
}

/// One value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<'a> {
    pub(crate) position: Position,
    pub(crate) value: Value<'a>,
}

/// What a value is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Scalar(Scalar<'a>),
    List(Vec<Node<'a>>),
    /// In the order of the text; keys may be there twice.
    Mapping(Vec<Pair<'a>>),
    /// No value of a text: a mapping that has every key it is asked for, so that the keys which are asked for show.
    Probe,
}

/// A key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) position: Position,
    pub(crate) value: Node<'a>,
}

impl Node<'_> {
    /// Whether the text says that there is no value, or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }
}

#[cfg(test)]
mod tests;
