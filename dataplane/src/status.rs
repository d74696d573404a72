//! What this data plane says of itself when an operator, or the control plane on an operator's behalf, asks.

/// The live state of what runs.
mod observed;

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use apigw_config::pages;
use apigw_engine::{
    Snapshot,
    explain::{Question, explain},
};
use apigw_proto::v1;
use apigw_transport::listener::Bound;
use tokio::time::Instant;

use self::observed::{Moment, Now};
use crate::{
    api::Runtime,
    installation::{History, Newest},
    metrics::Metrics,
    running::Running,
};

/// A data plane as an operator sees it.
#[derive(Debug, Clone)]
pub(crate) struct OwnStatus {
    pub(crate) running: Arc<Running>,
    pub(crate) history: Arc<History>,
    /// This data plane's name; known once the admin address is.
    pub(crate) name: Arc<OnceLock<String>>,
    metrics: Metrics,
    /// Where the time of limits and breakers begins.
    start: Instant,
}

/// The name of the data plane whose admin API answers there: the same after a restart, and no other's on this machine.
/// Characters that names do not have become `-`, the slashes of a socket file's path `_`.
pub(crate) fn name_of(host: &str, admin: &Bound) -> String {
    const MAX_HOST_BYTES: usize = 64;
    let legal = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let host: String =
        host.chars().take(MAX_HOST_BYTES).map(|c| if c == '.' { c } else { legal(c) }).collect();
    match admin {
        Bound::Tcp(address) => format!("{host}:{}", address.port()),
        Bound::Unix(path) => {
            // Absolute, for two of one relative path are not one.
            let path = std::path::absolute(path.as_path()).unwrap_or_else(|_| path.as_path().into());
            let path = path.to_string_lossy();
            let legal = |c: char| match c {
                '/' => '_',
                '.' | '_' => c,
                c => legal(c),
            };
            format!("{host}:{}", path.trim_start_matches('/').chars().map(legal).collect::<String>())
        }
    }
}

impl OwnStatus {
    /// Of a data plane that runs nothing yet. The time of limits and breakers begins at `start`.
    pub(crate) fn new(metrics: Metrics, start: Instant) -> Self {
        Self { running: Arc::default(), history: Arc::default(), name: Arc::default(), metrics, start }
    }

    fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.start.elapsed(), wall: SystemTime::now() }
    }
}

impl Runtime for OwnStatus {
    fn status(&self) -> v1::DataPlaneStatus {
        let revision = self.running.snapshot().map(|snapshot| snapshot.revision());
        let Newest { source, problems, changes } = self.history.newest();
        let source = if revision.is_some() { source } else { v1::ConfigSource::Unspecified };
        let state = match (&revision, problems.is_empty()) {
            (_, false) => v1::DataPlaneState::Rejected,
            (None, true) => v1::DataPlaneState::Updating,
            (Some(_), true) => v1::DataPlaneState::InSync,
        };
        v1::DataPlaneStatus {
            id: self.name(),
            version: env!("CARGO_PKG_VERSION").into(),
            listen_address: self.running.listen_address(),
            state: state.into(),
            revision: revision.map(v1::Revision::from),
            source: source.into(),
            problems: pages::leading_problems(&problems),
            applied_at_ms: changes.applied_at_ms(),
        }
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.running.snapshot()
    }

    fn explain(&self, question: &Question) -> Option<v1::ExplainResponse> {
        let serving = self.running.serving()?;
        let now = Now { serving: &serving, moment: self.moment() };
        Some(explain(&serving.snapshot, question, &now).to_wire(&serving.snapshot))
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        let Some(serving) = self.running.serving() else { return Vec::new() };
        observed::limits(&serving, &self.metrics, &self.name(), self.moment())
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        let Some(serving) = self.running.serving() else { return Vec::new() };
        observed::auth(&serving, &self.name(), self.moment())
    }
}

#[cfg(test)]
mod tests {
    use apigw_transport::address::SocketPath;

    use super::*;

    #[test]
    fn names_hold_only_what_the_protocol_allows() {
        let port = |port| Bound::Tcp(([127, 0, 0, 1], port).into());
        let file = |path: &str| Bound::Unix(SocketPath::new(path).unwrap());
        assert_eq!(name_of("web-1.example.com", &port(9_901)), "web-1.example.com:9901");
        assert_eq!(name_of("wéb 1", &port(9_901)), "w-b-1:9901");
        assert_eq!(name_of(&"x".repeat(300), &port(1)).len(), 66);
        assert_eq!(name_of("web-1", &file("/run/apigw/a b.sock")), "web-1:run_apigw_a-b.sock");
    }
}
