//! What is shared must mean what it would mean alone.

use proptest::{prelude::*, sample::Index};
use prost::Message as _;

use super::*;
use crate::{
    model::Endpoint,
    names::{BackendName, UpstreamUrl, Weight},
    samples,
    wire::{ResourceKind, Roots, leaves_of, root_hash},
};

/// An edit of a list of resources, legal or not.
#[derive(Debug, Clone)]
enum Edit {
    Remove(Index),
    Insert(Index, u16),
    Change(Index, u8),
    Move(Index, Index),
    Rename(Index, u16),
    /// Makes a route need what the settings do not have.
    Close(Index),
    Damage(Index),
    /// Sends a route to one of the backends, which may not be there.
    Send(Index, u8),
    /// Gives one of the backends this weight, or adds it.
    Weigh(u8, u16),
    RemoveBackend(u8),
    Settings(u64),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        4 => place().prop_map(Edit::Remove),
        4 => (place(), 0_u16..2_400).prop_map(|(place, name)| Edit::Insert(place, name)),
        4 => (place(), any::<u8>()).prop_map(|(place, base)| Edit::Change(place, base)),
        4 => (place(), place()).prop_map(|(from, to)| Edit::Move(from, to)),
        4 => (place(), 0_u16..2_400).prop_map(|(place, name)| Edit::Rename(place, name)),
        1 => place().prop_map(Edit::Close),
        1 => place().prop_map(Edit::Damage),
        3 => (place(), 0_u8..9).prop_map(|(place, backend)| Edit::Send(place, backend)),
        3 => (0_u8..9, 1_u16..5).prop_map(|(backend, weight)| Edit::Weigh(backend, weight)),
        1 => (0_u8..9).prop_map(Edit::RemoveBackend),
        2 => (1_u64..9).prop_map(Edit::Settings),
    ]
}

fn message(number: u16) -> v1::Route {
    let (name, path_prefix) = (format!("r{number}"), format!("/r{number}"));
    v1::Route { name, path_prefix, upstream: "http://h".into(), ..v1::Route::default() }
}

/// As it is encoded, if it is legal.
fn resource(route: &v1::Route) -> Resource {
    if let Ok(route) = Route::try_from(route.clone()) {
        return encode::route_resource(&route).unwrap();
    }
    Resource::new(ResourceKind::Route, route.name.clone(), route.encode_to_vec().into())
}

fn settings(max_header_bytes: u64) -> Resource {
    let mut settings = v1::Settings::from(&Settings::default());
    if let Some(server) = &mut settings.server {
        server.max_header_bytes = max_header_bytes;
    }
    Resource::new(ResourceKind::Settings, String::new(), settings.encode_to_vec().into())
}

fn backend(number: u8, weight: u16) -> Resource {
    let endpoint = Endpoint {
        url: UpstreamUrl::new(&format!("http://h{number}")).unwrap(),
        weight: Weight::new(weight.into()).unwrap(),
        drains: false,
        resolution: crate::model::Resolution::Together,
    };
    let name = BackendName::new(&format!("b{number}")).unwrap();
    encode::backend_resource(&Backend::new(name, vec![endpoint], None).unwrap()).unwrap()
}

fn sample(routes: u16) -> Vec<Resource> {
    let backends = (0..6).map(|number| backend(number, 1));
    let routes = (0..routes).map(|number| resource(&message(number)));
    std::iter::once(settings(1)).chain(backends).chain(routes).collect()
}

