//! What every interleaving of workers that look for a key and the task that fetches keeps: one fetch for all, nobody
//! refused while the fetch that brings his key is to come, nobody waiting for a fetch that nobody makes.
//!
//! The protocol is that of the data plane: look at the published keys under the lock, then ask the store; publish under
//! the lock, then report.

use loom::{
    sync::{Arc, Mutex},
    thread,
};

use super::*;
use crate::jwt::{
    algorithm::Algorithm,
    samples::{key, set_of},
};
use crate::sync::model;

/// What lock and publication hold.
struct Shared {
    store: KeyStore,
    published: Option<KeySet>,
    fetches: Vec<FetchNumber>,
}

const LIFETIME: Duration = Duration::from_secs(300);
const NOW: Duration = Duration::from_secs(100);

fn rotated() -> KeySet {
    set_of(&[key(Algorithm::EdDsa).jwk("new")])
}

/// What becomes of one request.
fn look_for(shared: &Mutex<Shared>, kid: &str) -> Option<UnknownKid> {
    let mut shared = shared.lock().expect("no model panics under the lock");
    if shared.published.as_ref().is_some_and(|keys| keys.names(kid)) {
        return None;
    }
    Some(shared.store.unknown_kid(kid, NOW))
}

/// One turn of the task: whether it fetched.
fn turn(shared: &Mutex<Shared>) -> bool {
    let due = shared.lock().expect("no model panics under the lock").store.due(NOW);
    let Due::Now(number) = due else { return false };
    // The provider is asked here, without the lock.
    let keys = rotated();
    let mut shared = shared.lock().expect("no model panics under the lock");
    shared.store.succeeded(&keys, NOW);
    shared.published = Some(keys);
    shared.fetches.push(number);
    true
}

#[test]
fn every_interleaving_of_requests_and_the_fetching_task_makes_one_fetch() {
    // Made before, because loom wants every run to be the same.
    key(Algorithm::EdDsa);
    model(|| {
        let mut store = KeyStore::new(LIFETIME);
        assert!(matches!(store.due(Duration::ZERO), Due::Now(_)));
        store.succeeded(&set_of(&[]), Duration::ZERO);
        let shared = Arc::new(Mutex::new(Shared { store, published: None, fetches: Vec::new() }));
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || look_for(&shared, "new"))
            })
            .collect();
        // Woken or not, the task may look at any time.
        turn(&shared);
        let verdicts: Vec<_> =
            workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect();
        // Whoever waits has woken the task, so it looks once more.
        turn(&shared);
        let shared = shared.lock().expect("no model panics under the lock");
        assert_eq!(shared.fetches.len(), 1);
        for verdict in verdicts {
            match verdict {
                // It came after the keys.
                None => {}
                Some(UnknownKid::Await(number)) => assert_eq!(shared.fetches, [number]),
                Some(UnknownKid::Refuse) => panic!("refused, though the key was there"),
            }
        }
    });
}
