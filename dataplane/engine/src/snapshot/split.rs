//! Backends that share the requests of a route: which one takes the next.
//!
//! Each gets its share among those that have an endpoint that is well. The endpoint is chosen afterwards, and a request that is
//! sent once more stays with its backend: another one may be another version.

use std::{net::IpAddr, sync::Arc};

use apigw_config::{
    model::{self, HashKey},
    names::BackendName,
};

use super::{
    Backend, ChoiceId, Slot, Slots,
    backend::{balance_by, key_of},
};
use crate::{
    balance::{Balanced, KeyHash, Portions, Turns},
    endpoint::WHOLE,
    fields::Fields,
};

/// The backends of a route, by their places in a snapshot: what lies there may change while the route stays as it is.
#[derive(Debug)]
pub(super) struct Split {
    id: ChoiceId,
    places: Box<[Slot]>,
    balanced: Balanced,
    /// What a backend is found by; none: by nothing that a request says.
    hash_key: Option<HashKey>,
}

/// The backends of a route as they are in a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SplitBackends<'a> {
    split: &'a Split,
    backends: &'a Slots<Arc<Backend>>,
}

impl Split {
    pub(super) fn new(
        config: &model::Split,
        id: ChoiceId,
        mut place_of: impl FnMut(&BackendName) -> Slot,
    ) -> Self {
        let parts = config.parts().iter();
        let weighted = parts.clone().map(|part| (part.backend.as_str(), part.weight.as_weight()));
        Self {
            id,
            places: parts.map(|part| place_of(&part.backend)).collect(),
            balanced: Balanced::new(&balance_by(config.by()), weighted),
            hash_key: config.by().cloned(),
        }
    }

    /// What its turns are remembered under.
    pub(super) fn id(&self) -> ChoiceId {
        self.id
    }

    pub(super) fn with<'a>(&'a self, backends: &'a Slots<Arc<Backend>>) -> SplitBackends<'a> {
        SplitBackends { split: self, backends }
    }
}

impl<'a> SplitBackends<'a> {
    /// The backend that takes the next request, by one worker's memory of turns.
    pub fn choose(&self, turns: &mut Turns, headers: &Fields, client: IpAddr) -> &'a Arc<Backend> {
        let key = self.key(headers, client);
        // They share nothing by how busy they are.
        self.at(turns.next(self.split.id, &self.portions(), key, |_| 0))
    }

    /// The backend that such a request is kept with; none: it goes to that whose turn it is.
    #[must_use]
    pub fn kept(&self, headers: &Fields, client: IpAddr) -> Option<&'a Arc<Backend>> {
        Some(self.at(self.portions().of_key(self.key(headers, client)?)?))
    }

    /// All of them, in the order of the file.
    pub fn iter(self) -> impl Iterator<Item = &'a Arc<Backend>> {
        self.split.places.iter().map(move |place| self.backends.at(*place))
    }

    fn key(&self, headers: &Fields, client: IpAddr) -> Option<KeyHash> {
        self.split.hash_key.as_ref().and_then(|key| key_of(key, headers, client))
    }

    fn at(&self, index: usize) -> &'a Arc<Backend> {
        self.backends.at(self.split.places[index])
    }

    /// What each takes: nothing where none of its endpoints is well, as long as somebody takes something.
    fn portions(&self) -> Portions<'a, impl Fn(usize) -> u32> {
        let Split { places, balanced, .. } = self.split;
        // Looked at once, as it may change at any moment: one with the weight 0 must not be what is left.
        let unwell = (0..places.len()).filter(|index| self.at(*index).is_unguided());
        let unwell = unwell.fold(0_u32, |unwell, index| unwell | 1 << index);
        let portions =
            |left_out: u32| balanced.reduced(move |index| if left_out >> index & 1 == 0 { WHOLE } else { 0 });
        portions(unwell).or_else(|| portions(0)).expect("a split has a part with a weight above 0")
    }
}

#[cfg(test)]
mod tests {
    use apigw_config::wire::{Resource, Revision, root_hash};
    use http::{HeaderValue, header::COOKIE};

    use super::*;
    use crate::{
        endpoint::{CheckFailure, CheckRound},
        snapshot::{Answerer, Snapshot},
    };

    /// A route whose requests are shared as `split` says by backends `a`, `b` and `c` with one endpoint each.
    fn snapshot(split: &str, others: &str, previous: Option<&Snapshot>) -> Snapshot {
        let backend = |name: &str| {
            format!(
                "- {{name: {name}, endpoints: [{{url: 'http://{name}'}}], health: {{active: {{tcp: true}}}}}}\n"
            )
        };
        let backends = ["a", "b", "c"].map(backend).concat();
        let text = format!(
            "backends:\n{backends}routes:\n- {{name: r, match: {{path_prefix: /}}, {split}}}\n{others}"
        );
        let config = apigw_config::read("test.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        let resources = apigw_config::wire::encode(&config).unwrap();
        let root_hash = root_hash(resources.iter().map(Resource::entry));
        Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, previous).unwrap()
    }

