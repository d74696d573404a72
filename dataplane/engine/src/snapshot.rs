//! What runs: a configuration made ready to judge requests by.
//!
//! A snapshot never changes. State that must outlive it hangs on the stable ids that [`Snapshot::compile`] carries over
//! from the previous snapshot: of a route as long as its name stays, of an upstream as long as some route uses it.

use std::{collections::HashMap, sync::Arc};

use apigw_config::{
    model::{self, Auth, GatewayConfig, Settings},
    names::{RouteName, Scheme, UpstreamHost, UpstreamUrl},
    problem::Problem,
    wire::Revision,
};
use http::HeaderValue;

use crate::{
    jwt::{providers::Providers, verify::Verifier},
    path::NormalPath,
    policies::{self, AddressPolicy, Policies},
    routing::RouteTable,
};

/// Identity of a route's state: as long as a route of that name is configured. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u64);

/// Identity of an upstream's state (its connections and addresses): as long as a route uses that scheme, host and port.
/// Never used twice; the default is no upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UpstreamId(u64);

/// A compiled configuration and its identity.
#[derive(Debug)]
pub struct Snapshot {
    revision: Revision,
    config: GatewayConfig,
    /// Parallel to the configuration's routes.
    routes: Vec<CompiledRoute>,
    /// Of the server; every request passes them.
    addresses: AddressPolicy,
    providers: Providers,
    table: RouteTable,
    /// Places of the routes in the configuration.
    indexes: HashMap<RouteName, usize>,
    upstreams: HashMap<UpstreamKey, Arc<Upstream>>,
    /// The last id given, of either kind.
    last_id: u64,
}

/// What compiling adds to a route.
#[derive(Debug)]
struct CompiledRoute {
    id: RouteId,
    upstream: Arc<Upstream>,
    policies: Policies,
}

/// A place to send requests to, shared by the routes that name it.
#[derive(Debug)]
pub struct Upstream {
    /// Identity of its state.
    pub id: UpstreamId,
    /// How bytes travel.
    pub scheme: Scheme,
    /// An address or a name.
    pub host: UpstreamHost,
    /// TCP port.
    pub port: u16,
    /// The `Host` it sees.
    pub authority: HeaderValue,
}

/// What makes two URLs the same upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct UpstreamKey {
    scheme: Scheme,
    host: UpstreamHost,
    port: u16,
}

impl UpstreamKey {
    fn new(url: &UpstreamUrl) -> Self {
        Self { scheme: url.scheme(), host: url.host().clone(), port: url.port() }
    }
}

/// A route of a snapshot: what the file says of it and what compiling added.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// Its place in the configuration.
    pub index: usize,
    /// As configured.
    pub config: &'a model::Route,
    /// Identity of its state.
    pub id: RouteId,
    /// Where its requests go.
    pub upstream: &'a Arc<Upstream>,
    /// By what its requests are judged.
    pub policies: &'a Policies,
}

impl Snapshot {
    /// Makes a configuration ready to run, keeping the ids of what the previous snapshot had already.
    ///
    /// # Errors
    /// All that keeps the configuration from running.
    pub fn compile(
        config: GatewayConfig,
        revision: Revision,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let mut last_id = previous.map_or(0, |previous| previous.last_id);
        let mut new_id = || {
            last_id += 1;
            last_id
        };
        let settings = config.settings();
        let providers =
            Providers::new(settings.auth.iter().flat_map(Auth::providers).map(Verifier::from).collect());
        let vouched = Arc::new(policies::vouched_headers(config.routes()));
        let mut upstreams = HashMap::new();
        let mut indexes = HashMap::with_capacity(config.routes().len());
        let mut routes = Vec::with_capacity(config.routes().len());
        for (index, route) in config.routes().iter().enumerate() {
            let known = previous.and_then(|previous| previous.compiled(&route.name));
            let id = known.map_or_else(|| RouteId(new_id()), |known| known.id);
            indexes.insert(route.name.clone(), index);
            let key = UpstreamKey::new(&route.upstream);
            let known_policies = known.map(|known| &known.policies);
            let policies = Policies::new(route, &providers, Arc::clone(&vouched), known_policies);
            let upstream = upstreams.entry(key).or_insert_with_key(|key| {
                let known = previous.and_then(|previous| previous.upstreams.get(key));
                known.map_or_else(
                    || Arc::new(Upstream::new(&route.upstream, UpstreamId(new_id()))),
                    Arc::clone,
                )
            });
            routes.push(CompiledRoute { id, upstream: Arc::clone(upstream), policies });
        }
        let addresses = AddressPolicy::new(&settings.server.address_lists);
        let table = RouteTable::new(config.routes().iter().map(|route| &route.path_prefix));
        Ok(Self { revision, config, routes, addresses, providers, table, indexes, upstreams, last_id })
    }

    fn compiled(&self, name: &RouteName) -> Option<&CompiledRoute> {
        self.indexes.get(name).map(|index| &self.routes[*index])
    }

