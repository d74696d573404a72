//! What a route asks for by saying where its requests go.

use apigw_proto::v1;

use super::{Feature, Needs};

impl Needs {
    pub(super) fn split(&mut self, split: v1::Split) {
        let v1::Split { parts, by } = split;
        self.add(Feature::Split);
        // A build that splits does all of it. The backends are there, and ask for what they need.
        for v1::SplitPart { backend: _, weight: _ } in parts {}
        if let Some(v1::HashKey { key: _ }) = by {}
    }

    pub(super) fn mirror(&mut self, mirror: &v1::Mirror) {
        let v1::Mirror { backend: _, percent: _ } = mirror;
        self.add(Feature::Mirror);
    }
}
