//! How many requests of a route are under way, and whether one more may be. Nobody waits here: a gateway answers.
//!
//! What every interleaving keeps: there are never more holders than the limit they were admitted under, every permit
//! frees its place exactly once, and what a holder did before it let go is seen by whoever is admitted in its place.

/// A limit that is found.
pub mod adaptive;

use std::sync::{Arc, atomic::Ordering};

use crate::sync::AtomicU64;

/// The requests of one route that are under way, counted over all workers. It knows no limit, so it outlives a change
/// of the limit with its count right.
#[derive(Debug)]
pub struct InFlight {
    holders: AtomicU64,
}

/// A request's place, from its admission until this is dropped: after the answer's last byte, or when the client is gone.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once holds no place"]
pub struct Permit {
    place_in: Arc<InFlight>,
}

/// As many requests as allowed are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{max_in_flight} requests are under way already")]
pub struct Full {
    /// The limit in force.
    pub max_in_flight: u32,
}

impl InFlight {
    /// Nothing is under way.
    #[must_use]
    pub fn new() -> Self {
        Self { holders: AtomicU64::new(0) }
    }

    /// Takes a place, if fewer than `max_in_flight` are taken. 0 is no limit; what it admits is counted all the same.
    ///
    /// After the limit was lowered below what is under way, nobody is admitted until that has fallen below the limit.
    ///
    /// # Errors
    /// When there is none.
    pub fn try_acquire(self: &Arc<Self>, max_in_flight: u32) -> Result<Permit, Full> {
        let limit = if max_in_flight == 0 { u64::MAX } else { u64::from(max_in_flight) };
        let one_more = |holders| (holders < limit).then_some(holders + 1);
        // A place is read and taken in one step: to look first and add afterwards would admit two for the last place.
        match self.holders.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Permit { place_in: Arc::clone(self) }),
            Err(_) => Err(Full { max_in_flight }),
        }
    }

    /// Counts a request whatever the limit is.
    pub fn enter(self: &Arc<Self>) -> Permit {
        // A place that nobody waits for passes nothing on.
        self.holders.fetch_add(1, Ordering::Relaxed);
        Permit { place_in: Arc::clone(self) }
    }

    /// How many places are taken.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.holders.load(Ordering::Relaxed)
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

impl Permit {
    /// How many places are taken, this one included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.place_in.in_flight()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.place_in.holders.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use loom::{cell::UnsafeCell, thread};
    use proptest::prelude::*;

    use super::*;
    use crate::sync::model;

    #[test]
    fn admits_up_to_the_limit_and_again_when_a_place_is_free() {
        let route = Arc::new(InFlight::new());
        let permits: Vec<_> = (0..3).map(|_| route.try_acquire(3).unwrap()).collect();
        assert_eq!(route.try_acquire(3).unwrap_err(), Full { max_in_flight: 3 });
        assert_eq!(route.in_flight(), 3);
        drop(permits);
        assert_eq!(route.in_flight(), 0);
        assert!(route.try_acquire(3).is_ok());
    }

    #[test]
    fn zero_is_no_limit_but_counts() {
        let route = Arc::new(InFlight::new());
        let permits: Vec<_> = (0..1000).map(|_| route.try_acquire(0).unwrap()).collect();
        assert_eq!(route.in_flight(), 1000);
        drop(permits);
        assert_eq!(route.in_flight(), 0);
    }

    #[test]
    fn who_enters_whatever_the_limit_is_counts_until_he_leaves() {
        let route = Arc::new(InFlight::new());
        let entered: Vec<_> = (0..3).map(|_| route.enter()).collect();
        assert_eq!(route.in_flight(), 3);
        drop(entered);
        assert_eq!(route.in_flight(), 0);
    }

    #[test]
    fn a_lowered_limit_admits_nobody_until_enough_have_left() {
        let route = Arc::new(InFlight::new());
        let mut permits: Vec<_> = (0..5).map(|_| route.try_acquire(5).unwrap()).collect();
        while permits.len() >= 2 {
            assert!(route.try_acquire(2).is_err(), "with {} under way", permits.len());
            permits.pop();
        }
        assert!(route.try_acquire(2).is_ok());
    }

    proptest! {
        #[test]
        fn in_flight_is_the_number_of_permits(steps in prop::collection::vec((any::<bool>(), 0..6_u32), 0..100)) {
            let route = Arc::new(InFlight::new());
            let mut permits = Vec::new();
            for (is_arrival, limit) in steps {
                if is_arrival {
                    let has_room = limit == 0 || permits.len() < limit as usize;
                    let admitted = route.try_acquire(limit);
                    prop_assert_eq!(admitted.is_ok(), has_room);
                    permits.extend(admitted);
                } else {
                    permits.pop();
                }
                prop_assert_eq!(route.in_flight(), permits.len() as u64);
            }
        }
    }

    #[test]
    fn one_place_has_one_holder_at_a_time_who_sees_what_the_last_one_did() {
        model(|| {
            let route = Arc::new(InFlight::new());
            // loom fails the test when two are in the cell at once, or one does not see what another wrote.
            let place = Rc::new(UnsafeCell::new(()));
            let request = || {
                let (route, place) = (Arc::clone(&route), Rc::clone(&place));
                move || {
                    let Ok(_permit) = route.try_acquire(1) else { return };
                    place.with_mut(|_| {});
                }
            };
            let others = [thread::spawn(request()), thread::spawn(request())];
            request()();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(route.in_flight(), 0);
        });
    }

    #[test]
    fn holders_never_exceed_the_limit_and_a_free_place_is_never_refused() {
        model(|| {
            let route = Arc::new(InFlight::new());
            let request = || {
                let route = Arc::clone(&route);
                move || route.try_acquire(2).ok()
            };
            let others = [thread::spawn(request()), thread::spawn(request())];
            let own = request()();
            let admitted: Vec<_> =
                others.map(|other| other.join().unwrap()).into_iter().chain([own]).collect();
            assert_eq!(admitted.iter().flatten().count(), 2);
            assert_eq!(route.in_flight(), 2);
        });
    }

    #[test]
    fn a_lowered_limit_holds_against_those_who_arrive_meanwhile() {
        model(|| {
            let route = Arc::new(InFlight::new());
            let under_way = [route.try_acquire(2).unwrap(), route.try_acquire(2).unwrap()];
            let other = thread::spawn({
                let route = Arc::clone(&route);
                move || {
                    let admitted = route.try_acquire(1);
                    assert!(admitted.is_err() || route.in_flight() == 1);
                }
            });
            drop(under_way);
            other.join().unwrap();
            assert_eq!(route.in_flight(), 0);
        });
    }
}
