//! Reads a mapping key by key. The keys that were asked for are the keys there are; any other is a problem.

use std::collections::HashMap;

use super::{Contents, Place, Read, Reader, keys::Advice};
use crate::{
    model::PolicyError,
    names::ValueError,
    problem::Position,
    yaml::{Node, Pair, Value},
};

pub(super) struct Mapping<'n, 'r> {
    place: Place<'n>,
    pairs: &'n [Pair<'n>],
    /// Where to look first: keys are mostly written in the order in which they are asked for.
    next: usize,
    /// How many pairs were asked for.
    taken: usize,
    asked: Vec<&'static str>,
    reader: &'r mut Reader,
}

impl<'n, 'r> Mapping<'n, 'r> {
    /// Begins to read a mapping.
    pub(super) fn open(place: Place<'n>, reader: &'r mut Reader) -> Option<Self> {
        let pairs = match &place.node.value {
            Value::Mapping(pairs) => pairs.as_slice(),
            Value::Probe => &[],
            _ => {
                reader.expected("a mapping", place);
                return None;
            }
        };
        Some(Self { place, pairs, next: 0, taken: 0, asked: Vec::with_capacity(8), reader })
    }

    /// The value of a key, or what is meant where it is absent; null counts as absent.
    pub(super) fn or<T: Read>(&mut self, key: &'static str, absent: T) -> Option<T> {
        match self.find(key) {
            None => Some(absent),
            Some(node) => self.read(key, node),
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Read>(&mut self, key: &'static str) -> Option<T> {
        match self.find(key) {
            None => {
                self.report(key, "missing");
                None
            }
            Some(node) => self.read(key, node),
        }
    }

    /// Adds a problem with a key's value; where there is none, with the mapping that lacks it.
    pub(super) fn report(&mut self, key: &str, message: impl std::fmt::Display) {
        let parent = self.place.path;
        let position = self.position_of(key);
        self.reader.problems.report(Some(position), &parent.key(key), message);
    }

    /// Adds a problem with one item of the list that is a key's value, by its index and its place.
    pub(super) fn report_item(
        &mut self,
        key: &str,
        (index, position): (usize, Position),
        message: impl std::fmt::Display,
    ) {
        let parent = self.place.path;
        self.reader.problems.report(Some(position), &parent.key(key).index(index), message);
    }

    /// Adds a problem with a key of the mapping that is a key's value.
    pub(super) fn report_beneath(&mut self, key: &str, inner: &str, message: &str) {
        let parent = self.place.path;
        let position = self.position_of(key);
        self.reader.problems.report(Some(position), &parent.key(key).key(inner), message);
    }

    /// Whether a key has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|pair| pair.key == key && !pair.value.is_null())
    }

    /// Where a key's value is, or the mapping that lacks it.
    pub(super) fn position_of(&self, key: &str) -> Position {
        let pair = self.pairs.iter().find(|pair| pair.key == key);
        pair.map_or(self.place.node.position, |pair| pair.value.position)
    }

    /// A policy as its constructor judged it.
    pub(super) fn judged<T>(&mut self, result: Result<T, Vec<PolicyError>>) -> Option<T> {
        match result {
            Ok(policy) => Some(policy),
            Err(errors) => {
                for PolicyError { key, error } in errors {
                    self.report(key, error);
                }
                None
            }
        }
    }

    /// A value as its constructor judged it.
    pub(super) fn taken<T>(&mut self, key: &str, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.report(key, error)).ok()
    }

    /// Ends the reading: whatever was not asked for is a problem.
    pub(super) fn finish(self) {
        if self.taken < self.pairs.len() {
            self.report_unasked();
        }
    }

    fn read<T: Read>(&mut self, key: &str, node: &Node<'_>) -> Option<T> {
        let parent = self.place.path;
        T::read(Place { node, path: parent.key(key) }, self.reader)
    }

    /// The value of a key, which exists from now on.
    fn find(&mut self, key: &'static str) -> Option<&'n Node<'n>> {
        if let Some(asked) = &mut self.reader.asked {
            asked.push(self.place.path.key(key).to_string());
        }
        self.asked.push(key);
        if matches!(self.place.node.value, Value::Probe) {
            return Some(self.place.node);
        }
        let (before, after) = self.pairs.split_at(self.next.min(self.pairs.len()));
        let place = after.iter().position(|pair| pair.key == key).map(|place| self.next + place);
        let place = place.or_else(|| before.iter().position(|pair| pair.key == key))?;
        self.next = place + 1;
        self.taken += 1;
        Some(&self.pairs[place].value).filter(|node| !node.is_null())
    }

    /// Out of the way of mappings that are as they should be: keys written twice, and keys that do not exist here.
    fn report_unasked(self) {
        let mut first_places: HashMap<&str, Position> = HashMap::new();
        let parent = self.place.path;
        for pair in self.pairs {
            let path = match (self.reader.contents, self.asked.contains(&pair.key.as_ref())) {
                (Contents::Secrets, false) => parent,
                _ => parent.key(&pair.key),
            };
            let first = *first_places.entry(&pair.key).or_insert(pair.position);
            if first != pair.position {
                let Position { line, column } = first;
                let message = format_args!("written twice, first in line {line}, column {column}");
                self.reader.problems.report(Some(pair.position), &path, message);
            } else if !self.asked.contains(&pair.key.as_ref()) {
                let contents = self.reader.contents;
                let message = Advice { parent, key: &pair.key, siblings: &self.asked, contents };
                self.reader.problems.report(Some(pair.position), &path, message);
            }
        }
    }
}
