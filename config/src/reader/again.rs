//! Reads a file again of which a part has changed: routes that are as they were are not read again.
//!
//! What makes that right: a text is read from its beginning to its end. Where two texts begin alike, what has been read of both
//! is the same, up to the place where the first of them is different. A line that begins with the dash of a route, or with the key
//! behind all routes, ends whatever was begun in the lines before it, unless they leave a quotation or a bracket open, or end the
//! document; so what stands between two such lines can be read by itself, and if that goes well, what follows is read as before. Wherever anything is not as plain as
//! that, all of the text is read.

use std::{ops::Range, sync::Arc};

use super::{Contents, Place, Read as _, Reader, read_document, route::RouteInFile};
use crate::{
    model::{Checks, GatewayConfig, Route},
    problem::{KeyPath, Position, Problem, Problems},
    yaml::{self, Document, Node, Value},
};

/// Reads one file again and again, from a text each time.
#[derive(Debug)]
pub struct ConfigReader {
    file: String,
    /// None: the last text without a problem is none of which parts can be read.
    former: Option<Former>,
}

/// A text without a problem whose routes stand in lines of their own.
#[derive(Debug)]
struct Former {
    text: Arc<Vec<u8>>,
    config: GatewayConfig,
    checks: Checks,
    lines: RouteLines,
    /// Values and keys that were read for it, those included that an edit has taken out since.
    nodes: usize,
}

/// Where the routes of a text begin.
#[derive(Debug, PartialEq, Eq)]
struct RouteLines {
    /// How many spaces are in front of each dash.
    indent: usize,
    /// Of each route the first byte of its line.
    starts: Vec<usize>,
    /// The first byte behind the last of them.
    end: usize,
}

/// The part of a text that is not as before.
#[derive(Debug, PartialEq, Eq)]
struct Edit {
    /// The routes of the former text that were there.
    routes: Range<usize>,
    /// The bytes of the new one that are there.
    bytes: Range<usize>,
}

impl ConfigReader {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.into(), former: None }
    }

    /// Reads a text of the file, and what it demands of itself before it goes out.
    ///
    /// # Errors
    /// Everything wrong with it, in the order of the file; at least one problem.
    pub fn read(&mut self, text: &Arc<Vec<u8>>) -> Result<(GatewayConfig, Checks), Vec<Problem>> {
        if let Some(edited) = self.former.as_ref().and_then(|former| former.edited(text)) {
            let read = (edited.config.clone(), edited.checks.clone());
            self.former = Some(edited);
            return Ok(read);
        }
        let mut problems = Problems::of(&self.file);
        let Some(document) = yaml::parse(text, &mut problems) else { return Err(problems.into_sorted()) };
        let (config, checks) = read_document(&document, problems)?;
        // What stays the same is in the same memory, so that whoever compares need not look at it.
        let config = config.sharing_with(self.former.as_ref().map(|former| &former.config));
        self.former = RouteLines::of_document(&document, text).map(|lines| Former {
            text: Arc::clone(text),
            config: config.clone(),
            checks: checks.clone(),
            lines,
            nodes: document.nodes,
        });
        Ok((config, checks))
    }
}

impl Former {
    /// What a text means that differs in some routes; none: that is not so plain, or there is a problem.
    fn edited(&self, text: &Arc<Vec<u8>>) -> Option<Self> {
        let edit = self.lines.edit(&self.text, text)?;
        let part = &text[edit.bytes.clone()];
        // Nobody is told of them: where there is one, all of the text is read.
        let mut problems = Problems::of("");
        let document = yaml::parse(part, &mut problems).filter(|_| !ends_documents(part))?;
        let nodes = self.nodes + document.nodes;
        let lines = RouteLines::of(document.plain_items(&document.root)?, part, part.len())
            .filter(|lines| lines.indent == self.lines.indent && lines.starts[0] == 0)?;
        let routes = routes(&document.root, problems).filter(|_| nodes <= yaml::MAX_NODES)?;
        Some(Self {
            text: Arc::clone(text),
            config: self.config.with_routes(edit.routes.clone(), routes).ok()?,
            checks: self.checks.clone(),
            lines: self.lines.with(lines, &edit, self.text.len(), text.len()),
            nodes,
        })
    }
}

/// Reads a list of routes; none: there is something wrong with it.
fn routes(list: &Node<'_>, problems: Problems) -> Option<Vec<Route>> {
    let mut reader = Reader::new(problems, Contents::Settings);
    let place = Place { node: list, path: KeyPath::Top };
    let routes = Vec::<RouteInFile>::read(place, &mut reader)?;
    let routes = routes.into_iter().map(RouteInFile::into_route).collect::<Option<Vec<_>>>();
    reader.problems.or(routes).ok()
}

/// Whether a line might end a document, or say something of the next. Only in front of one there may be a byte order mark.
fn ends_documents(text: &[u8]) -> bool {
    const MARKS: [&[u8]; 3] = [b"---", b"...", b"%"];
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let is_mark = |line: &[u8]| MARKS.iter().any(|mark| line.starts_with(mark));
    let has_mark = text.windows(BYTE_ORDER_MARK.len()).any(|bytes| bytes == BYTE_ORDER_MARK);
    has_mark || text.split(|&byte| byte == b'\n').any(is_mark)
}

