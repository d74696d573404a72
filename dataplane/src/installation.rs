//! Brings configurations into force on all of this data plane, one at a time, and remembers how that went.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use apigw_config::{model::GatewayConfig, problem::Problem, wire::Revision};
use apigw_proto::v1::{self, ConfigSource};

use crate::{
    admin::AdminServer,
    api::Runtime,
    delivery::{Applied, Applier},
    gateway::Gateway,
    status::OwnStatus,
};

/// The parts of a data plane that a configuration changes.
pub(crate) struct Installation {
    gateway: Arc<Gateway>,
    admin: AdminServer,
    source: ConfigSource,
    history: Arc<History>,
}

/// A control plane's configurations are brought into force like any other.
pub(crate) struct FromStream {
    pub(crate) installation: Installation,
    pub(crate) status: OwnStatus,
}

impl Applier for FromStream {
    async fn apply(&mut self, config: GatewayConfig, revision: Revision) -> Result<Applied, Vec<Problem>> {
        self.installation.install(config, revision).await?;
        Ok(Applied { listen_address: self.status.running.listen_address() })
    }

    fn limits(&self) -> Vec<v1::RouteLimits> {
        self.status.limits()
    }

    fn auth(&self) -> Vec<v1::ProviderState> {
        self.status.auth()
    }
}

/// How the newest configuration fared.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Newest>);

/// The newest configuration that was offered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    /// Where what runs came from.
    pub(crate) source: ConfigSource,
    /// Why the newest was refused; empty if it was not.
    pub(crate) problems: Vec<Problem>,
    changes: Changes,
}

/// How configurations fared since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    pub(crate) applied: u64,
    pub(crate) rejected: u64,
    /// None: none was.
    pub(crate) last_applied: Option<SystemTime>,
}

impl History {
    pub(crate) fn newest(&self) -> Newest {
        self.lock().clone()
    }

    /// Notes that a configuration was refused; what ran before still runs.
    pub(crate) fn refused(&self, problems: &[Problem]) {
        for problem in problems {
            tracing::error!(%problem, "configuration refused");
        }
        let mut newest = self.lock();
        newest.problems = problems.to_vec();
        newest.changes.rejected += 1;
    }

    /// How all fared.
    pub(crate) fn changes(&self) -> Changes {
        self.lock().changes
    }

    fn applied(&self, source: ConfigSource) {
        let mut newest = self.lock();
        let changes = Changes {
            applied: newest.changes.applied + 1,
            last_applied: Some(SystemTime::now()),
            ..newest.changes
        };
        *newest = Newest { source, problems: Vec::new(), changes };
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the newest configuration is what runs already.
    pub(crate) fn unchanged(&self) {
        self.lock().problems.clear();
    }
}

impl Installation {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        admin: AdminServer,
        source: ConfigSource,
        history: Arc<History>,
    ) -> Self {
        Self { gateway, admin, source, history }
    }

    /// Opens the admin address before there is a configuration.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn open_admin(&mut self) -> Result<(), Problem> {
        let prepared = self.admin.prepare(None)?;
        self.admin.commit(prepared);
        Ok(())
    }

    /// Brings a configuration into force, or leaves everything as it is.
    ///
    /// # Errors
    /// All that keeps the configuration from running.
    pub(crate) async fn install(
        &mut self,
        config: GatewayConfig,
        revision: Revision,
    ) -> Result<(), Vec<Problem>> {
        let admin = self.admin.prepare(Some(config.settings()));
        let installed = match (admin, self.gateway.prepare(config, revision).await) {
            (Ok(admin), Ok(gateway)) => {
                // First what is told, then what runs: who sees the one sees the other.
                self.history.applied(self.source);
                self.gateway.commit(gateway);
                self.admin.commit(admin);
                Ok(())
            }
            (Err(problem), Ok(_)) => Err(vec![problem]),
            (Err(problem), Err(problems)) => Err([vec![problem], problems].concat()),
            (Ok(_), Err(problems)) => Err(problems),
        };
        match &installed {
            Ok(()) => {
                tracing::info!(epoch = revision.epoch, seq = revision.seq, hash = %revision.root_hash, "configuration applied");
            }
            Err(problems) => self.history.refused(problems),
        }
        installed
    }
}
