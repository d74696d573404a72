//! What is compiled from a former snapshot must judge as what is compiled without sharing anything.

use std::collections::BTreeSet;

use apigw_config::{
    model::{
        Concurrency, ExternalAuth, FieldMatch, ForwardedClaims, PathMatch, PathRules, RouteAuth, RouteMatch,
        ServiceFailure, Settings, SplitPart, ValueMatch,
    },
    names::{
        BackendName, ByteCount, ClaimName, ExactPath, ForwardedHeader, HeaderName, PathPrefix, RouteName,
        SplitWeight, UpstreamUrl, Weight,
    },
    wire::{Content, Hash as ContentHash},
};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    callers::methods::Methods,
    path::NormalPath,
    routing::Asked,
    snapshot::{Answerer, Endpoint},
};

/// A route in few words, so that many of them meet in prefixes, upstreams and headers.
#[derive(Debug, Clone)]
struct Sketch {
    name: u16,
    prefix: u16,
    upstream: u8,
    /// In place of the upstream.
    backend: Option<u8>,
    /// Beside the backend.
    shares: Option<u8>,
    limit: u32,
    forwards: Option<u8>,
    is_https: bool,
    /// What it asks for beside its path, of seven ways.
    wanted: u8,
}

impl Sketch {
    fn plain(name: u16) -> Self {
        let upstream = u8::try_from(name % 7).unwrap();
        let forwards = name.is_multiple_of(400).then_some(upstream % 3);
        Self {
            name,
            prefix: name % 900,
            upstream,
            backend: name.is_multiple_of(5).then_some(upstream),
            shares: name.is_multiple_of(15).then_some(u8::try_from(name % 4).unwrap()),
            limit: 5,
            forwards,
            is_https: false,
            wanted: u8::try_from(name % 11).unwrap() % 7,
        }
    }

    fn route(&self) -> model::Route {
        let scheme = if self.is_https { "https" } else { "http" };
        let base = model::Route::new(
            RouteName::new(&format!("r{}", self.name)).unwrap(),
            PathPrefix::new(&format!("/p{}/{}", self.prefix / 30, self.prefix)).unwrap(),
            UpstreamUrl::new(&format!("{scheme}://h{}", self.upstream)).unwrap(),
        );
        let part = |(number, weight)| SplitPart {
            backend: backend_name(number),
            weight: SplitWeight::new(weight).unwrap(),
        };
        let destination = match (self.backend, self.shares) {
            (Some(first), Some(second)) if first != second => {
                let parts = [(first, 1), (second, 2)].map(part);
                model::Destination::Split(model::Split::new(parts.into(), None).unwrap().into())
            }
            (Some(backend), _) => model::Destination::Backend(backend_name(backend)),
            (None, _) => base.destination.clone(),
        };
        let auth = self.forwards.map(|header| {
            let external = header.is_multiple_of(2).then(|| Box::new(self.service()));
            let header = ForwardedHeader::new(&format!("x-user-{header}")).unwrap();
            let claims = [(ClaimName::new("sub").unwrap(), header)].into();
            let forward_claims = ForwardedClaims::new(claims).unwrap();
            RouteAuth { forward_claims, external, ..RouteAuth::default() }
        });
        let concurrency = Concurrency { max_in_flight: self.limit, ..Concurrency::default() };
        let matches = self.matches();
        model::Route { matches, destination, concurrency, auth_required: auth.is_some(), auth, ..base }
    }
}

impl Sketch {
    /// Where no requests go: whoever asks it last lets it go.
    fn service(&self) -> ExternalAuth {
        ExternalAuth {
            url: UpstreamUrl::new(&format!("http://s{}/check", self.upstream / 2)).unwrap(),
            timeout: ExternalAuth::DEFAULT_TIMEOUT,
            request_headers: Vec::new(),
            forward_headers: vec![ForwardedHeader::new(&format!("x-told-{}", self.upstream)).unwrap()],
            user_header: None,
            on_failure: ServiceFailure::Deny,
            cache: None,
        }
    }

