//! Makes a snapshot of a configuration, from the one before where there is one: groups of routes that both configurations
//! have are taken over as they are, so that an edit costs what it edits.
//!
//! What was not touched is shared in tables whose copies share their parts ([`SharedTable`], [`Slots`], [`RouteTable`]).
//! A change of the settings makes everything anew, for every route depends on them. State is carried over in both cases,
//! by the names it hangs on.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash},
    sync::Arc,
};

use apigw_config::{
    model::{self, Auth, Backends, CredentialFiles, GatewayConfig, RouteGroup, memory},
    names::{BackendName, UpstreamUrl},
    shared_table::SharedTable,
    wire::Revision,
};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{
    Backend, Changes, ChoiceId, CompiledRoute, Destination, FormerUpstreams, Group, GroupId, NamedBackends,
    NamedRoute, RouteId, Slot, Slots, Snapshot, Split, Trusting, Upstream, UpstreamId, UpstreamKey,
    UsedUpstream,
};
use crate::{
    access::{Sources, VouchedTally},
    callers::external::{Service, answers::AnswersId},
    jwt::{providers::Providers, verify::Verifier},
    policies::{AddressPolicy, Policies, asked_service},
    routing::RouteTable,
};

/// A snapshot in the making.
struct Compilation<'p> {
    /// Whose state goes on.
    previous: Option<&'p Snapshot>,
    providers: Arc<Providers>,
    /// Those of every route that has none.
    no_policies: Arc<Policies>,
    /// What else callers are known by.
    files: CredentialFiles,
    routes: Slots<Arc<CompiledRoute>>,
    backends: NamedBackends,
    splits: SharedTable<ChoiceId>,
    names: SharedTable<NamedRoute>,
    table: RouteTable,
    upstreams: SharedTable<UsedUpstream>,
    upstream_ids: SharedTable<UpstreamId>,
    /// Those that nobody used any more when they were let go of.
    departed_upstreams: Vec<(UpstreamKey, Arc<Upstream>)>,
    trusting: Trusting,
    vouched: VouchedTally,
    /// How many upstreams the previous snapshot did not have.
    new_upstreams: usize,
    /// The last id given, of any kind.
    last_id: u64,
}

/// Groups that are taken over, by their memory.
type Kept = FxHashMap<*const Arc<model::Route>, Arc<Group>>;

pub(super) fn compile(config: GatewayConfig, revision: Revision, previous: Option<&Snapshot>) -> Snapshot {
    // Everything of a route was made under the settings.
    let base = previous.filter(|previous| previous.settings() == config.settings());
    let kept = base.map(|base| kept_groups(base, &config)).unwrap_or_default();
    // Where most is new, to take out what is old would cost more than to begin anew.
    let kept_routes: usize = kept.values().map(|group| group.routes.len()).sum();
    let (base, kept) =
        if 2 * kept_routes < config.route_count() { (None, Kept::default()) } else { (base, kept) };
    let mut compilation = Compilation::new(&config, previous, base);
    let former = previous.map_or(&[][..], |previous| &previous.groups);
    let departed: Vec<_> = former.iter().filter(|group| !kept.contains_key(&memory(&group.routes))).collect();
    if base.is_some() {
        departed.iter().for_each(|group| compilation.take_out(group));
    }
    compilation.put_backends(config.backends(), base);
    let places = compilation.places(&config, &kept);
    let mut groups = Vec::with_capacity(config.groups().len());
    for (routes, id) in config.groups().iter().zip(&places.in_order) {
        let kept = kept.get(&memory(routes));
        groups.push(kept.map_or_else(|| compilation.put_in(*id, routes, &places), Arc::clone));
    }
    let changes = compilation.changes(&departed);
    let former_upstreams = compilation.former_upstreams(base);
    let addresses = match base {
        Some(base) => Arc::clone(&base.addresses),
        None => Arc::new(AddressPolicy::new(&config.settings().server.address_lists)),
    };
    Snapshot {
        revision,
        config,
        groups,
        places: places.first,
        routes: compilation.routes,
        backends: compilation.backends,
        splits: compilation.splits,
        names: compilation.names,
        addresses,
        providers: compilation.providers,
        table: compilation.table,
        upstreams: compilation.upstreams,
        upstream_ids: compilation.upstream_ids,
        former_upstreams,
        trusting: compilation.trusting,
        vouched_headers: Arc::new(compilation.vouched.headers(&compilation.files)),
        vouched: compilation.vouched,
        changes,
        last_id: compilation.last_id,
    }
}

/// Where groups stand.
struct Places {
    in_order: Vec<GroupId>,
    /// The place of each group's first route.
    first: FxHashMap<GroupId, usize>,
}

