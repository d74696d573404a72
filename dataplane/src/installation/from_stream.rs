//! Configurations of a control plane: brought into force like any other, and then kept. One that was refused for a file of
//! credentials is tried again when that is of use, for its control plane does not offer it again.

use apigw_config::problem::Problem;
use apigw_proto::v1::{self, ConfigSource};

use super::{Installation, Provenance};
use crate::{
    api::Runtime,
    credentials::AwaitedFiles,
    delivery::{Applied, Applier, Candidate, Held},
    gateway::Refusal,
    last_known_good::{Keeper, Kept},
    status::OwnStatus,
};

/// Brings a control plane's configurations into force.
pub(crate) struct FromStream {
    pub(crate) installation: Installation,
    pub(crate) status: OwnStatus,
    /// None: there is no place to keep anything.
    pub(crate) keeper: Option<Keeper>,
    /// What came last, if it waits for files.
    pub(crate) waiting: Option<Waiting>,
}

/// A configuration that was refused for the sake of files.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) candidate: Candidate,
    pub(crate) provenance: Provenance,
    pub(crate) files: AwaitedFiles,
}

impl FromStream {
    /// What is to be told of what runs.
    pub(crate) fn applied(&self) -> Applied {
        let applied_at_ms = self.installation.history.changes().applied_at_ms();
        Applied { listen_address: self.status.running.listen_address(), applied_at_ms }
    }

    async fn bring(&mut self, candidate: Candidate, provenance: Provenance) -> Result<Applied, Vec<Problem>> {
        let Candidate { revision, content } = &candidate;
        let revision = *revision;
        // By name, as a later build may know more of them and an earlier one must know them all.
        let required_features = content.required().iter().map(ToString::to_string).collect();
        let config = content.config().clone();
        if let Err(Refusal { problems, files }) =
            self.installation.install(config, revision, provenance).await
        {
            self.waiting = files.map(|files| Waiting { candidate, provenance, files });
            return Err(problems);
        }
        self.waiting = None;
        let applied = self.applied();
        if let Some(keeper) = &self.keeper {
            let applied_at_ms = applied.applied_at_ms;
            keeper.keep(Kept { revision, applied_at_ms, required_features, content: candidate.content });
        }
        Ok(applied)
    }
}

impl Applier for FromStream {
    async fn apply(&mut self, candidate: Candidate) -> Result<Applied, Vec<Problem>> {
        self.bring(candidate, Provenance::now(ConfigSource::Stream)).await
    }

    fn refused(&mut self, problems: &[Problem]) {
        self.waiting = None;
        self.installation.history.refused(problems);
    }

    async fn worth_another_try(&mut self) {
        AwaitedFiles::of_use(self.waiting.as_mut().map(|waiting| &mut waiting.files)).await;
    }

    async fn try_again(&mut self) -> Option<Held> {
        let Waiting { candidate, provenance, files: _ } = self.waiting.take()?;
        // What was kept is as old as it was; what came since comes into force now.
        let provenance = match provenance.source {
            ConfigSource::Disk => provenance,
            source => Provenance::now(source),
        };
        let Candidate { revision, content } = &candidate;
        let (revision, content) = (*revision, content.clone());
        let applied = self.bring(candidate, provenance).await.ok()?;
        Some(Held { revision, content, source: provenance.source, applied })
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        self.status.limits()
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        self.status.auth()
    }

    fn backends(&self) -> Vec<v1::EndpointState> {
        self.status.backends()
    }

    fn drain(&self, request: &v1::DrainRequest) -> Vec<v1::DrainOutcome> {
        self.status.drain(request)
    }

    fn certificates(&self) -> Vec<v1::CertificateState> {
        self.status.certificates()
    }
}