    fn matches(&self) -> RouteMatch {
        let path = format!("/p{}/{}", self.prefix / 30, self.prefix);
        let hosts = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let beneath = RouteMatch::from(PathPrefix::new(&path).unwrap());
        match self.wanted {
            0 => beneath,
            1 => beneath.with_hosts(hosts(&["a.example"])).unwrap(),
            2 => beneath.with_hosts(hosts(&["*.example", "b.test"])).unwrap(),
            3 => beneath.with_methods(vec!["PUT".parse().unwrap()]).unwrap(),
            4 => PathMatch::Exactly(ExactPath::new(&path).unwrap()).into(),
            5 => PathMatch::Regex(format!("{path}.?").parse().unwrap()).into(),
            _ => {
                let name = HeaderName::new("x").unwrap();
                let headers = vec![FieldMatch { name, value: ValueMatch::Present }];
                beneath.with_headers(headers).unwrap().with_hosts(hosts(&["a.example"])).unwrap()
            }
        }
    }
}

fn backend_name(number: u8) -> BackendName {
    BackendName::new(&format!("b{number}")).unwrap()
}

/// A backend in few words: as many endpoints as it says, each of the same weight; some have addresses that are also routes'.
#[derive(Debug, Clone)]
struct BackendSketch {
    number: u8,
    endpoints: u8,
    weight: u16,
    is_https: bool,
}

impl BackendSketch {
    fn backend(&self) -> model::Backend {
        let scheme = if self.is_https { "https" } else { "http" };
        let endpoint = |host: u8| model::Endpoint {
            url: UpstreamUrl::new(&format!("{scheme}://h{host}")).unwrap(),
            weight: Weight::new(self.weight.into()).unwrap(),
            drains: host > self.number && self.weight.is_multiple_of(2),
            resolution: model::Resolution::Together,
        };
        let endpoints = (self.number..self.number + self.endpoints).map(endpoint).collect();
        model::Backend::new(backend_name(self.number), endpoints, None).unwrap()
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Remove(Index),
    Insert(Index, u16),
    Move(Index, Index),
    /// Moves this many, which may be whole groups.
    MoveMany(Index, Index, u16),
    /// The end comes first: whole groups pass others.
    Rotate(Index),
    Rename(Index, u16),
    Prefix(Index, u16),
    Want(Index, u8),
    Upstream(Index, u8),
    Limit(Index, u32),
    Forward(Index, Option<u8>),
    /// No route forwards anything in this header any more.
    Forget(u8),
    Secure(Index),
    Send(Index, Option<u8>),
    Share(Index, Option<u8>),
    Backend(BackendSketch),
    RemoveBackend(u8),
    RotateBackends(u8),
    Settings(u64),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        1 => place().prop_map(Edit::Remove),
        1 => (place(), 0_u16..4_000).prop_map(|(place, name)| Edit::Insert(place, name)),
        1 => (place(), place()).prop_map(|(from, to)| Edit::Move(from, to)),
        1 => (place(), place(), 1_u16..900).prop_map(|(from, to, count)| Edit::MoveMany(from, to, count)),
        1 => (place(), 0_u16..4_000).prop_map(|(place, name)| Edit::Rename(place, name)),
        1 => (place(), 0_u16..900).prop_map(|(place, prefix)| Edit::Prefix(place, prefix)),
        1 => (place(), 0_u8..7).prop_map(|(place, wanted)| Edit::Want(place, wanted)),
        1 => (place(), 0_u8..12).prop_map(|(place, upstream)| Edit::Upstream(place, upstream)),
        1 => (place(), 0_u32..9).prop_map(|(place, limit)| Edit::Limit(place, limit)),
        1 => (place(), prop::option::of(0_u8..3)).prop_map(|(place, header)| Edit::Forward(place, header)),
        2 => place().prop_map(Edit::Rotate),
        2 => (0_u8..3).prop_map(Edit::Forget),
        1 => place().prop_map(Edit::Secure),
        2 => (place(), prop::option::of(0_u8..7)).prop_map(|(place, backend)| Edit::Send(place, backend)),
        2 => (place(), prop::option::of(0_u8..7)).prop_map(|(place, backend)| Edit::Share(place, backend)),
        3 => (0_u8..9, 1_u8..4, 1_u16..4, any::<bool>()).prop_map(|(number, endpoints, weight, is_https)| {
            Edit::Backend(BackendSketch { number, endpoints, weight, is_https })
        }),
        1 => (0_u8..9).prop_map(Edit::RemoveBackend),
        1 => any::<u8>().prop_map(Edit::RotateBackends),
        1 => (1_u64..3).prop_map(Edit::Settings),
    ]
}