impl<'p> Compilation<'p> {
    fn new(config: &GatewayConfig, previous: Option<&'p Snapshot>, base: Option<&Snapshot>) -> Self {
        let last_id = previous.map_or(0, |previous| previous.last_id);
        let files = config.settings().auth.as_ref().map(|auth| auth.files().clone()).unwrap_or_default();
        if let Some(base) = base {
            return Self {
                previous,
                providers: Arc::clone(&base.providers),
                no_policies: Arc::default(),
                files,
                routes: base.routes.clone(),
                backends: base.backends.clone(),
                splits: base.splits.clone(),
                names: base.names.clone(),
                table: base.table.clone(),
                upstreams: base.upstreams.clone(),
                upstream_ids: base.upstream_ids.clone(),
                departed_upstreams: Vec::new(),
                trusting: base.trusting,
                vouched: base.vouched.clone(),
                new_upstreams: 0,
                last_id,
            };
        }
        let verifiers = config.settings().auth.iter().flat_map(Auth::providers).map(Verifier::from);
        Self {
            previous,
            providers: Arc::new(Providers::new(verifiers.collect())),
            no_policies: Arc::default(),
            files,
            routes: Slots::default(),
            backends: NamedBackends::default(),
            splits: SharedTable::default(),
            names: SharedTable::with_capacity(config.route_count()),
            table: RouteTable::default(),
            upstreams: SharedTable::default(),
            upstream_ids: SharedTable::default(),
            departed_upstreams: Vec::new(),
            trusting: 0,
            vouched: VouchedTally::default(),
            new_upstreams: 0,
            last_id,
        }
    }

    fn sources(&self) -> Sources<'_> {
        Sources { providers: &self.providers, files: &self.files }
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn places(&mut self, config: &GatewayConfig, kept: &Kept) -> Places {
        let mut places = Places { in_order: Vec::new(), first: FxHashMap::default() };
        let mut first = 0;
        for group in config.groups() {
            let id = kept.get(&memory(group)).map_or_else(|| GroupId(self.new_id()), |group| group.id);
            places.in_order.push(id);
            places.first.insert(id, first);
            first += group.len();
        }
        places
    }

    fn take_out(&mut self, group: &Group) {
        for slot in &group.slots {
            let Some(route) = self.routes.leave(*slot) else { continue };
            let config = &route.config;
            self.names.remove(config.name.table_hash(), |named| named.name == config.name);
            self.table.remove(config, *slot);
            self.vouched.remove(config);
            let of_route = match &config.destination {
                model::Destination::Upstream(url) => Some(url),
                _ => None,
            };
            let of_service = asked_service(config).map(|service| &service.url);
            for url in of_route.into_iter().chain(of_service) {
                self.release(&UpstreamKey::of_url(url));
            }
            if let Destination::Split(split) = &route.destination {
                self.splits.remove(table_hash(&split.id()), |id| *id == split.id());
            }
        }
    }

    fn put_in(&mut self, id: GroupId, routes: &RouteGroup, places: &Places) -> Arc<Group> {
        let mut slots = Vec::with_capacity(routes.len());
        for (place, config) in (0_u32..).zip(routes.iter()) {
            let known = self.previous.and_then(|previous| previous.compiled(&config.name));
            let route = CompiledRoute {
                id: known.map_or_else(|| RouteId(self.new_id()), |known| known.id),
                destination: self.destination(&config.destination, known),
                policies: self.policies(config, known),
                config: Arc::clone(config),
                group: id,
                place,
            };
            let slot = self.routes.take(Arc::new(route));
            let name = config.name.clone();
            self.names.insert(name.table_hash(), NamedRoute { name, slot });
            self.vouched.add(config);
            let compiled = &self.routes;
            let rank = |slot| {
                let CompiledRoute { group, place, .. } = &**compiled.at(slot);
                (places.first[group], *place)
            };
            self.table.insert(config, slot, rank);
            slots.push(slot);
        }
        Arc::new(Group { id, routes: Arc::clone(routes), slots })
    }

