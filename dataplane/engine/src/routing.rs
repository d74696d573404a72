//! Which route serves a request: a trie over path segments for each host, whose cost does not grow with the number of routes
//! or hosts.
//!
//! The rule, of which the table is only a fast form, is [`Precedence`]: of the routes that match, the one for the most
//! specific host wins; of those the one for the very path, then the one with the longest regular expression, then the one
//! with the longest prefix; of those the one that asks for a method, for more header fields, for more parameters; of those
//! the first in the file. `/a` matches `/a` and all beneath it, `/a/` only what is beneath.
//!
//! What it costs: a look at the tables for each label of the host, where any route has hosts, and for each segment of the
//! path; and each condition and each expression once of those routes whose host and beginning of the path are the
//! request's. Many routes with one path that differ in their conditions cost as much as they are.
//!
//! A node is found by its host and the path down to it, so that tries of snapshots share what they have in common: a change
//! costs what it changes, see [`SharedTable`].
//!
//! Architecture invariant: nothing a client sends is ever inserted, so the tables are as large as the configuration.

/// What of a request is looked at.
mod asked;
/// Routes with one path.
mod claims;
/// Hosts as keys.
mod hosts;
/// The rule.
mod precedence;
/// Routes that serve nothing.
mod shadowing;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use apigw_config::{
    model::{self, PathMatch},
    names::{HostPattern, Pattern},
    shared_table::SharedTable,
};
use rustc_hash::FxHasher;

use self::claims::{Claim, Claims, RegexClaims, first_of};
pub use self::{
    asked::Asked,
    precedence::{ConditionRank, HostRank, Miss, PathRank, Precedence, judge},
    shadowing::Shadowed,
};
use crate::snapshot::Slot;

/// All routes of a configuration, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// Of the routes for all hosts.
    everywhere: Node,
    sites: SharedTable<Site>,
    /// Of all sites, but for the root of all hosts.
    nodes: SharedTable<Node>,
    /// The last number given to a site.
    last_site: u64,
}

/// The routes for a host, or for all beneath one.
#[derive(Debug, Clone)]
struct Site {
    pattern: HostPattern,
    number: SiteNumber,
    /// How many routes there are.
    routes: usize,
}

/// Tells the nodes of sites apart. Never used twice in tables of one descent; the default is that of all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct SiteNumber(u64);

/// A sequence of segments that begins some path.
#[derive(Debug, Clone)]
struct Node {
    site: SiteNumber,
    /// From the root down to here, without a slash at the end.
    path: Arc<str>,
    /// How many nodes follow.
    children: u32,
    /// Routes whose prefix ends here without a slash: they match here and beneath.
    here: Claims,
    /// Routes whose prefix ends here with a slash: they match beneath.
    beneath: Claims,
    /// Routes for this very path.
    exactly: Claims,
    /// Routes whose expression begins with this path and a slash, in the order in which they win; none: there are none.
    regexes: Option<Arc<[RegexClaims]>>,
}

impl Default for Node {
    fn default() -> Self {
        Self::new(Key::root_of(SiteNumber::default()))
    }
}

/// What a route's path matches of the node it ends at.
#[derive(Debug, Clone, Copy)]
enum Reach<'r> {
    HereAndBeneath,
    Beneath,
    Exactly,
    Regex(&'r Pattern),
}

/// Where a node is.
#[derive(Debug, Clone, Copy)]
struct Key<'p> {
    hash: u64,
    site: SiteNumber,
    path: &'p str,
}

impl Key<'_> {
    fn root_of(site: SiteNumber) -> Self {
        let hash = if site == SiteNumber::default() { 0 } else { step(site.0, "") };
        Self { hash, site, path: "" }
    }

    fn is_of(&self, node: &Node) -> bool {
        node.site == self.site && *node.path == *self.path
    }
}

impl RouteTable {
    /// The route that serves a request.
    #[must_use]
    pub fn find(&self, asked: &Asked<'_>) -> Option<Slot> {
        if !self.sites.is_empty()
            && let Some(host) = asked.host()
            && let Some(slot) = self.find_by_host(host, asked)
        {
            return Some(slot);
        }
        self.find_beneath(&self.everywhere, asked)
    }

