//! How many clients may be connected, to all workers together. Touched when a connection begins and when it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The places that are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<AtomicU32>);

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place(Places);

impl Places {
    /// None: as many as these are taken.
    pub(super) fn take(&self, most: u32) -> Option<Place> {
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        // Given back at once if it is one too many.
        let place = Place(self.clone());
        (taken < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    #[test]
    fn places_are_taken_up_to_the_bound_and_given_back() {
        let places = Places::default();
        let taken: Vec<_> = (0..3).map_while(|_| places.take(2)).collect();
        assert_eq!(taken.len(), 2);
        assert!(places.take(2).is_none());
        drop(taken);
        assert!(places.take(2).is_some());
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_gives_its_place_back() {
        let places = Places::default();
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                // As a worker starts a connection: a task of its own, which owns its place.
                let (place, other) = (places.take(2), places.take(2));
                assert!(place.is_some() && other.is_some());
                let panics = spawn_local(async move {
                    let _place = place;
                    panic!("as a fault of the gateway would");
                });
                let goes_on = spawn_local(async move { other.is_some() });
                assert!(panics.await.is_err_and(|error| error.is_panic()));
                assert!(goes_on.await.is_ok_and(|went_on| went_on));
            })
            .await;
        assert!(places.take(1).is_some());
    }
}
