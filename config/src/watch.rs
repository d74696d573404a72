//! Follows one file: its content now, and again each time it has changed and settled.
//!
//! Editors, deployment tools and Kubernetes save in different ways: in place, by renaming over the file, by swapping a
//! symbolic link above it. So what is watched are the directories of every link and of the file at the end, and what
//! decides is the content, not the event: an event only says when to look, and one of another file in such a directory not
//! even that. Where events are missing a slow look at the file's metadata takes their place. What was shown last is kept, to
//! be compared; whoever keeps what he was shown shares the memory. This module does not know what the content means.

mod follower;
mod links;
mod reading;
mod settle;
mod wake;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::mpsc;

use self::{follower::Follower, settle::Sign, wake::Wake};

/// The most bytes of a file; a larger one is not read.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// What a file holds.
#[derive(Debug)]
pub enum Content {
    /// All its bytes, read while it did not change.
    Text(Arc<Vec<u8>>),
    /// It cannot be read, or is not there.
    Unreadable(io::Error),
    /// It has more than [`MAX_FILE_BYTES`].
    TooLarge,
}

/// Why a content is nothing to read; said of the file in the same words by whoever was to read it.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The system does not give it.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// There is too much of it.
    #[error("is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
}

impl Content {
    /// Reads a file once, whoever may be writing it. Blocks.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        reading::content(path)
    }

    /// The text.
    ///
    /// # Errors
    /// When there is none.
    pub fn into_text(self) -> Result<Arc<Vec<u8>>, ContentError> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Unreadable(error) => Err(ContentError::Unreadable(error)),
            Self::TooLarge => Err(ContentError::TooLarge),
        }
    }
}

/// Why a file cannot be followed at all. That it does not exist is no reason.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The path does not name a file.
    #[error("{} does not name a file", path.display())]
    NoFileName {
        /// As given.
        path: PathBuf,
    },
    /// A relative path, and nothing to relate it to.
    #[error("finding the current directory")]
    NoCurrentDirectory(#[source] io::Error),
    /// The system gives no thread.
    #[error("starting the thread that follows the file")]
    NoThread(#[source] io::Error),
}

/// A file that is being followed; it ends when this is dropped.
#[derive(Debug)]
pub struct FileWatch {
    contents: mpsc::Receiver<Content>,
    wake: Wake,
    reload: Arc<AtomicBool>,
}

impl FileWatch {
    /// Begins to follow the file at `path`.
    ///
    /// # Errors
    /// When the path can be no file's, or the system gives no thread.
    pub fn start(path: &Path) -> Result<Self, WatchError> {
        if path.file_name().is_none() {
            return Err(WatchError::NoFileName { path: path.to_owned() });
        }
        let path = std::path::absolute(path).map_err(WatchError::NoCurrentDirectory)?;
        let (contents, received) = mpsc::channel(1);
        let (wake, signals) = wake::channel();
        let reload = Arc::new(AtomicBool::new(false));
        let follower = Follower::new(path, &wake, signals, Arc::clone(&reload), contents);
        thread::Builder::new()
            .name("config-watch".into())
            .spawn(move || follower.run())
            .map_err(WatchError::NoThread)?;
        Ok(Self { contents: received, wake, reload })
    }

    /// The present content at the first call; afterwards each new content, once it has settled. May be cancelled.
    ///
    /// # Panics
    /// When the thread that follows the file has panicked.
    pub async fn next(&mut self) -> Content {
        self.contents.recv().await.expect("the follower ends only after this receiver")
    }

    /// Makes [`Self::next`] yield the content again, changed or not.
    pub fn reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.wake.up(Sign::Touched);
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        // The follower finds the channel closed when it wakes.
        self.contents.close();
        self.wake.up(Sign::Touched);
    }
}

#[cfg(test)]
mod tests;
