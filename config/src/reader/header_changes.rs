//! Reads what a route changes of header fields.

use std::collections::BTreeMap;

use super::{Mapping, Place, Read, Reader};
use crate::model::{AnswerChanges, HeaderChanges};

impl Read for HeaderChanges {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let set = keys.or("set", BTreeMap::new());
        let add = keys.or("add", BTreeMap::new());
        let remove = keys.or("remove", Vec::new());
        keys.finish();
        reader.take(place, Self::new(remove?, set?, add?))
    }
}

impl Read for AnswerChanges {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let changes = HeaderChanges::read(place, reader)?;
        reader.take(place, Self::new(changes))
    }
}
