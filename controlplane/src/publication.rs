//! From the content of the file to what every data plane should run.
//!
//! A content is read, checked, encoded and compiled before anything of it is published; what cannot run changes nothing.
//! This module knows no file and no stream: contents come in, revisions go out over a watch channel, and the time is an
//! argument.

use std::{collections::BTreeSet, sync::Arc};

use apigw_config::{
    problem::Problem,
    watch::{Content, MAX_FILE_BYTES},
    wire::{
        self, Resource, Revision,
        features::{self, Feature},
    },
};
use apigw_engine::Snapshot;
use tokio::sync::watch;

/// A configuration that data planes are to run.
#[derive(Debug)]
pub(crate) struct Published {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// In the revision's order.
    pub(crate) resources: Vec<Resource>,
    /// What a data plane must be able to enforce.
    pub(crate) required: BTreeSet<Feature>,
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

/// What data planes should run, and what the file says instead, if it is broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desired {
    /// None until a first content was good.
    pub(crate) newest: Option<Arc<Published>>,
    /// None while the file says what `newest` is.
    pub(crate) rejected: Option<Arc<RejectedFile>>,
}

/// What became of a content.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is what data planes should run from now on.
    Published(Arc<Published>),
    /// It means what is published already.
    Unchanged,
    /// It cannot run; nothing has changed.
    Rejected(Arc<RejectedFile>),
}

/// Turns contents into revisions.
#[derive(Debug)]
pub(crate) struct Publisher {
    file: String,
    epoch: u64,
    desired: watch::Sender<Desired>,
}

impl Publisher {
    /// Of a file, as it was named to the program. The epoch is when this program began, in milliseconds since 1970, so
    /// that its revisions are newer than those of the one before it.
    pub(crate) fn new(file: String, epoch: u64) -> Self {
        Self { file, epoch, desired: watch::Sender::default() }
    }

