//! What a revision contains: a configuration, and the leaves it travels in. What two of them have in common they share,
//! decoded and encoded: going from one to the next costs what differs, and a look at the list of leaves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use apigw_proto::v1;

use super::{
    Entry, Hash, Leaf, MAX_LEAVES, Resource, WireError, decode, encode,
    features::{self, Feature},
    leaf::{check_order, root_of, runs},
};
use crate::{
    model::{Backend, BackendGroup, GatewayConfig, Route, RouteGroup, Settings},
    problem::Problem,
};

/// A configuration as it runs and as it travels.
#[derive(Debug, Clone)]
pub struct Content {
    parts: Arc<[Arc<Part>]>,
    config: GatewayConfig,
    root_hash: Hash,
}

/// A leaf and what it means.
#[derive(Debug)]
struct Part {
    leaf: Arc<Leaf>,
    meaning: Meaning,
    required: BTreeSet<Feature>,
}

/// What a leaf means.
#[derive(Debug)]
pub(super) enum Meaning {
    Settings(Arc<Settings>),
    /// Parallel to the leaf's resources.
    Backends(BackendGroup),
    /// Parallel to the leaf's resources.
    Routes(RouteGroup),
}

/// A resource in the making, and what it is of.
type Encoded = (Resource, Item);

#[derive(Debug, Clone)]
enum Item {
    Settings,
    Backend(Arc<Backend>),
    Route(Arc<Route>),
}

impl Content {
    /// Encodes a configuration. What `former` has encoded already is taken from there.
    ///
    /// # Errors
    /// When a part is too large, or there are too many.
    pub fn encode(config: &GatewayConfig, former: Option<&Self>) -> Result<Self, WireError> {
        let known = former.map(Self::by_name).unwrap_or_default();
        let mut list: Vec<Encoded> = vec![(encode::settings_resource(config.settings())?, Item::Settings)];
        for backend in config.backends().iter() {
            list.push((encode::backend_resource(backend)?, Item::Backend(Arc::clone(backend))));
        }
        for route in config.groups().iter().flat_map(|group| group.iter()) {
            list.push(match known.get(route.name.as_str()) {
                Some((known, resource)) if Arc::ptr_eq(known, route) || *known == route => {
                    ((*resource).clone(), Item::Route(Arc::clone(known)))
                }
                _ => (encode::route_resource(route)?, Item::Route(Arc::clone(route))),
            });
        }
        let known = former.map(Self::by_first_entry).unwrap_or_default();
        let part = |run: &[Encoded]| match known.get(run[0].0.entry()) {
            Some(part) if part.is_of(run) => Arc::clone(part),
            _ => Arc::new(Part::encoded(config.shared_settings(), run)),
        };
        let parts: Vec<_> = runs(&list, |(resource, _)| resource.entry()).map(part).collect();
        if parts.len() > MAX_LEAVES {
            return Err(WireError::TooManyLeaves { count: parts.len() });
        }
        let config = config.regrouped(backend_groups(&parts), groups(&parts));
        Ok(Self::of_parts(parts, config))
    }

