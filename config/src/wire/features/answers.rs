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

    pub(super) fn rewrite(&mut self, rewrite: &v1::Rewrite) {
        let v1::Rewrite { path_rewrite, host: _ } = rewrite;
        self.add(Feature::Rewrite);
        path_rewrite.iter().for_each(path_rewrite_in_full);
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

    pub(super) fn compression(&mut self, compression: &v1::Compression) {
        let v1::Compression { algorithms: _, min_bytes: _, content_types: _ } = compression;
        self.add(Feature::Compression);
    }
}