impl Document<'_> {
    /// The items of a list of it that stands for itself: nothing of it is repeated elsewhere.
    fn plain_items<'n>(&self, list: &'n Node<'_>) -> Option<&'n [Node<'n>]> {
        match &list.value {
            Value::List(items) if !self.has_anchors => Some(items),
            _ => None,
        }
    }
}

impl RouteLines {
    fn of_document(document: &Document<'_>, text: &[u8]) -> Option<Self> {
        let Value::Mapping(pairs) = &document.root.value else { return None };
        let routes = pairs.iter().find(|pair| pair.key == "routes")?;
        let behind =
            pairs.iter().map(|pair| pair.position).filter(|position| *position > routes.position).min();
        let end = behind.map_or(Some(text.len()), |position| start_of_line(position, text))?;
        Self::of(document.plain_items(&routes.value)?, text, end)
    }

    /// Where the lines of these items begin; none, where they do not all begin alike: with a dash, and behind it the first key.
    fn of(items: &[Node<'_>], text: &[u8], end: usize) -> Option<Self> {
        // To the parser it ends a line, too.
        let has_lone_return = text.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
        if has_lone_return || text.last() == Some(&b'\r') {
            return None;
        }
        let mut lines = text.split_inclusive(|&byte| byte == b'\n');
        let (mut number, mut next) = (0, 0);
        let (mut indent, mut starts) = (None, Vec::with_capacity(items.len()));
        for Position { line, column } in items.iter().map(|item| item.position) {
            let mut current: &[u8] = b"";
            let mut start = next;
            while number < line {
                (start, current) = (next, lines.next()?);
                next += current.len();
                number += 1;
            }
            let in_front = current.get(..usize::try_from(column).ok()?.checked_sub(1)?)?;
            let dash = in_front.iter().position(|&byte| byte != b' ')?;
            let is_plain = in_front[dash] == b'-' && in_front[dash + 1..].iter().all(|&byte| byte == b' ');
            if !is_plain || dash + 1 == in_front.len() || *indent.get_or_insert(dash) != dash {
                return None;
            }
            starts.push(start);
        }
        Some(Self { indent: indent?, starts, end })
    }

    /// What became of a text with these lines, if what is in front of the routes and behind them is as before.
    fn edit(&self, former: &[u8], text: &[u8]) -> Option<Edit> {
        let same_start = common_start(former, text);
        let room = former.len().min(text.len()) - same_start;
        let same_end = common_end(former, text).min(room);
        // With its dash, and what is behind that.
        let is_same = |start: &usize| start + self.indent + "- ".len() <= same_start;
        let first = self.starts.partition_point(is_same).checked_sub(1)?;
        let changed = former.len() - same_end;
        let behind = self.starts.partition_point(|&start| start < changed);
        let former_end = self.starts.get(behind).copied().unwrap_or(self.end);
        if former_end < changed {
            return None;
        }
        let end = text.len() - (former.len() - former_end);
        let edit = Edit { routes: first..behind, bytes: self.starts[first]..end };
        (end == text.len() || text[end - 1] == b'\n').then_some(edit)
    }

    /// These lines after an edit, of which the lines are given from its beginning.
    fn with(&self, edited: Self, edit: &Edit, former_length: usize, length: usize) -> Self {
        let before = self.starts[..edit.routes.start].iter().copied();
        let within = edited.starts.into_iter().map(|start| start + edit.bytes.start);
        let moved = |place: usize| length - (former_length - place);
        let behind = self.starts[edit.routes.end..].iter().map(|&start| moved(start));
        let starts = before.chain(within).chain(behind).collect();
        Self { indent: self.indent, starts, end: moved(self.end) }
    }
}

/// The first byte of a line that begins with what is at this position.
fn start_of_line(position: Position, text: &[u8]) -> Option<usize> {
    let before = usize::try_from(position.line).ok()?.checked_sub(1)?;
    let lines = text.split_inclusive(|&byte| byte == b'\n').take(before);
    (position.column == 1).then(|| lines.map(<[u8]>::len).sum())
}

/// How many bytes at their beginning two texts have in common.
fn common_start(one: &[u8], other: &[u8]) -> usize {
    const AT_ONCE: usize = 1 << 12;
    let pieces = one.chunks_exact(AT_ONCE).zip(other.chunks_exact(AT_ONCE));
    let same = AT_ONCE * pieces.take_while(|(one, other)| one == other).count();
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

/// How many bytes at their end.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    const AT_ONCE: usize = 1 << 12;
    let pieces = one.rchunks_exact(AT_ONCE).zip(other.rchunks_exact(AT_ONCE));
    let same = AT_ONCE * pieces.take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[..one.len() - same], &other[..other.len() - same]);
    same + one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests;
