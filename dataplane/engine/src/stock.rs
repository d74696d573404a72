//! Empty pieces of memory that a worker's connections and messages take in turn, so that they are in the processor's cache and
//! cost the allocator nothing. Most are needed from the moment that something comes, or is to go, until that is done, so few
//! are needed at once.

use std::cell::RefCell;

/// One thread's pieces of one kind.
pub struct Stock<T> {
    pieces: RefCell<Vec<T>>,
    /// How many are kept at most.
    most: usize,
}

impl<T> Stock<T> {
    /// Nothing yet, and room for so many.
    #[must_use]
    pub const fn with_room_for(most: usize) -> Self {
        Self { pieces: RefCell::new(Vec::new()), most }
    }

    /// A piece, if there is one.
    pub fn take(&self) -> Option<T> {
        self.pieces.borrow_mut().pop()
    }

    /// Keeps a piece, if there is room for it.
    pub fn keep(&self, piece: T) {
        let mut pieces = self.pieces.borrow_mut();
        if pieces.len() < self.most {
            pieces.push(piece);
        }
    }

    /// How many are kept now.
    pub fn kept(&self) -> usize {
        self.pieces.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let stock = Stock::with_room_for(2);
        (1..=3).for_each(|piece| stock.keep(piece));
        assert_eq!([stock.take(), stock.take(), stock.take()], [Some(2), Some(1), None]);
    }
}
