//! Contents as they follow each other, and what is published of them.

use std::ops::{Deref, DerefMut};

use apigw_config::wire::{Resource, ResourceKind};
use apigw_proto::v1;
use tempfile::TempDir;

use super::*;

/// A file with these routes.
pub(crate) fn file_of(routes: &[&str]) -> Content {
    let route = |name: &&str| {
        format!("- {{name: {name}, match: {{path_prefix: /{name}}}, upstream: \"http://127.0.0.1:1\"}}")
    };
    let lines: Vec<_> = std::iter::once("routes:".to_owned()).chain(routes.iter().map(route)).collect();
    Content::Text(Arc::new((lines.join("\n") + "\n").into_bytes()))
}

/// A publisher and the directory of its history.
#[derive(Debug)]
pub(crate) struct Sample {
    publisher: Publisher,
    directory: TempDir,
}

impl Deref for Sample {
    type Target = Publisher;

    fn deref(&self) -> &Publisher {
        &self.publisher
    }
}

impl DerefMut for Sample {
    fn deref_mut(&mut self) -> &mut Publisher {
        &mut self.publisher
    }
}

impl Sample {
    /// The next process with the same history, at that time.
    fn restarted(self, epoch: u64) -> Self {
        let Self { publisher, directory } = self;
        drop(publisher);
        Self { publisher: with_history(&directory, epoch), directory }
    }

    fn newest(&self) -> Revision {
        self.desired.borrow().newest.as_ref().expect("something is published").revision()
    }

    pub(crate) fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    pub(crate) fn texts(&self) -> Arc<Texts> {
        Arc::clone(&self.texts)
    }
}

fn with_history(directory: &TempDir, epoch: u64) -> Publisher {
    let history = History::open(directory.path(), 50).unwrap();
    let texts = Arc::new(Texts::beside(directory.path()));
    Publisher::new("gateway.yaml".into(), Arc::new(history), texts, epoch)
}

/// One with an empty history.
pub(crate) fn publisher() -> Sample {
    let directory = tempfile::tempdir().unwrap();
    Sample { publisher: with_history(&directory, 1_000), directory }
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

#[test]
fn a_content_that_means_the_same_is_not_published_again() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let mut receiver = publisher.subscribe();
    receiver.mark_unchanged();
    let mut text = file_of(&["a"]).into_text().unwrap().to_vec();
    text.extend_from_slice(b"# a comment\n");
    assert!(matches!(publisher.consider(Content::Text(Arc::new(text)), 6), Verdict::Unchanged));
    assert!(!receiver.has_changed().unwrap());
}

#[test]
fn a_broken_file_changes_nothing_and_is_remembered_until_the_file_is_good_again() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let receiver = publisher.subscribe();
    for broken in [
        Content::Text(Arc::new(b"routes: [".to_vec())),
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

#[test]
fn the_same_file_after_a_restart_is_the_same_revision() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let before = publisher.newest();
    let mut publisher = publisher.restarted(2_000);
    assert_eq!(publisher.newest(), before, "it is published before the file is read");
    assert!(matches!(publisher.consider(file_of(&["a"]), 6), Verdict::Unchanged));
    assert_eq!(publisher.newest(), before);
}

#[test]
fn whatever_is_published_after_a_restart_is_newer_even_if_the_clock_went_back() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    for epoch in [2_000, 7, 0, 3_000] {
        let before = publisher.newest();
        publisher = publisher.restarted(epoch);
        for routes in [["b"], ["a"]] {
            let former = publisher.newest();
            publisher.consider(file_of(&routes), 6);
            assert!(publisher.newest().is_newer_than(&former), "{:?}", publisher.newest());
            assert_eq!(publisher.newest().seq, former.seq + 1, "people see one sequence");
        }
        assert!(publisher.newest().epoch > before.epoch);
    }
}

#[test]
fn what_was_published_last_and_is_damaged_still_counts() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    publisher.consider(file_of(&["b"]), 6);
    let lost = publisher.newest();
    let record = publisher.directory.path().join(format!("revisions/{}-{}", lost.epoch, lost.seq));
    std::fs::write(record, b"damaged").unwrap();
    let mut publisher = publisher.restarted(500);
    assert!(publisher.desired.borrow().newest.is_none(), "the one before it must not run again by itself");
    publisher.consider(file_of(&["a"]), 7);
    assert!(publisher.newest().is_newer_than(&lost));
}

