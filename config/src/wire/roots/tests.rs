//! What is found from a former configuration is what is found alone.

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    model::Settings,
    names::{PathPrefix, RouteName, UpstreamUrl},
    wire::{Resource, encode, root_hash},
};

/// An edit of a list of routes, each a name and the number of its upstream.
#[derive(Debug, Clone)]
enum Edit {
    Remove(Index),
    /// So many, from this name on.
    Insert(Index, u16, u8),
    /// The same at the end.
    Append(u16, u8),
    Change(Index, u16),
    Move(Index, Index),
    /// Takes out all behind this one.
    Truncate(Index),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        3 => place().prop_map(Edit::Remove),
        3 => (place(), 2_000_u16.., any::<u8>()).prop_map(|(place, name, count)| Edit::Insert(place, name, count)),
        2 => (2_000_u16.., any::<u8>()).prop_map(|(name, count)| Edit::Append(name, count)),
        3 => (place(), any::<u16>()).prop_map(|(place, upstream)| Edit::Change(place, upstream)),
        1 => (place(), place()).prop_map(|(from, to)| Edit::Move(from, to)),
        1 => place().prop_map(Edit::Truncate),
    ]
}

fn edit(list: &mut Vec<(u16, u16)>, edit: &Edit) {
    match edit {
        Edit::Remove(place) if list.len() > 1 => drop(list.remove(place.index(list.len()))),
        Edit::Remove(_) => {}
        Edit::Insert(place, name, count) => insert(list, place.index(list.len() + 1), *name, *count),
        Edit::Append(name, count) => insert(list, list.len(), *name, *count),
        Edit::Change(place, upstream) => {
            let place = place.index(list.len());
            list[place].1 = *upstream;
        }
        Edit::Move(from, to) => {
            let moved = list.remove(from.index(list.len()));
            list.insert(to.index(list.len() + 1), moved);
        }
        Edit::Truncate(place) => list.truncate(1 + place.index(list.len())),
    }
}

fn insert(list: &mut Vec<(u16, u16)>, place: usize, name: u16, count: u8) {
    let names = (name..=u16::MAX).take(count.into());
    let new = names.filter(|name| list.iter().all(|(other, _)| other != name));
    let new: Vec<_> = new.map(|name| (name, 0)).collect();
    list.splice(place..place, new);
}

fn config(list: &[(u16, u16)]) -> GatewayConfig {
    let route = |(name, upstream): &(u16, u16)| {
        let name = RouteName::new(&format!("r{name}")).unwrap();
        let upstream = UpstreamUrl::new(&format!("http://h{upstream}")).unwrap();
        Route::new(name, PathPrefix::new("/").unwrap(), upstream)
    };
    GatewayConfig::new(Settings::default(), list.iter().map(route).collect()).unwrap()
}

fn alone(config: &GatewayConfig) -> Hash {
    root_hash(encode(config).unwrap().iter().map(Resource::entry))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_root_from_the_former_ones_is_the_root_alone(
        edits in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..6),
    ) {
        let mut list: Vec<_> = (0..1_500).map(|name| (name, 0)).collect();
        let mut former = config(&list).sharing_with(None);
        let mut roots = Roots::default();
        prop_assert_eq!(roots.root_of(&former), Ok(alone(&former)));
        for edits in edits {
            edits.iter().for_each(|step| edit(&mut list, step));
            let next = config(&list).sharing_with(Some(&former));
            prop_assert_eq!(roots.root_of(&next), Ok(alone(&next)));
            let mut fresh = Roots::default();
            fresh.root_of(&next).unwrap();
            prop_assert_eq!(&roots.leaves, &fresh.leaves);
            former = next;
        }
    }
}

#[test]
fn an_edit_hashes_no_leaf_that_is_far_from_it() {
    let mut list: Vec<_> = (0..5_000).map(|name| (name, 0)).collect();
    let former = config(&list).sharing_with(None);
    let mut roots = Roots::default();
    roots.root_of(&former).unwrap();
    let end = roots.leaves.len() - 1;
    list[2_500].1 = 1;
    let next = config(&list).sharing_with(Some(&former));
    // What is taken from the former leaves shows, because they are wrong by now.
    roots.leaves[0].hash = Hash::of(b"first");
    roots.leaves[end].hash = Hash::of(b"last");
    roots.root_of(&next).unwrap();
    let hashes: Vec<_> = roots.leaves.iter().map(|leaf| leaf.hash).collect();
    assert_eq!((hashes.first(), hashes.last()), (Some(&Hash::of(b"first")), Some(&Hash::of(b"last"))));
}
