//! Which route serves a path: a trie over path segments, whose cost does not grow with the number of routes.
//!
//! The rule, of which the trie is only a fast form: of the routes whose prefix matches, the one with the longest prefix
//! wins; of equal prefixes, the first in the file. `/a` matches `/a` and all beneath it, `/a/` only what is beneath.
//!
//! Architecture invariant: nothing a client sends is ever inserted, so the tables are as large as the configuration.

use std::hash::{Hash, Hasher};

use apigw_config::names::PathPrefix;
use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// Place of a route in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteIndex(u32);

impl RouteIndex {
    /// As an index into the configuration's routes.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// All prefixes of a configuration, ready to be asked.
#[derive(Debug)]
pub struct RouteTable {
    nodes: Vec<Node>,
    /// From a node and a segment to the child: indexes into `nodes`, hashed by the child's `parent` and `segment`.
    children: HashTable<u32>,
}

/// A sequence of segments that begins some prefix.
#[derive(Debug)]
struct Node {
    parent: u32,
    segment: Box<str>,
    /// The route whose prefix ends here without a slash: matches here and beneath.
    here: Option<RouteIndex>,
    /// The route whose prefix ends here with a slash: matches beneath.
    beneath: Option<RouteIndex>,
}

const ROOT: u32 = 0;

impl RouteTable {
    /// Builds the table from the prefixes in the order of the file.
    ///
    /// # Panics
    /// With more than 2^32 prefixes, which no checked configuration has.
    pub fn new<'a>(prefixes: impl IntoIterator<Item = &'a PathPrefix>) -> Self {
        let root = Node { parent: ROOT, segment: "".into(), here: None, beneath: None };
        let mut table = Self { nodes: vec![root], children: HashTable::new() };
        for (index, prefix) in prefixes.into_iter().enumerate() {
            let index =
                RouteIndex(u32::try_from(index).expect("a configuration is far smaller than 2^32 routes"));
            table.insert(prefix.as_str(), index);
        }
        table
    }

    /// The route that serves a normalised path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<RouteIndex> {
        let mut best = None;
        let mut node = ROOT;
        // Before each step `rest` is what follows the node: empty, or beginning with a slash.
        let mut rest = path;
        while let Some(beneath) = rest.strip_prefix('/') {
            best = self.nodes[node as usize].beneath.or(best);
            let end = beneath.find('/').unwrap_or(beneath.len());
            let Some(child) = self.child(node, &beneath[..end]) else { break };
            best = self.nodes[child as usize].here.or(best);
            (node, rest) = (child, &beneath[end..]);
        }
        best
    }

    fn insert(&mut self, prefix: &str, index: RouteIndex) {
        let (segments, ends_in_slash) = match prefix.strip_suffix('/') {
            Some(segments) => (segments, true),
            None => (prefix, false),
        };
        // The first piece is what stands before the leading slash: nothing.
        let node =
            segments.split('/').skip(1).fold(ROOT, |node, segment| self.child_or_insert(node, segment));
        let node = &mut self.nodes[node as usize];
        let slot = if ends_in_slash { &mut node.beneath } else { &mut node.here };
        slot.get_or_insert(index);
    }

    fn child(&self, parent: u32, segment: &str) -> Option<u32> {
        let is_it = |&child: &u32| {
            let child = &self.nodes[child as usize];
            child.parent == parent && *child.segment == *segment
        };
        self.children.find(edge_hash(parent, segment), is_it).copied()
    }

    fn child_or_insert(&mut self, parent: u32, segment: &str) -> u32 {
        if let Some(child) = self.child(parent, segment) {
            return child;
        }
        let child =
            u32::try_from(self.nodes.len()).expect("a configuration has far fewer than 2^32 segments");
        self.nodes.push(Node { parent, segment: segment.into(), here: None, beneath: None });
        let nodes = &self.nodes;
        self.children.insert_unique(edge_hash(parent, segment), child, |&child| {
            let child = &nodes[child as usize];
            edge_hash(child.parent, &child.segment)
        });
        child
    }
}

fn edge_hash(parent: u32, segment: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (parent, segment).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<PathPrefix> {
        texts.iter().map(|text| PathPrefix::new(text).unwrap()).collect()
    }

    /// The rule of the module's head, as plain as it can be written.
    fn linear_scan(prefixes: &[PathPrefix], path: &str) -> Option<usize> {
        let matches = |prefix: &str| match path.strip_prefix(prefix) {
            Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let matching = prefixes.iter().enumerate().filter(|(_, prefix)| matches(prefix.as_str()));
        // `max_by_key` gives the last of equals; reversed, the first.
        matching.rev().max_by_key(|(_, prefix)| prefix.as_str().len()).map(|(index, _)| index)
    }

    fn check(routes: &[&str], path: &str, expected: Option<&str>) {
        let prefixes = prefixes(routes);
        let found = RouteTable::new(&prefixes).find(path).map(|index| routes[index.get()]);
        assert_eq!(found, expected, "{path} in {routes:?}");
    }

    #[test]
    fn longest_prefix_wins() {
        let routes = ["/", "/api/", "/api/users/", "/api/users/admin"];
        check(&routes, "/", Some("/"));
        check(&routes, "/other", Some("/"));
        check(&routes, "/api/x", Some("/api/"));
        check(&routes, "/api/users/7", Some("/api/users/"));
        check(&routes, "/api/users/admin", Some("/api/users/admin"));
        check(&routes, "/api/users/admin/x", Some("/api/users/admin"));
        check(&routes, "/api/users/administrator", Some("/api/users/"));
    }

    #[test]
    fn prefixes_match_on_segment_borders() {
        check(&["/public"], "/public", Some("/public"));
        check(&["/public"], "/public/", Some("/public"));
        check(&["/public"], "/public/x", Some("/public"));
        check(&["/public"], "/publicity", None);
        check(&["/public"], "/", None);
    }

    #[test]
    fn a_prefix_with_a_slash_matches_only_beneath() {
        check(&["/public/"], "/public", None);
        check(&["/public/"], "/public/", Some("/public/"));
        check(&["/public/"], "/public/x/y", Some("/public/"));
        check(&["/a", "/a/"], "/a", Some("/a"));
        check(&["/a", "/a/"], "/a/", Some("/a/"));
        check(&["/a", "/a/"], "/a/b", Some("/a/"));
    }

    #[test]
    fn first_of_equal_prefixes_wins() {
        let same = prefixes(&["/x", "/a", "/a"]);
        assert_eq!(RouteTable::new(&same).find("/a").map(RouteIndex::get), Some(1));
    }

    proptest! {
        #[test]
        fn trie_is_a_linear_scan(
            texts in prop::collection::vec("/|(/(a|b|ab)){1,4}/?", 1..12),
            path in "/|(/(a|b|ab|c)){1,5}/?",
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let prefixes = prefixes(&texts);
            let found = RouteTable::new(&prefixes).find(&path).map(RouteIndex::get);
            prop_assert_eq!(found, linear_scan(&prefixes, &path));
        }
    }
}