    /// Decodes leaves. What `former` has decoded already is taken from there.
    ///
    /// # Errors
    /// Everything wrong with them; at least one problem.
    pub fn decode(leaves: &[Arc<Leaf>], former: Option<&Self>) -> Result<Self, Vec<Problem>> {
        check_order(leaves).map_err(|error| decode::of_order(&error))?;
        let known = former.map(Self::by_leaf).unwrap_or_default();
        let mut decoding = decode::Decoding::new();
        let mut parts = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            // What is known by its content is still to be judged by its place: settings first, then backends, then routes.
            if let Some(part) = known.get(&leaf.hash()).filter(|_| decoding.may_follow(leaf)) {
                decoding.pass(leaf);
                parts.push(Arc::clone(part));
            } else if let Some((meaning, required)) = decoding.leaf(leaf) {
                parts.push(Arc::new(Part { leaf: Arc::clone(leaf), meaning, required }));
            }
        }
        decoding.finish()?;
        let Some(Meaning::Settings(settings)) = parts.first().map(|part| &part.meaning) else {
            return Err(decode::without_settings());
        };
        let config = match former {
            Some(former) => {
                former.config.revised(Arc::clone(settings), backend_groups(&parts), groups(&parts))
            }
            None => GatewayConfig::of_groups(Arc::clone(settings), backend_groups(&parts), groups(&parts)),
        };
        let config = config.map_err(|errors| decode::conflicts(&errors))?;
        Ok(Self::of_parts(parts, config))
    }

    fn of_parts(parts: Vec<Arc<Part>>, config: GatewayConfig) -> Self {
        let root_hash = root_of(parts.iter().map(|part| part.leaf.hash()));
        Self { parts: parts.into(), config, root_hash }
    }

    /// What it means.
    #[must_use]
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Its identity.
    #[must_use]
    pub fn root_hash(&self) -> Hash {
        self.root_hash
    }

    /// Its leaves in their order; the first one is the settings'.
    #[must_use]
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = &Arc<Leaf>> {
        self.parts.iter().map(|part| &part.leaf)
    }

    /// The leaf at this place.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn leaf(&self, index: usize) -> &Leaf {
        &self.parts[index].leaf
    }

    /// Its resources, in the revision's order.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.leaves().flat_map(|leaf| leaf.resources())
    }

    /// What a build must enforce to run it as it is meant.
    #[must_use]
    pub fn required(&self) -> BTreeSet<Feature> {
        self.parts.iter().flat_map(|part| part.required.iter().copied()).collect()
    }

    /// Routes and what they were encoded to.
    fn by_name(&self) -> HashMap<&str, (&Arc<Route>, &Resource)> {
        let mut known = HashMap::with_capacity(self.config.route_count());
        for part in self.parts.iter() {
            if let Meaning::Routes(routes) = &part.meaning {
                let pairs = routes.iter().zip(part.leaf.resources());
                known.extend(pairs.map(|(route, resource)| (route.name.as_str(), (route, resource))));
            }
        }
        known
    }

    fn by_first_entry(&self) -> HashMap<&Entry, &Arc<Part>> {
        self.parts.iter().map(|part| (part.leaf.resources()[0].entry(), part)).collect()
    }

    fn by_leaf(&self) -> HashMap<Hash, &Arc<Part>> {
        self.parts.iter().map(|part| (part.leaf.hash(), part)).collect()
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.root_hash == other.root_hash
    }
}

impl Part {
    fn encoded(settings: &Arc<Settings>, run: &[Encoded]) -> Self {
        let resources = run.iter().map(|(resource, _)| resource.clone()).collect();
        let leaf = Arc::new(Leaf::of_run(resources));
        // A leaf is all of one kind, and the settings are one by themselves.
        let (mut backends, mut routes) = (Vec::new(), Vec::new());
        for (_, item) in run {
            match item {
                Item::Settings => {}
                Item::Backend(backend) => backends.push(Arc::clone(backend)),
                Item::Route(route) => routes.push(Arc::clone(route)),
            }
        }
        let (meaning, required) = if !routes.is_empty() {
            let required = features::of_routes(routes.iter().map(|route| v1::Route::from(route.as_ref())));
            (Meaning::Routes(routes.into()), required)
        } else if !backends.is_empty() {
            let messages = backends.iter().map(|backend| v1::Backend::from(backend.as_ref()));
            let required = features::of_backends(messages);
            (Meaning::Backends(backends.into()), required)
        } else {
            (Meaning::Settings(Arc::clone(settings)), features::of_settings(settings.as_ref().into()))
        };
        Self { leaf, meaning, required }
    }

    fn is_of(&self, run: &[Encoded]) -> bool {
        let entries = self.leaf.resources().iter().map(Resource::entry);
        entries.eq(run.iter().map(|(resource, _)| resource.entry()))
    }
}

fn backend_groups(parts: &[Arc<Part>]) -> Vec<BackendGroup> {
    let backends = |part: &Arc<Part>| match &part.meaning {
        Meaning::Backends(backends) => Some(Arc::clone(backends)),
        Meaning::Settings(_) | Meaning::Routes(_) => None,
    };
    parts.iter().filter_map(backends).collect()
}

fn groups(parts: &[Arc<Part>]) -> Vec<RouteGroup> {
    let routes = |part: &Arc<Part>| match &part.meaning {
        Meaning::Settings(_) | Meaning::Backends(_) => None,
        Meaning::Routes(routes) => Some(Arc::clone(routes)),
    };
    parts.iter().filter_map(routes).collect()
}

#[cfg(test)]
mod tests;
