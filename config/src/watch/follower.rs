//! The thread behind a watch: waits for a sign of change, lets it settle, looks, and hands over what is new.
//!
//! It is the only place that knows notify. File systems block, so nothing here runs on an async runtime.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc::Sender;

use super::{
    Content, Wake,
    links::{self, Way},
    reading::{self, Reading, Shown, Stamp},
    settle::{Patience, Settling},
};

/// How often the file is looked at where no event comes.
const POLL: Duration = Duration::from_secs(2);
/// How often a file may be caught moving before it is called unreadable. Each time takes at most the settling limit.
const MAX_MOVING: u32 = 50;

/// Follows one file until nobody receives any more.
pub(super) struct Follower {
    path: PathBuf,
    /// None where the system has no more watches to give; the slow look at the file remains.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// What matters of what happens in the directories.
    names: Names,
    signals: Receiver<()>,
    reload: Arc<AtomicBool>,
    contents: Sender<Content>,
    shown: Option<Shown>,
    /// Of the last look, when it is sure to tell any later change.
    stamp: Option<Stamp>,
}

impl Follower {
    pub(super) fn new(
        path: PathBuf,
        wake: &Wake,
        signals: Receiver<()>,
        reload: Arc<AtomicBool>,
        contents: Sender<Content>,
    ) -> Self {
        let (wake, names) = (wake.clone(), Names::default());
        let of_interest = names.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event
                .map_or(true, |event| may_change_content(event.kind) && of_interest.have_any(&event.paths))
            {
                wake.up();
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(%error, seconds = POLL.as_secs(), "no file events, looking at intervals instead");
            })
            .ok();
        Self {
            path,
            watcher,
            watched: BTreeSet::new(),
            names,
            signals,
            reload,
            contents,
            shown: None,
            stamp: None,
        }
    }

    pub(super) fn run(mut self) {
        self.watch_directories();
        // The first content is wanted at once, settled or not; should it be half a save, the events of the other half
        // come after it.
        let first = match reading::read(&self.path) {
            Reading::Stable(content, stamp) => self.remember(content, stamp),
            Reading::Moving => self.settled_content(),
        };
        let mut next = Some(first);
        loop {
            if let Some(content) = next
                && self.contents.blocking_send(content).is_err()
            {
                return;
            }
            let woken = self.signals.recv_timeout(POLL);
            if self.contents.is_closed() || woken == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            next = self.look();
        }
    }

    /// The content, if it is not what was last shown, or if it is asked for.
    fn look(&mut self) -> Option<Content> {
        let wanted = self.reload.swap(false, Ordering::Acquire);
        self.watch_directories();
        if !wanted && self.stamp == Some(Stamp::of(&self.path)) {
            return None;
        }
        let shown = self.shown.take();
        let content = self.settled_content();
        (wanted || shown != self.shown).then_some(content)
    }

    /// Lets a change settle and reads what came of it.
    fn settled_content(&mut self) -> Content {
        let mut settling = Settling::since(Instant::now());
        let mut moving = 0;
        loop {
            self.settle(&mut settling);
            // Before reading, so that no change can fall between the look and the watch.
            self.watch_directories();
            match reading::read(&self.path) {
                Reading::Moving if moving == MAX_MOVING => {
                    let error = io::Error::new(ErrorKind::ResourceBusy, "it changes all the time");
                    return self.remember(Content::Unreadable(error), Stamp::of(&self.path));
                }
                Reading::Moving => {
                    moving += 1;
                    settling = Settling::since(Instant::now());
                }
                Reading::Stable(content, stamp) => {
                    let may_be_half_a_save = match &content {
                        Content::Text(bytes) => bytes.is_empty(),
                        Content::Unreadable(_) => true,
                        Content::TooLarge => false,
                    };
                    if !may_be_half_a_save || settling.be_patient(Instant::now()) == Patience::Ended {
                        return self.remember(content, stamp);
                    }
                }
            }
        }
    }

    fn settle(&self, settling: &mut Settling) {
        while let Some(wait) = settling.wait(Instant::now()) {
            match self.signals.recv_timeout(wait) {
                Ok(()) => settling.stir(Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn remember(&mut self, content: Content, stamp: Stamp) -> Content {
        self.shown = Some(Shown::of(&content));
        self.stamp = Some(stamp).filter(|stamp| stamp.is_conclusive(SystemTime::now()));
        content
    }

    /// Watches what the path leads through now. A directory may have been replaced by another of its name, so each is
    /// watched anew.
    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let Way { directories, names } = links::way(&self.path);
        // First what an event is judged by, then the events.
        self.names.become_those(names);
        for gone in self.watched.difference(&directories) {
            // A directory that is gone has taken its watch along.
            let _no_longer_watched = watcher.unwatch(gone);
        }
        for directory in &directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, directory = %directory.display(), "directory cannot be watched");
            }
        }
        self.watched = directories;
    }
}

