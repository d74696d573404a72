//! The keys that say which backends take a route's requests, by the same rules.

use apigw_proto::v1::{self, hash_key::Key};

use super::Keys;

impl Keys {
    pub(super) fn split(&mut self, split: v1::Split) {
        let v1::Split { parts, by } = split;
        // In one line each: by their places, one that goes would make another of all that follow.
        let part = |v1::SplitPart { backend, weight }| format!("{backend} weight {weight}");
        self.list("split", parts.into_iter().map(part).collect());
        if let Some(v1::HashKey { key }) = by {
            match key {
                Some(Key::Header(name)) => self.text("split_by.header", name),
                Some(Key::Cookie(name)) => self.text("split_by.cookie", name),
                Some(Key::Ip(is_it)) => self.truth("split_by.ip", is_it),
                None => {}
            }
        }
    }

    pub(super) fn mirror(&mut self, mirror: v1::Mirror) {
        let v1::Mirror { backend, percent } = mirror;
        self.text("mirror.backend", backend);
        self.number("mirror.percent", percent);
    }
}
