//! Builds the tree from the parser's events, in bounds.
//!
//! The parser hands out events one by one and recurses nowhere, so the bounds here are all there need to be: what is
//! over one ends the reading before it takes memory.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{
    Document, Node, Pair, Scalar, Value,
    scalar::Style,
    text::{NotText, decode},
};
use crate::problem::{KeyPath, Position, Problems};

/// The most lists and mappings inside each other.
const MAX_DEPTH: usize = 64;
/// The most values and keys, each use of an alias counted as all that it stands for. 100,000 routes with every policy
/// have 3,700,000.
pub(crate) const MAX_NODES: usize = 10_000_000;
/// A copy of a text counts as one value for each of these bytes: a few aliases of a long text are as dear as many values.
const NODE_BYTES: usize = 64;
/// The most bytes of a key.
const MAX_KEY_BYTES: usize = 256;

/// Why reading ends before the end of the text.
struct Stop {
    position: Position,
    message: String,
}

/// Reads a text of at most [`MAX_FILE_BYTES`](crate::watch::MAX_FILE_BYTES). None when it cannot be read to its end;
/// the reason is among the problems then. An empty text is null.
pub(crate) fn parse<'a>(content: &'a [u8], problems: &mut Problems) -> Option<Document<'a>> {
    let document = decode(content)
        .map_err(|NotText { position, message }| Stop { position, message: message.into() })
        .and_then(|text| Builder::new(MAX_NODES, problems).build(text));
    document
        .map_err(|Stop { position, message }| problems.report(Some(position), &KeyPath::Top, message))
        .ok()
}

/// A list or mapping whose end has not come yet.
struct Open<'a> {
    position: Position,
    anchor: usize,
    inside: Inside<'a>,
}

enum Inside<'a> {
    List(Vec<Node<'a>>),
    Mapping {
        pairs: Vec<Pair<'a>>,
        /// A key that waits for its value.
        key: Option<Key<'a>>,
        /// What `<<` brings in.
        merged: Vec<Pair<'a>>,
    },
}

enum Key<'a> {
    Text(Cow<'a, str>, Position),
    /// `<<` (the merge key of YAML 1.1's type repository).
    Merge(Position),
    /// Already reported; its value is left out.
    Illegal,
}

struct Builder<'a, 'p> {
    problems: &'p mut Problems,
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    /// What an alias may stand for, by the parser's number for the anchor.
    anchored: HashMap<usize, Node<'a>>,
    max_nodes: usize,
    nodes_left: usize,
}

impl<'a, 'p> Builder<'a, 'p> {
    fn new(max_nodes: usize, problems: &'p mut Problems) -> Self {
        Self {
            problems,
            open: Vec::new(),
            root: None,
            anchored: HashMap::new(),
            max_nodes,
            nodes_left: max_nodes,
        }
    }

    fn build(mut self, text: &'a str) -> Result<Document<'a>, Stop> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, Span { start, .. }) = event.map_err(|error| Stop {
                position: position(error.marker()),
                message: format!("not readable as YAML: {}", error.info()),
            })?;
            let position = position(&start);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(stop(
                            position,
                            "a second document begins; a configuration is one document",
                        ));
                    }
                }
                event => self.add(event, position)?,
            }
        }
        let empty = Node {
            position: Position { line: 1, column: 1 },
            value: Value::Scalar(Scalar { text: Cow::Borrowed(""), style: Style::Plain }),
        };
        Ok(Document {
            root: self.root.unwrap_or(empty),
            nodes: self.max_nodes - self.nodes_left,
            has_anchors: !self.anchored.is_empty(),
        })
    }

    fn add(&mut self, event: Event<'a>, position: Position) -> Result<(), Stop> {
        if let Event::Scalar(.., Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag)) = &event
        {
            self.problems.report(
                Some(position),
                &KeyPath::Top,
                format_args!("tags such as \"{tag}\" are not read"),
            );
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.spend(1, position)?;
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                self.complete(Node { position, value: Value::Scalar(Scalar { text, style }) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(position, anchor, Inside::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let inside = Inside::Mapping { pairs: Vec::new(), key: None, merged: Vec::new() };
                self.begin(position, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                None => Ok(()),
                Some(Open { position, anchor, inside }) => {
                    let value = match inside {
                        Inside::List(items) => Value::List(items),
                        Inside::Mapping { pairs, merged, .. } => Value::Mapping(with_merged(pairs, merged)),
                    };
                    self.complete(Node { position, value }, anchor)
                }
            },
            Event::Alias(anchor) => {
                let node = self.copy_of(anchor, position)?;
                self.complete(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, position: Position, anchor: usize, inside: Inside<'a>) -> Result<(), Stop> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(position));
        }
        self.spend(1, position)?;
        self.open.push(Open { position, anchor, inside });
        Ok(())
    }

    fn spend(&mut self, nodes: usize, position: Position) -> Result<(), Stop> {
        self.nodes_left = self.nodes_left.checked_sub(nodes).ok_or_else(|| {
            stop(position, "too many values up to here, counting each use of an alias as what it stands for")
        })?;
        Ok(())
    }

    /// What an alias stands for, as if it were written there. Problems in it are where it is written.
    fn copy_of(&mut self, anchor: usize, position: Position) -> Result<Node<'a>, Stop> {
        let Some(Extent { nodes, depth }) = self.anchored.get(&anchor).map(extent) else {
            return Err(stop(position, "an alias inside of what it stands for"));
        };
        if self.open.len() + depth > MAX_DEPTH {
            return Err(too_deep(position));
        }
        self.spend(nodes, position)?;
        Ok(self.anchored[&anchor].clone())
    }

    /// Puts a whole value where it belongs.
    fn complete(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.spend(extent(&node).nodes, node.position)?;
            self.anchored.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Mapping { pairs, key: waiting, merged }) => match waiting.take() {
                None => *waiting = Some(key(node, self.problems)?),
                Some(Key::Text(key, position)) => pairs.push(Pair { key, position, value: node }),
                Some(Key::Merge(position)) => merge(node, position, merged, self.problems),
                Some(Key::Illegal) => {}
            },
        }
        Ok(())
    }
}

