//! The table against a map that forgets nothing, in floods, and in every interleaving.

use std::{collections::HashMap, sync::Arc};

use apigw_config::wire::{Hash as ContentHash, Revision};
use proptest::prelude::*;

use super::*;
use crate::{Snapshot, rate_limit::scope::default_user, sync::model};

const SECRET: [u8; 16] = *b"0123456789abcdef";

/// Identities of two routes.
fn routes() -> [RouteId; 2] {
    let text = "routes:
  - {name: a, match: {path_prefix: /a}, upstream: \"http://h:1\"}
  - {name: b, match: {path_prefix: /b}, upstream: \"http://h:1\"}
";
    let config = apigw_config::read("test.yaml", text.as_bytes()).unwrap();
    let root_hash = ContentHash::try_from([0; 32].as_slice()).unwrap();
    let snapshot = Snapshot::compile(config, Revision { epoch: 1, seq: 1, root_hash }, None).unwrap();
    let ids: Vec<_> = snapshot.routes().map(|route| route.id).collect();
    [ids[0], ids[1]]
}

fn quota(requests_per_second: f64, burst: f64) -> Quota {
    Quota::new(requests_per_second, burst).unwrap()
}

fn of_user(route: RouteId, quota: Quota, user: &str) -> BucketKey<'_> {
    BucketKey { route, quota, scope: ScopeValue::User(default_user(user)) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_key_takes_sixteen_bytes_and_nothing_more_is_taken() {
    assert_eq!(Table::BYTES_PER_KEY, 16);
    for (max_keys, capacity) in
        [(0, 8), (8, 8), (15, 8), (16, 16), (1_000, 1_000), (1_003, 1_000), (10_000_000, 10_000_000)]
    {
        let table = Table::new(max_keys, SECRET);
        assert_eq!((table.capacity(), table.bytes()), (capacity, capacity * 16), "{max_keys}");
    }
}

#[test]
fn every_hash_has_its_place_and_every_set_is_one() {
    for sets in [1, 2, 63, 64, 65, 1_000] {
        let table = Table::new(sets * WAYS, SECRET);
        let step = u64::MAX / (8 * sets as u64);
        let hashes = (0..=8 * sets as u64).map(|n| n * step).chain([u64::MAX]);
        let mut places: Vec<_> = hashes.map(|hash| table.place(hash)).collect();
        for (shard, set) in &places {
            assert!(*set < table.shards[*shard].lock().sets.len(), "{sets} sets");
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), sets);
    }
}

#[test]
fn a_changed_limit_starts_anew_and_an_unchanged_one_goes_on() {
    let table = Table::new(1_000, SECRET);
    let [route, other] = routes();
    let limit = quota(1.0, 1.0);
    let admits = |route, limit, user| table.decide(&of_user(route, limit, user), seconds(5)).allowed;
    assert!(admits(route, limit, "alice"));
    assert!(!admits(route, limit, "alice"), "as before");
    assert!(admits(route, limit, "bob"), "another caller");
    assert!(admits(other, limit, "alice"), "another route");
    assert!(admits(route, quota(2.0, 1.0), "alice"), "another rate");
    assert!(admits(route, quota(1.0, 2.0), "alice"), "another burst");
    assert!(!admits(route, limit, "alice"), "as it was before the change");
}

#[test]
fn keys_in_use_are_those_whose_buckets_are_not_full() {
    let table = Table::new(100_000, SECRET);
    let [route, _] = routes();
    for number in 0..500 {
        let rate = if number < 200 { 1.0 } else { 0.1 };
        let _ = table.decide(&of_user(route, quota(rate, 1.0), &number.to_string()), seconds(100));
    }
    let at = |second| table.keys_in_use(seconds(second));
    assert_eq!([at(100), at(101), at(109), at(110)], [500, 300, 300, 0]);
}

#[test]
fn of_a_full_set_the_one_who_owes_least_gives_way() {
    let table = Table::new(8, SECRET);
    let [route, _] = routes();
    let limit = quota(1.0, 20.0);
    let decide = |user: &str| table.decide(&of_user(route, limit, user), seconds(0));
    let users = ["three", "nine", "five", "two", "seven", "eight", "four", "six"];
    for (user, requests) in users.into_iter().zip([3, 9, 5, 2, 7, 8, 4, 6]) {
        for _ in 0..requests {
            decide(user);
        }
    }
    assert_eq!(table.evictions(), 0);
    assert_eq!(decide("new").remaining, 19);
    assert_eq!(table.evictions(), 1);
    for (user, remaining) in [("nine", 10), ("three", 16), ("eight", 11)] {
        assert_eq!(decide(user).remaining, remaining, "{user}");
    }
    assert_eq!(table.evictions(), 1);
    assert_eq!(decide("two").remaining, 19, "it was forgotten, and replaced the new one");
    assert_eq!(table.evictions(), 2);
}

/// Ten times as many keys as there is room for, all within the time in which none of their buckets is full again.
#[test]
fn a_flood_of_keys_does_not_give_heavy_callers_a_new_burst() {
    const MAX_KEYS: usize = 10_000;
    let table = Table::new(MAX_KEYS, SECRET);
    let [route, _] = routes();
    let limit = quota(0.01, 5.0);
    let heavy: Vec<_> = (0..100).map(|number| format!("heavy {number}")).collect();
    let mut admitted = 0;
    for number in 0..10 * MAX_KEYS {
        if number % 100 == 0 {
            for user in &heavy {
                admitted += usize::from(table.decide(&of_user(route, limit, user), seconds(1)).allowed);
            }
        }
        let _ = table.decide(&of_user(route, limit, &format!("flood {number}")), seconds(1));
    }
    assert_eq!(admitted, heavy.len() * 5);
    assert_eq!(table.bytes(), MAX_KEYS * 16);
    assert!(table.evictions() > 8 * MAX_KEYS as u64, "{}", table.evictions());
}

#[test]
fn threads_never_admit_more_than_one_bucket_in_any_interleaving() {
    let [route, _] = routes();
    model(move || {
        let table = Arc::new(Table::new(WAYS, SECRET));
        let limit = quota(1.0, 2.0);
        let thread = |user: &'static str| {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || {
                let decide = || table.decide(&of_user(route, limit, user), seconds(0)).allowed;
                usize::from(decide()) + usize::from(decide())
            })
        };
        let threads = [thread("alice"), thread("alice"), thread("bob")];
        let [first, second, bob] = threads.map(|thread| thread.join().unwrap());
        assert_eq!((first + second, bob), (2, 2));
    });
}

proptest! {
    #[test]
    fn while_nobody_gives_way_the_table_is_a_map_that_forgets_nothing(
        requests in prop::collection::vec((0_u32..40, 0_u64..800), 1..400),
    ) {
        let table = Table::new(2_048, SECRET);
        let [route, _] = routes();
        let quotas = [quota(10.0, 3.0), quota(1.0, 1.0), quota(2.5, 4.5)];
        let mut buckets: HashMap<u32, Tat> = HashMap::new();
        let mut now = Duration::ZERO;
        for (user, millis) in requests {
            now += Duration::from_millis(millis / 8);
            let limit = quotas[user as usize % quotas.len()];
            let decision = table.decide(&of_user(route, limit, &user.to_string()), now);
            let bucket = buckets.entry(user).or_default();
            let expected = limit.decide(*bucket, now);
            *bucket = expected.new_tat;
            prop_assert_eq!(table.evictions(), 0);
            prop_assert_eq!(decision.allowed, expected.allowed);
            prop_assert_eq!(decision.reset_after, expected.reset_after);
            let in_use = buckets.values().filter(|tat| !tat.has_passed(now)).count();
            prop_assert_eq!(table.keys_in_use(now), in_use);
        }
    }
}