    /// Compiles the backends. Places of those that stay are the same as in what routes are taken over from.
    fn put_backends(&mut self, backends: &Backends, base: Option<&Snapshot>) {
        if base.is_some_and(|base| base.config.backends().is_shared_with(backends)) {
            return;
        }
        let former = base.map(|base| base.config.backends().clone()).unwrap_or_default();
        let mut slots = HashMap::with_capacity(backends.len());
        for config in backends.iter() {
            let name = config.name();
            let (known, slot) = (former.find(name), self.backends.slots.get(name).copied());
            slots.insert(
                name.clone(),
                match (known, slot) {
                    (Some(known), Some(slot)) if known == config => slot,
                    (_, Some(slot)) => {
                        let compiled = self.backend(config);
                        self.backends.backends.replace(slot, compiled);
                        slot
                    }
                    (_, None) => {
                        let compiled = self.backend(config);
                        self.backends.backends.take(compiled)
                    }
                },
            );
        }
        // New users first: what an upstream is to both is never let go in between.
        for config in former.iter().filter(|config| backends.find(config.name()) != Some(config)) {
            for endpoint in config.endpoints() {
                self.release(&UpstreamKey::of_endpoint(endpoint, config));
            }
        }
        let gone = self.backends.slots.iter().filter(|(name, _)| !slots.contains_key(*name));
        let gone: Vec<_> = gone.map(|(_, slot)| *slot).collect();
        for slot in gone {
            self.backends.backends.leave(slot);
        }
        let ids = slots.values().filter_map(|slot| self.backends.backends.at(*slot).id());
        self.backends.ids = Arc::new(ids.collect());
        self.backends.slots = Arc::new(slots);
    }

    fn backend(&mut self, config: &model::Backend) -> Arc<Backend> {
        let previous = self.previous.and_then(|previous| previous.backends.find(config.name()));
        let upstreams = config.endpoints().iter().map(|endpoint| {
            let key = UpstreamKey::of_endpoint(endpoint, config);
            self.upstream(&endpoint.url, key)
        });
        let upstreams = upstreams.collect();
        let id = ChoiceId(self.new_id());
        Arc::new(Backend::named(config, id, upstreams, previous.map(Arc::as_ref)))
    }

    fn policies(&mut self, config: &model::Route, known: Option<&CompiledRoute>) -> Arc<Policies> {
        let known = known.map(|known| &*known.policies);
        let service = asked_service(config).map(|service| {
            let upstream = self.upstream(&service.url, UpstreamKey::of_url(&service.url));
            let same = known.and_then(Policies::service).and_then(|known| known.same(service));
            Service::new(service, upstream, same.unwrap_or_else(|| AnswersId(self.new_id())))
        });
        let policies = Policies::new(config, self.sources(), service, known);
        if policies.is_empty() { Arc::clone(&self.no_policies) } else { Arc::new(policies) }
    }

    fn destination(
        &mut self,
        destination: &model::Destination,
        previous: Option<&CompiledRoute>,
    ) -> Destination {
        match destination {
            model::Destination::Upstream(url) => Destination::Url(self.backend_of_url(url)),
            model::Destination::Redirect(redirect) => Destination::Own(Box::new((&**redirect).into())),
            model::Destination::Respond(answer) => Destination::Own(Box::new(answer.into())),
            model::Destination::Backend(name) => Destination::Backend(self.place_of(name)),
            model::Destination::Split(split) => {
                let id = same_split(split, previous).unwrap_or_else(|| ChoiceId(self.new_id()));
                self.splits.insert(table_hash(&id), id);
                Destination::Split(Box::new(Split::new(split, id, |name| self.place_of(name))))
            }
        }
    }

    fn place_of(&self, name: &BackendName) -> Slot {
        let place = self.backends.slots.get(name);
        *place.expect("a configuration has the backends that its routes name")
    }

    /// What a route sends to that names this URL: what the route before it does that names the same.
    fn backend_of_url(&mut self, url: &UpstreamUrl) -> Arc<Backend> {
        let key = UpstreamKey::of_url(url);
        let hash = table_hash(&key);
        let upstream = self.upstream(url, key.clone());
        let used = self.upstreams.find_mut(hash, |used| used.key == key);
        let known = used.as_ref().and_then(|used| used.backend.as_ref());
        if let Some(known) = known.filter(|known| known.base_path() == url.base_path()) {
            return Arc::clone(known);
        }
        let backend = Arc::new(Backend::of_url(url, upstream));
        if let Some(used) = used {
            used.backend = Some(Arc::clone(&backend));
        }
        backend
    }

    /// An upstream, with one user more.
    fn upstream(&mut self, url: &UpstreamUrl, key: UpstreamKey) -> Arc<Upstream> {
        let hash = table_hash(&key);
        if let Some(used) = self.upstreams.find_mut(hash, |used| used.key == key) {
            used.users += 1;
            return Arc::clone(&used.upstream);
        }
        let known = self.previous.and_then(|previous| previous.upstreams.find(hash, |used| used.key == key));
        let upstream = match known {
            Some(known) => Arc::clone(&known.upstream),
            None => {
                self.new_upstreams += 1;
                let former = self.previous.and_then(|previous| previous.former_upstreams.find(&key));
                former
                    .map_or_else(|| Arc::new(Upstream::new(url, &key, UpstreamId(self.new_id()))), Arc::clone)
            }
        };
        self.upstream_ids.insert(table_hash(&upstream.id), upstream.id);
        self.trusting += usize::from(key.needs_platform_roots());
        self.upstreams
            .insert(hash, UsedUpstream { key, upstream: Arc::clone(&upstream), backend: None, users: 1 });
        upstream
    }