/// The names on the way to a file, shared with whoever is told of events. Names and not whole paths: a directory may be watched
/// under another path than the one on the way.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<OsString>>>);

impl Names {
    fn become_those(&self, names: BTreeSet<OsString>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Whether something of these may be on the way. An event without a path may be anybody's.
    fn have_any(&self, paths: &[PathBuf]) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.is_empty() || paths.iter().any(|path| path.file_name().is_none_or(|name| names.contains(name)))
    }
}

/// Looking at a file is an event too; to follow it would be to chase one's own tail.
fn may_change_content(event: EventKind) -> bool {
    match event {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::mpsc::sync_channel};

    use super::{super::settle::LIMIT, *};

    /// Looks at a file as the thread would, one look after the other.
    fn follower_of(path: &Path) -> Follower {
        let (wake, signals) = sync_channel(1);
        let (contents, _) = tokio::sync::mpsc::channel(1);
        Follower::new(path.to_owned(), &Wake(wake), signals, Arc::default(), contents)
    }

    fn text(content: Option<Content>) -> Option<String> {
        match content? {
            Content::Text(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn a_look_shows_only_what_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        let mut follower = follower_of(&path);
        for (content, shown) in [("one", Some("one")), ("one", None), ("two", Some("two")), ("two", None)] {
            fs::write(&path, content).unwrap();
            assert_eq!(text(follower.look()).as_deref(), shown);
        }
    }

    #[test]
    fn absence_is_shown_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut follower = follower_of(&directory.path().join("g.yaml"));
        assert!(matches!(follower.look(), Some(Content::Unreadable(_))));
        assert!(follower.look().is_none());
    }

    #[test]
    fn what_may_be_half_a_save_is_given_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        let mut follower = follower_of(&path);
        for prepare in [|_: &Path| (), |path: &Path| fs::write(path, "").unwrap()] {
            prepare(&path);
            let start = Instant::now();
            assert!(follower.look().is_some());
            assert!(start.elapsed() >= LIMIT, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn what_happens_to_other_files_is_no_reason_to_look() {
        let names = Names::default();
        names.become_those(["etc", "g.yaml"].map(OsString::from).into());
        let check = |paths: &[&str], expected| {
            let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(names.have_any(&paths), expected, "{paths:?}");
        };
        check(&["/etc/g.yaml"], true);
        check(&["/etc/g.yaml.new"], false);
        // A rename tells both.
        check(&["/etc/g.yaml.new", "/etc/g.yaml"], true);
        check(&["/etc"], true);
        check(&["/"], true);
        check(&[], true);
        names.become_those(BTreeSet::new());
        check(&["/etc/g.yaml"], false);
    }

    #[test]
    fn a_wanted_look_shows_what_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        fs::write(&path, "one").unwrap();
        let mut follower = follower_of(&path);
        for _ in 0..2 {
            follower.reload.store(true, Ordering::Release);
            assert_eq!(text(follower.look()).as_deref(), Some("one"));
        }
    }
}