    /// Identity of what runs.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The configuration it was compiled from.
    #[must_use]
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Everything of the configuration that is not a route.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.config.settings()
    }

    /// The route that serves a path.
    #[must_use]
    pub fn route(&self, path: &NormalPath<'_>) -> Option<Route<'_>> {
        Some(self.route_at(self.table.find(path.as_str())?.get()))
    }

    /// The route at this place in the configuration.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn route_at(&self, index: usize) -> Route<'_> {
        let CompiledRoute { id, upstream, policies } = &self.routes[index];
        Route { index, config: &self.config.routes()[index], id: *id, upstream, policies }
    }

    /// All routes, in the order of the file.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        (0..self.routes.len()).map(|index| self.route_at(index))
    }

    /// Who says who callers are, in the order of the file.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// From where requests are taken at all.
    #[must_use]
    pub fn addresses(&self) -> &AddressPolicy {
        &self.addresses
    }

    /// All upstreams, in no order.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }
}

impl Upstream {
    fn new(url: &UpstreamUrl, id: UpstreamId) -> Self {
        let authority = HeaderValue::from_str(&url.authority())
            .expect("an upstream's host holds only letters, digits and -_.:[]");
        Self { id, scheme: url.scheme(), host: url.host().clone(), port: url.port(), authority }
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::wire::{Resource, root_hash};

    use super::*;
    use crate::{address_list::AddressRefusal, mode::Passage};

    fn snapshot(routes: &[(&str, &str)], previous: Option<&Snapshot>) -> Result<Snapshot, Vec<Problem>> {
        let route = |(name, upstream): &(&str, &str)| {
            format!("  - {{name: {name}, match: {{path_prefix: /{name}}}, upstream: \"{upstream}\"}}\n")
        };
        let text = "routes:\n".to_owned() + &routes.iter().map(route).collect::<String>();
        compile(&text, previous)
    }

    fn compile(text: &str, previous: Option<&Snapshot>) -> Result<Snapshot, Vec<Problem>> {
        let config = apigw_config::read("test.yaml", text.as_bytes()).unwrap();
        let resources = apigw_config::wire::encode(&config).unwrap();
        let root_hash = root_hash(resources.iter().map(Resource::entry));
        Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, previous)
    }

    fn route<'a>(snapshot: &'a Snapshot, path: &str) -> Route<'a> {
        snapshot.route(&NormalPath::new(path).unwrap()).unwrap()
    }

    #[test]
    fn ids_outlive_a_change_of_other_routes() {
        let first = snapshot(&[("a", "http://h:1"), ("b", "http://h:2")], None).unwrap();
        let routes = [("new", "http://h:3"), ("b", "http://h:2/base"), ("a", "http://h:2")];
        let second = snapshot(&routes, Some(&first)).unwrap();
        for path in ["/a", "/b"] {
            assert_eq!(route(&second, path).id, route(&first, path).id, "{path}");
        }
        assert_eq!(route(&second, "/b").upstream.id, route(&first, "/b").upstream.id);
        assert_eq!(route(&second, "/a").upstream.id, route(&first, "/b").upstream.id);
        assert_ne!(route(&second, "/new").id, route(&first, "/a").id);
    }

    #[test]
    fn ids_are_never_used_twice() {
        let first = snapshot(&[("a", "http://h:1")], None).unwrap();
        let without = snapshot(&[("b", "http://h:2")], Some(&first)).unwrap();
        let again = snapshot(&[("a", "http://h:1")], Some(&without)).unwrap();
        assert_ne!(route(&again, "/a").id, route(&first, "/a").id);
        assert_ne!(route(&again, "/a").upstream.id, route(&first, "/a").upstream.id);
    }

    #[test]
    fn upstreams_are_shared_by_the_routes_that_name_them() {
        let snapshot = snapshot(&[("a", "http://h:1"), ("b", "http://h:1/base")], None).unwrap();
        assert_eq!(snapshot.upstreams().count(), 1);
    }

    #[test]
    fn address_lists_are_enforced_judged_only_or_off() {
        let admit = |mode: &str| {
            let text = format!(
                "routes:\n  - {{name: a, match: {{path_prefix: /}}, upstream: \"http://h\", \
                 deny_cidrs: [10.0.0.0/8], cidrs_mode: {mode}}}\n"
            );
            let snapshot = compile(&text, None).unwrap();
            route(&snapshot, "/").policies.addresses.admit([10, 0, 0, 1].into())
        };
        assert_eq!(admit("enforce"), Err(AddressRefusal::Denied));
        assert_eq!(admit("shadow"), Ok(Passage::WouldReject(AddressRefusal::Denied)));
        assert_eq!(admit("off"), Ok(Passage::Admitted(())));
    }

    #[test]
    fn schemes_tell_upstreams_apart() {
        let snapshot = snapshot(&[("a", "http://h:1"), ("b", "https://h:1")], None).unwrap();
        assert_ne!(route(&snapshot, "/a").upstream.id, route(&snapshot, "/b").upstream.id);
    }
}
