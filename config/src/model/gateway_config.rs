//! A whole configuration, in groups of routes that configurations share: what a change leaves alone is not even looked at.

use std::{mem, net::IpAddr, ops::Range, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Backend, BackendFacts, BackendGroup, Backends, ConfigError, Route, RouteFacts, Settings, conflicts,
};
use crate::{names::RouteName, shared_table::SharedTable};

/// Routes that follow each other, at least one. A group in the same memory is the same routes.
pub type RouteGroup = Arc<[Arc<Route>]>;

/// The most routes of a group that is made here. An edit makes its group anew, and looks at each other group: with 10,000 routes
/// both cost the same at about this size.
const ROUTES_IN_GROUP: usize = 64;

/// A whole legal configuration: at least one route, names unique, in the order of the file.
///
/// A clone shares everything.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    settings: Arc<Settings>,
    backends: Backends,
    groups: Arc<[RouteGroup]>,
    names: SharedTable<RouteName>,
}

/// How two configurations are made of groups.
#[derive(Debug)]
pub struct GroupChanges<'a> {
    /// Groups of the former alone, in its order.
    pub departed: Vec<&'a RouteGroup>,
    /// Groups of the latter alone, in its order.
    pub arrived: Vec<&'a RouteGroup>,
}

impl GatewayConfig {
    /// Puts a configuration without backends together.
    ///
    /// # Errors
    /// As [`Self::with_backends`].
    pub fn new(settings: Settings, routes: Vec<Route>) -> Result<Self, Vec<ConfigError>> {
        Self::with_backends(settings, Vec::new(), routes)
    }

    /// Puts a configuration together.
    ///
    /// # Errors
    /// Every broken rule: no route at all, names given twice, callers to be known without a way to know them, and so on.
    pub fn with_backends(
        settings: Settings,
        backends: Vec<Backend>,
        routes: Vec<Route>,
    ) -> Result<Self, Vec<ConfigError>> {
        let backends: BackendGroup = backends.into_iter().map(Arc::new).collect();
        let group: RouteGroup = routes.into_iter().map(Arc::new).collect();
        Self::of_groups(Arc::new(settings), vec![backends], vec![group])
    }

