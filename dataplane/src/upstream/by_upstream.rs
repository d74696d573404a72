//! What a worker keeps for each upstream that it has asked. Edits leave upstreams behind, and some of them come back.

use apigw_engine::snapshot::UpstreamId;
use rustc_hash::FxHashMap;

/// See the module. An upstream for which nothing is kept has no entry.
#[derive(Debug)]
pub(super) struct ByUpstream<T> {
    entries: FxHashMap<UpstreamId, T>,
    /// The upstreams that are not used, but may be again: a few.
    former: Vec<UpstreamId>,
}

impl<T> Default for ByUpstream<T> {
    fn default() -> Self {
        Self { entries: FxHashMap::default(), former: Vec::new() }
    }
}

impl<T> ByUpstream<T> {
    pub(super) fn get(&self, upstream: UpstreamId) -> Option<&T> {
        self.entries.get(&upstream)
    }

    pub(super) fn get_mut(&mut self, upstream: UpstreamId) -> Option<&mut T> {
        self.entries.get_mut(&upstream)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.values()
    }

    /// Forgets upstreams that are neither used nor among the `former`.
    pub(super) fn reconfigure(
        &mut self,
        is_used: impl Fn(UpstreamId) -> bool,
        former: impl Iterator<Item = UpstreamId>,
    ) {
        self.former = former.collect();
        self.entries.retain(|upstream, _| is_used(*upstream) || self.former.contains(upstream));
    }

    /// Keeps what `is_kept`. It is asked of the upstreams that are used first, and of the former ones then: those have what room the
    /// others leave.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&mut T) -> bool) {
        for is_former in [false, true] {
            self.entries
                .retain(|upstream, entry| self.former.contains(upstream) != is_former || is_kept(entry));
        }
    }
}

impl<T: Default> ByUpstream<T> {
    pub(super) fn entry(&mut self, upstream: UpstreamId) -> &mut T {
        self.entries.entry(upstream).or_default()
    }
}