#[test]
fn a_file_that_is_broken_at_the_start_leaves_what_was_published() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let before = publisher.newest();
    let mut publisher = publisher.restarted(2_000);
    assert!(matches!(publisher.consider(Content::TooLarge, 6), Verdict::Rejected(_)));
    assert_eq!(publisher.newest(), before);
}

#[test]
fn what_cannot_be_kept_is_not_published() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    std::fs::remove_dir_all(publisher.directory.path()).unwrap();
    let Verdict::Rejected(rejected) = publisher.consider(file_of(&["b"]), 6) else {
        panic!("it cannot be kept")
    };
    assert!(rejected.problems[0].message.starts_with("was not published, for it cannot be kept"));
    assert_eq!(publisher.newest().seq, 1);
}

/// A publisher whose file went from a to b, and was rolled back to a.
fn rolled_back() -> (Sample, Revision) {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let first = publisher.newest();
    publisher.consider(file_of(&["b"]), 6);
    publisher.roll_back(first, 7).unwrap().unwrap();
    (publisher, first)
}

#[test]
fn a_rollback_is_a_new_revision_of_an_old_content() {
    let (publisher, first) = rolled_back();
    let newest = publisher.newest();
    assert_eq!((newest.seq, newest.root_hash), (3, first.root_hash));
    let records = publisher.history().records();
    let told: Vec<_> = records.iter().map(|record| (record.revision.seq, record.origin)).collect();
    assert_eq!(told, [(3, Origin::Rollback), (2, Origin::File), (1, Origin::File)]);
    assert_eq!(publisher.desired.borrow().held_back.map(|held_back| held_back.since_ms), Some(7));
}

#[test]
fn the_file_waits_behind_a_rollback_until_it_says_something_new() {
    for restart in [None, Some(2_000)] {
        let (mut publisher, first) = rolled_back();
        if let Some(epoch) = restart {
            publisher = publisher.restarted(epoch);
        }
        assert!(matches!(publisher.consider(file_of(&["b"]), 8), Verdict::HeldBack));
        assert!(matches!(publisher.consider(Content::TooLarge, 9), Verdict::Rejected(_)));
        assert!(matches!(publisher.consider(file_of(&["b"]), 10), Verdict::HeldBack));
        assert_eq!(publisher.newest().root_hash, first.root_hash);
        assert_eq!(publisher.desired.borrow().held_back.map(|held_back| held_back.since_ms), Some(7));
        assert!(matches!(publisher.consider(file_of(&["c"]), 11), Verdict::Published(_)));
        assert!(publisher.desired.borrow().held_back.is_none());
        assert!(matches!(publisher.consider(file_of(&["b"]), 12), Verdict::Published(_)));
    }
}

#[test]
fn a_file_that_agrees_ends_the_rollback_for_good() {
    let (mut publisher, _) = rolled_back();
    assert!(matches!(publisher.consider(file_of(&["a"]), 8), Verdict::Unchanged));
    assert!(publisher.desired.borrow().held_back.is_none());
    let mut publisher = publisher.restarted(2_000);
    assert!(publisher.desired.borrow().held_back.is_none());
    assert!(matches!(publisher.consider(file_of(&["b"]), 9), Verdict::Published(_)));
}

#[test]
fn a_rollback_to_what_runs_or_what_is_not_kept_publishes_nothing() {
    let (mut publisher, first) = rolled_back();
    assert!(publisher.roll_back(first, 8).unwrap().is_none());
    let unknown = Revision { seq: 99, ..first };
    assert!(matches!(publisher.roll_back(unknown, 9), Err(RollbackError::History(_))));
    assert_eq!(publisher.newest().seq, 3);
}

#[test]
fn a_rollback_is_not_judged_by_what_files_demand() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let first = publisher.newest();
    let demands = "tests: [ {name: t, request: {path: /b}, expect: {route: b}} ]\n\
                   invariants: [ {max_routes_removed_percent: 10} ]\n";
    let demanded = publisher.consider(demanding(&["a", "b", "c"], demands), 6);
    assert!(matches!(demanded, Verdict::Published(_)));
    let back = publisher.roll_back(first, 7).unwrap().expect("the way back is open");
    assert_eq!(back.revision().root_hash, first.root_hash);
}

