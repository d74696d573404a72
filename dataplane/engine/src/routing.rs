//! Which route serves a path: a trie over path segments, whose cost does not grow with the number of routes.
//!
//! The rule, of which the trie is only a fast form: of the routes whose prefix matches, the one with the longest prefix
//! wins; of equal prefixes, the first in the file. `/a` matches `/a` and all beneath it, `/a/` only what is beneath.
//!
//! A node is found by the path down to it, so that tries of snapshots share what they have in common: a change costs
//! what it changes, see [`SharedTable`].
//!
//! Architecture invariant: nothing a client sends is ever inserted, so the tables are as large as the configuration.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use apigw_config::{names::PathPrefix, shared_table::SharedTable};
use rustc_hash::FxHasher;

use crate::snapshot::Slot;

/// All prefixes of a configuration, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    root: Node,
    nodes: SharedTable<Node>,
}

/// A sequence of segments that begins some prefix.
#[derive(Debug, Clone)]
struct Node {
    /// From the root down to here, without a slash at the end.
    path: Arc<str>,
    /// How many nodes follow.
    children: u32,
    /// Routes whose prefix ends here without a slash: they match here and beneath.
    here: Claims,
    /// Routes whose prefix ends here with a slash: they match beneath.
    beneath: Claims,
}

impl Default for Node {
    fn default() -> Self {
        Self { path: "".into(), children: 0, here: Claims::None, beneath: Claims::None }
    }
}

/// Routes with one and the same prefix, in the order of the file; nearly always one.
#[derive(Debug, Clone)]
enum Claims {
    None,
    One(Slot),
    Several(Arc<[Slot]>),
}

/// What a prefix matches.
#[derive(Debug, Clone, Copy)]
enum Reach {
    HereAndBeneath,
    Beneath,
}

/// Where a node is.
#[derive(Debug, Clone, Copy)]
struct Key<'p> {
    hash: u64,
    path: &'p str,
}

impl Key<'_> {
    const ROOT: Self = Self { hash: 0, path: "" };
}

impl RouteTable {
    /// The route that serves a normalised path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Slot> {
        let mut best = None;
        let mut node = &self.root;
        for key in keys(path) {
            best = node.beneath.first().or(best);
            let Some(child) = self.nodes.find(key.hash, |child| *child.path == *key.path) else { break };
            best = child.here.first().or(best);
            node = child;
        }
        best
    }

    /// Adds a route. Of routes with one prefix, the one of the lowest rank wins.
    pub(crate) fn insert<R: Ord>(&mut self, prefix: &PathPrefix, slot: Slot, rank: impl Fn(Slot) -> R) {
        let (path, reach) = split(prefix);
        let mut parent = Key::ROOT;
        for key in keys(path) {
            if self.node(key).is_none() {
                self.nodes.insert(key.hash, Node { path: key.path.into(), ..Node::default() });
                self.change(parent, |node| node.children += 1);
            }
            parent = key;
        }
        self.change(parent, |node| {
            let claims = node.claims(reach);
            let mut slots: Vec<_> = claims.all().to_vec();
            slots.insert(slots.partition_point(|other| rank(*other) < rank(slot)), slot);
            *claims = Claims::of(&slots);
        });
    }

    /// Takes a route out.
    pub(crate) fn remove(&mut self, prefix: &PathPrefix, slot: Slot) {
        let (path, reach) = split(prefix);
        let keys: Vec<_> = std::iter::once(Key::ROOT).chain(keys(path)).collect();
        self.change(keys[keys.len() - 1], |node| {
            let claims = node.claims(reach);
            let left: Vec<_> = claims.all().iter().copied().filter(|other| *other != slot).collect();
            *claims = Claims::of(&left);
        });
        for pair in keys.windows(2).rev() {
            let [parent, key] = [pair[0], pair[1]];
            if !self.node(key).is_some_and(Node::is_unused) {
                break;
            }
            self.nodes.remove(key.hash, |node| *node.path == *key.path);
            self.change(parent, |node| node.children -= 1);
        }
    }

    fn node(&self, key: Key<'_>) -> Option<&Node> {
        self.nodes.find(key.hash, |node| *node.path == *key.path)
    }

    fn change(&mut self, key: Key<'_>, change: impl FnOnce(&mut Node)) {
        if key.path.is_empty() {
            change(&mut self.root);
        } else if let Some(node) = self.nodes.find_mut(key.hash, |node| *node.path == *key.path) {
            change(node);
        }
    }
}

