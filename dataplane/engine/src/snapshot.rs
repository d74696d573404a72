//! What runs: a configuration made ready to judge requests by.
//!
//! A snapshot never changes. State that must outlive it hangs on the stable ids that [`Snapshot::compile`] carries over
//! from the previous snapshot: of a route as long as its name stays, of an upstream as long as some route uses it, and
//! until 16 more have been left behind.

/// Where requests go.
mod backend;
/// From one snapshot to the next.
mod compile;
/// What may come back.
mod former;
/// Where routes lie.
mod slots;
/// Which backend a request goes to where several share them.
mod split;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub(crate) use self::slots::Slots;
use self::{backend::UpstreamKey, former::FormerUpstreams, split::Split};
pub use self::{
    backend::{Affinity, Backend, ChoiceId, Endpoint, Upstream, UpstreamId},
    slots::Slot,
    split::SplitBackends,
};
use crate::{
    access::{VouchedHeaders, VouchedTally},
    jwt::providers::Providers,
    own_answer::OwnAnswer,
    path::NormalPath,
    policies::{AddressPolicy, Policies},
    routing::{Asked, RouteTable, Shadowed},
};
use apigw_config::{
    model::{self, GatewayConfig, RouteGroup, Settings},
    names::{BackendName, RouteName},
    problem::Problem,
    shared_table::SharedTable,
    wire::Revision,
};
use rustc_hash::FxHashMap;

/// Identity of a route's state: as long as a route of that name is configured. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(u64);

/// Identity of a group of routes. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GroupId(u64);

/// A compiled configuration and its identity.
#[derive(Debug)]
pub struct Snapshot {
    revision: Revision,
    config: GatewayConfig,
    /// Parallel to the configuration's groups.
    groups: Vec<Arc<Group>>,
    /// The place of each group's first route in the configuration.
    places: FxHashMap<GroupId, usize>,
    routes: Slots<Arc<CompiledRoute>>,
    backends: NamedBackends,
    /// Of routes that several backends share: what their turns are remembered under.
    splits: SharedTable<ChoiceId>,
    names: SharedTable<NamedRoute>,
    /// Of the server; every request passes them.
    addresses: Arc<AddressPolicy>,
    providers: Arc<Providers>,
    table: RouteTable,
    upstreams: SharedTable<UsedUpstream>,
    upstream_ids: SharedTable<UpstreamId>,
    former_upstreams: FormerUpstreams,
    trusting: Trusting,
    vouched: VouchedTally,
    vouched_headers: Arc<VouchedHeaders>,
    changes: Changes,
    /// The last id given, of any kind.
    last_id: u64,
}

/// Routes that follow each other, compiled.
#[derive(Debug)]
struct Group {
    id: GroupId,
    routes: RouteGroup,
    /// Parallel to the routes.
    slots: Vec<Slot>,
}

/// A route and what compiling adds to it.
#[derive(Debug)]
struct CompiledRoute {
    config: Arc<model::Route>,
    id: RouteId,
    destination: Destination,
    /// Routes without any share these.
    policies: Arc<Policies>,
    group: GroupId,
    /// Its place in the group.
    place: u32,
}

/// What a route sends its requests to.
#[derive(Debug)]
enum Destination {
    /// Its own.
    Url(Arc<Backend>),
    /// One that has a name, where it lies: what lies there may change while the route stays as it is.
    Backend(Slot),
    /// One of several of these.
    Split(Box<Split>),
    /// Nobody.
    Own(Box<OwnAnswer>),
}

/// The backends that have names.
#[derive(Debug, Clone, Default)]
struct NamedBackends {
    backends: Slots<Arc<Backend>>,
    slots: Arc<HashMap<BackendName, Slot>>,
    /// What turns are remembered under.
    ids: Arc<HashSet<ChoiceId>>,
}

impl NamedBackends {
    fn find(&self, name: &BackendName) -> Option<&Arc<Backend>> {
        self.slots.get(name).map(|slot| self.backends.at(*slot))
    }
}

/// How many upstreams there are that the machine's authorities vouch for.
type Trusting = usize;

#[derive(Debug, Clone)]
struct NamedRoute {
    name: RouteName,
    slot: Slot,
}

#[derive(Debug, Clone)]
struct UsedUpstream {
    key: UpstreamKey,
    upstream: Arc<Upstream>,
    /// What the newest route that names its URL sends to, for the next one that does; none: no route does.
    backend: Option<Arc<Backend>>,
    /// How many routes and endpoints use it.
    users: usize,
}

