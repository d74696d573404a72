//! What workers serve by: a snapshot, and what its judgements need that a configuration does not hold.
//!
//! All of it outlives snapshots: the keys of a provider while its settings stay, files of credentials while their names stay,
//! the buckets while there is room for as many.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use apigw_config::model::{Auth, MaxKeys, RateLimitBackend, Settings, TlsListening};
use apigw_engine::{Snapshot, rate_limit::Table};

use crate::{
    credentials::Credentials,
    jwks::KeyRing,
    listeners::Purpose,
    tls::{ServerTls, upstream::UpstreamTls},
};

/// A snapshot and what its judgements need. A request takes it once and is judged by it to its end.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) snapshot: Arc<Snapshot>,
    /// The keys of those who issue tokens.
    pub(crate) keys: KeyRing,
    /// What callers have besides tokens.
    pub(crate) credentials: Credentials,
    /// The buckets of rate limits, shared by all workers.
    pub(crate) buckets: Arc<Table>,
    /// What clients are shown; none: everything is in clear.
    tls: Option<Arc<ServerTls>>,
    /// Who vouches for upstreams, and what they are shown.
    upstream_tls: UpstreamTls,
}

/// What is ready of TLS, on both sides.
#[derive(Debug, Default)]
pub(crate) struct ReadyTls {
    pub(crate) server: Option<Arc<ServerTls>>,
    pub(crate) upstream: UpstreamTls,
}

impl Serving {
    /// Begins to fetch keys of providers that are new. Dropped before it serves, it leaves no trace.
    pub(crate) fn new(
        snapshot: Snapshot,
        tls: ReadyTls,
        credentials: Credentials,
        previous: Option<&Self>,
    ) -> Self {
        let settings = snapshot.settings();
        let providers = settings.auth.as_ref().map_or(&[][..], Auth::providers);
        let keys = KeyRing::new(providers, previous.map(|previous| &previous.keys));
        let buckets = buckets(settings, previous);
        let ReadyTls { server: tls, upstream: upstream_tls } = tls;
        Self { snapshot: Arc::new(snapshot), keys, credentials, buckets, tls, upstream_tls }
    }

    /// Who vouches for upstreams, and what they are shown.
    pub(crate) fn upstream_tls(&self) -> &UpstreamTls {
        &self.upstream_tls
    }

    /// What clients are shown; none: everything is in clear.
    pub(crate) fn tls(&self) -> Option<&Arc<ServerTls>> {
        self.tls.as_ref()
    }

    /// What clients are shown who connect to such an address; none: it is spoken to in clear.
    pub(crate) fn tls_on(&self, purpose: Purpose) -> Option<Arc<ServerTls>> {
        let tls = self.tls.as_ref()?;
        let speaks = match (purpose, &self.snapshot.settings().server.tls.as_ref()?.listening) {
            (Purpose::Tls, _) | (Purpose::Traffic, TlsListening::Everywhere) => true,
            (Purpose::Traffic, TlsListening::Beside { .. }) => false,
        };
        speaks.then(|| Arc::clone(tls))
    }
}

/// The buckets of before, if there is to be room for as many.
fn buckets(settings: &Settings, previous: Option<&Serving>) -> Arc<Table> {
    let max_keys = max_keys(settings);
    match previous {
        Some(previous) if self::max_keys(previous.snapshot.settings()) == max_keys => {
            Arc::clone(&previous.buckets)
        }
        _ => Arc::new(Table::new(max_keys.get() as usize, secret())),
    }
}

fn max_keys(settings: &Settings) -> MaxKeys {
    match &settings.rate_limit {
        RateLimitBackend::Memory(memory) => memory.max_keys,
        // For when it fails.
        RateLimitBackend::Redis(redis) => redis.local_max_keys,
    }
}

/// What nobody outside can guess: hashes under keys that the system drew at random.
fn secret() -> [u8; 16] {
    let halves = [RandomState::new().hash_one(0), RandomState::new().hash_one(1)].map(u64::to_ne_bytes);
    std::array::from_fn(|index| halves[index / 8][index % 8])
}