    fn find_by_host(&self, host: &str, asked: &Asked<'_>) -> Option<Slot> {
        let keys = hosts::keys_of(host);
        let sites = keys.filter_map(|key| self.sites.find(key.hash, |site| key.is_of(&site.pattern)));
        // The widest are found first, and the most specific is asked first.
        let sites: Vec<_> = sites.collect();
        let roots = sites.into_iter().rev().filter_map(|site| self.node(Key::root_of(site.number)));
        roots.map(|root| self.find_beneath(root, asked)).find(Option::is_some).flatten()
    }

    /// The route of a site that serves a request.
    fn find_beneath(&self, root: &Node, asked: &Asked<'_>) -> Option<Slot> {
        let mut met = Met::default();
        let mut node = root;
        let mut is_whole = true;
        met.regexes.extend(&root.regexes);
        for key in keys(root.site, asked.path()) {
            met.prefix(&node.beneath);
            let Some(child) = self.node(key) else {
                is_whole = false;
                break;
            };
            met.prefix(&child.here);
            met.regexes.extend(&child.regexes);
            node = child;
        }
        let exactly = if is_whole { node.exactly.first(asked) } else { None };
        exactly.or_else(|| met.best_regex(asked)).or_else(|| met.longest_prefix(asked))
    }

    /// The routes that may serve this path, on any site: those before the first that asks for nothing else. What an
    /// expression matches beneath the path is not known, so each that may match something there is one of them.
    pub(crate) fn candidates(&self, path: &str) -> Vec<Slot> {
        let sites = self.sites.iter().map(|site| site.number);
        let mut slots = Vec::new();
        for site in sites.chain([SiteNumber::default()]) {
            let mut prefixes: Vec<Claim> = Vec::new();
            let mut meet = |claims: &Claims| {
                if let Claims::One(_) = claims {
                    prefixes.clear();
                }
                prefixes.extend(claims.all());
            };
            let root = if site == SiteNumber::default() {
                Some(&self.everywhere)
            } else {
                self.node(Key::root_of(site))
            };
            let mut node = root;
            for key in keys(site, path) {
                let Some(parent) = node else { break };
                meet(&parent.beneath);
                node = self.node(key);
                node.into_iter().for_each(|child| meet(&child.here));
            }
            let exactly = node.map(|node| node.exactly.all()).unwrap_or_default();
            slots.extend(exactly.into_iter().chain(prefixes).map(|claim| claim.slot));
        }
        let regexes = std::iter::once(&self.everywhere).chain(self.nodes.iter());
        let regexes = regexes.flat_map(|node| node.regexes.iter().flat_map(|regexes| regexes.iter()));
        let may_match = |regex: &&RegexClaims| {
            let beginning = regex.pattern.beginning();
            beginning.starts_with(path) || path.starts_with(beginning)
        };
        slots.extend(regexes.filter(may_match).flat_map(|regex| regex.claims.all()).map(|claim| claim.slot));
        slots
    }

    /// Adds a route. Of routes that are alike otherwise, the one of the lowest place wins.
    pub(crate) fn insert<R: Ord>(
        &mut self,
        route: &Arc<model::Route>,
        slot: Slot,
        place: impl Fn(Slot) -> R + Copy,
    ) {
        let (path, reach) = end_of(&route.matches.path);
        for site in self.enter_sites(route.matches.hosts()) {
            let mut parent = Key::root_of(site);
            for key in keys(site, path) {
                if self.node(key).is_none() {
                    self.nodes.insert(key.hash, Node::new(key));
                    self.change(parent, |node| node.children += 1);
                }
                parent = key;
            }
            self.change(parent, |node| node.put_in(reach, Claim::new(route, slot), place));
        }
    }