impl Node {
    fn claims(&mut self, reach: Reach) -> &mut Claims {
        match reach {
            Reach::HereAndBeneath => &mut self.here,
            Reach::Beneath => &mut self.beneath,
        }
    }

    fn is_unused(&self) -> bool {
        self.children == 0 && matches!((&self.here, &self.beneath), (Claims::None, Claims::None))
    }
}

impl Claims {
    fn of(slots: &[Slot]) -> Self {
        match slots {
            [] => Self::None,
            [slot] => Self::One(*slot),
            several => Self::Several(several.into()),
        }
    }

    fn first(&self) -> Option<Slot> {
        match self {
            Self::None => None,
            Self::One(slot) => Some(*slot),
            Self::Several(slots) => slots.first().copied(),
        }
    }

    fn all(&self) -> &[Slot] {
        match self {
            Self::None => &[],
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Several(slots) => slots,
        }
    }
}

/// The node that a prefix ends at, and what it matches there.
fn split(prefix: &PathPrefix) -> (&str, Reach) {
    match prefix.as_str().strip_suffix('/') {
        Some(path) => (path, Reach::Beneath),
        None => (prefix.as_str(), Reach::HereAndBeneath),
    }
}

/// The nodes on the way down a path, one for each segment. Their hashes are made of each other, so that a long path costs
/// no more than its bytes.
fn keys(path: &str) -> impl Iterator<Item = Key<'_>> {
    let (mut hash, mut end) = (Key::ROOT.hash, 0);
    std::iter::from_fn(move || {
        let segment = path[end..].strip_prefix('/')?;
        let segment = &segment[..segment.find('/').unwrap_or(segment.len())];
        let mut hasher = FxHasher::default();
        (hash, segment).hash(&mut hasher);
        hash = hasher.finish();
        end += 1 + segment.len();
        Some(Key { hash, path: &path[..end] })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::Slots;

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

    /// The table of some prefixes, and which slot is whose.
    fn table(prefixes: &[PathPrefix]) -> (RouteTable, Vec<Slot>) {
        let (mut table, mut slots) = (RouteTable::default(), Slots::default());
        let taken: Vec<_> = (0..prefixes.len()).map(|index| slots.take(index)).collect();
        // Backwards, so that ranks matter.
        for (prefix, slot) in prefixes.iter().zip(&taken).rev() {
            table.insert(prefix, *slot, |slot| *slots.at(slot));
        }
        (table, taken)
    }

    fn find(prefixes: &[PathPrefix], path: &str) -> Option<usize> {
        let (table, slots) = table(prefixes);
        table.find(path).and_then(|found| slots.iter().position(|slot| *slot == found))
    }

    fn check(routes: &[&str], path: &str, expected: Option<&str>) {
        let prefixes = prefixes(routes);
        let found = find(&prefixes, path).map(|index| routes[index]);
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
        assert_eq!(find(&same, "/a"), Some(1));
    }

    proptest! {
        #[test]
        fn trie_is_a_linear_scan(
            texts in prop::collection::vec("/|(/(a|b|ab)){1,4}/?", 1..12),
            path in "/|(/(a|b|ab|c)){1,5}/?",
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let prefixes = prefixes(&texts);
            prop_assert_eq!(find(&prefixes, &path), linear_scan(&prefixes, &path));
        }

        #[test]
        fn what_is_taken_out_leaves_nothing_behind(
            texts in prop::collection::vec("/|(/(a|b|ab)){1,4}/?", 1..12),
            kept in 0_usize..12,
            path in "/|(/(a|b|ab|c)){1,5}/?",
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let prefixes = prefixes(&texts);
            let kept = kept.min(prefixes.len());
            let (mut table, slots) = table(&prefixes);
            let before = table.clone();
            for (prefix, slot) in prefixes.iter().zip(&slots).skip(kept) {
                table.remove(prefix, *slot);
            }
            let found = table.find(&path).and_then(|found| slots.iter().position(|slot| *slot == found));
            prop_assert_eq!(found, linear_scan(&prefixes[..kept], &path));
            let (expected, _) = self::table(&prefixes[..kept]);
            prop_assert_eq!(table.nodes.len(), expected.nodes.len());
            let found = before.find(&path).and_then(|found| slots.iter().position(|slot| *slot == found));
            prop_assert_eq!(found, linear_scan(&prefixes, &path), "a copy keeps what it had");
        }
    }
}