#[derive(Debug, Clone)]
struct Draft {
    backends: Vec<BackendSketch>,
    routes: Vec<Sketch>,
    max_body_bytes: u64,
}

impl Draft {
    fn new(routes: u16) -> Self {
        let backend = |number| BackendSketch { number, endpoints: 2, weight: 1, is_https: false };
        Self {
            backends: (0..7).map(backend).collect(),
            routes: (0..routes).map(Sketch::plain).collect(),
            max_body_bytes: 1,
        }
    }

    fn edit(&mut self, edit: &Edit) {
        let length = self.routes.len();
        let backends = &mut self.backends;
        let change = |routes: &mut Vec<Sketch>, place: &Index, change: &dyn Fn(&mut Sketch)| {
            change(&mut routes[place.index(length)]);
        };
        let routes = &mut self.routes;
        match edit {
            Edit::Remove(place) => drop(routes.remove(place.index(length))),
            Edit::Insert(place, name) => routes.insert(place.index(length), Sketch::plain(*name)),
            Edit::Move(from, to) => {
                let moved = routes.remove(from.index(length));
                routes.insert(to.index(length), moved);
            }
            Edit::MoveMany(from, to, count) => {
                let from = from.index(length);
                let moved: Vec<_> = routes.drain(from..length.min(from + usize::from(*count))).collect();
                let to = to.index(routes.len() + 1);
                routes.splice(to..to, moved);
            }
            Edit::Rotate(place) => routes.rotate_right(place.index(length)),
            Edit::Forget(header) => {
                let forgotten = routes.iter_mut().filter(|route| route.forwards == Some(*header));
                forgotten.for_each(|route| route.forwards = None);
            }
            Edit::Rename(place, name) => change(routes, place, &|route| route.name = *name),
            Edit::Prefix(place, prefix) => change(routes, place, &|route| route.prefix = *prefix),
            Edit::Want(place, wanted) => change(routes, place, &|route| route.wanted = *wanted),
            Edit::Upstream(place, upstream) => change(routes, place, &|route| route.upstream = *upstream),
            Edit::Limit(place, limit) => change(routes, place, &|route| route.limit = *limit),
            Edit::Forward(place, header) => change(routes, place, &|route| route.forwards = *header),
            Edit::Secure(place) => change(routes, place, &|route| route.is_https = true),
            Edit::Send(place, backend) => change(routes, place, &|route| route.backend = *backend),
            Edit::Share(place, backend) => change(routes, place, &|route| route.shares = *backend),
            Edit::Backend(sketch) => {
                match backends.iter_mut().find(|backend| backend.number == sketch.number) {
                    Some(backend) => *backend = sketch.clone(),
                    None => backends.push(sketch.clone()),
                }
            }
            Edit::RemoveBackend(number) => {
                backends.retain(|backend| backend.number != *number);
                let users = routes.iter_mut().filter(|route| route.backend == Some(*number));
                users.for_each(|route| route.backend = None);
                let users = routes.iter_mut().filter(|route| route.shares == Some(*number));
                users.for_each(|route| route.shares = None);
            }
            Edit::RotateBackends(count) => {
                let middle = usize::from(*count) % backends.len().max(1);
                backends.rotate_left(middle);
            }
            Edit::Settings(bytes) => self.max_body_bytes = *bytes,
        }
    }

    /// None where a name is given twice, or to nobody.
    fn config(&self) -> Option<GatewayConfig> {
        let mut settings = Settings::default();
        settings.server.max_body_bytes = ByteCount::new(self.max_body_bytes).unwrap();
        let hmac = "routes: [{name: a, match: {path_prefix: /}, upstream: 'http://h'}]\n\
                    auth: {mode: hmac, hmac_secret: a secret of thirty-two characters}";
        settings.auth = apigw_config::read("a", hmac.as_bytes()).unwrap().settings().auth.clone();
        let backends = self.backends.iter().map(BackendSketch::backend).collect();
        let routes = self.routes.iter().map(Sketch::route).collect();
        GatewayConfig::with_backends(settings, backends, routes).ok()
    }
}