    /// Takes a route out.
    pub(crate) fn remove(&mut self, route: &model::Route, slot: Slot) {
        let (path, reach) = end_of(&route.matches.path);
        for site in self.leave_sites(route.matches.hosts()) {
            let keys: Vec<_> = std::iter::once(Key::root_of(site)).chain(keys(site, path)).collect();
            self.change(keys[keys.len() - 1], |node| node.take_out(reach, slot));
            for pair in keys.windows(2).rev() {
                let [parent, key] = [pair[0], pair[1]];
                if !self.node(key).is_some_and(Node::is_unused) {
                    break;
                }
                self.nodes.remove(key.hash, |node| key.is_of(node));
                self.change(parent, |node| node.children -= 1);
            }
            let root = Key::root_of(site);
            if self.node(root).is_some_and(Node::is_unused) {
                self.nodes.remove(root.hash, |node| root.is_of(node));
            }
        }
    }

    /// The sites of a route that is put in, with one route more each.
    fn enter_sites(&mut self, hosts: &[HostPattern]) -> Vec<SiteNumber> {
        if hosts.is_empty() {
            return vec![SiteNumber::default()];
        }
        hosts.iter().map(|host| self.enter_site(host)).collect()
    }

    fn enter_site(&mut self, pattern: &HostPattern) -> SiteNumber {
        let key = hosts::key_of(pattern);
        if let Some(site) = self.sites.find_mut(key.hash, |site| site.pattern == *pattern) {
            site.routes += 1;
            return site.number;
        }
        self.last_site += 1;
        let number = SiteNumber(self.last_site);
        self.sites.insert(key.hash, Site { pattern: pattern.clone(), number, routes: 1 });
        let root = Key::root_of(number);
        self.nodes.insert(root.hash, Node::new(root));
        number
    }

    /// The sites of a route that is taken out, with one route less each.
    fn leave_sites(&mut self, hosts: &[HostPattern]) -> Vec<SiteNumber> {
        if hosts.is_empty() {
            return vec![SiteNumber::default()];
        }
        hosts.iter().filter_map(|host| self.leave_site(host)).collect()
    }

    fn leave_site(&mut self, pattern: &HostPattern) -> Option<SiteNumber> {
        let hash = hosts::key_of(pattern).hash;
        let site = self.sites.find_mut(hash, |site| site.pattern == *pattern)?;
        site.routes -= 1;
        let Site { number, routes, .. } = *site;
        if routes == 0 {
            self.sites.remove(hash, |site| site.pattern == *pattern);
        }
        Some(number)
    }

    fn node(&self, key: Key<'_>) -> Option<&Node> {
        self.nodes.find(key.hash, |node| key.is_of(node))
    }

    fn change(&mut self, key: Key<'_>, change: impl FnOnce(&mut Node)) {
        if key.path.is_empty() && key.site == SiteNumber::default() {
            change(&mut self.everywhere);
        } else if let Some(node) = self.nodes.find_mut(key.hash, |node| key.is_of(node)) {
            change(node);
        }
    }
}

/// What a walk down a path has met.
#[derive(Default)]
struct Met<'t> {
    /// The longest prefix that serves whatever else a request is like.
    unconditional: Option<Slot>,
    /// Those of longer prefixes that ask for more, the longest last.
    conditional: Vec<&'t [Claim]>,
    regexes: Vec<&'t Arc<[RegexClaims]>>,
}

impl<'t> Met<'t> {
    fn prefix(&mut self, claims: &'t Claims) {
        match claims {
            Claims::None => {}
            Claims::One(slot) => {
                self.unconditional = Some(*slot);
                self.conditional.clear();
            }
            Claims::Several(claims) => self.conditional.push(claims),
        }
    }

    fn longest_prefix(&self, asked: &Asked<'_>) -> Option<Slot> {
        let conditional = self.conditional.iter().rev().find_map(|claims| first_of(claims, asked));
        conditional.or(self.unconditional)
    }

