//! What this data plane says of itself when an operator, or the control plane on an operator's behalf, asks.

/// An operator's word on endpoints.
mod draining;
/// The live state of what runs.
mod observed;

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use apigw_config::{pages, wire::Revision};
use apigw_engine::{
    Snapshot,
    checks::Source,
    explain::{self, QuestionError},
};
use apigw_proto::v1;
use apigw_transport::listener::Bound;
use tokio::time::Instant;

use self::observed::{Moment, Now};
use crate::{
    api::Runtime,
    file_text::FileText,
    installation::{History, Newest},
    metrics::Metrics,
    running::Running,
};

/// A data plane as an operator sees it.
#[derive(Debug, Clone)]
pub(crate) struct OwnStatus {
    pub(crate) running: Arc<Running>,
    pub(crate) history: Arc<History>,
    pub(crate) text: Arc<FileText>,
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
        let (running, history, text) = (Arc::default(), Arc::default(), Arc::default());
        Self { running, history, text, name: Arc::default(), metrics, start }
    }

    fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    /// Names the line of the file behind each judgement, or says why it cannot.
    fn locate(&self, answer: &mut v1::ExplainResponse, revision: Revision) {
        let Newest { source, problems, .. } = self.history.newest();
        if source != v1::ConfigSource::File {
            let reason = "a data plane that follows a control plane has no file; ask the control plane";
            return explain::leave_unplaced(answer, reason);
        }
        match self.text.of(revision) {
            Some(text) => {
                let is_current = problems.is_empty();
                let file =
                    if is_current { text.file.clone() } else { explain::former_text(&text.file, revision) };
                explain::locate(answer, Source { file: &file, content: &text.content });
            }
            None => explain::leave_unplaced(answer, "the file has just changed; ask again"),
        }
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

    fn explain(&self, asked: v1::ExplainRequest) -> Result<Option<v1::ExplainResponse>, QuestionError> {
        let Some(serving) = self.running.serving() else { return Ok(None) };
        let now = Now { serving: &serving, moment: self.moment() };
        let mut answer = explain::answer(asked, &serving.snapshot, &now)?;
        self.locate(&mut answer, serving.snapshot.revision());
        Ok(Some(answer))
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        let Some(serving) = self.running.serving() else { return Vec::new() };
        observed::limits(&serving, &self.metrics, &self.name(), self.moment())
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        let Some(serving) = self.running.serving() else { return Vec::new() };
        observed::auth(&serving, &self.name(), self.moment())
    }

    fn backends(&self) -> Vec<v1::EndpointState> {
        let Some(snapshot) = self.running.snapshot() else { return Vec::new() };
        observed::backends(&snapshot, &self.name(), self.moment())
    }

    fn drain(&self, request: &v1::DrainRequest) -> Vec<v1::DrainOutcome> {
        let Some(snapshot) = self.running.snapshot() else { return Vec::new() };
        draining::carry_out(request, &snapshot, &self.name(), self.moment())
    }

    fn certificates(&self) -> Vec<v1::CertificateState> {
        let Some(serving) = self.running.serving() else { return Vec::new() };
        observed::certificates(&serving, &self.name())
    }
}

#[cfg(test)]
mod tests {
    use apigw_transport::address::SocketPath;

    use super::*;

    #[test]
    fn what_was_refused_is_told_by_the_data_plane_itself() {
        let status = OwnStatus::new(Metrics::default(), Instant::now());
        assert_eq!(status.status().state(), v1::DataPlaneState::Updating);
        status.history.refused(&[crate::gateway::problem("", "it is of tomorrow".into())]);
        let told = status.status();
        assert_eq!(told.state(), v1::DataPlaneState::Rejected);
        assert_eq!(told.problems[0].message, "it is of tomorrow");
        assert_eq!(status.history.changes().rejected, 1);
    }

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
