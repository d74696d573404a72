//! What would become of a request by what is published, or by what was: judged by the engine, nowhere else.

use std::{sync::Arc, time::SystemTime};

use apigw_config::wire::{self, Revision};
use apigw_engine::{
    Snapshot,
    checks::Source,
    explain::{self, AtRest},
    jwt::time::UnixTime,
};
use apigw_proto::v1;
use tokio::sync::Semaphore;
use tonic::Status;

use super::history::{identity, refusal};
use crate::{
    history::History,
    publication::{Desired, Published},
    texts::Texts,
};

/// The most explanations made at once: each may hold the content of a revision and its text. Others wait, as many as there
/// are calls.
const MAX_EXPLANATIONS: usize = 4;

/// Whoever is asked for explanations.
#[derive(Debug)]
pub(super) struct Explainer {
    sources: Sources,
    permits: Semaphore,
}

/// Where contents and their texts are kept.
#[derive(Debug, Clone)]
struct Sources {
    history: Arc<History>,
    texts: Arc<Texts>,
    /// The file, as it was named to the program.
    file: String,
}

impl Explainer {
    pub(super) fn new(history: Arc<History>, texts: Arc<Texts>, file: String) -> Self {
        Self { sources: Sources { history, texts, file }, permits: Semaphore::new(MAX_EXPLANATIONS) }
    }

    /// Answers by the revision that is asked for, or else by what is published, as it would be judged where no request has
    /// been yet.
    pub(super) async fn answer(
        &self,
        mut asked: v1::ExplainRequest,
        desired: Desired,
    ) -> Result<v1::ExplainResponse, Status> {
        let revision = asked.revision.take().map(|revision| identity(Some(revision))).transpose()?;
        let _permit = self.permits.acquire().await.map_err(|_| Status::unavailable("stopping"))?;
        let sources = self.sources.clone();
        let answering = tokio::task::spawn_blocking(move || sources.answer(asked, revision, &desired));
        answering.await.map_err(|_| Status::internal("the question cannot be answered"))?
    }
}

impl Sources {
    /// Reads files, and compiles what is not published.
    fn answer(
        &self,
        asked: v1::ExplainRequest,
        revision: Option<Revision>,
        desired: &Desired,
    ) -> Result<v1::ExplainResponse, Status> {
        let newest = desired.newest.as_deref();
        match revision.filter(|revision| newest.map(Published::revision) != Some(*revision)) {
            Some(former) => {
                let snapshot = self.snapshot(former)?;
                self.explain(asked, &snapshot, &explain::former_text(&self.file, former))
            }
            None => {
                let nothing = || Status::failed_precondition("nothing is published yet");
                let snapshot = newest.ok_or_else(nothing)?.snapshot();
                let is_current = desired.rejected.is_none() && desired.held_back.is_none();
                let former = || explain::former_text(&self.file, snapshot.revision());
                self.explain(asked, snapshot, &if is_current { self.file.clone() } else { former() })
            }
        }
    }

    /// A kept revision, made ready to judge requests by.
    fn snapshot(&self, revision: Revision) -> Result<Snapshot, Status> {
        let leaves = self.history.leaves(revision).map_err(|error| refusal(&error))?;
        let compiled = wire::Content::decode(&leaves, None)
            .and_then(|content| Snapshot::compile(content.config().clone(), revision, None));
        compiled.map_err(|problems| {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            Status::failed_precondition(format!(
                "revision {} cannot run in this build: {problem}",
                revision.seq
            ))
        })
    }

    fn explain(
        &self,
        asked: v1::ExplainRequest,
        snapshot: &Snapshot,
        called: &str,
    ) -> Result<v1::ExplainResponse, Status> {
        let at_rest = AtRest::new(snapshot.settings(), UnixTime::of(SystemTime::now()));
        let mut answer = explain::answer(asked, snapshot, &at_rest)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        match self.texts.read(snapshot.revision()) {
            Ok(content) => explain::locate(&mut answer, Source { file: called, content: &content }),
            Err(error) => {
                let seq = snapshot.revision().seq;
                explain::leave_unplaced(&mut answer, &format!("of revision {seq}, {error}"));
            }
        }
        Ok(answer)
    }
}
