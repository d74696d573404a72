//! The identities of configurations of which each is nearly the one before: a route is encoded once for as long as it stays,
//! and a leaf hashed once.
//!
//! What makes that right: where a leaf ends is decided by its own entries alone. So a leaf in front of the first group of routes
//! that is new is what it was; and behind the last one, as soon as a leaf begins where one began before, all leaves are.

use std::{mem, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    Entry, Hash, ResourceKind, WireError,
    encode::{backend_resource, route_resource, settings_resource},
    leaf::{Cut, cut, root_of, run_hash, runs},
};
use crate::model::{CommonEnds, GatewayConfig, Route, RouteGroup, memory};

/// Finds the identities of one configuration after the other.
#[derive(Debug, Default)]
pub struct Roots {
    /// The former configuration's groups, in its order. While they are held, nobody else takes their memory.
    groups: Vec<Hashed>,
    /// The leaves of its routes.
    leaves: Vec<RouteLeaf>,
}

/// Routes that were encoded.
#[derive(Debug, Clone)]
struct Hashed {
    routes: RouteGroup,
    /// Parallel to the routes.
    hashes: Arc<[Hash]>,
}

/// Routes between two cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RouteLeaf {
    /// How many routes there are up to its end.
    end: usize,
    hash: Hash,
}

impl Roots {
    /// The identity of the next configuration. What it shares with the one before is not encoded again.
    ///
    /// # Errors
    /// When a part is too large to travel.
    pub fn root_of(&mut self, config: &GatewayConfig) -> Result<Hash, WireError> {
        let mut others = vec![settings_resource(config.settings())?.entry().clone()];
        for backend in config.backends().iter() {
            others.push(backend_resource(backend)?.entry().clone());
        }
        let is_same = |former: &Hashed, group: &RouteGroup| memory(&former.routes) == memory(group);
        let common = CommonEnds::of(&self.groups, config.groups(), is_same);
        let groups = self.hashed(config, common)?;
        let leaves = self.leaves(&groups, common);
        *self = Self { groups, leaves };
        // Routes are of another kind than what stands in front of them, so a leaf begins with the first.
        let others = runs(&others, |entry| entry).map(run_hash);
        Ok(root_of(others.chain(self.leaves.iter().map(|leaf| leaf.hash))))
    }

    /// The groups of a configuration with the hashes of their routes.
    fn hashed(&self, config: &GatewayConfig, common: CommonEnds) -> Result<Vec<Hashed>, WireError> {
        let departed = common.between(&self.groups).iter();
        let known = departed.flat_map(|group| group.routes.iter().zip(group.hashes.iter()));
        let known: FxHashMap<_, _> = known.map(|(route, hash)| (Arc::as_ptr(route).addr(), *hash)).collect();
        let hash_of = |route: &Arc<Route>| match known.get(&Arc::as_ptr(route).addr()) {
            Some(hash) => Ok(*hash),
            None => Ok(route_resource(route)?.entry().hash),
        };
        let mut groups = self.groups[..common.before].to_vec();
        for routes in common.between(config.groups()) {
            let hashes = routes.iter().map(hash_of).collect::<Result<_, WireError>>()?;
            groups.push(Hashed { routes: Arc::clone(routes), hashes });
        }
        groups.extend_from_slice(&self.groups[self.groups.len() - common.behind..]);
        Ok(groups)
    }

    /// The leaves of these groups, which have so much in common with the former ones.
    fn leaves(&self, groups: &[Hashed], common: CommonEnds) -> Vec<RouteLeaf> {
        let (former_length, length) = (length(&self.groups), length(groups));
        let same_start = self::length(&groups[..common.before]);
        let same_end = self::length(&groups[groups.len() - common.behind..]);
        // That the last of the former ends where it does may be because no route follows.
        let is_kept = |leaf: &RouteLeaf| leaf.end <= same_start && leaf.end < former_length;
        let kept = self.leaves.partition_point(is_kept);
        let mut leaves = self.leaves[..kept].to_vec();
        let mut run = Vec::new();
        let mut end = leaves.last().map_or(0, |leaf| leaf.end);
        for entry in entries_from(end, groups) {
            // A leaf begins with this entry.
            if run.is_empty()
                && let Some(distance) = (end + same_end).checked_sub(length)
                && let Some(behind) = self.behind(former_length - same_end + distance)
            {
                let moved =
                    |leaf: &RouteLeaf| RouteLeaf { end: length - (former_length - leaf.end), ..*leaf };
                leaves.extend(behind.iter().map(moved));
                return leaves;
            }
            run.push(entry);
            end += 1;
            if end == length || cut(&run[run.len() - 1], run.len()) == Cut::Here {
                leaves.push(RouteLeaf { end, hash: run_hash(&mem::take(&mut run)) });
            }
        }
        leaves
    }

    /// The former leaves from this route on; none: none began with it.
    fn behind(&self, start: usize) -> Option<&[RouteLeaf]> {
        let next = self.leaves.partition_point(|leaf| leaf.end <= start);
        let began = next.checked_sub(1).map_or(0, |last| self.leaves[last].end);
        (began == start).then(|| &self.leaves[next..])
    }
}

/// How many routes there are.
fn length(groups: &[Hashed]) -> usize {
    groups.iter().map(|group| group.routes.len()).sum()
}

/// The entries of all routes but the first of so many.
fn entries_from(mut skipped: usize, groups: &[Hashed]) -> impl Iterator<Item = Entry> {
    let rest = groups.iter().flat_map(move |Hashed { routes, hashes }| {
        let here = skipped.min(routes.len());
        skipped -= here;
        routes[here..].iter().zip(&hashes[here..])
    });
    rest.map(|(route, hash)| Entry { kind: ResourceKind::Route, name: route.name.to_string(), hash: *hash })
}

#[cfg(test)]
mod tests;
