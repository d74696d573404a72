//! The thread behind a watch: waits for a sign of change, lets it settle, looks, and hands over what is new.
//!
//! It is the only place that knows notify. File systems block, so nothing here runs on an async runtime.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc,
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
    Content, Wake, links,
    reading::{self, Digest, Reading, Stamp},
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
    signals: Receiver<()>,
    reload: Arc<AtomicBool>,
    contents: Sender<Content>,
    shown: Option<Digest>,
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
        let wake = wake.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| may_change_content(event.kind)) {
                wake.up();
            }
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::warn!(%error, seconds = POLL.as_secs(), "no file events, looking at intervals instead");
            })
            .ok();
        Self { path, watcher, watched: BTreeSet::new(), signals, reload, contents, shown: None, stamp: None }
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
        let shown = self.shown;
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
        self.shown = Some(Digest::of(&content));
        self.stamp = Some(stamp).filter(|stamp| stamp.is_conclusive(SystemTime::now()));
        content
    }

    /// Watches what the path leads through now. A directory may have been replaced by another of its name, so each is
    /// watched anew.
    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let directories = links::directories(&self.path);
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

/// Looking at a file is an event too; to follow it would be to chase one's own tail.
fn may_change_content(event: EventKind) -> bool {
    match event {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
