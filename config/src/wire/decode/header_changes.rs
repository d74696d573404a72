//! Reads what a peer's route changes of header fields.

use std::{collections::BTreeMap, str::FromStr};

use apigw_proto::v1;

use super::Fields;
use crate::{
    model::{AnswerChanges, HeaderChanges},
    names::{AnswerPreset, ValueTemplate, WritableHeader},
    problem::{KeyPath, Problems},
};

pub(super) fn header_changes(
    message: &v1::HeaderChanges,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<HeaderChanges> {
    let v1::HeaderChanges { remove, set, add } = message;
    let mut fields = Fields { at: *at, problems };
    let remove = fields.parse_all("remove", remove);
    let set = values(&mut fields, "set", set);
    let add = values(&mut fields, "add", add);
    let changes = HeaderChanges::new(remove?, set?, add?);
    changes.map_err(|error| problems.report(None, at, error)).ok()
}

/// What becomes of answers; `preset` is empty where the file has none.
pub(super) fn answer_changes(
    (message, preset): (Option<&v1::HeaderChanges>, &str),
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<AnswerChanges> {
    let changes = match message {
        None => Some(HeaderChanges::default()),
        Some(message) => header_changes(message, at, problems),
    };
    let mut fields = Fields { at: *at, problems };
    let preset = match preset {
        "" => Some(AnswerPreset::None),
        word => fields.take("preset", word.parse()),
    };
    let changes = AnswerChanges::new(changes?).map_err(|error| problems.report(None, at, error)).ok()?;
    Some(changes.with_preset(preset?))
}

fn values(
    fields: &mut Fields<'_, '_>,
    key: &str,
    messages: &BTreeMap<String, String>,
) -> Option<BTreeMap<WritableHeader, ValueTemplate>> {
    let at = fields.at;
    let mut fields = Fields { at: at.key(key), problems: fields.problems };
    let mut read = BTreeMap::new();
    for (name, text) in messages {
        let header = fields.take(name, WritableHeader::new(name));
        let template = fields.take(name, ValueTemplate::from_str(text));
        read.extend(header.zip(template));
    }
    (read.len() == messages.len()).then_some(read)
}
