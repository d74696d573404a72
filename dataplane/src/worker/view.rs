//! What a request is served by, as one worker holds it. It never changes.

use std::sync::Arc;

use apigw_engine::Snapshot;

use super::retirement::Retirement;
use crate::serving::Serving;

/// What a request is served by, as one worker holds it.
pub(crate) struct View {
    pub(super) serving: Arc<Serving>,
    revision: String,
    retirement: Retirement<Serving>,
}

impl View {
    pub(super) fn new(serving: Arc<Serving>, retirement: &Retirement<Serving>) -> Self {
        let revision = serving.snapshot.revision();
        let revision = format!("{}.{}", revision.epoch, revision.seq);
        Self { serving, revision, retirement: retirement.clone() }
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

impl Drop for View {
    fn drop(&mut self) {
        self.retirement.leave(Arc::clone(&self.serving));
    }
}
