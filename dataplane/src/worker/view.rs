//! What a request is served by, as one worker holds it. It never changes.

use std::sync::Arc;

use apigw_engine::Snapshot;

use crate::serving::Serving;

/// What a request is served by, as one worker holds it.
pub(crate) struct View {
    pub(super) serving: Arc<Serving>,
    revision: String,
}

impl View {
    pub(super) fn new(serving: Arc<Serving>) -> Self {
        let revision = serving.snapshot.revision();
        Self { revision: format!("{}.{}", revision.epoch, revision.seq), serving }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.serving.snapshot
    }

    pub(crate) fn serving(&self) -> &Serving {
        &self.serving
    }

    /// As logs name it.
    pub(crate) fn revision(&self) -> &str {
        &self.revision
    }
}
