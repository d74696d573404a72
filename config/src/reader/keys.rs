//! Every key there is, found by reading a document that has everything; and what was probably meant by one that is not.

use std::{fmt, sync::LazyLock};

use super::{Contents, Place, Reader, gateway};
use crate::{
    problem::{KeyPath, Position, Problems},
    yaml::{Node, Value},
};

/// The paths of all keys a file may have, such as `routes[].match.path_prefix`, sorted.
#[must_use]
pub fn known() -> &'static [String] {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
        let reader = Reader::new(Problems::of(""), Contents::Settings);
        let mut reader = Reader { asked: Some(Vec::new()), ..reader };
        let node = Node { position: Position { line: 1, column: 1 }, value: Value::Probe };
        // A probe has no values, so nothing comes of it but the keys.
        let _nothing = gateway::read(Place { node: &node, path: KeyPath::Top }, &mut reader);
        let mut known: Vec<_> =
            reader.asked.unwrap_or_default().iter().map(|path| path.replace("[0]", "[]")).collect();
        known.sort();
        known
    });
    &KNOWN
}

/// How alike a key and one beside it are, from 0 to 1, for it to be a slip of the hand wherever else the key exists:
/// `route` for `routes`.
const SLIP: f64 = 0.8;

/// How alike they are for it to be worth a question.
const LIKENESS: f64 = 0.5;

/// The message for a key that does not exist at `parent`, where the keys `siblings` do.
///
/// It is made when it is written, because a file may have millions of such keys and no more than some of them are told.
pub(super) struct Advice<'p> {
    pub(super) parent: KeyPath<'p>,
    pub(super) key: &'p str,
    pub(super) siblings: &'p [&'static str],
    pub(super) contents: Contents,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resemblance = |sibling: &str| strsim::normalized_damerau_levenshtein(self.key, sibling);
        let alike = self.siblings.iter().map(|&sibling| (resemblance(sibling), sibling));
        let nearest = alike.max_by(|(a, _), (b, _)| a.total_cmp(b));
        let homes = match self.contents {
            Contents::Settings => homes_near(&without_indexes(&self.parent), self.key),
            // Keys of another kind of file.
            Contents::Secrets => Vec::new(),
        };
        match nearest {
            Some((likeness, nearest)) if likeness >= SLIP || (homes.is_empty() && likeness >= LIKENESS) => {
                write!(f, "unknown key, did you mean \"{nearest}\"?")
            }
            _ if homes.is_empty() => write!(f, "unknown key, there are: {}", self.siblings.join(", ")),
            _ => write!(f, "unknown key here, it belongs {}", homes.join(" or ")),
        }
    }
}

/// Where a key of this very name exists, in words: only the places that share most of the way with `parent`.
fn homes_near(parent: &str, key: &str) -> Vec<String> {
    let shared = |home: &str| home.split('.').zip(parent.split('.')).take_while(|(a, b)| a == b).count();
    let homes: Vec<&str> = known()
        .iter()
        .filter_map(|path| match path.rsplit_once('.') {
            Some((home, last)) => (last == key).then_some(home),
            None => (path == key).then_some(""),
        })
        .collect();
    let most = homes.iter().map(|home| shared(home)).max().unwrap_or_default();
    let nearest = homes.iter().filter(|home| shared(home) == most);
    nearest
        .map(|home| match *home {
            "" => "at the top level".to_owned(),
            home => format!("in {home}"),
        })
        .collect()
}

fn without_indexes(path: &KeyPath<'_>) -> String {
    match path {
        KeyPath::Top => String::new(),
        KeyPath::Key(KeyPath::Top, key) => (*key).to_owned(),
        KeyPath::Key(parent, key) => format!("{}.{key}", without_indexes(parent)),
        KeyPath::Index(parent, _) => format!("{}[]", without_indexes(parent)),
    }
}
