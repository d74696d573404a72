//! What a cache of verdicts keeps, forgets and never gives.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jwt::{
    algorithm::Algorithm,
    samples::{NOW, at, good_claims, header, key, key_set, verifier},
    token::Token,
};

fn cache(entries: usize, bytes: usize) -> TokenCache {
    TokenCache::new(CacheLimits { entries, bytes }, RandomState::new())
}

fn unlimited() -> TokenCache {
    cache(usize::MAX, usize::MAX)
}

/// A verdict that ends then.
fn verified(exp: u64) -> Arc<Verified> {
    let mut claims = good_claims();
    claims["exp"] = json!(exp);
    let token = key(Algorithm::EdDsa).token(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims.to_string());
    let token = Token::parse(&token).unwrap();
    Arc::new(verifier().verify(&token, &key_set(), at(NOW)).unwrap())
}

fn finds(cache: &mut TokenCache, token: &str, now: u64) -> bool {
    cache.find(token, at(now), |_, _| Standing::Stands).is_some()
}

#[test]
fn a_verdict_is_given_for_the_very_token_until_it_expires() {
    let mut cache = unlimited();
    cache.insert("a.b.c", verified(NOW + 60));
    assert!(finds(&mut cache, "a.b.c", NOW + 59));
    for other in ["a.b.C", "a.b.c ", "a.b.", "", "a.b.cc"] {
        assert!(!finds(&mut cache, other, NOW), "{other:?}");
    }
    assert!(!finds(&mut cache, "a.b.c", NOW + 60));
    assert!(cache.is_empty(), "what has expired is forgotten");
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn another_token_with_the_same_signature_is_not_the_same() {
    let signature = "s".repeat(2 * TokenCache::HASHED_BYTES);
    let mut cache = unlimited();
    let (alice, bob) = (format!("h.alice.{signature}"), format!("h.bob.{signature}"));
    cache.insert(&alice, verified(NOW + 60));
    assert!(finds(&mut cache, &alice, NOW) && !finds(&mut cache, &bob, NOW));
    cache.insert(&bob, verified(NOW + 60));
    assert_eq!(cache.len(), 2);
}

#[test]
fn a_verdict_that_no_longer_stands_is_forgotten() {
    let mut cache = unlimited();
    cache.insert("a", verified(NOW + 60));
    assert!(cache.find("a", at(NOW), |_, _| Standing::Elsewhere).is_none());
    assert_eq!(cache.len(), 1, "it stands elsewhere");
    let other = Mark::of([b"another set".as_slice()]);
    assert!(cache.find("a", at(NOW), |_, _| Standing::StandsUnder(other)).is_some());
    assert!(
        cache
            .find("a", at(NOW), |_, key_set| {
                assert_eq!(key_set, other, "the set under which it stands is remembered");
                Standing::Fallen
            })
            .is_none()
    );
    assert!(cache.is_empty());
}

#[test]
fn standing_is_not_asked_of_what_has_expired() {
    let mut cache = unlimited();
    cache.insert("a", verified(NOW + 60));
    assert!(cache.find("a", at(NOW + 60), |_, _| panic!("asked")).is_none());
}

#[test]
fn entries_are_bounded() {
    let mut cache = cache(3, usize::MAX);
    let verdict = verified(NOW + 60);
    for token in ["a", "b", "c", "d"] {
        cache.insert(token, Arc::clone(&verdict));
    }
    assert_eq!(cache.len(), 3);
    assert!(finds(&mut cache, "d", NOW), "the newest stays");
    let mut none = TokenCache::new(CacheLimits { entries: 0, bytes: usize::MAX }, RandomState::new());
    none.insert("a", verdict);
    assert!(none.is_empty());
}

#[test]
fn bytes_are_bounded() {
    let verdict = verified(NOW + 60);
    let mut measure = unlimited();
    measure.insert(&"x".repeat(100), Arc::clone(&verdict));
    let one = measure.bytes();
    assert!(one > 100);
    let mut cache = cache(usize::MAX, 2 * one);
    for number in 0..10 {
        cache.insert(&format!("{number:0100}"), Arc::clone(&verdict));
        assert!(cache.bytes() <= 2 * one);
    }
    assert_eq!(cache.len(), 2);
    cache.insert(&"y".repeat(3 * one), verdict);
    assert_eq!(cache.len(), 2, "what can never fit pushes nothing out");
}

#[test]
fn tokens_asked_for_lately_outlive_those_that_came_once() {
    let mut cache = cache(8, usize::MAX);
    let verdict = verified(NOW + 60);
    cache.insert("regular", Arc::clone(&verdict));
    for number in 0..100 {
        assert!(finds(&mut cache, "regular", NOW), "lost after {number}");
        cache.insert(&number.to_string(), Arc::clone(&verdict));
    }
}

#[test]
fn room_is_made_even_when_everything_was_asked_for_lately() {
    for entries in [1, TokenCache::PATIENCE, TokenCache::PATIENCE + 1, 200] {
        let mut cache = cache(entries, usize::MAX);
        let verdict = verified(NOW + 60);
        for number in 0..3 * entries {
            cache.insert(&number.to_string(), Arc::clone(&verdict));
            assert!(finds(&mut cache, &number.to_string(), NOW));
            for older in 0..=number {
                finds(&mut cache, &older.to_string(), NOW);
            }
        }
        assert_eq!(cache.len(), entries);
    }
}

#[test]
fn a_cache_does_not_show_tokens() {
    let mut cache = unlimited();
    cache.insert("eyJ.secret", verified(NOW + 60));
    assert!(!format!("{cache:?}").contains("secret"));
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, u64),
    Find(u8),
    Fall(u8),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12u8, 1..50u64).prop_map(|(token, lifetime)| Step::Insert(token, lifetime)),
        (0..12u8).prop_map(Step::Find),
        (0..12u8).prop_map(Step::Fall),
        (1..20u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn a_cache_only_ever_forgets(steps in prop::collection::vec(any_step(), 0..100), entries in 1..8usize) {
        let mut cache = cache(entries, usize::MAX);
        // What a cache without bounds would hold.
        let mut oracle: HashMap<u8, Arc<Verified>> = HashMap::new();
        let mut now = NOW;
        for step in steps {
            match step {
                Step::Insert(token, lifetime) => {
                    let verdict = expiring(now + lifetime);
                    cache.insert(&token.to_string(), Arc::clone(&verdict));
                    oracle.insert(token, verdict);
                }
                Step::Find(token) => {
                    let known = oracle.get(&token).filter(|verdict| at(now) < verdict.expires());
                    let found = cache.find(&token.to_string(), at(now), |_, _| Standing::Stands);
                    if let Some(found) = found {
                        prop_assert!(known.is_some_and(|known| Arc::ptr_eq(known, &found)));
                    }
                }
                Step::Fall(token) => {
                    cache.find(&token.to_string(), at(now), |_, _| Standing::Fallen);
                    oracle.remove(&token);
                }
                Step::Wait(seconds) => now += seconds,
            }
            prop_assert!(cache.len() <= entries);
            prop_assert_eq!(cache.table.len(), cache.len());
            prop_assert_eq!(cache.bytes(), cache.slots.iter().map(|slot| slot.bytes).sum::<usize>());
            for (index, slot) in cache.slots.iter().enumerate() {
                prop_assert_eq!(cache.position(slot.hash, &slot.token), Some(index));
            }
        }
    }
}

/// A verdict without the cost of a signature.
fn expiring(exp: u64) -> Arc<Verified> {
    static VERDICT: std::sync::LazyLock<Arc<Verified>> = std::sync::LazyLock::new(|| verified(NOW + 1));
    let since_epoch = Duration::from_secs(exp);
    Arc::new(VERDICT.ending_at(UnixTime::new(since_epoch)))
}