    /// One user less of an upstream.
    fn release(&mut self, key: &UpstreamKey) {
        let hash = table_hash(key);
        let Some(used) = self.upstreams.find_mut(hash, |used| used.key == *key) else { return };
        used.users -= 1;
        if used.users == 0 {
            self.trusting -= usize::from(key.needs_platform_roots());
            let upstream = Arc::clone(&used.upstream);
            self.upstreams.remove(hash, |used| used.key == *key);
            self.upstream_ids.remove(table_hash(&upstream.id), |other| *other == upstream.id);
            self.departed_upstreams.push((key.clone(), upstream));
        }
    }

    /// The upstreams that were used until lately. Without a base, all that the previous snapshot had have departed.
    fn former_upstreams(&self, base: Option<&Snapshot>) -> FormerUpstreams {
        let Some(previous) = self.previous else { return FormerUpstreams::default() };
        let all = previous.upstreams.iter().filter(|_| base.is_none());
        let departed = self.departed_upstreams.iter().map(|(key, upstream)| (key, upstream));
        let departed = departed.chain(all.map(|used| (&used.key, &used.upstream)));
        let is_used =
            |key: &UpstreamKey| self.upstreams.find(table_hash(key), |used| used.key == *key).is_some();
        previous.former_upstreams.after(departed, is_used)
    }

    /// What became of the previous snapshot, of which these groups were not taken over.
    fn changes(&self, departed: &[&Arc<Group>]) -> Changes {
        let Some(previous) = self.previous else { return Changes::all() };
        let former = departed.iter().flat_map(|group| &group.slots).map(|slot| previous.routes.at(*slot));
        let is_gone = |route: &&Arc<CompiledRoute>| {
            let name = &route.config.name;
            self.names.find(name.table_hash(), |named| named.name == *name).is_none()
        };
        Changes {
            departed_routes: former.filter(is_gone).map(|route| route.id).collect(),
            // As many, and none that is new.
            has_same_upstreams: self.new_upstreams == 0 && self.upstreams.len() == previous.upstreams.len(),
        }
    }
}

/// The turns of a split that is the same as before go on.
fn same_split(split: &model::Split, previous: Option<&CompiledRoute>) -> Option<ChoiceId> {
    let former = previous?;
    match (&former.config.destination, &former.destination) {
        (model::Destination::Split(known), Destination::Split(compiled)) if **known == *split => {
            Some(compiled.id())
        }
        _ => None,
    }
}

/// Groups that both have and whose order is the same: as many as there can be. One that moved among the others is made
/// anew, for its routes may win or lose against others with the same prefix.
fn kept_groups(base: &Snapshot, config: &GatewayConfig) -> Kept {
    let former: FxHashMap<_, _> =
        base.groups.iter().enumerate().map(|(index, group)| (memory(&group.routes), index)).collect();
    let shared: Vec<usize> =
        config.groups().iter().filter_map(|group| former.get(&memory(group)).copied()).collect();
    let group = |index: usize| (memory(&base.groups[index].routes), Arc::clone(&base.groups[index]));
    longest_ascent(&shared).into_iter().map(group).collect()
}

/// A longest ascending part of different numbers, by patience sorting.
fn longest_ascent(numbers: &[usize]) -> Vec<usize> {
    /// One of the numbers, and the place of what comes before it.
    struct Step {
        number: usize,
        before: Option<usize>,
    }
    let mut steps: Vec<Step> = Vec::with_capacity(numbers.len());
    // The places of the lowest numbers that end an ascent of each length.
    let mut ends: Vec<usize> = Vec::new();
    for (place, &number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| steps[*end].number < number);
        let before = length.checked_sub(1).map(|shorter| ends[shorter]);
        steps.push(Step { number, before });
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let last = ends.last().copied();
    let down = std::iter::successors(last, |place| steps[*place].before);
    let mut ascent: Vec<_> = down.map(|place| steps[place].number).collect();
    ascent.reverse();
    ascent
}

fn table_hash(key: &impl Hash) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl Snapshot {
    pub(super) fn has_split(&self, choice: ChoiceId) -> bool {
        self.splits.find(table_hash(&choice), |id| *id == choice).is_some()
    }

    pub(super) fn is_used(&self, upstream: UpstreamId) -> bool {
        self.upstream_ids.find(table_hash(&upstream), |id| *id == upstream).is_some()
    }
}

#[cfg(test)]
mod tests;
