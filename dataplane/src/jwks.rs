//! Keys of token issuers, fetched in the background.
//!
//! One task per provider, in the control runtime, does what the engine's [`KeyStore`] says is due and publishes what it
//! gets; workers read the published keys without a lock. A request whose token names an unknown key may wait for one
//! fetch, shared by all who ask, and never longer than one fetch may take. Nothing here judges a token.

mod fetch;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use apigw_engine::jwt::{
    key_store::{Due, FetchNumber, KeyStanding, KeyStore, UnknownKid},
    keys::KeySet,
    providers::{KeySets, ProviderIndex},
};
use arc_swap::{ArcSwapOption, Guard};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

pub(crate) use self::fetch::{Roots, Source};

/// A provider's keys, and the task that keeps them. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct ProviderKeys {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// The keys of one provider, wherever they come from.
#[derive(Debug)]
pub(crate) enum Keys {
    /// From the provider, in the background. Shared by the configurations in which the provider stays the same.
    Fetched(Arc<ProviderKeys>),
    /// From the configuration.
    Fixed(KeySet),
}

/// The keys of all providers, in the order of the configuration.
#[derive(Debug, Default)]
pub(crate) struct KeyRing(pub(crate) Vec<Keys>);

impl KeySets for KeyRing {
    fn read<R>(&self, provider: ProviderIndex, read: impl FnOnce(Option<&KeySet>) -> R) -> R {
        match self.0.get(provider.0) {
            Some(Keys::Fetched(fetched)) => read(fetched.keys().as_deref()),
            Some(Keys::Fixed(keys)) => read(Some(keys)),
            None => read(None),
        }
    }
}

/// How a provider's keys are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// How long fetched keys count as fresh.
    pub(crate) lifetime: Duration,
    /// For one fetch, from the look-up of the name to the last byte.
    pub(crate) fetch_timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    /// None: never fetched.
    keys: ArcSwapOption<KeySet>,
    /// Locked for a few steps at a time, never across an await; workers lock it only for unknown names.
    store: Mutex<KeyStore>,
    /// An unknown name has brought a fetch forward.
    wake: Notify,
    /// The fetch that ended last.
    ended: watch::Sender<FetchNumber>,
    fetch_timeout: Duration,
    /// Where the store's time begins.
    start: Instant,
}

impl ProviderKeys {
    /// Begins to fetch, in the runtime of the caller.
    pub(crate) fn start(source: Source, schedule: Schedule) -> Self {
        let Schedule { lifetime, fetch_timeout } = schedule;
        let shared = Arc::new(Shared {
            keys: ArcSwapOption::empty(),
            store: Mutex::new(KeyStore::new(lifetime)),
            wake: Notify::new(),
            ended: watch::Sender::new(FetchNumber::default()),
            fetch_timeout,
            start: Instant::now(),
        });
        let task = tokio::spawn(keep_fresh(Arc::clone(&shared), source)).abort_handle();
        Self { shared, task }
    }

    /// The keys in use; none, if they were never fetched.
    pub(crate) fn keys(&self) -> Guard<Option<Arc<KeySet>>> {
        self.shared.keys.load()
    }

    /// Looks for a name that the keys in use do not have: whether it is worth looking at the keys again.
    ///
    /// Waits for the fetch that is to tell, if one may be made, and for no longer than a fetch may take.
    pub(crate) async fn look_for(&self, kid: &str) -> bool {
        let awaited = {
            let mut store = self.shared.store();
            // They may have come since the caller looked.
            if self.keys().as_ref().is_some_and(|keys| keys.names(kid)) {
                return true;
            }
            store.unknown_kid(kid, self.shared.now())
        };
        let UnknownKid::Await(number) = awaited else { return false };
        self.shared.wake.notify_one();
        self.shared.await_end(number).await
    }

    /// Waits for the first keys, for no longer than a fetch may take: whether there are any.
    pub(crate) async fn first(&self) -> bool {
        let first = timeout(self.shared.fetch_timeout, self.shared.ended.subscribe().changed()).await;
        first.is_ok_and(|end| end.is_ok()) && self.keys().is_some()
    }

    /// Where the keys stand, and the time to compare with.
    pub(crate) fn standing(&self) -> (KeyStanding, Duration) {
        (self.shared.store().standing().clone(), self.shared.now())
    }
}

impl Drop for ProviderKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn store(&self) -> MutexGuard<'_, KeyStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the fetch has ended, in time, whatever it brought.
    async fn await_end(&self, number: FetchNumber) -> bool {
        let mut ended = self.ended.subscribe();
        let end = timeout(self.fetch_timeout, ended.wait_for(|ended| *ended >= number)).await;
        end.is_ok_and(|end| end.is_ok())
    }
}

/// Does what is due, for ever.
async fn keep_fresh(shared: Arc<Shared>, source: Source) {
    loop {
        let due = shared.store().due(shared.now());
        match due {
            Due::Now(number) => {
                let fetched = timeout(shared.fetch_timeout, source.fetch()).await;
                record(&shared, &source, fetched.unwrap_or(Err(fetch::FetchError::Timeout)));
                shared.ended.send_replace(number);
            }
            Due::At(next) => {
                tokio::select! {
                    () = sleep_until(shared.start + next) => {}
                    () = shared.wake.notified() => {}
                }
            }
            // Only this task fetches.
            Due::AfterFetch => shared.wake.notified().await,
        }
    }
}

fn record(shared: &Shared, source: &Source, fetched: Result<KeySet, fetch::FetchError>) {
    let now = shared.now();
    match fetched {
        Ok(keys) => {
            let is_new = shared.keys.load().as_ref().is_none_or(|old| old.mark() != keys.mark());
            if is_new {
                tracing::info!(provider = %source.name, keys = keys.keys().len(), "provider's keys changed");
                for skipped in keys.skipped() {
                    tracing::warn!(provider = %source.name, reason = %skipped, "provider's key not used");
                }
            }
            let keys = Arc::new(keys);
            // Whoever asks for a name sees under the lock either the new keys or a fetch that has not ended.
            let mut store = shared.store();
            shared.keys.store(Some(Arc::clone(&keys)));
            store.succeeded(&keys, now);
        }
        Err(error) => {
            let error = shown(&error);
            tracing::warn!(provider = %source.name, %error, "provider's keys not fetched");
            shared.store().failed(error, now);
        }
    }
}

/// What people are told of an error. A certificate's names may be in it, and those are the provider's words.
fn shown(error: &fetch::FetchError) -> Arc<str> {
    const MAX_CHARACTERS: usize = 200;
    error
        .to_string()
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_CHARACTERS)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests;
