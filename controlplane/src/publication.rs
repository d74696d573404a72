//! From the content of the file to what every data plane should run.
//!
//! A content is read, checked, encoded, compiled and kept before anything of it is published; what cannot run changes
//! nothing. This module knows no file and no stream: contents come in, revisions go out over a watch channel, and the
//! time is an argument.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apigw_config::{
    ConfigReader,
    problem::Problem,
    watch::Content,
    wire::{self, Hash, Revision, features::Feature},
};
use apigw_engine::{
    Snapshot,
    checks::{self, Source},
    effects,
    jwt::time::UnixTime,
};
use tokio::sync::watch;
use tracing::warn;

use crate::{
    history::{History, HistoryError, Origin, Place, Record},
    texts::Texts,
};

/// A configuration that data planes are to run.
#[derive(Debug)]
pub(crate) struct Published {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) content: wire::Content,
    /// What a data plane must be able to enforce.
    pub(crate) required: BTreeSet<Feature>,
    /// What is legal in it and probably not meant.
    pub(crate) warnings: Vec<Problem>,
    snapshot: Snapshot,
}

impl Published {
    pub(crate) fn revision(&self) -> Revision {
        self.snapshot.revision()
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A content of the file that is not published, because it cannot run.
#[derive(Debug)]
pub(crate) struct RejectedFile {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// At least one.
    pub(crate) problems: Vec<Problem>,
}

/// A content of the file that is good and not published, because an operator has rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// What it means.
    hash: Hash,
    /// When that was, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

/// What data planes should run, and what the file says instead, if it says something else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// None until a first content was good.
    pub(crate) newest: Option<Arc<Published>>,
    /// None while the file can be read and is right.
    pub(crate) rejected: Option<Arc<RejectedFile>>,
    /// None unless the file's last good content waits behind a rollback.
    pub(crate) held_back: Option<HeldBack>,
}

/// What became of a content.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is what data planes should run from now on.
    Published(Arc<Published>),
    /// It means what is published already.
    Unchanged,
    /// It is what the file said at the last rollback; nothing has changed.
    HeldBack,
    /// It cannot run; nothing has changed.
    Rejected(Arc<RejectedFile>),
}

/// Why a rollback published nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RollbackError {
    /// Its content is not there.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// This build does not run what an earlier one did, or the history takes nothing.
    #[error("revision {seq} cannot run: {}", first(problems))]
    CannotRun { seq: u64, problems: Vec<Problem> },
}

fn first(problems: &[Problem]) -> String {
    problems.first().map_or_else(String::new, ToString::to_string)
}

/// Turns contents into revisions.
///
/// Invariant: what is published is newer, by `(epoch, seq)`, than everything that was ever published with this history,
/// also by processes before this one. Two things keep it. A revision is in the history before anybody is told of it,
/// and one that cannot be kept there is not published. And a process goes on with the epoch of another only while it
/// has published nothing itself: what it publishes is of an epoch above all that the history has ever seen, whatever
/// the clock says, with the sequence going on.
#[derive(Debug)]
pub(crate) struct Publisher {
    file: String,
    reader: ConfigReader,
    epoch: u64,
    history: Arc<History>,
    texts: Arc<Texts>,
    /// What the last good content of the file meant; none while the file is broken.
    says: Option<Hash>,
    desired: watch::Sender<Desired>,
}

/// What there is to say of the file, beside what is published.
#[derive(Default)]
struct Remark {
    rejected: Option<Arc<RejectedFile>>,
    held_back: Option<HeldBack>,
}

/// A configuration that could be published.
struct Candidate {
    content: wire::Content,
    wording: Wording,
}

/// What a candidate was read from. A clone shares the text.
#[derive(Clone)]
enum Wording {
    /// The file, which says this.
    Text(Arc<Vec<u8>>),
    /// The same as this revision was.
    OfRevision(Revision),
}

impl Publisher {
    /// Of a file, as it was named to the program. The epoch is when this program began, in milliseconds since 1970.
    ///
    /// What the history has last, if it is whole and the last that was published, is published from the start.
    pub(crate) fn new(file: String, history: Arc<History>, texts: Arc<Texts>, epoch: u64) -> Self {
        let above = history.newest_place().map_or(0, |place| place.epoch.saturating_add(1));
        let epoch = epoch.max(above);
        let reader = ConfigReader::new(&file);
        let desired = watch::Sender::default();
        let mut publisher = Self { file, reader, epoch, history, texts, says: None, desired };
        if let Some((published, record)) = publisher.last_of_history() {
            let held_back = record.held_back.map(|hash| HeldBack { hash, since_ms: record.at_ms });
            publisher.says = Some(record.held_back.unwrap_or(record.revision.root_hash));
            let newest = Some(Arc::new(published));
            publisher.desired.send_replace(Desired { newest, rejected: None, held_back });
        }
        publisher
    }

