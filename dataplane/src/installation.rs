//! Brings configurations into force on all of this data plane, one at a time, and remembers how that went.

/// Those of a control plane.
mod from_stream;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use apigw_config::{model::GatewayConfig, problem::Problem, wire::Revision};
use apigw_engine::{Snapshot, jwt::time::UnixTime};
use apigw_proto::v1::ConfigSource;

pub(crate) use self::from_stream::{FromStream, Waiting};
use crate::{
    admin::AdminServer,
    file_text::Text,
    gateway::{Gateway, Refusal},
};

/// The parts of a data plane that a configuration changes.
pub(crate) struct Installation {
    gateway: Arc<Gateway>,
    admin: AdminServer,
    history: Arc<History>,
}

/// Where a configuration came from, and since when it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) source: ConfigSource,
    pub(crate) applied_at: SystemTime,
}

impl Provenance {
    /// Of one that comes into force now.
    pub(crate) fn now(source: ConfigSource) -> Self {
        Self { source, applied_at: SystemTime::now() }
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
    pub(crate) changes: Changes,
}

/// How configurations fared since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    pub(crate) applied: u64,
    pub(crate) rejected: u64,
    /// When what runs came into force; None: nothing did.
    pub(crate) last_applied: Option<SystemTime>,
}

impl Changes {
    /// When what runs came into force, in milliseconds since 1970; 0: nothing did.
    pub(crate) fn applied_at_ms(&self) -> u64 {
        self.last_applied.map_or(0, |at| UnixTime::of(at).milliseconds())
    }
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

    fn applied(&self, provenance: Provenance) {
        let mut newest = self.lock();
        let changes = Changes {
            applied: newest.changes.applied + 1,
            last_applied: Some(provenance.applied_at),
            ..newest.changes
        };
        *newest = Newest { source: provenance.source, problems: Vec::new(), changes };
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
    pub(crate) fn new(gateway: Arc<Gateway>, admin: AdminServer, history: Arc<History>) -> Self {
        Self { gateway, admin, history }
    }

    /// What runs; none before the first configuration.
    pub(crate) fn running(&self) -> Option<Arc<Snapshot>> {
        self.gateway.running()
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
        provenance: Provenance,
    ) -> Result<(), Refusal> {
        let installed = self.try_install(config, revision, provenance).await;
        self.note(revision, &installed);
        installed
    }

    /// The same for a configuration whose text is here: problems with what it names are told with its lines.
    ///
    /// # Errors
    /// All that keeps the configuration from running.
    pub(crate) async fn install_from(
        &mut self,
        text: &Text,
        config: GatewayConfig,
        revision: Revision,
        provenance: Provenance,
    ) -> Result<(), Refusal> {
        let installed = self.try_install(config, revision, provenance).await;
        let installed = installed
            .map_err(|refusal| Refusal { problems: text.locate(refusal.problems), files: refusal.files });
        self.note(revision, &installed);
        installed
    }

    async fn try_install(
        &mut self,
        config: GatewayConfig,
        revision: Revision,
        provenance: Provenance,
    ) -> Result<(), Refusal> {
        let admin = self.admin.prepare(Some(config.settings()));
        match (admin, self.gateway.prepare(config, revision).await) {
            (Ok(admin), Ok(gateway)) => {
                // First what is told, then what runs: who sees the one sees the other.
                self.history.applied(provenance);
                self.gateway.commit(gateway);
                self.gateway.tell_of_credentials();
                self.admin.commit(admin);
                Ok(())
            }
            (Err(problem), Ok(_)) => Err(vec![problem].into()),
            (Err(problem), Err(Refusal { problems, files })) => {
                Err(Refusal { problems: [vec![problem], problems].concat(), files })
            }
            (Ok(_), Err(refusal)) => Err(refusal),
        }
    }

    fn note(&self, revision: Revision, installed: &Result<(), Refusal>) {
        match installed {
            Ok(()) => {
                tracing::info!(epoch = revision.epoch, seq = revision.seq, hash = %revision.root_hash, "configuration applied");
            }
            Err(refusal) => self.history.refused(&refusal.problems),
        }
    }
}