    /// Puts a configuration together, of which this one may have some groups already. Those are not checked again.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn revised(
        &self,
        settings: Arc<Settings>,
        backends: Vec<BackendGroup>,
        groups: Vec<RouteGroup>,
    ) -> Result<Self, Vec<ConfigError>> {
        if settings != self.settings {
            return Self::of_groups(settings, backends, groups);
        }
        let settings = Arc::clone(&self.settings);
        let revised = self.backends_after(&backends).and_then(|backends| {
            let names = self.names_after(&backends, &groups)?;
            Some((backends, names))
        });
        match revised {
            Some((backends, names)) => Ok(Self { settings, backends, groups: groups.into(), names }),
            // Something is wrong; only a look at everything tells all of it, and where.
            None => Self::of_groups(settings, backends, groups),
        }
    }

    /// The same with other routes in the place of these, of which there is at least one.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// # Panics
    /// When there are not so many routes.
    pub(crate) fn with_routes(
        &self,
        replaced: Range<usize>,
        routes: Vec<Route>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (mut before, mut cut, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        let (mut start, mut cut_start) = (0, 0);
        for group in self.groups.iter() {
            let end = start + group.len();
            if end <= replaced.start {
                before.push(Arc::clone(group));
                cut_start = end;
            } else if start >= replaced.end {
                behind.push(Arc::clone(group));
            } else {
                cut.extend(group.iter().cloned());
            }
            start = end;
        }
        cut.splice(replaced.start - cut_start..replaced.end - cut_start, routes.into_iter().map(Arc::new));
        let groups =
            before.into_iter().chain(cut.chunks(ROUTES_IN_GROUP).map(RouteGroup::from)).chain(behind);
        self.revised(Arc::clone(&self.settings), self.backends.groups().to_vec(), groups.collect())
    }

    /// What the backends become; none where a name is given twice, or is gone and may be missed by any route.
    fn backends_after(&self, groups: &[BackendGroup]) -> Option<Backends> {
        if self.backends.is_made_of(groups) {
            return Some(self.backends.clone());
        }
        let backends = Backends::new(groups.to_vec());
        let is_sound = backends.iter().count() == backends.len();
        let is_there = |former: &Arc<Backend>| backends.find(former.name()).is_some();
        (is_sound && self.backends.iter().all(is_there)).then_some(backends)
    }

    pub(crate) fn of_groups(
        settings: Arc<Settings>,
        mut backends: Vec<BackendGroup>,
        mut groups: Vec<RouteGroup>,
    ) -> Result<Self, Vec<ConfigError>> {
        backends.retain(|group| !group.is_empty());
        groups.retain(|group| !group.is_empty());
        let known = BackendFacts::of_groups(&backends);
        let errors = conflicts((&*settings).into(), &known, groups.iter().flat_map(facts));
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut names = SharedTable::with_capacity(groups.iter().map(|group| group.len()).sum());
        for route in groups.iter().flat_map(|group| group.iter()) {
            names.insert(route.name.table_hash(), route.name.clone());
        }
        Ok(Self { settings, backends: Backends::new(backends), groups: groups.into(), names })
    }

    /// The names of these groups under the present settings; none if a rule is broken.
    fn names_after(&self, backends: &Backends, groups: &[RouteGroup]) -> Option<SharedTable<RouteName>> {
        let is_sound = groups.iter().all(|group| !group.is_empty()) && !groups.is_empty();
        let distinct: FxHashSet<_> = groups.iter().map(memory).collect();
        if !is_sound || distinct.len() != groups.len() {
            return None;
        }
        let GroupChanges { departed, arrived } = changes(&self.groups, groups);
        let mut names = self.names.clone();
        for route in departed.iter().flat_map(|group| group.iter()) {
            names.remove(route.name.table_hash(), |name| *name == route.name);
        }
        for route in arrived.iter().flat_map(|group| group.iter()) {
            let hash = route.name.table_hash();
            if names.find(hash, |name| *name == route.name).is_some() {
                return None;
            }
            names.insert(hash, route.name.clone());
        }
        let known = BackendFacts::of_groups(backends.groups());
        let errors =
            conflicts((&*self.settings).into(), &known, arrived.iter().flat_map(|group| facts(group)));
        // That nothing arrived breaks no rule.
        errors.iter().all(|error| *error == ConfigError::NoRoutes).then_some(names)
    }

    /// The same backends and routes in other groups.
    ///
    /// # Panics
    /// When they are others.
    pub(crate) fn regrouped(&self, backends: Vec<BackendGroup>, groups: Vec<RouteGroup>) -> Self {
        assert_eq!(groups.iter().map(|group| group.len()).sum::<usize>(), self.route_count());
        let backends =
            if self.backends.is_made_of(&backends) { self.backends.clone() } else { Backends::new(backends) };
        assert_eq!(backends.len(), self.backends.len());
        Self {
            settings: Arc::clone(&self.settings),
            backends,
            groups: groups.into(),
            names: self.names.clone(),
        }
    }

    /// The same configuration; what it has in common with a former one is in the same memory, and what is new in groups of few
    /// routes, so that what comes next can have much in common with it.
    #[must_use]
    pub fn sharing_with(self, former: Option<&Self>) -> Self {
        let groups = sharing(&self.groups, former.map_or(&[][..], |former| &former.groups));
        let Some(former) = former else { return Self { groups, ..self } };
        let settings = if self.settings == former.settings { &former.settings } else { &self.settings };
        let backends = if self.backends == former.backends { &former.backends } else { &self.backends };
        Self { settings: Arc::clone(settings), backends: backends.clone(), groups, names: self.names }
    }

    /// Everything that is neither a route nor a backend.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn shared_settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The named backends.
    #[must_use]
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// Names whose addresses are endpoints, each as often as it is there.
    pub fn resolved_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.backends.iter().flat_map(|backend| backend.resolved_names())
    }

    /// The same with an endpoint for each address of such a name, as far as its addresses are known.
    #[must_use]
    pub fn resolved(&self, addresses: impl Fn(&str) -> Option<Arc<[IpAddr]>>) -> Self {
        if self.resolved_names().next().is_none() {
            return self.clone();
        }
        let resolved = |backend: &Arc<Backend>| match backend.resolved_names().next() {
            None => Arc::clone(backend),
            Some(_) => Arc::new(backend.resolved(&addresses)),
        };
        let groups = self.backends.groups().iter().map(|group| group.iter().map(resolved).collect());
        Self { backends: Backends::new(groups.collect()), ..self.clone() }
    }

    /// The routes, in the order of the file.
    #[must_use]
    pub fn routes(&self) -> impl DoubleEndedIterator<Item = &Route> + Clone {
        self.groups.iter().flat_map(|group| group.iter().map(AsRef::as_ref))
    }

    /// How many routes there are.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.names.len()
    }

    /// The route at this place in the file.
    #[must_use]
    pub fn route(&self, mut index: usize) -> Option<&Route> {
        for group in self.groups.iter() {
            match group.get(index) {
                Some(route) => return Some(route),
                None => index -= group.len(),
            }
        }
        None
    }

    /// The groups of routes, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> &[RouteGroup] {
        &self.groups
    }

    /// What groups became of those of another configuration.
    #[must_use]
    pub fn group_changes<'a>(&'a self, former: &'a Self) -> GroupChanges<'a> {
        changes(&former.groups, &self.groups)
    }

    /// Takes the configuration apart.
    #[must_use]
    pub fn into_parts(self) -> (Settings, Vec<Backend>, Vec<Route>) {
        let backends = self.backends.iter().map(|backend| Backend::clone(backend)).collect();
        let routes = self.routes().cloned().collect();
        (Arc::unwrap_or_clone(self.settings), backends, routes)
    }
}

