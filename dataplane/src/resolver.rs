//! The addresses of upstreams' names, looked up off the request path.
//!
//! A request only reads the last good answer. Names are looked up when a configuration brings them and again every
//! [`REFRESH`]; a lookup that fails keeps what is known.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use apigw_config::names::UpstreamHost;
use apigw_engine::Snapshot;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(5);

/// How long a new configuration waits for the names it brings; those without an answer are looked up again right after.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// A lookup that takes longer is given up.
const GIVE_UP: Duration = Duration::from_secs(10);

/// What a lookup found; none: nothing.
type Found = Option<Arc<[IpAddr]>>;

/// What is known of each name; none while no lookup has found anything.
type Names = HashMap<Arc<str>, Found>;

/// Addresses of the names in use. As large as two configurations have names.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    names: RwLock<Generations>,
    /// Told when names came into use without an address.
    unanswered: Notify,
}

/// The names of what runs, and of what ran before it: requests that it judged may still want to connect.
#[derive(Debug, Default)]
struct Generations {
    current: Names,
    previous: Names,
}

/// The names of a configuration that is not in force yet.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// As those of what runs.
    Same,
    Others(Names),
}

impl Addresses {
    /// The addresses of a name, at least one; none while no lookup has succeeded.
    pub(crate) fn of(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        // Read only when a connection is opened, written only when an answer differs.
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.current.get(name).or_else(|| names.previous.get(name)).cloned().flatten()
    }

    /// Looks up the names that a snapshot brings, and waits a moment for the answers.
    pub(crate) async fn prepare(&self, snapshot: &Snapshot) -> Prepared {
        if snapshot.has_same_upstreams() {
            return Prepared::Same;
        }
        let mut prepared: Names = names(snapshot).map(|name| (Arc::clone(&name), self.of(&name))).collect();
        let unknown = prepared.iter().filter(|(_, addresses)| addresses.is_none());
        let mut lookups = look_up(unknown.map(|(name, _)| Arc::clone(name)));
        let deadline = Instant::now() + FIRST_ANSWER;
        while let Ok(Some(found)) = timeout_at(deadline, lookups.join_next()).await {
            if let Ok((name, addresses)) = found {
                prepared.insert(name, addresses);
            }
        }
        Prepared::Others(prepared)
    }

    /// Brings prepared names into use.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let Prepared::Others(prepared) = prepared else {
            names.previous.clear();
            return;
        };
        if prepared.values().any(Option::is_none) {
            self.unanswered.notify_one();
        }
        names.previous = std::mem::replace(&mut names.current, prepared);
    }

    /// Looks up again what is in use, for ever.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            // Either way it is time.
            let _ = timeout(REFRESH, self.unanswered.notified()).await;
            let mut lookups = look_up(self.used().into_iter());
            while let Some(found) = lookups.join_next().await {
                if let Ok((name, Some(addresses))) = found {
                    self.learn(&name, addresses);
                }
            }
        }
    }

    fn used(&self) -> Vec<Arc<str>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).current.keys().cloned().collect()
    }

    /// Takes an answer, if the name is still in use.
    fn learn(&self, name: &str, addresses: Arc<[IpAddr]>) {
        if self.of(name).as_ref() == Some(&addresses) {
            return;
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.current.get_mut(name) {
            tracing::info!(name, ?addresses, "upstream name resolved");
            *known = Some(addresses);
        }
    }
}

/// Starts a lookup of each name. A name that is not found has no addresses.
fn look_up(names: impl Iterator<Item = Arc<str>>) -> JoinSet<(Arc<str>, Found)> {
    let look_up = |name: Arc<str>| async move {
        let found = match timeout(GIVE_UP, tokio::net::lookup_host((&*name, 0))).await {
            Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
            Ok(Err(error)) => {
                tracing::warn!(%name, %error, "upstream name not resolved");
                BTreeSet::new()
            }
            Err(_elapsed) => {
                tracing::warn!(%name, "upstream name not resolved in time");
                BTreeSet::new()
            }
        };
        let addresses = (!found.is_empty()).then(|| found.into_iter().collect());
        (name, addresses)
    };
    names.map(look_up).collect()
}

fn names(snapshot: &Snapshot) -> impl Iterator<Item = Arc<str>> {
    snapshot.upstreams().filter_map(|upstream| match &upstream.host {
        UpstreamHost::Name(name) => Some(Arc::clone(name)),
        UpstreamHost::Address(_) | UpstreamHost::Unix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(last: u8) -> Arc<[IpAddr]> {
        Arc::new([IpAddr::from([127, 0, 0, last])])
    }

    #[test]
    fn names_that_left_are_known_for_one_more_configuration_and_then_forgotten() {
        let known = Addresses::default();
        let others = |names: &[(&str, Found)]| {
            Prepared::Others(names.iter().map(|(name, found)| ((*name).into(), found.clone())).collect())
        };
        known.commit(others(&[("used", None), ("left", Some(found(1)))]));
        known.commit(others(&[("used", None)]));
        for name in ["used", "left"] {
            known.learn(name, found(2));
        }
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), Some(found(1))));
        known.commit(Prepared::Same);
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), None));
        known.commit(others(&[("left", Some(found(3)))]));
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), Some(found(3))));
    }
}