    /// What should run, now and later.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Desired> {
        self.desired.subscribe()
    }

    /// Judges a content and publishes it when it can run and means something new.
    pub(crate) fn consider(&mut self, content: Content, now_ms: u64) -> Verdict {
        let newest = self.desired.borrow().newest.clone();
        match self.candidate(content, newest.as_deref(), now_ms) {
            Ok(Some(published)) => {
                let published = Arc::new(published);
                self.desired.send_replace(Desired { newest: Some(Arc::clone(&published)), rejected: None });
                Verdict::Published(published)
            }
            Ok(None) => {
                self.desired.send_if_modified(|desired| desired.rejected.take().is_some());
                Verdict::Unchanged
            }
            Err(problems) => {
                let rejected = Arc::new(RejectedFile { at_ms: now_ms, problems });
                self.desired.send_modify(|desired| desired.rejected = Some(Arc::clone(&rejected)));
                Verdict::Rejected(rejected)
            }
        }
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
        let newest = self.desired.borrow().newest.clone();
        let follows = |newest: Revision| newest == running || newest.is_newer_than(&running);
        if newest.as_ref().map_or(self.epoch > running.epoch, |newest| follows(newest.revision())) {
            return None;
        }
        // An epoch that nothing is above is nothing that a control plane counted to.
        self.epoch = running.epoch.checked_add(1)?.max(now_ms);
        let newest = newest?;
        let revision = Revision { epoch: self.epoch, seq: newest.revision().seq + 1, ..newest.revision() };
        let config = newest.snapshot().config().clone();
        let snapshot = Snapshot::compile(config, revision, Some(newest.snapshot())).ok()?;
        let (resources, required) = (newest.resources.clone(), newest.required.clone());
        let published = Arc::new(Published { at_ms: now_ms, resources, required, snapshot });
        self.desired.send_modify(|desired| desired.newest = Some(Arc::clone(&published)));
        Some(published)
    }

    /// The next revision, or none when the content means what the newest one does.
    fn candidate(
        &self,
        content: Content,
        newest: Option<&Published>,
        now_ms: u64,
    ) -> Result<Option<Published>, Vec<Problem>> {
        let text = match content {
            Content::Text(text) => text,
            Content::Unreadable(error) => return Err(self.of_the_file(format!("cannot be read: {error}"))),
            Content::TooLarge => {
                return Err(self.of_the_file(format!("is larger than {MAX_FILE_BYTES} bytes")));
            }
        };
        let config = apigw_config::read(&self.file, &text)?;
        let resources = wire::encode(&config).map_err(|error| self.of_the_file(error.to_string()))?;
        let root_hash = wire::root_hash(resources.iter().map(Resource::entry));
        if newest.is_some_and(|newest| newest.revision().root_hash == root_hash) {
            return Ok(None);
        }
        let seq = newest.map_or(0, |newest| newest.revision().seq) + 1;
        let revision = Revision { epoch: self.epoch, seq, root_hash };
        let required = features::required(&config);
        let snapshot = Snapshot::compile(config, revision, newest.map(Published::snapshot))?;
        Ok(Some(Published { at_ms: now_ms, resources, required, snapshot }))
    }

    fn of_the_file(&self, message: String) -> Vec<Problem> {
        vec![Problem { file: self.file.clone(), position: None, path: String::new(), message }]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file with these routes.
    pub(crate) fn file_of(routes: &[&str]) -> Content {
        let route = |name: &&str| {
            format!("- {{name: {name}, match: {{path_prefix: /{name}}}, upstream: \"http://127.0.0.1:1\"}}")
        };
        let lines: Vec<_> = std::iter::once("routes:".to_owned()).chain(routes.iter().map(route)).collect();
        Content::Text((lines.join("\n") + "\n").into_bytes())
    }

    pub(crate) fn publisher() -> Publisher {
        Publisher::new("gateway.yaml".into(), 1_000)
    }

    #[test]
    fn each_new_meaning_is_one_new_revision() {
        let mut publisher = publisher();
        let receiver = publisher.subscribe();
        assert!(matches!(publisher.consider(file_of(&["a"]), 5), Verdict::Published(_)));
        let first = receiver.borrow().newest.as_ref().unwrap().revision();
        assert_eq!((first.epoch, first.seq), (1_000, 1));
        assert!(matches!(publisher.consider(file_of(&["a", "b"]), 6), Verdict::Published(_)));
        let second = receiver.borrow().newest.as_ref().unwrap().revision();
        assert!(second.is_newer_than(&first));
        assert_ne!(second.root_hash, first.root_hash);
    }

    /// Something else under such a number.
    fn foreign(epoch: u64, seq: u64) -> Revision {
        Revision { epoch, seq, root_hash: wire::root_hash([]) }
    }

    #[test]
    fn what_runs_already_is_counted_on_from() {
        for (running, now, expected) in [
            (foreign(1_000, 2), 5, (1_001, 2)),
            (foreign(1_000, 1), 5, (1_001, 2)),
            (foreign(9_000, 1), 5, (9_001, 2)),
            (foreign(9_000, 1), 9_500, (9_500, 2)),
        ] {
            let mut publisher = publisher();
            let Verdict::Published(first) = publisher.consider(file_of(&["a"]), 5) else { unreachable!() };
            let again = publisher.outrank(running, now).expect("it is published anew").revision();
            assert_eq!((again.epoch, again.seq), expected);
            assert_eq!(again.root_hash, first.revision().root_hash);
            assert_eq!(publisher.subscribe().borrow().newest.as_ref().unwrap().revision(), again);
            assert!(publisher.outrank(running, now).is_none(), "once is enough");
            let Verdict::Published(next) = publisher.consider(file_of(&["b"]), 6) else { unreachable!() };
            assert_eq!((next.revision().epoch, next.revision().seq), (expected.0, 3));
        }
    }

    #[test]
    fn what_follows_what_runs_is_not_published_anew() {
        let mut publisher = publisher();
        let Verdict::Published(first) = publisher.consider(file_of(&["a"]), 5) else { unreachable!() };
        for running in [first.revision(), foreign(999, 7), foreign(1_000, 0), foreign(u64::MAX, 1)] {
            assert!(publisher.outrank(running, 5).is_none(), "{running:?}");
        }
    }

    #[test]
    fn a_first_content_is_counted_on_from_what_runs() {
        let mut publisher = publisher();
        assert!(publisher.outrank(foreign(9_000, 4), 5).is_none(), "there is nothing to publish");
        let Verdict::Published(first) = publisher.consider(file_of(&["a"]), 5) else { unreachable!() };
        assert_eq!((first.revision().epoch, first.revision().seq), (9_001, 1));
    }

    #[test]
    fn a_content_that_means_the_same_is_not_published_again() {
        let mut publisher = publisher();
        publisher.consider(file_of(&["a"]), 5);
        let mut receiver = publisher.subscribe();
        receiver.mark_unchanged();
        let Content::Text(mut text) = file_of(&["a"]) else { unreachable!("it is a text") };
        text.extend_from_slice(b"# a comment\n");
        assert!(matches!(publisher.consider(Content::Text(text), 6), Verdict::Unchanged));
        assert!(!receiver.has_changed().unwrap());
    }

    #[test]
    fn a_broken_file_changes_nothing_and_is_remembered_until_the_file_is_good_again() {
        let mut publisher = publisher();
        publisher.consider(file_of(&["a"]), 5);
        let receiver = publisher.subscribe();
        for broken in [
            Content::Text(b"routes: [".to_vec()),
            Content::TooLarge,
            Content::Unreadable(std::io::ErrorKind::NotFound.into()),
        ] {
            assert!(matches!(publisher.consider(broken, 7), Verdict::Rejected(_)));
            let desired = receiver.borrow().clone();
            assert_eq!(desired.newest.unwrap().revision().seq, 1);
            let rejected = desired.rejected.unwrap();
            assert_eq!((rejected.at_ms, rejected.problems[0].file.as_str()), (7, "gateway.yaml"));
        }
        assert!(matches!(publisher.consider(file_of(&["a"]), 8), Verdict::Unchanged));
        assert!(receiver.borrow().rejected.is_none());
    }
}