#[test]
fn a_rollback_to_what_cannot_run_publishes_nothing() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    // As an earlier build may have kept it: a content that this one does not take.
    let route = v1::Route { name: "a".into(), path_prefix: "no slash".into(), ..v1::Route::default() };
    let newest = publisher.desired.borrow().newest.clone().expect("it is published");
    let settings = newest.content.leaf(0).resources()[0].clone();
    let bytes = prost::Message::encode_to_vec(&route).into();
    let resources = [settings, Resource::new(ResourceKind::Route, "a".into(), bytes)];
    let root_hash = wire::root_hash(resources.iter().map(Resource::entry));
    let revision = Revision { seq: 2, root_hash, ..publisher.newest() };
    let record = Record { revision, at_ms: 6, origin: Origin::File, summary: String::new(), held_back: None };
    publisher.history().keep(record, &wire::leaves_of(&resources)).unwrap();
    let before = publisher.newest();
    let refused = publisher.roll_back(revision, 7);
    assert!(matches!(refused, Err(RollbackError::CannotRun { seq: 2, .. })), "{refused:?}");
    assert_eq!(publisher.newest(), before);
    assert!(publisher.desired.borrow().held_back.is_none());
}

#[test]
fn a_rollback_does_not_mend_a_broken_file() {
    let mut publisher = publisher();
    publisher.consider(file_of(&["a"]), 5);
    let first = publisher.newest();
    publisher.consider(file_of(&["b"]), 6);
    publisher.consider(Content::TooLarge, 7);
    publisher.roll_back(first, 8).unwrap().unwrap();
    let desired = publisher.desired.borrow().clone();
    assert!(desired.rejected.is_some() && desired.held_back.is_none());
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
fn what_is_said_of_the_file_outlives_counting_on() {
    let (mut publisher, _) = rolled_back();
    publisher.consider(Content::TooLarge, 8);
    let before = publisher.desired.borrow().clone();
    let again = publisher.outrank(foreign(9_000, 1), 9).expect("it is published anew");
    let desired = publisher.desired.borrow().clone();
    assert_eq!((desired.held_back, desired.rejected.is_some()), (before.held_back, true));
    let newest = publisher.history().newest().unwrap();
    assert_eq!((newest.revision, newest.origin), (again.revision(), Origin::Rollback));
    let mut publisher = publisher.restarted(2_000);
    assert!(matches!(publisher.consider(file_of(&["b"]), 10), Verdict::HeldBack));
    assert!(publisher.consider(file_of(&["c"]), 11).is_published_after(again.revision()));
}

impl Verdict {
    fn is_published_after(&self, revision: Revision) -> bool {
        matches!(self, Self::Published(published) if published.revision().is_newer_than(&revision))
    }
}

/// A file with these routes that demands something of itself.
fn demanding(routes: &[&str], demand: &str) -> Content {
    let mut text = file_of(routes).into_text().unwrap().to_vec();
    text.extend_from_slice(demand.as_bytes());
    Content::Text(Arc::new(text))
}

#[test]
fn a_content_that_is_not_what_it_demands_is_not_published() {
    let mut publisher = publisher();
    let test = "tests: [ {name: t, request: {path: /b}, expect: {route: b}} ]\n";
    let Verdict::Rejected(rejected) = publisher.consider(demanding(&["a"], test), 5) else { unreachable!() };
    let problem = rejected.problems[0].to_string();
    assert_eq!(
        problem,
        "gateway.yaml:3:10 tests[0]: t: expected route b, found none; expected it to be sent upstream, found 404 no_route"
    );
    assert!(matches!(publisher.consider(demanding(&["a", "b"], test), 6), Verdict::Published(_)));

    let invariant = "invariants: [ {max_routes_removed_percent: 40} ]\n";
    let Verdict::Rejected(rejected) = publisher.consider(demanding(&["a"], invariant), 7) else {
        unreachable!()
    };
    assert!(rejected.problems[0].message.contains("1 of 2 would be: b"), "{rejected:?}");
    assert!(matches!(publisher.consider(file_of(&["a"]), 8), Verdict::Published(_)));
}
