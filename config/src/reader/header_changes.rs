//! Reads what a route changes of header fields.

use std::collections::BTreeMap;

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{AnswerChanges, HeaderChanges},
    names::{AnswerPreset, ValueError},
};

impl Read for HeaderChanges {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let changes = changes(&mut keys);
        keys.finish();
        reader.take(place, changes?)
    }
}

impl Read for AnswerChanges {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let preset = keys.or("preset", AnswerPreset::None);
        let changes = changes(&mut keys);
        keys.finish();
        let changes = reader.take(place, changes?.and_then(Self::new))?;
        Some(changes.with_preset(preset?))
    }
}

/// The keys that both directions have; none: one of them cannot be read, and that is reported.
fn changes(keys: &mut Mapping<'_, '_>) -> Option<Result<HeaderChanges, ValueError>> {
    let set = keys.or("set", BTreeMap::new());
    let add = keys.or("add", BTreeMap::new());
    let remove = keys.or("remove", Vec::new());
    Some(HeaderChanges::new(remove?, set?, add?))
}
