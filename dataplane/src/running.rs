//! What runs, for everybody who only looks: workers take it for each request, operators ask about it.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use apigw_engine::Snapshot;
use arc_swap::ArcSwap;

use crate::serving::Serving;

/// What runs. Only the gateway changes it.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Set with the first configuration, and from then on swapped.
    serving: OnceLock<Arc<ArcSwap<Serving>>>,
    listen_address: Mutex<String>,
    /// Whether the end has begun.
    is_draining: AtomicBool,
}

impl Running {
    /// None before the first configuration.
    pub(crate) fn serving(&self) -> Option<Arc<Serving>> {
        self.serving.get().map(|serving| serving.load_full())
    }

    /// None before the first configuration.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.serving.get().map(|serving| Arc::clone(&serving.load().snapshot))
    }

    /// Where traffic is accepted, as a person would write it; empty before the first configuration.
    pub(crate) fn listen_address(&self) -> String {
        self.listen_address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Swaps in what workers serve by. The first one brings what all workers read theirs from.
    pub(crate) fn set_serving(&self, serving: &Arc<Serving>, first: Option<Arc<ArcSwap<Serving>>>) {
        if let Some(first) = first {
            self.serving.get_or_init(|| first);
        }
        if let Some(swap) = self.serving.get() {
            swap.store(Arc::clone(serving));
        }
    }

    /// Whether requests under way are only finished.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_to_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_listen_address(&self, address: String) {
        *self.listen_address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}
