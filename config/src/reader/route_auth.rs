//! Reads what a route asks of its callers.

use std::collections::BTreeMap;

use super::{Mapping, Place, Read, Reader, values::Located};
use crate::{
    model::{ForwardedClaims, RouteAuth},
    names::{PolicyMode, ProviderName},
    problem::Position,
};

/// A route's `auth`, and where the names in it are, for the rule that somebody must have them.
pub(super) struct RouteAuthInFile {
    pub(super) auth: RouteAuth,
    /// Of each of the route's providers.
    pub(super) provider_positions: Vec<Position>,
}

impl Read for RouteAuthInFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let providers: Option<Vec<Located<ProviderName>>> = keys.or("providers", Vec::new());
        let required_scopes = keys.or("required_scopes", Vec::new());
        let required_claims = keys.or("required_claims", BTreeMap::new());
        let forward_claims = keys.or("forward_claims", ForwardedClaims::default());
        let mode = keys.or("mode", PolicyMode::Enforce);
        keys.finish();

        let (provider_positions, providers) =
            providers?.into_iter().map(|Located { position, value }| (position, value)).unzip();
        let auth = RouteAuth {
            providers,
            required_scopes: required_scopes?,
            required_claims: required_claims?,
            forward_claims: forward_claims?,
            mode: mode?,
        };
        Some(Self { auth, provider_positions })
    }
}