impl PartialEq for GatewayConfig {
    /// How routes are grouped means nothing.
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.backends == other.backends
            && self.route_count() == other.route_count()
            && self.routes().eq(other.routes())
    }
}

/// What tells a group from each other one that is alive.
#[must_use]
pub fn memory(group: &RouteGroup) -> *const Arc<Route> {
    group.as_ptr()
}

/// What two lists have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommonEnds {
    /// So many items at their beginnings.
    pub(crate) before: usize,
    /// So many of the others at their ends.
    pub(crate) behind: usize,
}

impl CommonEnds {
    pub(crate) fn of<A, B>(former: &[A], next: &[B], is_same: impl Fn(&A, &B) -> bool) -> Self {
        let before = former.iter().zip(next).take_while(|(former, next)| is_same(former, next)).count();
        let (former, next) = (former[before..].iter().rev(), next[before..].iter().rev());
        Self { before, behind: former.zip(next).take_while(|(former, next)| is_same(former, next)).count() }
    }

    /// What is between them.
    pub(crate) fn between<T>(self, list: &[T]) -> &[T] {
        &list[self.before..list.len() - self.behind]
    }
}

fn common_groups(former: &[RouteGroup], next: &[RouteGroup]) -> CommonEnds {
    CommonEnds::of(former, next, |former, next| memory(former) == memory(next))
}

/// The routes of these groups in others: those of the former groups that are among them as they are, whole and in one piece,
/// and new ones.
fn sharing(present: &[RouteGroup], former: &[RouteGroup]) -> Arc<[RouteGroup]> {
    let common = common_groups(former, present);
    let (before, behind) = (&present[..common.before], &present[present.len() - common.behind..]);
    let routes: Vec<_> = common.between(present).iter().flat_map(|group| group.iter()).collect();
    let between = sharing_routes(&routes, common.between(former));
    before.iter().cloned().chain(between).chain(behind.iter().cloned()).collect()
}

fn sharing_routes(routes: &[&Arc<Route>], former: &[RouteGroup]) -> Vec<RouteGroup> {
    let by_first: FxHashMap<_, _> = former.iter().map(|group| (&group[0].name, group)).collect();
    let (mut groups, mut arrived, mut rest) = (Vec::new(), Vec::new(), routes);
    while let Some((first, behind)) = rest.split_first() {
        let known = by_first.get(&first.name).filter(|group| is_start_of(group, rest));
        if known.is_some() || arrived.len() == ROUTES_IN_GROUP {
            groups.extend((!arrived.is_empty()).then(|| RouteGroup::from(mem::take(&mut arrived))));
        }
        match known {
            Some(group) => {
                groups.push(Arc::clone(group));
                rest = &rest[group.len()..];
            }
            None => {
                arrived.push(Arc::clone(first));
                rest = behind;
            }
        }
    }
    groups.extend((!arrived.is_empty()).then(|| arrived.into()));
    groups
}

fn is_start_of(group: &RouteGroup, routes: &[&Arc<Route>]) -> bool {
    group.len() <= routes.len()
        && group.iter().zip(routes).all(|(known, route)| Arc::ptr_eq(known, route) || known == *route)
}

fn facts(group: &RouteGroup) -> impl Iterator<Item = RouteFacts<'_>> {
    group.iter().map(|route| route.as_ref().into())
}

