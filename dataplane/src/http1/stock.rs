//! Empty pieces of memory that a worker's connections take in turn, so that they are in the processor's cache and cost the
//! allocator nothing. Most connections need one from the moment that something comes, or is to go, until that is done, so few
//! are needed at once.

use std::cell::RefCell;

/// The most pieces of one kind that a thread keeps.
pub(super) const MOST_IN_STOCK: usize = 16;

/// One thread's pieces of one kind.
pub(super) struct Stock<T>(RefCell<Vec<T>>);

impl<T> Stock<T> {
    pub(super) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// A piece, if there is one.
    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Keeps a piece, if there is room for it.
    pub(super) fn keep(&self, piece: T) {
        let mut pieces = self.0.borrow_mut();
        if pieces.len() < MOST_IN_STOCK {
            pieces.push(piece);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
