//! The identities of configurations of which each is nearly the one before: a route is encoded once for as long as it stays.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    Entry, Hash, ResourceKind, WireError,
    encode::{backend_resource, route_resource, settings_resource},
    root_hash,
};
use crate::model::{GatewayConfig, Route};

/// Finds the identities of one configuration after the other.
#[derive(Debug, Default)]
pub struct Roots {
    /// The hashes of the former configuration's routes, by where they are in memory, which nobody else takes while they are held.
    /// None: there was no former one. Those of the first are not kept: most configurations are never followed by another, and
    /// with 100,000 routes they are 8 MB.
    known: Option<FxHashMap<usize, (Arc<Route>, Hash)>>,
}

impl Roots {
    /// The identity of the next configuration. What it shares with the one before is not encoded again.
    ///
    /// # Errors
    /// When a part is too large to travel.
    pub fn root_of(&mut self, config: &GatewayConfig) -> Result<Hash, WireError> {
        let former = self.known.as_ref();
        let mut known = FxHashMap::default();
        if former.is_some() {
            known.reserve(config.route_count());
        }
        let mut entries = vec![settings_resource(config.settings())?.entry().clone()];
        for backend in config.backends().iter() {
            entries.push(backend_resource(backend)?.entry().clone());
        }
        for route in config.groups().iter().flat_map(|group| group.iter()) {
            let place = Arc::as_ptr(route).addr();
            let hash = match former.and_then(|former| former.get(&place)) {
                Some((_, hash)) => *hash,
                None => route_resource(route)?.entry().hash,
            };
            entries.push(Entry { kind: ResourceKind::Route, name: route.name.to_string(), hash });
            if former.is_some() {
                known.insert(place, (Arc::clone(route), hash));
            }
        }
        self.known = Some(known);
        Ok(root_hash(&entries))
    }
}
