//! The text that what runs was read from, for whoever wants to see the line behind a judgement.
//!
//! Only a data plane with a file of its own has one: one text in memory, as large as a file may be.

use std::sync::{Arc, Mutex, PoisonError};

use apigw_config::{
    problem::Problem,
    wire::{Hash, Revision},
};

/// A good content of the file.
#[derive(Debug)]
pub(crate) struct Text {
    /// Of the file, as it was named to the program.
    pub(crate) file: String,
    pub(crate) content: Arc<Vec<u8>>,
    /// What it means.
    pub(crate) root_hash: Hash,
}

impl Text {
    /// Gives problems with what the text names, which nobody has placed yet, their lines.
    pub(crate) fn locate(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let places = apigw_config::places_of(&self.content, &paths);
        let located =
            problems.into_iter().zip(places).map(|(problem, place)| match (problem.position, place) {
                (None, Some(place)) => Problem { file: self.file.clone(), position: Some(place), ..problem },
                _ => problem,
            });
        located.collect()
    }
}

/// The last text that came into force, or means what is in force.
#[derive(Debug, Default)]
pub(crate) struct FileText(Mutex<Option<Arc<Text>>>);

impl FileText {
    pub(crate) fn set(&self, text: Text) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(text));
    }

    /// None, if it is not at hand: a moment after a change, what runs and its text may differ.
    pub(crate) fn of(&self, revision: Revision) -> Option<Arc<Text>> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        text.filter(|text| text.root_hash == revision.root_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_of_what_it_means_and_of_nothing_else() {
        let revision = |content: &[u8]| Revision { epoch: 1, seq: 1, root_hash: Hash::of(content) };
        let text = FileText::default();
        assert!(text.of(revision(b"a")).is_none());
        text.set(Text {
            file: "g.yaml".into(),
            content: Arc::new(b"routes: []".to_vec()),
            root_hash: Hash::of(b"a"),
        });
        assert_eq!(text.of(revision(b"a")).map(|text| text.content.to_vec()), Some(b"routes: []".to_vec()));
        assert!(text.of(revision(b"b")).is_none());
    }
}