fn revision(seq: u64) -> Revision {
    Revision { epoch: 1, seq, root_hash: ContentHash::of(b"") }
}

/// What the turns of a route's backends are remembered under; none: it has one at most.
fn turns(snapshot: &Snapshot, route: &super::super::Route<'_>) -> Option<ChoiceId> {
    match &snapshot.routes.at(route.slot).destination {
        Destination::Split(split) => Some(split.id()),
        Destination::Url(_) | Destination::Backend(_) | Destination::Own(_) => None,
    }
}

/// Which routes take requests of all kinds.
fn winners(snapshot: &Snapshot) -> Vec<String> {
    let hosts = ["a.example", "x.example", "b.test", "c.test"];
    let requests = (0..900).flat_map(|number| hosts.map(|host| (number, host)));
    requests
        .map(|(number, host)| {
            let path = format!("/p{}/{number}", number / 30);
            let method = if number % 2 == 0 { "GET" } else { "PUT" };
            let request =
                http::Request::builder().method(method).uri(&path).header("host", host).header("x", "");
            let head = request.body(()).unwrap().into_parts().0.into();
            let route =
                snapshot.route(&Asked::new(&head, &NormalPath::new(&path, PathRules::default()).unwrap()));
            format!("{host}{path}: {}", route.map_or("none", |route| route.config.name.as_str()))
        })
        .collect()
}

/// What can be told of a snapshot without the numbers that are given anew.
fn told(snapshot: &Snapshot, previous: &Snapshot) -> Vec<String> {
    let known = |route: &super::super::Route<'_>| {
        let former = previous.compiled(&route.config.name);
        let is_carried = |former: &CompiledRoute| {
            let pair = (former.policies.concurrency.as_ref(), route.policies.concurrency.as_ref());
            let in_flight =
                pair.0.zip(pair.1).map(|(a, b)| Arc::ptr_eq(&a.rules().in_flight, &b.rules().in_flight));
            (former.id == route.id, in_flight)
        };
        former.map(is_carried)
    };
    let upstream = |upstream: &Arc<Upstream>| {
        assert!(snapshot.has_upstream(upstream.id));
        let former = previous.upstreams().find(|former| former.id == upstream.id);
        (upstream.authority.clone(), former.map(|former| Arc::ptr_eq(former, upstream)))
    };
    let backend = |backend: &Backend| {
        let former =
            previous.backends().find(|former| former.name().is_some() && former.name() == backend.name());
        let known = |endpoint: &Endpoint| {
            let is_same = |former: &&Endpoint| {
                let pair = (former.state.as_ref(), endpoint.state.as_ref());
                pair.0.zip(pair.1).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
            };
            let known = former.and_then(|former| former.endpoints().iter().find(is_same));
            (upstream(&endpoint.upstream), known.is_some())
        };
        let endpoints: Vec<_> = backend.endpoints().iter().map(known).collect();
        assert!(backend.id().is_none_or(|id| snapshot.has_turns(id)));
        format!("{:?} {} {endpoints:?}", backend.name(), backend.base_path())
    };
    let backends: Vec<_> = snapshot.backends().map(|named| backend(named)).collect();
    let routes = snapshot.routes().enumerate().map(|(place, route)| {
        assert_eq!(snapshot.place_of(&route), place);
        let limit = route.policies.concurrency.as_ref().map(|policy| policy.rules().max_in_flight());
        let backends: Vec<_> = match route.answerer {
            Answerer::Backend(alone) => vec![backend(alone)],
            Answerer::Split(backends) => backends.iter().map(|one| backend(one)).collect(),
            Answerer::Gateway(_) => Vec::new(),
        };
        let turns = turns(snapshot, &route).map(|id| {
            assert!(snapshot.has_turns(id));
            previous.has_turns(id)
        });
        let methods = route.policies.access.as_ref().and_then(|access| access.rules().methods());
        let service = methods.and_then(Methods::service).map(|service| upstream(service.upstream()));
        format!("{} {limit:?} {backends:?} {turns:?} {service:?} {:?}", route.config.name, known(&route))
    });
    // Those of backends may have the authority of others.
    let mut upstreams: Vec<_> =
        snapshot.upstreams().map(|used| format!("{:?} {:?}", used.scheme, upstream(used))).collect();
    upstreams.sort_unstable();
    let departed: BTreeSet<_> = snapshot.departed_routes().iter().collect();
    let others = format!(
        "{upstreams:?} {backends:?} {:?} {departed:?} {} {}",
        snapshot.vouched_headers,
        snapshot.has_same_upstreams(),
        snapshot.needs_platform_roots()
    );
    routes.chain(winners(snapshot)).chain([others]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_snapshot_made_from_a_former_one_judges_as_one_made_alone(
        edits in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..6),
    ) {
        let mut draft = Draft::new(1_500);
        let mut content = Content::encode(&draft.config().unwrap(), None).unwrap();
        let mut previous = Snapshot::compile(content.config().clone(), revision(1), None).unwrap();
        for (seq, edits) in (2..).zip(edits) {
            let mut edited = draft.clone();
            edits.iter().for_each(|edit| edited.edit(edit));
            let Some(config) = edited.config() else { continue };
            let next = Content::encode(&config, Some(&content)).unwrap();
            let shared = Snapshot::compile(next.config().clone(), revision(seq), Some(&previous));
            let alone = Snapshot::compile(config, revision(seq), Some(&previous));
            match (shared, alone) {
                (Ok(shared), Ok(alone)) => {
                    prop_assert_eq!(told(&shared, &previous), told(&alone, &previous));
                    prop_assert_eq!(shared.names.len(), shared.config.route_count());
                    let splits = shared.routes().filter(|route| turns(&shared, route).is_some());
                    prop_assert_eq!(shared.splits.len(), splits.count());
                    (content, previous, draft) = (next, shared, edited);
                }
                (Err(shared), Err(alone)) => prop_assert_eq!(shared, alone),
                (shared, alone) => prop_assert!(false, "{:?} is not {:?}", shared.is_ok(), alone.is_ok()),
            }
        }
    }

    #[test]
    fn an_ascent_is_one_of_the_longest(numbers in Just((0_usize..8).collect::<Vec<_>>()).prop_shuffle()) {
        let ascent = longest_ascent(&numbers);
        prop_assert!(ascent.is_sorted());
        let mut rest = numbers.iter();
        prop_assert!(ascent.iter().all(|number| rest.any(|other| other == number)), "{:?}", ascent);
        let is_ascent = |choice: u32| {
            (0..8).filter(|bit| choice & 1 << bit != 0).map(|bit| numbers[bit]).is_sorted()
        };
        let longest = (0_u32..256).filter(|choice| is_ascent(*choice)).map(u32::count_ones).max();
        prop_assert_eq!(u32::try_from(ascent.len()).ok(), longest);
    }
}