    fn split(snapshot: &Snapshot) -> SplitBackends<'_> {
        let route = snapshot.routes().next().unwrap();
        let Answerer::Split(backends) = route.answerer else { panic!("it has a split") };
        backends
    }

    fn next(snapshot: &Snapshot, turns: &mut Turns, user: Option<&str>) -> String {
        let mut headers = Fields::new();
        if let Some(user) = user {
            headers.insert(COOKIE, HeaderValue::from_str(&format!("x=y; user={user}")).unwrap());
        }
        let chosen = split(snapshot).choose(turns, &headers, [127, 0, 0, 1].into());
        chosen.name().unwrap().to_string()
    }

    fn taken(snapshot: &Snapshot, turns: &mut Turns, requests: usize) -> [usize; 3] {
        let chosen: Vec<_> = (0..requests).map(|_| next(snapshot, turns, None)).collect();
        ["a", "b", "c"].map(|name| chosen.iter().filter(|chosen| *chosen == name).count())
    }

    const SHARED: &str = "split: [{backend: a, weight: 6}, {backend: b, weight: 3}, {backend: c, weight: 0}]";

    #[test]
    fn each_takes_its_weight_and_one_with_none_nothing() {
        for seed in 0..20 {
            assert_eq!(taken(&snapshot(SHARED, "", None), &mut Turns::new(seed), 900), [600, 300, 0]);
        }
    }

    /// Has the checks of a backend's endpoint say so once.
    fn check(snapshot: &Snapshot, name: &str, outcome: Result<(), CheckFailure>) {
        let backend = snapshot.backends().find(|backend| backend.name().unwrap().as_str() == name).unwrap();
        let config = snapshot.config().backends().find(backend.name().unwrap()).unwrap();
        let active = config.health.active.as_ref().unwrap();
        let state = backend.endpoints()[0].state.as_ref().unwrap();
        let _ = state.checked(CheckRound::default(), outcome, active, std::time::Duration::ZERO);
        let _ = state.checked(CheckRound::default(), outcome, active, std::time::Duration::ZERO);
    }

    #[test]
    fn a_backend_that_is_not_well_leaves_its_share_to_the_others_but_not_to_those_without() {
        let snapshot = snapshot(SHARED, "", None);
        let turns = &mut Turns::new(7);
        let unwell = || Err(CheckFailure::Status(http::StatusCode::SERVICE_UNAVAILABLE));
        check(&snapshot, "a", unwell());
        assert_eq!(taken(&snapshot, turns, 90), [0, 90, 0]);
        check(&snapshot, "b", unwell());
        let [a, b, c] = taken(&snapshot, turns, 900);
        assert!(a.abs_diff(600) < 20 && b.abs_diff(300) < 20 && c == 0, "{a} {b} {c}");
        check(&snapshot, "a", Ok(()));
        assert_eq!(taken(&snapshot, turns, 90), [90, 0, 0]);
    }

    #[test]
    fn a_caller_stays_and_another_weight_moves_none_but_those_it_must() {
        let with = |b: u32| {
            let split = format!("split: [{{backend: a, weight: 2}}, {{backend: b, weight: {b}}}]");
            snapshot(&format!("{split}, split_by: {{cookie: user}}"), "", None)
        };
        let found = |snapshot: &Snapshot, seed: u64| {
            let turns = &mut Turns::new(seed);
            (0..3_000).map(|user| next(snapshot, turns, Some(&user.to_string()))).collect::<Vec<_>>()
        };
        let [before, after] = [1, 4].map(|b| found(&with(b), 1));
        assert_eq!(before, found(&with(1), 2), "every worker and every data plane finds the same");
        let share = |found: &[String]| found.iter().filter(|name| *name == "b").count();
        assert!(share(&before).abs_diff(1_000) < 100, "{}", share(&before));
        assert!(share(&after).abs_diff(2_000) < 100, "{}", share(&after));
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || after == "b"));
    }

    #[test]
    fn who_says_nothing_of_the_key_takes_a_turn() {
        let split = "split: [{backend: a}, {backend: b}], split_by: {cookie: user}";
        assert_eq!(taken(&snapshot(split, "", None), &mut Turns::new(3), 10), [5, 5, 0]);
    }

    #[test]
    fn turns_go_on_while_others_change() {
        let first = snapshot(SHARED, "", None);
        let turns = &mut Turns::new(9);
        let before = taken(&first, turns, 4);
        let other = "- {name: other, match: {path_prefix: /o}, upstream: 'http://h'}\n";
        let second = snapshot(SHARED, other, Some(&first));
        turns.retain(|choice| second.has_turns(choice));
        let after = taken(&second, turns, 5);
        assert_eq!([0, 1, 2].map(|index| before[index] + after[index]), [6, 3, 0]);
        let third = snapshot("backend: a", other, Some(&second));
        let id = split(&second).split.id();
        assert!(second.has_turns(id) && !third.has_turns(id));
    }
}
