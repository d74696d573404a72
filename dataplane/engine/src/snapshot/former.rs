//! Upstreams that were used until lately. One that is used again, as after a step back, is the same as before, and so the
//! connections that lead to it can be.

use std::{collections::VecDeque, sync::Arc};

use super::{Upstream, UpstreamId, UpstreamKey};

/// The most that are remembered, whether one edit has left them behind or several.
const MOST: usize = 16;

/// Those that no route and no endpoint uses any more. Newest last.
#[derive(Debug, Default)]
pub(super) struct FormerUpstreams(VecDeque<(UpstreamKey, Arc<Upstream>)>);

impl FormerUpstreams {
    pub(super) fn find(&self, key: &UpstreamKey) -> Option<&Arc<Upstream>> {
        self.0.iter().find(|(former, _)| former == key).map(|(_, upstream)| upstream)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = UpstreamId> {
        self.0.iter().map(|(_, upstream)| upstream.id)
    }

    /// Those of a new snapshot, of which these are no longer used. They may be as many as there were routes.
    pub(super) fn after<'a>(
        &'a self,
        departed: impl Iterator<Item = (&'a UpstreamKey, &'a Arc<Upstream>)>,
        is_used: impl Fn(&UpstreamKey) -> bool,
    ) -> Self {
        let mut former = VecDeque::with_capacity(MOST);
        for (key, upstream) in self.0.iter().map(|(key, upstream)| (key, upstream)).chain(departed) {
            if is_used(key) {
                continue;
            }
            if former.len() == MOST {
                former.pop_front();
            }
            former.push_back((key, upstream));
        }
        Self(former.into_iter().map(|(key, upstream)| (key.clone(), Arc::clone(upstream))).collect())
    }
}
