//! Reads which backends share the requests of a peer's route.

use apigw_proto::v1::{self, hash_key::Key};

use super::Fields;
use crate::{
    model::{HashKey, Split, SplitPart},
    names::{BackendName, CookieName, HeaderName, SplitWeight, ValueError},
    problem::{KeyPath, Problems},
};

pub(super) fn split(message: &v1::Split, at: &KeyPath<'_>, problems: &mut Problems) -> Option<Split> {
    let list = at.key("split");
    let parts: Vec<_> = message
        .parts
        .iter()
        .enumerate()
        .filter_map(|(index, message)| part(message, list.index(index), problems))
        .collect();
    let by = match &message.by {
        None => Some(None),
        Some(message) => key(message, at.key("split_by"), problems).map(Some),
    };
    if parts.len() < message.parts.len() {
        return None;
    }
    let split = Split::new(parts, by?).map_err(|errors| {
        for error in errors {
            let at = error.part().map_or(list, |part| list.index(part));
            problems.report(None, &at, error);
        }
    });
    split.ok()
}

fn part(message: &v1::SplitPart, at: KeyPath<'_>, problems: &mut Problems) -> Option<SplitPart> {
    let mut fields = Fields { at, problems };
    let backend = fields.take("backend", BackendName::new(&message.backend));
    let weight = fields.take("weight", SplitWeight::new(message.weight));
    Some(SplitPart { backend: backend?, weight: weight? })
}

fn key(message: &v1::HashKey, at: KeyPath<'_>, problems: &mut Problems) -> Option<HashKey> {
    let mut fields = Fields { at, problems };
    match &message.key {
        Some(Key::Header(name)) => fields.take("header", HeaderName::new(name)).map(HashKey::Header),
        Some(Key::Cookie(name)) => fields.take("cookie", CookieName::new(name)).map(HashKey::Cookie),
        Some(Key::Ip(true)) => Some(HashKey::Ip),
        Some(Key::Ip(false)) | None => fields.take("ip", Err(ValueError::NotOneSplitKey)),
    }
}
