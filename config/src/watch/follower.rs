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
        mpsc::RecvTimeoutError,
    },
    time::{Duration, Instant, SystemTime},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::mpsc::Sender;

use super::{
    Content,
    links::{self, Way},
    reading::{self, Reading, Shown, Stamp},
    settle::{Patience, Settling, Sign},
    wake::{Signals, Wake},
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
    signals: Signals,
    reload: Arc<AtomicBool>,
    contents: Sender<Content>,
    shown: Option<Shown>,
    /// When the file was last read.
    looked: Option<Instant>,
    /// Of the last look, when it is sure to tell any later change.
    stamp: Option<Stamp>,
}

impl Follower {
    pub(super) fn new(
        path: PathBuf,
        wake: &Wake,
        signals: Signals,
        reload: Arc<AtomicBool>,
        contents: Sender<Content>,
    ) -> Self {
        let (wake, names) = (wake.clone(), Names::default());
        let of_interest = names.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(sign) = event.map_or(Some(Sign::Touched), |event| of_interest.sign(&event)) {
                wake.up(sign);
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
            looked: None,
            stamp: None,
        }
    }

    pub(super) fn run(mut self) {
        self.watch_directories();
        // The first content is wanted at once, settled or not; should it be half a save, the events of the other half
        // come after it.
        let first = match reading::read(&self.path) {
            Reading::Stable(content, stamp) => self.remember(content, stamp),
            Reading::Moving => self.settled_content(Sign::Touched),
        };
        let mut next = Some(first);
        loop {
            if let Some(content) = next
                && self.contents.blocking_send(content).is_err()
            {
                return;
            }
            let sign = match self.signals.wait(POLL) {
                Ok(sign) => sign,
                Err(RecvTimeoutError::Timeout) => Sign::Touched,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.contents.is_closed() {
                return;
            }
            next = self.look(sign);
        }
    }

    /// The content, if it is not what was last shown, or if it is asked for.
    fn look(&mut self, sign: Sign) -> Option<Content> {
        let wanted = self.reload.swap(false, Ordering::Acquire);
        self.watch_directories();
        if !wanted && self.stamp == Some(Stamp::of(&self.path)) {
            return None;
        }
        let shown = self.shown.take();
        let content = self.settled_content(sign);
        (wanted || shown != self.shown).then_some(content)
    }

    /// Lets a change settle and reads what came of it.
    fn settled_content(&mut self, sign: Sign) -> Content {
        let now = Instant::now();
        let mut settling = Settling::since(now, sign.after(self.looked, now));
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
                    settling = Settling::since(Instant::now(), Sign::Touched);
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
            match self.signals.wait(wait) {
                Ok(sign) => {
                    let now = Instant::now();
                    settling.stir(now, sign.after(self.looked, now));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn remember(&mut self, content: Content, stamp: Stamp) -> Content {
        self.looked = Some(Instant::now());
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

    /// What an event says of the file; none: nothing. An event without a path may be anybody's.
    fn sign(&self, event: &Event) -> Option<Sign> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on_the_way = |path: &PathBuf| path.file_name().is_none_or(|name| names.contains(name));
        if !may_change_content(event.kind) {
            return None;
        }
        let EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) = event.kind else {
            let is_of_it = event.paths.is_empty() || event.paths.iter().any(is_on_the_way);
            return is_of_it.then_some(Sign::Touched);
        };
        // What was moved comes first where both are told, and what it is called now last.
        match event.paths.split_last() {
            Some((now, _)) if is_on_the_way(now) => Some(Sign::Replaced),
            Some((_, before)) => before.iter().any(is_on_the_way).then_some(Sign::Touched),
            None => Some(Sign::Touched),
        }
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
    use std::{fs, path::Path};

    use super::{
        super::{settle::LIMIT, wake},
        *,
    };

    /// Looks at a file as the thread would, one look after the other.
    fn follower_of(path: &Path) -> Follower {
        let (wake, signals) = wake::channel();
        let (contents, _) = tokio::sync::mpsc::channel(1);
        Follower::new(path.to_owned(), &wake, signals, Arc::default(), contents)
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
            assert_eq!(text(follower.look(Sign::Touched)).as_deref(), shown);
        }
    }

    #[test]
    fn the_system_tells_a_rename_from_writing() {
        const LONG: Duration = Duration::from_secs(30);
        let directory = tempfile::tempdir().unwrap();
        let (path, new) = (directory.path().join("g.yaml"), directory.path().join("new"));
        let mut follower = follower_of(&path);
        follower.watch_directories();
        fs::write(&path, "one").unwrap();
        assert_eq!(follower.signals.wait(LONG), Ok(Sign::Touched));
        fs::write(&new, "two").unwrap();
        fs::rename(&new, &path).unwrap();
        let mut told = std::iter::from_fn(|| follower.signals.wait(LONG).ok());
        assert!(told.any(|sign| sign == Sign::Replaced));
    }

    #[test]
    fn absence_is_shown_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut follower = follower_of(&directory.path().join("g.yaml"));
        assert!(matches!(follower.look(Sign::Touched), Some(Content::Unreadable(_))));
        assert!(follower.look(Sign::Touched).is_none());
    }

    #[test]
    fn what_may_be_half_a_save_is_given_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        let mut follower = follower_of(&path);
        for prepare in [|_: &Path| (), |path: &Path| fs::write(path, "").unwrap()] {
            prepare(&path);
            let start = Instant::now();
            assert!(follower.look(Sign::Replaced).is_some());
            assert!(start.elapsed() >= LIMIT, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn what_happens_to_other_files_is_no_reason_to_look() {
        let names = Names::default();
        names.become_those(["etc", "g.yaml"].map(OsString::from).into());
        let check = |kind, paths: &[&str], expected| {
            let event = Event { kind, paths: paths.iter().map(PathBuf::from).collect(), ..Event::default() };
            assert_eq!(names.sign(&event), expected, "{event:?}");
        };
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let (touched, replaced) = (Some(Sign::Touched), Some(Sign::Replaced));
        check(written, &["/etc/g.yaml"], touched);
        check(written, &["/etc/g.yaml.new"], None);
        check(written, &["/etc"], touched);
        check(written, &["/"], touched);
        check(written, &[], touched);
        check(EventKind::Access(AccessKind::Open(AccessMode::Read)), &["/etc/g.yaml"], None);
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        check(renamed(RenameMode::From), &["/etc/g.yaml.new"], None);
        check(renamed(RenameMode::To), &["/etc/g.yaml"], replaced);
        check(renamed(RenameMode::Both), &["/etc/g.yaml.new", "/etc/g.yaml"], replaced);
        check(renamed(RenameMode::From), &["/etc/g.yaml"], touched);
        check(renamed(RenameMode::To), &["/etc/g.yaml~"], None);
        check(renamed(RenameMode::Both), &["/etc/g.yaml", "/etc/g.yaml~"], touched);
        check(renamed(RenameMode::Both), &[], touched);
        names.become_those(BTreeSet::new());
        check(written, &["/etc/g.yaml"], None);
        check(renamed(RenameMode::To), &["/etc/g.yaml"], None);
    }

    #[test]
    fn a_wanted_look_shows_what_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("g.yaml");
        fs::write(&path, "one").unwrap();
        let mut follower = follower_of(&path);
        for _ in 0..2 {
            follower.reload.store(true, Ordering::Release);
            assert_eq!(text(follower.look(Sign::Touched)).as_deref(), Some("one"));
        }
    }
}