    fn best_regex(&self, asked: &Asked<'_>) -> Option<Slot> {
        let mut best = None;
        for regex in self.regexes.iter().flat_map(|regexes| regexes.iter()) {
            let rank = precedence::regex_rank(&regex.pattern);
            if best.is_some_and(|(better, _)| better > rank)
                || !regex.pattern.is_match(asked.path().as_bytes())
            {
                continue;
            }
            best = regex.claims.first(asked).map(|slot| (rank, slot)).or(best);
        }
        best.map(|(_, slot)| slot)
    }
}

impl Node {
    fn new(key: Key<'_>) -> Self {
        Self {
            site: key.site,
            path: key.path.into(),
            children: 0,
            here: Claims::None,
            beneath: Claims::None,
            exactly: Claims::None,
            regexes: None,
        }
    }

    fn put_in<R: Ord>(&mut self, reach: Reach<'_>, claim: Claim, place: impl Fn(Slot) -> R) {
        match reach {
            Reach::HereAndBeneath => self.here.put_in(claim, place),
            Reach::Beneath => self.beneath.put_in(claim, place),
            Reach::Exactly => self.exactly.put_in(claim, place),
            Reach::Regex(pattern) => self.change_regexes(|regexes| {
                let wins = |other: &RegexClaims| {
                    precedence::regex_rank(&other.pattern) > precedence::regex_rank(pattern)
                };
                let at = regexes.partition_point(wins);
                if regexes.get(at).is_none_or(|other| other.pattern != *pattern) {
                    regexes.insert(at, RegexClaims { pattern: pattern.clone(), claims: Claims::None });
                }
                regexes[at].claims.put_in(claim, place);
            }),
        }
    }

    fn take_out(&mut self, reach: Reach<'_>, slot: Slot) {
        match reach {
            Reach::HereAndBeneath => self.here.take_out(slot),
            Reach::Beneath => self.beneath.take_out(slot),
            Reach::Exactly => self.exactly.take_out(slot),
            Reach::Regex(pattern) => self.change_regexes(|regexes| {
                for regex in regexes.iter_mut().filter(|regex| regex.pattern == *pattern) {
                    regex.claims.take_out(slot);
                }
                regexes.retain(|regex| !regex.claims.is_none());
            }),
        }
    }

    fn change_regexes(&mut self, change: impl FnOnce(&mut Vec<RegexClaims>)) {
        let mut regexes = self.regexes.as_ref().map(|regexes| regexes.to_vec()).unwrap_or_default();
        change(&mut regexes);
        self.regexes = (!regexes.is_empty()).then(|| regexes.into());
    }

    fn is_unused(&self) -> bool {
        let claims = [&self.here, &self.beneath, &self.exactly];
        self.children == 0 && self.regexes.is_none() && claims.into_iter().all(Claims::is_none)
    }
}

/// The node that a path ends at, and what it matches there.
fn end_of(path: &PathMatch) -> (&str, Reach<'_>) {
    match path {
        PathMatch::Exactly(path) => (path.as_str(), Reach::Exactly),
        // The whole segments that every path that matches begins with.
        PathMatch::Regex(pattern) => {
            let beginning = pattern.beginning();
            (&beginning[..beginning.rfind('/').unwrap_or(0)], Reach::Regex(pattern))
        }
        PathMatch::Prefix(prefix) => match prefix.as_str().strip_suffix('/') {
            Some(path) => (path, Reach::Beneath),
            None => (prefix.as_str(), Reach::HereAndBeneath),
        },
    }
}

/// The nodes on the way down a path, one for each segment. Their hashes are made of each other, so that a long path costs
/// no more than its bytes.
fn keys(site: SiteNumber, path: &str) -> impl Iterator<Item = Key<'_>> {
    let (mut hash, mut end) = (Key::root_of(site).hash, 0);
    std::iter::from_fn(move || {
        let segment = path[end..].strip_prefix('/')?;
        let segment = &segment[..segment.find('/').unwrap_or(segment.len())];
        hash = step(hash, segment);
        end += 1 + segment.len();
        Some(Key { hash, site, path: &path[..end] })
    })
}

fn step(hash: u64, segment: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (hash, segment).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