fn edit(list: &mut Vec<Resource>, edit: &Edit) {
    let at = |place: &Index, list: &[Resource]| 1 + place.index(list.len() - 1);
    let changed = |list: &mut [Resource], place: &Index, change: &dyn Fn(&mut v1::Route)| {
        let place = at(place, list);
        let mut route = v1::Route::decode(list[place].bytes().as_ref()).unwrap_or_default();
        change(&mut route);
        list[place] = resource(&route);
    };
    match edit {
        Edit::Remove(place) if list.len() > 2 => drop(list.remove(at(place, list))),
        Edit::Remove(_) => {}
        Edit::Insert(place, name) => list.insert(at(place, list), resource(&message(*name))),
        Edit::Change(place, base) => {
            changed(list, place, &|route| route.upstream = format!("http://h/{base}"));
        }
        Edit::Move(from, to) => {
            let moved = list.remove(at(from, list));
            list.insert(1 + to.index(list.len()), moved);
        }
        Edit::Rename(place, name) => changed(list, place, &|route| route.name = format!("r{name}")),
        Edit::Close(place) => changed(list, place, &|route| route.auth_required = true),
        Edit::Damage(place) => {
            let place = at(place, list);
            let name = list[place].entry().name.clone();
            list[place] = Resource::new(ResourceKind::Route, name, b"\xff".to_vec().into());
        }
        Edit::Send(place, backend) => changed(list, place, &|route| {
            (route.upstream, route.backend) = (String::new(), format!("b{backend}"));
        }),
        Edit::Weigh(number, weight) => {
            let changed = backend(*number, *weight);
            let name = &changed.entry().name;
            match list.iter().position(|resource| resource.entry().name == *name) {
                Some(place) => list[place] = changed,
                None => list.insert(1, changed),
            }
        }
        Edit::RemoveBackend(number) => list.retain(|resource| resource.entry().name != format!("b{number}")),
        Edit::Settings(max_header_bytes) => list[0] = settings(*max_header_bytes),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_decoded_from_a_former_content_is_what_is_decoded_alone(
        edits in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..6),
    ) {
        let mut list = sample(1_200);
        let mut former = Content::decode(&leaves_of(&list), None).unwrap();
        let mut roots = Roots::default();
        for edits in edits {
            let mut edited = list.clone();
            edits.iter().for_each(|step| edit(&mut edited, step));
            let revised = Content::decode(&leaves_of(&edited), Some(&former));
            let alone = Content::decode(&leaves_of(&edited), None);
            let whole = decode(&edited);
            prop_assert_eq!(revised.as_ref().map(Content::config), whole.as_ref());
            prop_assert_eq!(alone.as_ref().map(Content::config), whole.as_ref());
            if let (Ok(revised), Ok(whole)) = (revised, whole) {
                prop_assert_eq!(revised.root_hash(), root_hash(edited.iter().map(Resource::entry)));
                prop_assert_eq!(revised.required(), features::required(&whole));
                let encoded = Content::encode(&whole, Some(&former)).unwrap();
                prop_assert_eq!(encoded.root_hash(), revised.root_hash());
                prop_assert_eq!(encoded.config(), revised.config());
                prop_assert_eq!(roots.root_of(revised.config()), Ok(revised.root_hash()));
                prop_assert!(encoded.resources().eq(revised.resources()));
                (former, list) = (revised, edited);
            }
        }
    }

    #[test]
    fn a_content_is_encoded_as_its_resources_are(a in samples::any_config(), b in samples::any_config()) {
        let former = Content::encode(&a, None).unwrap();
        let content = Content::encode(&b, Some(&former)).unwrap();
        prop_assert!(content.resources().eq(&encode(&b).unwrap()));
        prop_assert_eq!(content.config(), &b);
        prop_assert_eq!(content.required(), features::required(&b));
        let leaves: Vec<_> = content.leaves().cloned().collect();
        prop_assert_eq!(Content::decode(&leaves, Some(&former)), Ok(content));
    }
}

#[test]
fn an_edit_of_one_route_leaves_nearly_all_groups_alone() {
    let mut list = sample(5_000);
    let former = Content::decode(&leaves_of(&list), None).unwrap();
    let edited = v1::Route { upstream: "http://other".into(), ..message(2_500) };
    let place = list.iter().position(|resource| resource.entry().name == "r2500").unwrap();
    list[place] = resource(&edited);
    for revised in [
        Content::decode(&leaves_of(&list), Some(&former)).unwrap(),
        Content::encode(&decode(&list).unwrap(), Some(&former)).unwrap(),
    ] {
        let changes = revised.config().group_changes(former.config());
        assert!((1..=3).contains(&changes.arrived.len()), "{} groups arrived", changes.arrived.len());
        assert!((1..=3).contains(&changes.departed.len()), "{} groups departed", changes.departed.len());
        let shared = revised.leaves().filter(|leaf| former.leaves().any(|other| Arc::ptr_eq(leaf, other)));
        assert!(shared.count() + 3 >= former.leaves().len());
    }
}

#[test]
fn leaves_that_are_cut_otherwise_are_refused() {
    let list = sample(2_000);
    let mut cut = leaves_of(&list);
    let half = cut[1].resources().len() / 2;
    let (one, other) = cut[1].resources().split_at(half);
    let halves = [one, other].map(|half| Arc::new(Leaf::new(half.to_vec()).unwrap()));
    cut.splice(1..2, halves);
    let problems = Content::decode(&cut, None).unwrap_err();
    assert_eq!(problems[0].message, "leaf 1 ends too early");
}

#[test]
fn settings_in_another_place_are_refused_though_they_are_known() {
    let known = leaves_of(&sample(2));
    let former = Content::decode(&known, None).unwrap();
    let [settings, routes] = [0, 1].map(|index| Arc::clone(&known[index]));
    let lists = [
        vec![Arc::clone(&settings), Arc::clone(&settings), routes],
        vec![leaves_of(&[self::settings(2)]).remove(0), settings, Arc::clone(&known[1])],
    ];
    for list in lists {
        let alone = Content::decode(&list, None).unwrap_err();
        assert_eq!(Content::decode(&list, Some(&former)), Err(alone));
    }
}
