//! What is kept of the past, told in pages, and the way back.

use std::sync::Arc;

use apigw_config::{
    pages,
    wire::{Resource, ResourceKind, Revision},
};
use apigw_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::Status;

use super::explaining::Explainer;
use crate::{
    history::{History, HistoryError},
    publication::{Published, RollbackError},
    texts::Texts,
};

/// The most rollbacks that wait for each other.
pub(crate) const MAX_ORDERS: usize = 4;
/// The most revisions whose content is given at once: each is in memory until it is sent.
const MAX_READINGS: usize = 4;

/// An operator's wish to have the content of a revision published again.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) revision: Revision,
    /// What became of it; none: that content ran already.
    pub(crate) answer: oneshot::Sender<Result<Option<Arc<Published>>, RollbackError>>,
}

/// The history and whoever may add to it.
#[derive(Debug)]
pub(crate) struct Past {
    history: Arc<History>,
    texts: Arc<Texts>,
    orders: mpsc::Sender<Order>,
    readings: Arc<Semaphore>,
}

impl Past {
    /// Orders go to the publisher.
    pub(crate) fn new(history: Arc<History>, texts: Arc<Texts>, orders: mpsc::Sender<Order>) -> Self {
        Self { history, texts, orders, readings: Arc::new(Semaphore::new(MAX_READINGS)) }
    }

    /// Whoever judges by what is kept of this file.
    pub(super) fn explainer(&self, file: String) -> Explainer {
        Explainer::new(Arc::clone(&self.history), Arc::clone(&self.texts), file)
    }

    /// All revisions, the newest first.
    pub(super) fn entries(&self) -> Vec<v1::HistoryEntry> {
        self.history.records().iter().map(v1::HistoryEntry::from).collect()
    }

    /// The resources of a revision in pages.
    pub(super) async fn resources(
        &self,
        revision: Option<v1::Revision>,
    ) -> Result<impl Iterator<Item = v1::ResourcesResponse> + Send + use<>, Status> {
        let revision = identity(revision)?;
        let permit = Arc::clone(&self.readings).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_READINGS} others read the history already; ask again"))
        })?;
        let history = Arc::clone(&self.history);
        let reading = tokio::task::spawn_blocking(move || history.leaves(revision));
        let leaves = reading.await.map_err(|_| Status::internal("the history cannot be read"))?;
        let leaves = leaves.map_err(|error| refusal(&error))?;
        let resources = leaves.iter().flat_map(|leaf| leaf.resources().iter().cloned()).collect();
        Ok(pages_of(resources, permit))
    }

    /// Has a revision's content published again.
    pub(super) async fn roll_back(
        &self,
        revision: Option<v1::Revision>,
    ) -> Result<v1::RollbackResponse, Status> {
        let (answer, answered) = oneshot::channel();
        let order = Order { revision: identity(revision)?, answer };
        self.orders
            .try_send(order)
            .map_err(|_| Status::resource_exhausted("other rollbacks are under way; ask again"))?;
        let stopping = |_| Status::unavailable("the control plane is stopping");
        match answered.await.map_err(stopping)? {
            Ok(published) => {
                let record = published.and_then(|published| self.history.find(published.revision()));
                Ok(v1::RollbackResponse { published: record.as_ref().map(v1::HistoryEntry::from) })
            }
            Err(RollbackError::History(error)) => Err(refusal(&error)),
            Err(error @ RollbackError::CannotRun { .. }) => {
                Err(Status::failed_precondition(error.to_string()))
            }
        }
    }
}

pub(super) fn identity(revision: Option<v1::Revision>) -> Result<Revision, Status> {
    let revision = revision.ok_or_else(|| Status::invalid_argument("which revision is not said"))?;
    revision.try_into().map_err(|error| Status::invalid_argument(format!("no revision: {error}")))
}

pub(super) fn refusal(error: &HistoryError) -> Status {
    match error {
        HistoryError::Unknown { .. } => Status::not_found(error.to_string()),
        _ => Status::data_loss(error.to_string()),
    }
}

/// In messages that each keep the limit. The permit ends with the last of them, or when nobody wants them any more.
fn pages_of(
    resources: Vec<Resource>,
    permit: OwnedSemaphorePermit,
) -> impl Iterator<Item = v1::ResourcesResponse> + Send {
    let mut next = 0;
    std::iter::from_fn(move || {
        let _held = &permit;
        let rest = &resources[next..];
        let count = pages::fitting(rest.iter().map(|resource| resource.bytes().len()));
        next += count;
        let page = &rest[..count];
        let is_backend = |resource: &&Resource| resource.entry().kind == ResourceKind::Backend;
        (count > 0).then(|| v1::ResourcesResponse {
            resources: page.iter().map(|resource| resource.bytes().clone()).collect(),
            backends: u32::try_from(page.iter().filter(is_backend).count()).unwrap_or(u32::MAX),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::tests::{file_of, publisher};

    #[tokio::test]
    async fn only_so_many_read_at_once() {
        let mut publisher = publisher();
        publisher.consider(file_of(&["a"]), 5);
        let revision = publisher.history().newest().map(|record| record.revision.into());
        let past = Past::new(publisher.history(), publisher.texts(), mpsc::channel(1).0);
        let mut readings = Vec::new();
        for _ in 0..MAX_READINGS {
            readings.push(past.resources(revision.clone()).await.unwrap());
        }
        let refused = past.resources(revision.clone()).await.err().expect("there is no room");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        readings.pop();
        let pages: Vec<_> = past.resources(revision).await.unwrap().collect();
        assert_eq!(pages[0].resources.len(), 2);
    }

    #[tokio::test]
    async fn one_rollback_too_many_is_turned_away() {
        let publisher = publisher();
        let (orders, _unread) = mpsc::channel(1);
        let past = Past::new(publisher.history(), publisher.texts(), orders);
        let revision = Revision { epoch: 1, seq: 1, root_hash: apigw_config::wire::Hash::of(b"") };
        let waiting = past.roll_back(Some(revision.into()));
        let refused = async {
            tokio::task::yield_now().await;
            past.roll_back(Some(revision.into())).await
        };
        tokio::select! {
            biased;
            _ = waiting => panic!("nobody answers"),
            refused = refused => assert_eq!(refused.unwrap_err().code(), tonic::Code::ResourceExhausted),
        }
    }
}
