//! What a route asks for by saying what becomes of messages, and what the gateway itself answers.

use apigw_proto::v1;

use super::{Feature, Needs, path_rewrite_in_full};

impl Needs {
    pub(super) fn own_answers(&mut self, redirect: Option<&v1::Redirect>, respond: Option<&v1::FixedAnswer>) {
        if redirect.is_some() || respond.is_some() {
            self.add(Feature::OwnAnswers);
        }
        if let Some(v1::Redirect { status: _, scheme: _, host: _, port: _, path_rewrite }) = redirect {
            path_rewrite.iter().for_each(path_rewrite_in_full);
        }
        if let Some(v1::FixedAnswer { status: _, body: _, content_type: _ }) = respond {}
    }

    /// In either direction.
    pub(super) fn header_changes(&mut self, changes: &v1::HeaderChanges) {
        let v1::HeaderChanges { remove: _, set: _, add: _ } = changes;
        self.add(Feature::HeaderChanges);
    }

    pub(super) fn answer_preset(&mut self, preset: &str) {
        if !preset.is_empty() {
            self.add(Feature::AnswerPreset);
        }
    }
}
