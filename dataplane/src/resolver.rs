//! The addresses of upstreams' names, looked up off the request path.
//!
//! A request only reads the last good answer. Names are looked up when a configuration brings them and again every
//! [`REFRESH`]; a lookup that fails keeps what is known.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use apigw_config::names::UpstreamHost;
use apigw_engine::Snapshot;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(5);

/// How long a new configuration waits for the names it brings; later answers are taken all the same.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// A lookup that takes longer is given up.
const GIVE_UP: Duration = Duration::from_secs(10);

/// Known addresses by name. As large as the configuration has names.
#[derive(Debug, Default)]
pub(crate) struct Addresses(RwLock<HashMap<Arc<str>, Arc<[IpAddr]>>>);

impl Addresses {
    /// The addresses of a name, at least one; none while no lookup has succeeded.
    pub(crate) fn of(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        // Read only when a connection is opened, written only when an answer differs.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Looks up the names that a snapshot brings, and waits a moment for the answers.
    pub(crate) async fn prepare(self: &Arc<Self>, snapshot: &Snapshot) {
        let mut lookups = self.look_up(names(snapshot).filter(|name| self.of(name).is_none()));
        let deadline = Instant::now() + FIRST_ANSWER;
        while let Ok(Some(_)) = timeout_at(deadline, lookups.join_next()).await {}
        lookups.detach_all();
    }

    /// Forgets the names that a snapshot does not use.
    pub(crate) fn forget_all_but(&self, snapshot: &Snapshot) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let used: HashMap<_, _> = names(snapshot).filter_map(|name| known.remove_entry(&name)).collect();
        *known = used;
    }

    /// Looks up again what is used, for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>, running: impl Fn() -> Option<Arc<Snapshot>>) {
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Some(snapshot) = running() {
                self.look_up(names(&snapshot)).join_all().await;
            }
        }
    }

    fn look_up(self: &Arc<Self>, names: impl Iterator<Item = Arc<str>>) -> JoinSet<()> {
        let mut lookups = JoinSet::new();
        for name in names {
            let known = Arc::clone(self);
            lookups.spawn(async move {
                let answer = timeout(GIVE_UP, tokio::net::lookup_host((&*name, 0))).await;
                let addresses =
                    answer.map(|found| found.map(|found| found.map(|address| address.ip()).collect()));
                match addresses {
                    Ok(Ok(addresses)) => known.learn(name, addresses),
                    Ok(Err(error)) => tracing::warn!(%name, %error, "upstream name not resolved"),
                    Err(_elapsed) => tracing::warn!(%name, "upstream name not resolved in time"),
                }
            });
        }
        lookups
    }

    fn learn(&self, name: Arc<str>, mut addresses: Vec<IpAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        if !addresses.is_empty() && self.of(&name).as_deref() != Some(&addresses) {
            tracing::info!(%name, ?addresses, "upstream name resolved");
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, addresses.into());
        }
    }
}

fn names(snapshot: &Snapshot) -> impl Iterator<Item = Arc<str>> {
    snapshot.upstreams().filter_map(|upstream| match &upstream.host {
        UpstreamHost::Name(name) => Some(Arc::clone(name)),
        UpstreamHost::Address(_) => None,
    })
}
