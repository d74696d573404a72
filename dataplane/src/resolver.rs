//! The addresses of upstreams' names, looked up off the request path.
//!
//! A request only reads the last good answer. Names are looked up when a configuration brings them and again every
//! [`REFRESH`]; a lookup that fails, or finds nothing, keeps what is known. What follows for endpoints is not known here.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use apigw_config::{model::GatewayConfig, names::UpstreamHost};
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
    source: Source,
}

/// The names of what runs, and of what ran before it: requests that it judged may still want to connect.
#[derive(Debug, Default)]
struct Generations {
    current: Names,
    previous: Names,
}

/// Names whose addresses are endpoints of a configuration that is not compiled yet.
#[derive(Debug)]
pub(crate) struct Ahead(Names);

impl Ahead {
    /// The addresses of one of them; none: no lookup has succeeded.
    pub(crate) fn of(&self, name: &str) -> Found {
        self.0.get(name).cloned().flatten()
    }
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

    /// Looks up the names whose addresses a configuration has endpoints for, and waits a moment for the answers.
    pub(crate) async fn look_ahead(&self, config: &GatewayConfig) -> Ahead {
        Ahead(self.gather(config.resolved_names().cloned()).await)
    }

    /// Looks up the names that a snapshot brings, and waits a moment for the answers. What was looked up ahead stays in use, too.
    pub(crate) async fn prepare(&self, snapshot: &Snapshot, ahead: Ahead) -> Prepared {
        let Ahead(ahead) = ahead;
        if snapshot.has_same_upstreams() && ahead.is_empty() {
            return Prepared::Same;
        }
        let others = names(snapshot).filter(|name| !ahead.contains_key(name));
        let mut prepared = self.gather(others).await;
        prepared.extend(ahead);
        Prepared::Others(prepared)
    }

    async fn gather(&self, names: impl Iterator<Item = Arc<str>>) -> Names {
        let mut prepared: Names = names.map(|name| (Arc::clone(&name), self.of(&name))).collect();
        let unknown = prepared.iter().filter(|(_, addresses)| addresses.is_none());
        let mut lookups = self.look_up(unknown.map(|(name, _)| Arc::clone(name)));
        let deadline = Instant::now() + FIRST_ANSWER;
        while let Ok(Some(found)) = timeout_at(deadline, lookups.join_next()).await {
            if let Ok((name, addresses)) = found {
                prepared.insert(name, addresses);
            }
        }
        prepared
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

    /// Waits until it is time to look up again what is in use.
    pub(crate) async fn wait(&self) {
        // Either way it is time.
        let _ = timeout(REFRESH, self.unanswered.notified()).await;
    }

    /// Looks up again what is in use. What is found no more, or not in time, stays known.
    pub(crate) async fn refresh(&self) -> News {
        let mut lookups = self.look_up(self.used().into_iter());
        let mut news = News::None;
        while let Some(found) = lookups.join_next().await {
            if let Ok((name, Some(addresses))) = found
                && self.learn(&name, addresses) == News::Some
            {
                news = News::Some;
            }
        }
        news
    }

    fn used(&self) -> Vec<Arc<str>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).current.keys().cloned().collect()
    }

    /// Takes an answer, if the name is still in use.
    fn learn(&self, name: &str, addresses: Arc<[IpAddr]>) -> News {
        if self.of(name).as_ref() == Some(&addresses) {
            return News::None;
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = names.current.get_mut(name) else { return News::None };
        tracing::info!(name, ?addresses, "upstream name resolved");
        *known = Some(addresses);
        News::Some
    }

    /// Starts a lookup of each name. A name that is not found has no addresses.
    fn look_up(&self, names: impl Iterator<Item = Arc<str>>) -> JoinSet<(Arc<str>, Found)> {
        names.map(|name| look_up(name, self.source.clone())).collect()
    }
}

/// Whether something is known that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Some,
    None,
}

async fn look_up(name: Arc<str>, source: Source) -> (Arc<str>, Found) {
    let found = match timeout(GIVE_UP, source.ask(&name)).await {
        Ok(Ok(addresses)) => addresses,
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
}

/// Who knows the addresses of names.
#[derive(Debug, Clone, Default)]
enum Source {
    /// The machine, by its files and its DNS.
    #[default]
    Machine,
    /// A test.
    #[cfg(test)]
    Script(Script),
}

/// What is found of each name; no entry: looking it up fails.
#[cfg(test)]
pub(crate) type Script = Arc<std::sync::Mutex<HashMap<String, BTreeSet<IpAddr>>>>;

#[cfg(test)]
impl Addresses {
    /// As a script has it.
    pub(crate) fn scripted(script: Script) -> Self {
        Self { source: Source::Script(script), ..Self::default() }
    }
}

impl Source {
    async fn ask(&self, name: &str) -> std::io::Result<BTreeSet<IpAddr>> {
        match self {
            Self::Machine => {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            #[cfg(test)]
            Self::Script(script) => {
                let script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.get(name).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
            }
        }
    }
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
            let _ = known.learn(name, found(2));
        }
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), Some(found(1))));
        known.commit(Prepared::Same);
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), None));
        known.commit(others(&[("left", Some(found(3)))]));
        assert_eq!((known.of("used"), known.of("left")), (Some(found(2)), Some(found(3))));
    }
}
