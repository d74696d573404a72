//! Where a key stands in a file: for whoever has the path of a key and wants to show a person the line.

use crate::{
    problem::{Position, Problems},
    yaml::{self, Node, Value},
};

/// The place of a key in a file, by its path (`routes[3].rate_limit`). Of a path that leads further than the file does, the
/// place where it ends; none, where the text is no YAML or the path begins with nothing that is there.
#[must_use]
pub fn place_of(content: &[u8], path: &str) -> Option<Position> {
    let mut problems = Problems::of("");
    place_in(&yaml::parse(content, &mut problems)?.root, path)
}

/// The places of several keys in a file, which is read once; see [`place_of`].
#[must_use]
pub fn places_of(content: &[u8], paths: &[&str]) -> Vec<Option<Position>> {
    let mut problems = Problems::of("");
    let document = yaml::parse(content, &mut problems);
    paths.iter().map(|path| place_in(&document.as_ref()?.root, path)).collect()
}

fn place_in(document: &Node<'_>, path: &str) -> Option<Position> {
    let (mut node, mut place) = (document, None);
    for step in path.split('.') {
        let (key, index) = match step.split_once('[') {
            Some((key, rest)) => (key, rest.strip_suffix(']').and_then(|index| index.parse().ok())),
            None => (step, None),
        };
        let Some((position, value)) = member(node, key) else { break };
        (node, place) = (value, Some(position));
        if let Some(item) = index.and_then(|index: usize| item(node, index)) {
            (node, place) = (item, Some(item.position));
        }
    }
    place
}

fn member<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<(Position, &'n Node<'a>)> {
    let Value::Mapping(pairs) = &node.value else { return None };
    let pair = pairs.iter().find(|pair| pair.key == key)?;
    Some((pair.position, &pair.value))
}

fn item<'n, 'a>(node: &'n Node<'a>, index: usize) -> Option<&'n Node<'a>> {
    let Value::List(items) = &node.value else { return None };
    items.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "server:\n  addr: \":1\"\nroutes:\n  - name: a\n  - name: b\n    cors:\n      x: 1\n";

    fn check(path: &str, expected: Option<(u32, u32)>) {
        let found = place_of(TEXT.as_bytes(), path).map(|position| (position.line, position.column));
        assert_eq!(found, expected, "{path}");
        let several = places_of(TEXT.as_bytes(), &["server", path]);
        assert_eq!(several[1], place_of(TEXT.as_bytes(), path));
    }

    #[test]
    fn keys_are_found_by_their_path() {
        check("server.addr", Some((2, 3)));
        check("routes[1]", Some((5, 5)));
        check("routes[1].cors", Some((6, 5)));
    }

    #[test]
    fn a_path_that_leads_further_ends_where_the_file_does() {
        check("routes[0].rate_limit", Some((4, 5)));
        check("routes[7]", Some((3, 1)));
        check("nothing", None);
        assert_eq!(place_of(b"[", "server"), None);
    }
}