#[test]
fn an_edit_compiles_the_routes_beside_it_only() {
    let mut draft = Draft::new(4_000);
    let content = Content::encode(&draft.config().unwrap(), None).unwrap();
    let before = Snapshot::compile(content.config().clone(), revision(1), None).unwrap();
    draft.routes[2_000].limit = 7;
    let content = Content::encode(&draft.config().unwrap(), Some(&content)).unwrap();
    let after = Snapshot::compile(content.config().clone(), revision(2), Some(&before)).unwrap();
    let same = after.groups.iter().filter(|group| before.groups.iter().any(|g| Arc::ptr_eq(g, group)));
    assert!(same.count() + 3 >= after.groups.len());
}

#[test]
fn an_edit_of_a_backend_compiles_no_route_and_is_what_routes_see() {
    let mut draft = Draft::new(4_000);
    let content = Content::encode(&draft.config().unwrap(), None).unwrap();
    let before = Snapshot::compile(content.config().clone(), revision(1), None).unwrap();
    draft.backends[5].endpoints = 3;
    let content = Content::encode(&draft.config().unwrap(), Some(&content)).unwrap();
    let after = Snapshot::compile(content.config().clone(), revision(2), Some(&before)).unwrap();
    assert!(after.groups.iter().zip(&before.groups).all(|(after, before)| Arc::ptr_eq(after, before)));
    let user = |snapshot: &Snapshot| {
        let mut routes = snapshot.routes();
        let user =
            routes.find_map(|route| route.backend().filter(|used| used.name() == Some(&backend_name(5))));
        user.map(|used| used.endpoints().len())
    };
    assert_eq!((user(&before), user(&after)), (Some(2), Some(3)));
}
