//! Places for what a snapshot holds, whose numbers stay the same while other places are taken and left.
//!
//! Places lie in pages. A copy shares all pages, and what is changed afterwards is copied page by page.

use std::sync::Arc;

/// Places of a page.
const PAGE: usize = 64;

/// Number of a place; of no meaning in another snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    fn page(self) -> usize {
        self.0 as usize / PAGE
    }

    fn place(self) -> usize {
        self.0 as usize % PAGE
    }
}

/// As many places as were ever taken at once.
#[derive(Debug, Clone)]
pub(crate) struct Slots<T> {
    pages: Vec<Arc<[Option<T>; PAGE]>>,
    free: Vec<Slot>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), free: Vec::new() }
    }
}

impl<T: Clone> Slots<T> {
    /// What is there.
    ///
    /// # Panics
    /// When nothing is.
    pub(crate) fn at(&self, slot: Slot) -> &T {
        self.pages[slot.page()][slot.place()].as_ref().expect("a slot is known from taking it to leaving it")
    }

    /// Takes a place.
    pub(crate) fn take(&mut self, item: T) -> Slot {
        if self.free.is_empty() {
            let first = self.pages.len() * PAGE;
            self.pages.push(Arc::new([const { None }; PAGE]));
            let number =
                |place| u32::try_from(place).expect("a configuration is far smaller than 2^32 routes");
            // The lowest is taken first.
            self.free.extend((first..first + PAGE).rev().map(|place| Slot(number(place))));
        }
        let slot = self.free.pop().expect("there are free places");
        Arc::make_mut(&mut self.pages[slot.page()])[slot.place()] = Some(item);
        slot
    }

    /// Puts something else in a place that is taken.
    pub(crate) fn replace(&mut self, slot: Slot, item: T) {
        Arc::make_mut(&mut self.pages[slot.page()])[slot.place()] = Some(item);
    }

    /// Leaves a place.
    pub(crate) fn leave(&mut self, slot: Slot) -> Option<T> {
        let left = Arc::make_mut(&mut self.pages[slot.page()])[slot.place()].take();
        self.free.extend(left.is_some().then_some(slot));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_their_numbers_and_are_taken_again() {
        let mut slots = Slots::default();
        let numbers: Vec<_> = (0..200).map(|item| slots.take(item)).collect();
        let copy = slots.clone();
        for index in (0..200).step_by(3) {
            assert_eq!(slots.leave(numbers[index]), Some(index));
            assert_eq!(slots.leave(numbers[index]), None);
        }
        let again = slots.take(1_000);
        assert_eq!((again, slots.pages.len()), (numbers[198], 4));
        assert_eq!((*slots.at(numbers[1]), *slots.at(again)), (1, 1_000));
        assert!((0..200).all(|index| *copy.at(numbers[index]) == index), "a copy keeps what it had");
    }

    #[test]
    fn a_change_copies_one_page() {
        let mut slots = Slots::default();
        let numbers: Vec<_> = (0..1_000).map(|item| slots.take(item)).collect();
        let copy = slots.clone();
        slots.leave(numbers[500]);
        let copied = slots.pages.iter().zip(&copy.pages).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(copied, 1);
    }
}
