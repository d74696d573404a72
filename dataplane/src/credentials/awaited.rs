//! Files of credentials that kept a configuration from coming into force, followed until they are of use: machines are given
//! a configuration and the files that it names in any order, and nobody sends either again.

use std::{
    fmt,
    future::{self, Future},
    pin::Pin,
    sync::Arc,
};

use apigw_config::{problem::Problem, watch::FileWatch};
use tokio::{sync::watch, task::AbortHandle};

use super::followed::{Reading, made, told};
use crate::gateway::Refusal;

/// Ends when a file is of use.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why files cannot be used, and what it takes to use them.
pub(super) struct Unusable {
    pub(super) problems: Vec<Problem>,
    /// Of each file that can be followed; at most one for each kind of credentials.
    waits: Vec<Wait>,
}

impl Unusable {
    /// What no change of a file mends.
    pub(super) fn for_ever(problems: Vec<Problem>) -> Self {
        Self { problems, waits: Vec::new() }
    }

    /// A file that may be mended.
    pub(super) fn until(problems: Vec<Problem>, wait: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { problems, waits: vec![Box::pin(wait)] }
    }

    /// Both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self.waits.extend(other.waits);
        self
    }

    /// Begins to wait, in the runtime of the caller.
    pub(super) fn wait(self) -> Refusal {
        let files = (!self.waits.is_empty()).then(|| AwaitedFiles::start(self.waits));
        Refusal { problems: self.problems, files }
    }
}

/// Files that are waited for. They are followed no more when this is dropped.
pub(crate) struct AwaitedFiles {
    are_of_use: watch::Receiver<bool>,
    task: AbortHandle,
}

impl AwaitedFiles {
    fn start(waits: Vec<Wait>) -> Self {
        let (sender, are_of_use) = watch::channel(false);
        // One after the other: one that is broken again in the meantime is found by whoever reads all of them then.
        let waiting = async move {
            for wait in waits {
                wait.await;
            }
            sender.send_replace(true);
        };
        Self { are_of_use, task: tokio::spawn(waiting).abort_handle() }
    }

    /// Ends when each has been of use; never, where none is waited for. May be cancelled, and asked again.
    pub(crate) async fn of_use(files: Option<&mut Self>) {
        if let Some(files) = files
            && files.are_of_use.wait_for(|are_of_use| *are_of_use).await.is_ok()
        {
            return;
        }
        // Or who looks at them is gone, which only a panic does: nobody will know.
        future::pending::<()>().await;
    }
}

impl fmt::Debug for AwaitedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitedFiles").field("are_of_use", &*self.are_of_use.borrow()).finish_non_exhaustive()
    }
}

impl Drop for AwaitedFiles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows a file whose present content is of no use, until a further one is.
pub(super) async fn until_of_use<T: Send + 'static>(mut watch: FileWatch, name: Arc<str>, read: Reading<T>) {
    loop {
        match made(watch.next().await, Arc::clone(&name), read).await {
            Ok(_) => {
                tracing::info!(file = &*name, "file of credentials is of use by now");
                return;
            }
            Err(problems) => {
                for problem in told(&problems) {
                    tracing::error!(%problem, "file of credentials is still of no use");
                }
            }
        }
    }
}
