//! What shared state is made of: the standard library's primitives, and in tests also those of loom, with which a test
//! can try every interleaving, and every value a relaxed load may see. Nothing here knows what it guards.
//!
//! Which of the two a value is made of is settled when it is made, by whether [`model`] is running, so that only tests
//! of interleavings have to run inside one.

use std::ops::DerefMut;

#[cfg(not(test))]
use std::sync as primitives;
#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicU64;

#[cfg(test)]
use modelled as primitives;
#[cfg(test)]
pub(crate) use modelled::{AtomicU64, model};

/// A lock for what is held for a few instructions. Nobody panics while holding one; if somebody did, what it guards is
/// still better judged by than nothing.
#[derive(Debug)]
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> impl DerefMut<Target = T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod modelled {
    use std::{
        cell::Cell,
        ops::{Deref, DerefMut},
        sync::{LockResult, PoisonError, atomic::Ordering},
    };

    thread_local! {
        /// loom runs all threads of a model on the test's own.
        static IS_MODEL: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs the test once for every interleaving of the threads that it starts with `loom::thread`.
    pub(crate) fn model(test: impl Fn() + Sync + Send + 'static) {
        IS_MODEL.set(true);
        loom::model(test);
        IS_MODEL.set(false);
    }

    #[derive(Debug)]
    pub(crate) enum AtomicU64 {
        Plain(std::sync::atomic::AtomicU64),
        Modelled(loom::sync::atomic::AtomicU64),
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            if IS_MODEL.get() {
                Self::Modelled(loom::sync::atomic::AtomicU64::new(value))
            } else {
                Self::Plain(std::sync::atomic::AtomicU64::new(value))
            }
        }

        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            match self {
                Self::Plain(atomic) => atomic.load(ordering),
                Self::Modelled(atomic) => atomic.load(ordering),
            }
        }

        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            match self {
                Self::Plain(atomic) => atomic.store(value, ordering),
                Self::Modelled(atomic) => atomic.store(value, ordering),
            }
        }

        pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
            match self {
                Self::Plain(atomic) => atomic.fetch_add(value, ordering),
                Self::Modelled(atomic) => atomic.fetch_add(value, ordering),
            }
        }

        pub(crate) fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
            match self {
                Self::Plain(atomic) => atomic.fetch_sub(value, ordering),
                Self::Modelled(atomic) => atomic.fetch_sub(value, ordering),
            }
        }

        pub(crate) fn fetch_update(
            &self,
            stored: Ordering,
            loaded: Ordering,
            update: impl FnMut(u64) -> Option<u64>,
        ) -> Result<u64, u64> {
            match self {
                Self::Plain(atomic) => atomic.fetch_update(stored, loaded, update),
                Self::Modelled(atomic) => atomic.fetch_update(stored, loaded, update),
            }
        }
    }

    #[derive(Debug)]
    pub(super) enum Mutex<T> {
        Plain(std::sync::Mutex<T>),
        Modelled(loom::sync::Mutex<T>),
    }

    pub(super) enum Guard<'a, T> {
        Plain(std::sync::MutexGuard<'a, T>),
        Modelled(loom::sync::MutexGuard<'a, T>),
    }

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            if IS_MODEL.get() {
                Self::Modelled(loom::sync::Mutex::new(value))
            } else {
                Self::Plain(std::sync::Mutex::new(value))
            }
        }

        pub(super) fn lock(&self) -> LockResult<Guard<'_, T>> {
            match self {
                Self::Plain(mutex) => map(mutex.lock(), Guard::Plain),
                Self::Modelled(mutex) => map(mutex.lock(), Guard::Modelled),
            }
        }
    }

    fn map<G, H>(locked: LockResult<G>, wrap: impl Fn(G) -> H) -> LockResult<H> {
        match locked {
            Ok(guard) => Ok(wrap(guard)),
            Err(poisoned) => Err(PoisonError::new(wrap(poisoned.into_inner()))),
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            match self {
                Self::Plain(guard) => guard,
                Self::Modelled(guard) => guard,
            }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            match self {
                Self::Plain(guard) => guard,
                Self::Modelled(guard) => guard,
            }
        }
    }
}
