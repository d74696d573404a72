//! What runs, for everybody who only looks: workers take it for each request, operators ask about it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use apigw_engine::Snapshot;
use arc_swap::ArcSwap;

/// What runs. Only the gateway changes it.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Set with the first configuration, and from then on swapped.
    snapshot: OnceLock<Arc<ArcSwap<Snapshot>>>,
    listen_address: Mutex<String>,
}

impl Running {
    /// None before the first configuration.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.get().map(|snapshot| snapshot.load_full())
    }

    /// Where traffic is accepted, as a person would write it; empty before the first configuration.
    pub(crate) fn listen_address(&self) -> String {
        self.listen_address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Swaps in a snapshot. The first one brings what all workers read theirs from.
    pub(crate) fn set_snapshot(&self, snapshot: &Arc<Snapshot>, first: Option<Arc<ArcSwap<Snapshot>>>) {
        if let Some(first) = first {
            self.snapshot.get_or_init(|| first);
        }
        if let Some(swap) = self.snapshot.get() {
            swap.store(Arc::clone(snapshot));
        }
    }

    pub(crate) fn set_listen_address(&self, address: String) {
        *self.listen_address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}