fn key<'a>(node: Node<'a>, problems: &mut Problems) -> Result<Key<'a>, Stop> {
    let Node { position, value } = node;
    match value {
        Value::Scalar(Scalar { text, .. }) if text.len() > MAX_KEY_BYTES => {
            Err(stop(position, "a key is longer than 256 bytes"))
        }
        Value::Scalar(Scalar { text, style: Style::Plain }) if text == "<<" => Ok(Key::Merge(position)),
        Value::Scalar(Scalar { text, .. }) => Ok(Key::Text(text, position)),
        Value::List(_) | Value::Mapping(_) | Value::Probe => {
            problems.report(Some(position), &KeyPath::Top, "a key must be a text");
            Ok(Key::Illegal)
        }
    }
}

/// Takes the pairs of a mapping, or of each mapping of a list, as the value of `<<`.
fn merge<'a>(node: Node<'a>, position: Position, merged: &mut Vec<Pair<'a>>, problems: &mut Problems) {
    let sources = match node.value {
        Value::List(sources) => sources,
        value => vec![Node { position: node.position, value }],
    };
    for source in sources {
        if let Value::Mapping(pairs) = source.value {
            merged.extend(pairs);
        } else {
            let message = "only a mapping, or a list of mappings, can be merged in by \"<<\"";
            problems.report(Some(position), &KeyPath::Top, message);
        }
    }
}

/// What is written in the mapping itself comes before what is merged in, and what is merged in first before the rest.
fn with_merged<'a>(mut pairs: Vec<Pair<'a>>, merged: Vec<Pair<'a>>) -> Vec<Pair<'a>> {
    if !merged.is_empty() {
        let mut keys: HashSet<_> = pairs.iter().map(|pair| pair.key.clone()).collect();
        pairs.extend(merged.into_iter().filter(|pair| keys.insert(pair.key.clone())));
    }
    pairs
}

/// How much there is of a value.
struct Extent {
    nodes: usize,
    depth: usize,
}

/// Recurses no deeper than [`MAX_DEPTH`], which holds for every value that is in the tree.
fn extent(node: &Node<'_>) -> Extent {
    let of_text = |text: &str| 1 + text.len() / NODE_BYTES;
    let inside = |extents: &mut dyn Iterator<Item = Extent>| {
        extents.fold(Extent { nodes: 1, depth: 1 }, |sum, inner| Extent {
            nodes: sum.nodes + inner.nodes,
            depth: sum.depth.max(inner.depth + 1),
        })
    };
    match &node.value {
        Value::Scalar(Scalar { text, .. }) => Extent { nodes: of_text(text), depth: 0 },
        Value::Probe => Extent { nodes: 1, depth: 0 },
        Value::List(items) => inside(&mut items.iter().map(extent)),
        Value::Mapping(pairs) => inside(&mut pairs.iter().map(|Pair { key, value, .. }| {
            let Extent { nodes, depth } = extent(value);
            Extent { nodes: nodes + of_text(key), depth }
        })),
    }
}

fn too_deep(position: Position) -> Stop {
    stop(position, "more than 64 lists and mappings inside each other")
}

fn stop(position: Position, message: &str) -> Stop {
    Stop { position, message: message.into() }
}

fn position(marker: &Marker) -> Position {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col() + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a text is read when there may be `max_nodes` values and keys.
    fn is_read(text: &str, max_nodes: usize) -> bool {
        let mut problems = Problems::of("");
        Builder::new(max_nodes, &mut problems).build(text).is_ok()
    }

    #[track_caller]
    fn check_nodes(text: &str, nodes: usize) {
        assert!(is_read(text, nodes), "{text}");
        assert!(!is_read(text, nodes - 1), "{text}");
    }

    #[test]
    fn values_and_keys_are_bounded() {
        check_nodes("x", 1);
        check_nodes("[1, 2, 3]", 4);
        check_nodes("{a: 1, b: {c: 2}}", 7);
    }

    #[test]
    fn an_anchor_counts_as_a_copy_and_each_alias_as_another() {
        check_nodes("[&a [1, 2]]", 4 + 3);
        check_nodes("[&a [1, 2], *a]", 4 + 3 + 3);
        check_nodes("[&a [1, 2], *a, *a]", 4 + 3 + 3 + 3);
    }

    #[test]
    fn a_copy_of_a_long_text_counts_by_its_length() {
        let text = "x".repeat(10 * NODE_BYTES);
        check_nodes(&format!("[&a {text}, *a]"), 2 + 11 + 11);
        check_nodes(&format!("[&a {{{}: 1}}, *a]", &text[..NODE_BYTES]), 4 + 4 + 4);
    }

    #[test]
    fn a_billion_laughs_are_refused_where_they_become_too_many() {
        let lines =
            (1..10).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
        let text = "a0: &a0 [ha]\n".to_owned() + &lines.collect::<String>();
        let mut problems = Problems::of("");
        let Err(stop) = Builder::new(100_000, &mut problems).build(&text) else {
            panic!("it must be refused")
        };
        assert_eq!(stop.position.line, 6);
        assert!(stop.message.starts_with("too many values up to here"), "{}", stop.message);
    }
}
