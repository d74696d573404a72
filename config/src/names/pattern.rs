//! Regular expressions, of a size that every request can afford. Nothing here sees a request.

use std::{fmt, hash, str::FromStr, sync::Arc};

use regex_automata::{Anchored, Input, PatternID, meta::Regex};
use regex_syntax::{
    ParserBuilder,
    hir::{Hir, HirKind, Look},
};

use super::{PathPart, PathTemplate, ValueError, check_length};

/// A regular expression that a whole value must match, in the syntax of the [`regex`](https://docs.rs/regex) crate, on
/// bytes: matching takes time linear in the value, and `\w`, `\d` and `.` mean ASCII.
///
/// At most 1,024 bytes, and 64 KiB compiled.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    regex: Arc<Regex>,
    /// What every value that matches begins with.
    beginning: Arc<str>,
}

/// What a template makes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expansion {
    /// The value does not match.
    NoMatch,
    /// More bytes than were asked for.
    TooLong,
    /// This.
    Text(String),
}

impl Pattern {
    /// The most bytes of an expression.
    pub const MAX_BYTES: usize = 1_024;
    /// The most bytes that it may become. What it costs to match a byte at worst grows with them.
    pub const MAX_COMPILED_BYTES: usize = 64 << 10;
    /// What is remembered of states met, in each thread that matches: the least that the library takes is a part of it.
    const CACHE_BYTES: usize = 256 << 10;

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every value that matches begins with, as far as the expression says it in plain letters; often nothing.
    #[must_use]
    pub fn beginning(&self) -> &str {
        &self.beginning
    }

    /// Whether it has a group of this name or number.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        self.group(group).is_some()
    }

    /// What a template makes of a value, in at most `limit` bytes.
    ///
    /// # Panics
    /// When the template has a group that the expression has not ([`Self::has_group`]).
    #[must_use]
    pub fn expand(&self, value: &str, template: &PathTemplate, limit: usize) -> Expansion {
        let mut captures = self.regex.create_captures();
        self.regex.captures(Input::new(value).anchored(Anchored::Yes), &mut captures);
        if !captures.is_match() {
            return Expansion::NoMatch;
        }
        let mut text = String::new();
        for part in template.parts() {
            let piece = match part {
                PathPart::Text(text) => text,
                PathPart::Group(group) => {
                    let index = self.group(group).expect("a template has only groups of its expression");
                    // On the value's own characters, of which all are ASCII.
                    captures.get_group(index).and_then(|span| value.get(span.range())).unwrap_or_default()
                }
            };
            if text.len() + piece.len() > limit {
                return Expansion::TooLong;
            }
            text.push_str(piece);
        }
        Expansion::Text(text)
    }

    fn group(&self, group: &str) -> Option<usize> {
        let groups = self.regex.group_info();
        match group.parse::<usize>() {
            Ok(index) => (index < groups.group_len(PatternID::ZERO)).then_some(index),
            Err(_) => groups.to_index(PatternID::ZERO, group),
        }
    }

    /// Whether the whole of a value matches.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(Input::new(value).anchored(Anchored::Yes))
    }
}

impl FromStr for Pattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        let hir = ParserBuilder::new()
            .utf8(false)
            .unicode(false)
            .build()
            .parse(text)
            .map_err(|error| ValueError::NotARegex { text: text.into(), reason: reason(&error) })?;
        let beginning = beginning(&hir).into();
        // Put around the expression, not around its text: no text can escape from it.
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let config = Regex::config()
            .utf8_empty(false)
            .nfa_size_limit(Some(Self::MAX_COMPILED_BYTES))
            .onepass_size_limit(Some(Self::MAX_COMPILED_BYTES))
            .dfa(false)
            .hybrid_cache_capacity(Self::CACHE_BYTES);
        let regex = Regex::builder().configure(config).build_from_hir(&whole).map_err(|_size| {
            ValueError::RegexTooLarge { text: text.into(), limit: Self::MAX_COMPILED_BYTES }
        })?;
        Ok(Self { text: text.into(), regex: Arc::new(regex), beginning })
    }
}

/// What is wrong with an expression, in one line.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it cannot be read".into(),
    }
}

/// The letters that an expression begins with whatever it matches.
fn beginning(hir: &Hir) -> String {
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let mut bytes = Vec::new();
    for part in parts {
        match part.kind() {
            // As many write it around the whole.
            HirKind::Look(Look::Start) => {}
            HirKind::Literal(literal) => bytes.extend_from_slice(&literal.0),
            _ => break,
        }
    }
    let legal = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.truncate(legal);
    String::from_utf8(bytes).unwrap_or_default()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl hash::Hash for Pattern {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
