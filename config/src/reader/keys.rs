//! Every key there is, found by reading a document that has everything; and what was probably meant by one that is not.

use std::sync::LazyLock;

use super::{Place, Reader, gateway};
use crate::{
    problem::{KeyPath, Position, Problems},
    yaml::{Node, Value},
};

/// The paths of all keys a file may have, such as `routes[].match.path_prefix`, sorted.
#[must_use]
pub fn known() -> &'static [String] {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut reader = Reader { problems: Problems::of(""), asked: Some(Vec::new()) };
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

/// The message for a key that does not exist at `parent`, where the keys `siblings` do.
pub(super) fn advice(parent: &KeyPath<'_>, key: &str, siblings: &[&str]) -> String {
    let homes = homes_near(&without_indexes(parent), key);
    if !homes.is_empty() {
        return format!("unknown key here, it belongs {}", homes.join(" or "));
    }
    let resemblance = |sibling: &str| strsim::normalized_damerau_levenshtein(key, sibling);
    let nearest = siblings.iter().max_by(|a, b| resemblance(a).total_cmp(&resemblance(b)));
    match nearest.filter(|sibling| resemblance(sibling) >= 0.5) {
        Some(nearest) => format!("unknown key, did you mean \"{nearest}\"?"),
        None => format!("unknown key, there are: {}", siblings.join(", ")),
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
