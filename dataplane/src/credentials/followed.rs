//! A file of credentials and what it says now. Read once when a configuration comes into force, and again after each change of
//! the file; a content that is of no use changes nothing. What stands in a file is not known here.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use apigw_config::{
    names::FilePath,
    problem::Problem,
    watch::{Content, FileWatch},
};
use apigw_transport::tls::configured::FileBase;
use arc_swap::{ArcSwap, Guard};
use tokio::task::{AbortHandle, spawn_blocking};

use super::awaited::{Unusable, until_of_use};
use crate::gateway::problem;

/// The most problems of a file that are told at once.
const MAX_PROBLEMS: usize = 10;

/// A file, and the key of the configuration that names it.
pub(super) struct Place<'a> {
    pub(super) file: &'a FilePath,
    pub(super) key: &'static str,
}

/// Makes something of a content.
pub(super) type Reading<T> = fn(&str, &[u8]) -> Result<T, Vec<Problem>>;

/// What a file says. A clone shares everything; when the last is dropped, the file is not followed any more.
#[derive(Debug)]
pub(super) struct Followed<T>(Arc<Following<T>>);

#[derive(Debug)]
struct Following<T> {
    current: Arc<Current<T>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Current<T> {
    value: ArcSwap<T>,
    /// Why what it says now is of no use, and `value` is what it said before; empty: it is of use.
    problems: ArcSwap<Vec<Problem>>,
    /// How often what the file said was of no use, or something came into force meanwhile.
    failures: AtomicU64,
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Reads a file and begins to follow it, in the runtime of the caller.
    ///
    /// # Errors
    /// All that is wrong with it; it is followed on, until that is mended.
    pub(super) async fn start(place: Place<'_>, base: &FileBase, read: Reading<T>) -> Result<Self, Unusable> {
        let unusable = |message: String| Unusable::for_ever(vec![problem(place.key, message)]);
        let path = base.resolve(place.file).map_err(|error| unusable(error.to_string()))?;
        let mut watch = FileWatch::start(&path).map_err(|error| unusable(error.to_string()))?;
        let name: Arc<str> = place.file.as_str().into();
        let first = match made(watch.next().await, Arc::clone(&name), read).await {
            Ok(first) => first,
            Err(problems) => {
                let problems = told(&problems).map(|text| problem(place.key, text)).collect();
                return Err(Unusable::until(problems, until_of_use(watch, name, read)));
            }
        };
        let current = Arc::new(Current {
            value: ArcSwap::from_pointee(first),
            problems: ArcSwap::default(),
            failures: AtomicU64::new(0),
        });
        let task = tokio::spawn(follow(Arc::clone(&current), watch, name, read)).abort_handle();
        Ok(Self(Arc::new(Following { current, task })))
    }

    /// What it says now.
    pub(super) fn now(&self) -> Guard<Arc<T>> {
        self.0.current.value.load()
    }

    /// Tells of it again, if what it says now is of no use: something comes into force that builds on it.
    pub(super) fn tell_of_problems(&self) {
        let problems = self.0.current.problems.load();
        if problems.is_empty() {
            return;
        }
        self.0.current.failures.fetch_add(1, Ordering::Relaxed);
        for problem in told(&problems) {
            tracing::error!(%problem, "a configuration came into force with what a file of credentials said before");
        }
    }

    /// How often what it said was of no use, or something came into force meanwhile.
    pub(super) fn failures(&self) -> u64 {
        self.0.current.failures.load(Ordering::Relaxed)
    }
}

impl<T> Clone for Followed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Following<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows a file, for ever.
async fn follow<T: Send + Sync + 'static>(
    current: Arc<Current<T>>,
    mut watch: FileWatch,
    name: Arc<str>,
    read: Reading<T>,
) -> Infallible {
    loop {
        let content = watch.next().await;
        match made(content, Arc::clone(&name), read).await {
            Ok(value) => {
                current.value.store(Arc::new(value));
                current.problems.store(Arc::default());
            }
            Err(problems) => {
                current.failures.fetch_add(1, Ordering::Relaxed);
                for problem in told(&problems) {
                    tracing::error!(%problem, "file of credentials not used, what it said before goes on");
                }
                current.problems.store(Arc::new(problems));
            }
        }
    }
}

/// What is made of a content, beside everything else: files may be large.
pub(super) async fn made<T: Send + 'static>(
    content: Content,
    name: Arc<str>,
    read: Reading<T>,
) -> Result<T, Vec<Problem>> {
    let text = content.into_text().map_err(|error| vec![problem("", format!("{name}: {error}"))])?;
    let made = spawn_blocking(move || read(&name, &text)).await;
    made.unwrap_or_else(|panicked| Err(vec![problem("", format!("reading it failed: {panicked}"))]))
}

/// The first problems, each in one line, and how many more there are.
pub(super) fn told(problems: &[Problem]) -> impl Iterator<Item = String> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    let rest = (more > 0).then(|| format!("{more} more problems are not shown"));
    problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).chain(rest)
}