    fn last_of_history(&self) -> Option<(Published, Record)> {
        let record = self.history.newest()?;
        let revision = record.revision;
        if self.history.newest_place() != Some(Place { epoch: revision.epoch, seq: revision.seq }) {
            return None;
        }
        let read = || -> Result<Published, RollbackError> {
            let candidate = self.kept(revision)?;
            let cannot_run = |problems| RollbackError::CannotRun { seq: revision.seq, problems };
            candidate.compile(revision, record.at_ms, None).map_err(cannot_run)
        };
        read()
            .inspect_err(|error| warn!(seq = revision.seq, %error, "what was published last cannot be used"))
            .ok()
            .map(|published| (published, record))
    }

    /// What should run, now and later.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Desired> {
        self.desired.subscribe()
    }

    /// Judges a content and publishes it when it can run and means something new.
    pub(crate) fn consider(&mut self, content: Content, now_ms: u64) -> Verdict {
        let judged = self.candidate(content, now_ms).and_then(|candidate| self.judge(candidate, now_ms));
        judged.unwrap_or_else(|problems| {
            self.says = None;
            let rejected = Arc::new(RejectedFile { at_ms: now_ms, problems });
            self.desired.send_modify(|desired| desired.rejected = Some(Arc::clone(&rejected)));
            Verdict::Rejected(rejected)
        })
    }

    fn judge(&mut self, candidate: Candidate, now_ms: u64) -> Result<Verdict, Vec<Problem>> {
        let Desired { newest, held_back, .. } = self.desired.borrow().clone();
        let hash = candidate.content.root_hash();
        if let Some(newest) = newest.filter(|newest| newest.revision().root_hash == hash) {
            self.says = Some(hash);
            // Lines may have moved although nothing else has.
            self.keep_wording(newest.revision(), &candidate.wording);
            if let Err(error) = self.history.agree() {
                warn!(%error, "the history does not know that the file agrees again");
            }
            self.desired.send_if_modified(|desired| {
                let differed = desired.rejected.is_some() || desired.held_back.is_some();
                (desired.rejected, desired.held_back) = (None, None);
                differed
            });
            return Ok(Verdict::Unchanged);
        }
        if held_back.is_some_and(|held_back| held_back.hash == hash) {
            self.says = Some(hash);
            self.desired.send_if_modified(|desired| desired.rejected.take().is_some());
            return Ok(Verdict::HeldBack);
        }
        let published = self.publish(candidate, Origin::File, Remark::default(), now_ms)?;
        self.says = Some(hash);
        Ok(Verdict::Published(published))
    }

    /// Publishes the content of a kept revision again; none when it runs already. What the file says waits until it
    /// says something else.
    pub(crate) fn roll_back(
        &mut self,
        revision: Revision,
        now_ms: u64,
    ) -> Result<Option<Arc<Published>>, RollbackError> {
        let candidate = self.kept(revision)?;
        let newest = self.desired.borrow().newest.as_ref().map(|newest| newest.revision().root_hash);
        if newest == Some(candidate.content.root_hash()) {
            return Ok(None);
        }
        let held_back = self.says.filter(|says| *says != candidate.content.root_hash());
        let remark = Remark {
            // A rollback mends no file.
            rejected: self.desired.borrow().rejected.clone(),
            held_back: held_back.map(|hash| HeldBack { hash, since_ms: now_ms }),
        };
        let published = self.publish(candidate, Origin::Rollback, remark, now_ms);
        published.map(Some).map_err(|problems| RollbackError::CannotRun { seq: revision.seq, problems })
    }

    /// Sees to it that data planes take what is published, when one of them runs `running`, and publishes the newest
    /// content anew if it must be. None: nothing had to be published.
    ///
    /// A data plane refuses what is older than what it runs, also after a restart from its disk; else a forgotten control
    /// plane, or a message that was on its way for long, could undo what operators decided since. But epochs come from
    /// clocks. A control plane whose clock was ahead once, and is right again after its restart, counts below what it
    /// published itself, and so does each control plane that was not the last to start of several. Such a one must not be
    /// without effect: the operators follow it, as the data plane that dialled it shows. So what it hears is running is
    /// what it counts on from. This ends: only a Hello is heard, and after one of several control planes counted on, its
    /// data planes say nothing that is newer.
    pub(crate) fn outrank(&mut self, running: Revision, now_ms: u64) -> Option<Arc<Published>> {
        let Desired { newest, rejected, held_back } = self.desired.borrow().clone();
        let follows = |newest: Revision| newest == running || newest.is_newer_than(&running);
        if newest.as_ref().map_or(self.epoch > running.epoch, |newest| follows(newest.revision())) {
            return None;
        }
        // An epoch that nothing is above is nothing that a control plane counted to.
        self.epoch = running.epoch.checked_add(1)?.max(now_ms).max(self.epoch);
        let newest = newest?;
        let wording = Wording::OfRevision(newest.revision());
        let origin = self.history.find(newest.revision()).map_or(Origin::File, |record| record.origin);
        let candidate = Candidate { content: newest.content.clone(), wording };
        self.publish(candidate, origin, Remark { rejected, held_back }, now_ms)
            .inspect_err(|problems| warn!(problem = first(problems), "what runs already cannot be outranked"))
            .ok()
    }

    /// Gives a candidate its revision, keeps it and lets everybody know.
    fn publish(
        &mut self,
        candidate: Candidate,
        origin: Origin,
        remark: Remark,
        now_ms: u64,
    ) -> Result<Arc<Published>, Vec<Problem>> {
        let newest = self.desired.borrow().newest.clone();
        let seq = self.history.newest_place().map_or(0, |place| place.seq) + 1;
        let revision = Revision { epoch: self.epoch, seq, root_hash: candidate.content.root_hash() };
        let former = newest.as_ref().map(|newest| newest.snapshot());
        let summary = effects::summary(former.map(Snapshot::config), candidate.content.config());
        let wording = candidate.wording.clone();
        let mut published = candidate.compile(revision, now_ms, former)?;
        if let Wording::Text(text) = &wording {
            checks::locate(&mut published.warnings, Source { file: &self.file, content: text });
        }
        let held_back = remark.held_back.map(|held_back| held_back.hash);
        let record = Record { revision, at_ms: now_ms, origin, summary, held_back };
        let kept = self.history.keep(record, published.content.leaves());
        kept.map_err(|error| self.of_the_file(format!("was not published, for it cannot be kept: {error}")))?;
        self.keep_wording(revision, &wording);
        let published = Arc::new(published);
        let Remark { rejected, held_back } = remark;
        self.desired.send_replace(Desired { newest: Some(Arc::clone(&published)), rejected, held_back });
        Ok(published)
    }

    /// Keeps what a revision was read from, and forgets what only revisions were read from that are kept no more.
    fn keep_wording(&self, revision: Revision, wording: &Wording) {
        let kept = match wording {
            Wording::Text(text) => self.texts.keep(revision, text),
            Wording::OfRevision(former) => self.texts.share(*former, revision),
        };
        let revisions: Vec<_> = self.history.records().iter().map(|record| record.revision).collect();
        if let Err(error) = kept.and_then(|()| self.texts.sweep(&revisions)) {
            warn!(seq = revision.seq, %error, "lines of the file cannot be told of this revision");
        }
    }

    /// What a content means, if it is what it demands of itself.
    fn candidate(&mut self, content: Content, now_ms: u64) -> Result<Candidate, Vec<Problem>> {
        let text = content.into_text().map_err(|error| self.of_the_file(error.to_string()))?;
        let (config, checks) = self.reader.read(&text)?;
        let newest = self.desired.borrow().newest.clone();
        let content = wire::Content::encode(&config, newest.as_ref().map(|newest| &newest.content));
        let content = content.map_err(|error| self.of_the_file(error.to_string()))?;
        if !checks.is_empty() {
            // Compiled for this alone; no revision is given before it is known that it will be published.
            let revision = Revision { epoch: 0, seq: 0, root_hash: content.root_hash() };
            let previous = newest.as_ref().map(|newest| newest.snapshot());
            let snapshot = Snapshot::compile(content.config().clone(), revision, previous)?;
            let now = UnixTime::new(Duration::from_millis(now_ms));
            let source = Source { file: &self.file, content: &text };
            for warning in checks::check(&snapshot, &checks, previous, now, source)? {
                warn!(%warning, "a test of the file was not judged");
            }
        }
        Ok(Candidate { content, wording: Wording::Text(text) })
    }

    /// What a kept revision means.
    fn kept(&self, revision: Revision) -> Result<Candidate, RollbackError> {
        let leaves = self.history.leaves(revision)?;
        let newest = self.desired.borrow().newest.clone();
        let content = wire::Content::decode(&leaves, newest.as_ref().map(|newest| &newest.content))
            .map_err(|problems| RollbackError::CannotRun { seq: revision.seq, problems })?;
        Ok(Candidate { content, wording: Wording::OfRevision(revision) })
    }

    fn of_the_file(&self, message: String) -> Vec<Problem> {
        vec![Problem { file: self.file.clone(), position: None, path: String::new(), message }]
    }
}

impl Candidate {
    /// Makes it ready to run, by the engine that will.
    fn compile(
        self,
        revision: Revision,
        at_ms: u64,
        previous: Option<&Snapshot>,
    ) -> Result<Published, Vec<Problem>> {
        let content = self.content;
        let snapshot = Snapshot::compile(content.config().clone(), revision, previous)?;
        let warnings = checks::warnings(&snapshot);
        Ok(Published { at_ms, required: content.required(), warnings, content, snapshot })
    }
}

#[cfg(test)]
pub(crate) mod tests;
