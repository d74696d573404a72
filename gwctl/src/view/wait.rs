//! `gwctl wait`: who runs a revision, who does not yet, and who refuses it.

use apigw_proto::v1;
use serde::Serialize;

use super::{ProblemView, RevisionView, push_problems};
use crate::{
    failure::printable,
    output::{Style, Table},
    wait::Standing,
};

#[derive(Debug, Serialize)]
pub(crate) struct WaitView {
    /// Whether every connected data plane runs it.
    pub(crate) ok: bool,
    /// What was waited for; null: it is not published.
    pub(crate) revision: Option<RevisionView>,
    pub(crate) running: Vec<String>,
    pub(crate) lagging: Vec<String>,
    refused: Vec<RefusalView>,
    /// Of the file, when it was rejected.
    problems: Vec<ProblemView>,
    /// All of it in one line.
    pub(crate) message: String,
}

#[derive(Debug, Serialize)]
struct RefusalView {
    id: String,
    problems: Vec<ProblemView>,
}

impl WaitView {
    pub(crate) fn of(revision: Option<RevisionView>) -> Self {
        Self {
            ok: false,
            revision,
            running: Vec::new(),
            lagging: Vec::new(),
            refused: Vec::new(),
            problems: Vec::new(),
            message: String::new(),
        }
    }

    pub(crate) fn reject_file(&mut self, problems: Vec<v1::Problem>) {
        self.problems = problems.into_iter().map(ProblemView::from).collect();
        self.message = "the file was rejected".into();
    }

    pub(crate) fn refuse(&mut self, id: String, problems: Vec<v1::Problem>) {
        let problems = problems.into_iter().map(ProblemView::from).collect();
        self.refused.push(RefusalView { id, problems });
    }

    /// What follows from who runs it and who does not.
    pub(crate) fn judged(mut self) -> Standing {
        let revision = self.revision.as_ref().map_or_else(String::new, RevisionView::short);
        if !self.refused.is_empty() {
            let ids: Vec<&str> = self.refused.iter().map(|refusal| refusal.id.as_str()).collect();
            self.message = format!("{revision} is refused by {}", ids.join(", "));
            return Standing::Ended(self);
        }
        if !self.lagging.is_empty() {
            self.message = format!("{revision} does not run yet on {}", self.lagging.join(", "));
            return Standing::Pending(self);
        }
        if self.running.is_empty() {
            self.message = "no data plane is connected".into();
            return Standing::Pending(self);
        }
        self.ok = true;
        self.message = format!("{revision} runs on {}", self.running.join(", "));
        Standing::Ended(self)
    }
}

impl Table for WaitView {
    fn table(&self, _: Style) -> String {
        let mut text = printable(&self.message) + "\n";
        if !self.problems.is_empty() {
            push_problems(&mut text, "PROBLEMS OF THE FILE", &self.problems);
        }
        for RefusalView { id, problems } in &self.refused {
            push_problems(&mut text, &format!("PROBLEMS OF {}", printable(id)), problems);
        }
        text
    }
}
