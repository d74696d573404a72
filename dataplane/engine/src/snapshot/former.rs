//! Upstreams that were used until lately. One that is used again, as after a step back, is the same as before, and so the
//! connections that lead to it can be.

use std::sync::Arc;

use super::{Upstream, UpstreamId, UpstreamKey};

/// The most that are remembered.
const MOST: usize = 16;

/// Those that no route and no endpoint uses any more. Newest last.
#[derive(Debug, Default)]
pub(super) struct FormerUpstreams(Vec<(UpstreamKey, Arc<Upstream>)>);

impl FormerUpstreams {
    pub(super) fn find(&self, key: &UpstreamKey) -> Option<&Arc<Upstream>> {
        self.0.iter().find(|(former, _)| former == key).map(|(_, upstream)| upstream)
    }

    pub(super) fn contains(&self, id: UpstreamId) -> bool {
        self.0.iter().any(|(_, upstream)| upstream.id == id)
    }

    /// Those of a new snapshot, of which these are no longer used.
    pub(super) fn after(
        &self,
        departed: impl Iterator<Item = (UpstreamKey, Arc<Upstream>)>,
        is_used: impl Fn(&UpstreamKey) -> bool,
    ) -> Self {
        let mut former = Self::default();
        for (key, upstream) in self.0.iter().cloned().chain(departed) {
            if !is_used(&key) && !former.contains(upstream.id) {
                former.0.push((key, upstream));
            }
        }
        former.0.drain(..former.0.len().saturating_sub(MOST));
        former
    }
}