/// What became of the snapshot that this one was compiled after.
#[derive(Debug)]
struct Changes {
    departed_routes: Vec<RouteId>,
    has_same_upstreams: bool,
}

impl Changes {
    /// After nothing.
    fn all() -> Self {
        Self { departed_routes: Vec::new(), has_same_upstreams: false }
    }
}

/// A route of a snapshot: what the file says of it and what compiling added.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// Where it lies in its snapshot.
    pub slot: Slot,
    /// As configured.
    pub config: &'a model::Route,
    /// Identity of its state.
    pub id: RouteId,
    /// Who answers its requests.
    pub answerer: Answerer<'a>,
    /// By what its requests are judged.
    pub policies: &'a Policies,
}

/// Who answers the requests of a route.
#[derive(Debug, Clone, Copy)]
pub enum Answerer<'a> {
    /// An endpoint of a backend.
    Backend(&'a Arc<Backend>),
    /// An endpoint of one of these backends.
    Split(SplitBackends<'a>),
    /// The gateway itself.
    Gateway(&'a OwnAnswer),
}

impl<'a> Route<'a> {
    /// Where all its requests go; none: the gateway answers them, or several backends do.
    #[must_use]
    pub fn backend(&self) -> Option<&'a Arc<Backend>> {
        match self.answerer {
            Answerer::Backend(backend) => Some(backend),
            Answerer::Split(_) | Answerer::Gateway(_) => None,
        }
    }
}

impl Snapshot {
    /// Makes a configuration ready to run, keeping the ids of what the previous snapshot had already. Groups of routes that
    /// both configurations share cost nothing while the settings are the same.
    ///
    /// # Errors
    /// All that keeps the configuration from running.
    pub fn compile(
        config: GatewayConfig,
        revision: Revision,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        Ok(compile::compile(config, revision, previous))
    }

    fn compiled(&self, name: &RouteName) -> Option<&CompiledRoute> {
        let named = self.names.find(name.table_hash(), |named| named.name == *name)?;
        Some(self.routes.at(named.slot))
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

    /// The route that serves a request.
    #[must_use]
    pub fn route(&self, asked: &Asked<'_>) -> Option<Route<'_>> {
        Some(self.route_at(self.table.find(asked)?))
    }

    /// Routes that may serve this path, for some host and some request like it: all that stand before the first that asks
    /// for nothing else, and those whose expression may match something beneath it.
    pub fn routes_that_may_serve(&self, path: &NormalPath<'_>) -> impl Iterator<Item = Route<'_>> {
        self.table.candidates(path.as_str()).into_iter().map(|slot| self.route_at(slot))
    }

    /// Routes that serve nothing, in the order of the file.
    #[must_use]
    pub fn shadowed_routes(&self) -> Vec<Shadowed> {
        let place = |slot| self.place_of(&self.route_at(slot));
        let shadowed = self.table.shadowed(|slot| self.route_at(slot).config).into_iter();
        let shadowed = shadowed
            .map(|(slot, by)| Shadowed { route: place(slot), by: by.into_iter().map(place).collect() });
        let mut shadowed: Vec<_> = shadowed.collect();
        shadowed.sort_unstable_by_key(|shadowed| shadowed.route);
        shadowed
    }

    /// The route in this slot of this snapshot.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn route_at(&self, slot: Slot) -> Route<'_> {
        let CompiledRoute { config, id, destination, policies, .. } = &**self.routes.at(slot);
        let answerer = match destination {
            Destination::Url(backend) => Answerer::Backend(backend),
            Destination::Backend(slot) => Answerer::Backend(self.backends.backends.at(*slot)),
            Destination::Split(split) => Answerer::Split(split.with(&self.backends.backends)),
            Destination::Own(answer) => Answerer::Gateway(answer),
        };
        Route { slot, config, id: *id, answerer, policies }
    }

    /// The place of a route of this snapshot in the configuration.
    #[must_use]
    pub fn place_of(&self, route: &Route<'_>) -> usize {
        let CompiledRoute { group, place, .. } = &**self.routes.at(route.slot);
        self.places[group] + *place as usize
    }

    /// All routes, in the order of the file.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        self.groups.iter().flat_map(|group| &group.slots).map(|slot| self.route_at(*slot))
    }

    /// Routes of the snapshot that this one was compiled after whose names are gone.
    #[must_use]
    pub fn departed_routes(&self) -> &[RouteId] {
        &self.changes.departed_routes
    }

    /// Whether the snapshot that this one was compiled after has the same upstreams.
    #[must_use]
    pub fn has_same_upstreams(&self) -> bool {
        self.changes.has_same_upstreams
    }

    /// The named backends, in the order of the file.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.config.backends().iter().filter_map(|backend| self.backends.find(backend.name()))
    }

    /// The backend with this name; none: there is none.
    #[must_use]
    pub fn backend(&self, name: &BackendName) -> Option<&Arc<Backend>> {
        self.backends.find(name)
    }

    /// Whether the turns of this choice are to be remembered.
    #[must_use]
    pub fn has_turns(&self, choice: ChoiceId) -> bool {
        self.backends.ids.contains(&choice) || self.has_split(choice)
    }

    /// Whether the machine's authorities vouch for any upstream.
    #[must_use]
    pub fn needs_platform_roots(&self) -> bool {
        self.trusting > 0
    }

    /// Whether some route or endpoint uses this upstream.
    #[must_use]
    pub fn has_upstream(&self, upstream: UpstreamId) -> bool {
        self.is_used(upstream)
    }

    /// Upstreams that none uses, but lately one did; if one does again, the upstream is the same. A few.
    pub fn former_upstreams(&self) -> impl Iterator<Item = UpstreamId> {
        self.former_upstreams.ids()
    }

    /// Header fields that upstreams believe to be the gateway's own words, on whatever route.
    #[must_use]
    pub fn vouched(&self) -> &Arc<VouchedHeaders> {
        &self.vouched_headers
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
        self.upstreams.iter().map(|used| &used.upstream)
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::{
        model::PathRules,
        wire::{Resource, root_hash},
    };

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
        let head = http::Request::builder().uri(path).body(()).unwrap().into_parts().0.into();
        let path = NormalPath::new(path, PathRules::default()).unwrap();
        snapshot.route(&Asked::new(&head, &path)).unwrap()
    }

    #[test]
    fn ids_outlive_a_change_of_other_routes() {
        let first = snapshot(&[("a", "http://h:1"), ("b", "http://h:2")], None).unwrap();
        let routes = [("new", "http://h:3"), ("b", "http://h:2/base"), ("a", "http://h:2")];
        let second = snapshot(&routes, Some(&first)).unwrap();
        for path in ["/a", "/b"] {
            assert_eq!(route(&second, path).id, route(&first, path).id, "{path}");
        }
        assert_eq!(
            route(&second, "/b").backend().unwrap().endpoints()[0].upstream.id,
            route(&first, "/b").backend().unwrap().endpoints()[0].upstream.id
        );
        assert_eq!(
            route(&second, "/a").backend().unwrap().endpoints()[0].upstream.id,
            route(&first, "/b").backend().unwrap().endpoints()[0].upstream.id
        );
        assert_ne!(route(&second, "/new").id, route(&first, "/a").id);
    }

    #[test]
    fn ids_are_never_used_twice() {
        let first = snapshot(&[("a", "http://h:1")], None).unwrap();
        let without = snapshot(&[("b", "http://h:2")], Some(&first)).unwrap();
        let again = snapshot(&[("a", "http://h:1")], Some(&without)).unwrap();
        assert_ne!(route(&again, "/a").id, route(&first, "/a").id);
    }

    #[test]
    fn an_upstream_that_comes_back_soon_is_the_same() {
        let upstream = |snapshot: &Snapshot| {
            Arc::clone(&route(snapshot, "/a").backend().unwrap().endpoints()[0].upstream)
        };
        let mut latest = snapshot(&[("a", "http://h:1")], None).unwrap();
        let first = upstream(&latest);
        let is_former = |snapshot: &Snapshot, id| snapshot.former_upstreams().any(|former| former == id);
        for (others, is_remembered) in [(1, true), (16, true), (17, false)] {
            for port in 2..2 + others {
                latest = snapshot(&[("a", &format!("http://h:{port}"))], Some(&latest)).unwrap();
                assert!(!latest.has_upstream(first.id));
            }
            assert_eq!(is_former(&latest, first.id), is_remembered, "{others}");
            latest = snapshot(&[("a", "http://h:1")], Some(&latest)).unwrap();
            assert!(!latest.has_same_upstreams());
            let back = upstream(&latest);
            assert_eq!(
                (back.id == first.id, is_former(&latest, back.id)),
                (is_remembered, false),
                "{others}"
            );
        }
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
        assert_ne!(
            route(&snapshot, "/a").backend().unwrap().endpoints()[0].upstream.id,
            route(&snapshot, "/b").backend().unwrap().endpoints()[0].upstream.id
        );
    }
}
