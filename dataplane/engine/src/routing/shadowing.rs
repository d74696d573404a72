//! Routes that serve nothing, because others win wherever they match. Found where it can be told without trying paths:
//! among routes with one host and one path.

use std::collections::{BTreeMap, BTreeSet};

use apigw_config::{
    model::{self, FieldMatch, ValueMatch},
    names::MethodName,
};

use super::{
    Node, RouteTable,
    claims::{Claim, Claims},
};
use crate::snapshot::Slot;

/// The most routes of one path that a further one is compared with: pairs of them all would take minutes.
const MOST_COMPARED: usize = 1_000;

/// A route that serves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// Its place in the configuration.
    pub route: usize,
    /// Those of the routes that win instead.
    pub by: BTreeSet<usize>,
}

impl RouteTable {
    /// The routes that serve nothing on any of their hosts, and those that win over them.
    pub(crate) fn shadowed<'r>(
        &self,
        route: impl Fn(Slot) -> &'r model::Route,
    ) -> BTreeMap<Slot, BTreeSet<Slot>> {
        let mut losses: BTreeMap<Slot, (usize, BTreeSet<Slot>)> = BTreeMap::new();
        let mut lost = |slot: Slot, winners: &[Slot]| {
            let (sites, by) = losses.entry(slot).or_default();
            *sites += 1;
            by.extend(winners);
        };
        for node in std::iter::once(&self.everywhere).chain(self.nodes.iter()) {
            node.shadowed(&route, &mut lost);
        }
        let everywhere = losses
            .into_iter()
            .filter(|(slot, (sites, _))| *sites == route(*slot).matches.hosts().len().max(1));
        everywhere.map(|(slot, (_, by))| (slot, by)).collect()
    }
}

impl Node {
    fn shadowed<'r>(&self, route: &impl Fn(Slot) -> &'r model::Route, lost: &mut impl FnMut(Slot, &[Slot])) {
        // Where there is one route of a path, as nearly always, there is nothing to compare.
        let winner = |claims: &[Claim], slot: Slot| {
            let others = claims.iter().take(MOST_COMPARED).map(|claim| claim.slot);
            others.take_while(|other| *other != slot).find(|other| includes(route(*other), route(slot)))
        };
        for list in self.lists().filter(|list| list.len() > 1) {
            for claim in &list {
                if let Some(other) = winner(&list, claim.slot) {
                    lost(claim.slot, &[other]);
                }
            }
        }
        // `/a` is nothing but the very `/a` and what is beneath `/a/`.
        let (here, exactly, beneath) = (self.here.all(), self.exactly.all(), self.beneath.all());
        for claim in &here {
            if winner(&here, claim.slot).is_none()
                && let (Some(one), Some(other)) = (winner(&exactly, claim.slot), winner(&beneath, claim.slot))
            {
                lost(claim.slot, &[one, other]);
            }
        }
    }

    fn lists(&self) -> impl Iterator<Item = Vec<Claim>> {
        let regexes = self.regexes.iter().flat_map(|regexes| regexes.iter()).map(|regex| &regex.claims);
        [&self.here, &self.beneath, &self.exactly].into_iter().chain(regexes).map(Claims::all)
    }
}

/// Whether one route's conditions hold wherever another's do.
fn includes(wide: &model::Route, narrow: &model::Route) -> bool {
    let (wide, narrow) = (&wide.matches, &narrow.matches);
    has_methods(wide.methods(), narrow.methods())
        && are_implied(wide.headers(), narrow.headers())
        && are_implied(wide.query(), narrow.query())
}

fn has_methods(wide: &[MethodName], narrow: &[MethodName]) -> bool {
    wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|method| wide.contains(method))
}

fn are_implied<N: PartialEq>(wide: &[FieldMatch<N>], narrow: &[FieldMatch<N>]) -> bool {
    let is_implied = |one: &FieldMatch<N>| {
        narrow.iter().any(|other| other.name == one.name && implies(&other.value, &one.value))
    };
    wide.iter().all(is_implied)
}

/// Whether every value that is as the first says is as the second says. No may mean that it is not known.
fn implies(narrow: &ValueMatch, wide: &ValueMatch) -> bool {
    match (narrow, wide) {
        (ValueMatch::Absent, wide) => *wide == ValueMatch::Absent,
        (_, ValueMatch::Present) => true,
        (ValueMatch::Exactly(text) | ValueMatch::Prefix(text), ValueMatch::Prefix(beginning)) => {
            text.as_str().starts_with(beginning.as_str())
        }
        (ValueMatch::Exactly(text), ValueMatch::Regex(pattern)) => pattern.is_match(text.as_str().as_bytes()),
        (narrow, wide) => narrow == wide,
    }
}