fn changes<'a>(before: &'a [RouteGroup], after: &'a [RouteGroup]) -> GroupChanges<'a> {
    // Groups are different ones, so none of an end is in the middle of the others.
    let common = common_groups(before, after);
    let (before, after) = (common.between(before), common.between(after));
    let former: FxHashSet<_> = before.iter().map(memory).collect();
    let present: FxHashSet<_> = after.iter().map(memory).collect();
    GroupChanges {
        departed: before.iter().filter(|group| !present.contains(&memory(group))).collect(),
        arrived: after.iter().filter(|group| !former.contains(&memory(group))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{PathPrefix, UpstreamUrl};

    fn group(routes: &[(&str, bool)]) -> RouteGroup {
        let route = |(name, auth_required): &(&str, bool)| {
            let (name, prefix) = (RouteName::new(name).unwrap(), PathPrefix::new("/").unwrap());
            let upstream = UpstreamUrl::new("http://h").unwrap();
            Arc::new(Route { auth_required: *auth_required, ..Route::new(name, prefix, upstream) })
        };
        routes.iter().map(route).collect()
    }

    /// What is found of revised groups is what is found of the same routes without a past.
    fn check(before: &[RouteGroup], after: &[RouteGroup]) {
        let former = GatewayConfig::of_groups(Arc::default(), Vec::new(), before.to_vec()).unwrap();
        let revised = former.revised(Arc::default(), Vec::new(), after.to_vec());
        let routes = after.iter().flat_map(|group| group.iter().map(|route| Route::clone(route)));
        assert_eq!(revised, GatewayConfig::new(Settings::default(), routes.collect()));
        if let Ok(revised) = revised {
            let mut names: Vec<_> = revised.names.iter().cloned().collect();
            let mut expected: Vec<_> = revised.routes().map(|route| route.name.clone()).collect();
            names.sort();
            expected.sort();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_revised_configuration_is_checked_like_a_new_one() {
        let [ab, cd, ac, closed] = [
            group(&[("a", false), ("b", false)]),
            group(&[("c", false), ("d", false)]),
            group(&[("a", false), ("c", false)]),
            group(&[("e", true)]),
        ];
        let groups = [ab, cd, ac, closed, group(&[])];
        let of =
            |indexes: &[usize]| indexes.iter().map(|index| Arc::clone(&groups[*index])).collect::<Vec<_>>();
        let cases: [&[usize]; 9] = [&[0, 1], &[1, 0], &[1], &[2], &[2, 1], &[0, 3], &[0, 0], &[4, 0], &[]];
        cases.iter().for_each(|after| check(&of(&[0, 1]), &of(after)));
    }

    /// Routes whose names are these numbers; those that are named below are changed.
    fn numbered(numbers: impl IntoIterator<Item = usize>, changed: &[usize]) -> GatewayConfig {
        let route = |number: usize| {
            let (name, prefix) = (RouteName::new(&number.to_string()), PathPrefix::new("/").unwrap());
            let upstream = if changed.contains(&number) { "http://changed" } else { "http://h" };
            Route::new(name.unwrap(), prefix, UpstreamUrl::new(upstream).unwrap())
        };
        GatewayConfig::new(Settings::default(), numbers.into_iter().map(route).collect()).unwrap()
    }

    /// What is shared is the same as what is not, and so many groups of the former are in it.
    fn check_sharing(former: &GatewayConfig, next: &GatewayConfig, kept: usize) {
        let shared = next.clone().sharing_with(Some(former));
        assert_eq!(shared, *next);
        assert!(shared.groups().iter().all(|group| (1..=ROUTES_IN_GROUP).contains(&group.len())));
        assert_eq!(former.groups().len() - shared.group_changes(former).departed.len(), kept);
    }

    #[test]
    fn an_edit_leaves_all_other_groups_where_they_are() {
        let (count, all) = (5 * ROUTES_IN_GROUP, 0..5 * ROUTES_IN_GROUP);
        let former = numbered(all.clone(), &[]).sharing_with(None);
        assert_eq!(former.groups().len(), 5);
        check_sharing(&former, &numbered(all.clone(), &[]), 5);
        check_sharing(&former, &numbered(all.clone(), &[0]), 4);
        check_sharing(&former, &numbered(all.clone(), &[count - 1, ROUTES_IN_GROUP]), 3);
        check_sharing(&former, &numbered((1000..1001).chain(all.clone()), &[]), 5);
        check_sharing(&former, &numbered(all.clone().chain(1000..1300), &[]), 5);
        check_sharing(&former, &numbered(all.clone().skip(1), &[]), 4);
        check_sharing(&former, &numbered(0..count - 1, &[]), 4);
        check_sharing(&former, &numbered(all.rev(), &[]), 0);
        let others = GatewayConfig { settings: Arc::default(), ..numbered(0..2, &[]) };
        check_sharing(&former, &others, 0);
    }

    #[test]
    fn routes_are_found_by_their_place() {
        let groups = vec![group(&[("a", false), ("b", false)]), group(&[("c", false)])];
        let config = GatewayConfig::of_groups(Arc::default(), Vec::new(), groups).unwrap();
        let names: Vec<_> = (0..4).map(|index| config.route(index).map(|r| r.name.to_string())).collect();
        assert_eq!(names, [Some("a".into()), Some("b".into()), Some("c".into()), None]);
        assert_eq!(config.routes().next_back().map(|route| route.name.as_str()), Some("c"));
    }
}
