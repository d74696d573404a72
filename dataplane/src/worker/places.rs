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
}
