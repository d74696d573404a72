//! Backends that share the requests of a route.

use apigw_proto::v1::{self, hash_key::Key};

use crate::model::{HashKey, Split, SplitPart};

impl From<&Split> for v1::Split {
    fn from(split: &Split) -> Self {
        Self { parts: split.parts().iter().map(Into::into).collect(), by: split.by().map(Into::into) }
    }
}

impl From<&SplitPart> for v1::SplitPart {
    fn from(SplitPart { backend, weight }: &SplitPart) -> Self {
        Self { backend: backend.to_string(), weight: weight.get().into() }
    }
}

impl From<&HashKey> for v1::HashKey {
    fn from(key: &HashKey) -> Self {
        let key = match key {
            HashKey::Header(name) => Key::Header(name.as_str().into()),
            HashKey::Cookie(name) => Key::Cookie(name.as_str().into()),
            HashKey::Ip => Key::Ip(true),
        };
        Self { key: Some(key) }
    }
}
