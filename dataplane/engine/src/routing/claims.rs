//! Routes with one and the same path, in the order in which they win.

use std::sync::Arc;

use apigw_config::{model, names::Pattern};

use super::{
    Asked,
    precedence::{self, ConditionRank},
};
use crate::snapshot::Slot;

/// Routes that serve one path, or all beneath it: nearly always one that asks for nothing else.
#[derive(Debug, Clone, Default)]
pub(super) enum Claims {
    #[default]
    None,
    /// Whatever else a request is like.
    One(Slot),
    /// Those that ask for more come first, then the first in the file.
    Several(Arc<[Claim]>),
}

/// A route that may serve a request.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) slot: Slot,
    /// What it asks for beside host and path; none: nothing.
    conditions: Option<Arc<model::Route>>,
}

impl Claim {
    pub(super) fn new(route: &Arc<model::Route>, slot: Slot) -> Self {
        Self { slot, conditions: route.matches.has_conditions().then(|| Arc::clone(route)) }
    }

    fn is_met(&self, asked: &Asked<'_>) -> bool {
        self.conditions.as_ref().is_none_or(|route| precedence::conditions(route, asked).is_ok())
    }

    fn rank(&self) -> ConditionRank {
        self.conditions.as_ref().map(|route| ConditionRank::of(route)).unwrap_or_default()
    }

    /// Whether this one wins over another with the same path.
    fn is_before<R: Ord>(&self, other: &Self, place: impl Fn(Slot) -> R) -> bool {
        let order = other.rank().cmp(&self.rank()).then_with(|| place(self.slot).cmp(&place(other.slot)));
        order.is_lt()
    }
}

/// The first of several that serves a request.
pub(super) fn first_of(claims: &[Claim], asked: &Asked<'_>) -> Option<Slot> {
    claims.iter().find(|claim| claim.is_met(asked)).map(|claim| claim.slot)
}

impl Claims {
    /// The one that serves a request.
    pub(super) fn first(&self, asked: &Asked<'_>) -> Option<Slot> {
        match self {
            Self::None => None,
            Self::One(slot) => Some(*slot),
            Self::Several(claims) => first_of(claims, asked),
        }
    }

    pub(super) fn all(&self) -> Vec<Claim> {
        match self {
            Self::None => Vec::new(),
            Self::One(slot) => vec![Claim { slot: *slot, conditions: None }],
            Self::Several(claims) => claims.to_vec(),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn put_in<R: Ord>(&mut self, claim: Claim, place: impl Fn(Slot) -> R) {
        let mut claims = self.all();
        let at = claims.partition_point(|other| other.is_before(&claim, &place));
        claims.insert(at, claim);
        *self = Self::of(claims);
    }

    pub(super) fn take_out(&mut self, slot: Slot) {
        let mut claims = self.all();
        claims.retain(|claim| claim.slot != slot);
        *self = Self::of(claims);
    }

    fn of(claims: Vec<Claim>) -> Self {
        match claims.as_slice() {
            [] => Self::None,
            [Claim { slot, conditions: None }] => Self::One(*slot),
            _ => Self::Several(claims.into()),
        }
    }
}

/// Routes for one form of paths.
#[derive(Debug, Clone)]
pub(super) struct RegexClaims {
    pub(super) pattern: Pattern,
    pub(super) claims: Claims,
}
