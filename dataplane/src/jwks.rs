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

use apigw_config::{
    model::{Jwks, Provider, ProviderKind},
    names::UpstreamUrl,
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
    name: Arc<str>,
    url: UpstreamUrl,
    schedule: Schedule,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// The keys of one provider, wherever they come from.
#[derive(Debug)]
enum Keys {
    /// From the provider, in the background. Shared by the configurations in which the provider stays the same.
    Fetched(Arc<ProviderKeys>),
    /// From the configuration.
    Fixed(KeySet),
}

/// The keys of all providers, in the order of the configuration.
#[derive(Debug, Default)]
pub(crate) struct KeyRing(Vec<Keys>);

impl KeyRing {
    /// The keys of these providers. Of one that is fetched from as before, the keys stay; of a new one, fetching begins,
    /// in the runtime of the caller.
    pub(crate) fn new(providers: &[Provider], previous: Option<&Self>) -> Self {
        let keys = |provider: &Provider| match &provider.kind {
            ProviderKind::Hmac(secret) => Keys::Fixed(KeySet::from_secret(secret.reveal().as_bytes())),
            ProviderKind::Jwks(jwks) => {
                let name = provider.name.as_str();
                let known = previous.and_then(|previous| previous.fetched(name, jwks));
                Keys::Fetched(known.unwrap_or_else(|| {
                    let source = Source { name: name.into(), url: jwks.url.clone(), roots: Roots::Platform };
                    Arc::new(ProviderKeys::start(source, Schedule::from(jwks)))
                }))
            }
        };
        Self(providers.iter().map(keys).collect())
    }

    /// The keys fetched for a provider of that name, from there, as often.
    fn fetched(&self, name: &str, jwks: &Jwks) -> Option<Arc<ProviderKeys>> {
        self.all().find(|keys| keys.serves(name, jwks)).map(Arc::clone)
    }

    /// All that are fetched, in the order of the configuration.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ProviderKeys>> {
        self.0.iter().filter_map(|keys| match keys {
            Keys::Fetched(fetched) => Some(fetched),
            Keys::Fixed(_) => None,
        })
    }

    /// The keys of a provider, by its place in the configuration; none, if they are not fetched.
    pub(crate) fn of(&self, provider: usize) -> Option<&Arc<ProviderKeys>> {
        match self.0.get(provider)? {
            Keys::Fetched(fetched) => Some(fetched),
            Keys::Fixed(_) => None,
        }
    }

    /// Waits until a provider's keys may tell more about a token that names this key: whether it is worth looking again.
    pub(crate) async fn look_again(&self, provider: ProviderIndex, kid: Option<&str>) -> bool {
        let Some(fetched) = self.of(provider.0) else { return false };
        match kid {
            Some(kid) if fetched.keys().is_some() => fetched.look_for(kid).await,
            _ => fetched.first().await,
        }
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// How long fetched keys count as fresh.
    pub(crate) lifetime: Duration,
    /// For one fetch, from the look-up of the name to the last byte.
    pub(crate) fetch_timeout: Duration,
}

impl From<&Jwks> for Schedule {
    fn from(jwks: &Jwks) -> Self {
        Self { lifetime: jwks.cache_ttl.duration(), fetch_timeout: jwks.http_timeout.duration() }
    }
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
        let (name, url) = (Arc::clone(&source.name), source.url.clone());
        let task = tokio::spawn(keep_fresh(Arc::clone(&shared), source)).abort_handle();
        Self { name, url, schedule, shared, task }
    }

    /// Whether these are the keys of a provider of that name, fetched from there, as often.
    fn serves(&self, name: &str, jwks: &Jwks) -> bool {
        *self.name == *name && self.url == jwks.url && self.schedule == Schedule::from(jwks)
    }

    /// The provider's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
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

    /// Waits for the end of the first fetch, if that is still to come, and for no longer than a fetch may take: whether
    /// there are keys. A provider that has failed once is not waited for.
    pub(crate) async fn first(&self) -> bool {
        let mut ended = self.shared.ended.subscribe();
        let has_ended = ended.wait_for(|ended| *ended > FetchNumber::default());
        // Late or not, what counts is whether there are keys.
        let _ = timeout(self.shared.fetch_timeout, has_ended).await;
        self.keys().is_some()
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
