//! The configuration that ran last, kept on disk: a data plane whose control plane is away starts with it.
//!
//! What is kept is what was received, and it is believed no more than what a control plane sends: its hashes are computed,
//! it is read by the constructors that read a file, and it comes into force the way everything does. What is damaged is
//! passed over; with nothing whole there is no configuration, which is no readiness, and never an open door. This module
//! judges nothing that it reads, and no request knows of it.

/// The form of what is kept.
mod slot;
/// The files it is kept in.
mod directory;
/// Where they are, if nobody says.
mod place;
/// The thread that writes them.
mod keeper;

use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use apigw_config::{model::GatewayConfig, wire};
use apigw_proto::v1::ConfigSource;
use prometheus::IntCounter;

use self::{
    directory::SlotName,
    place::{Environment, default_directory},
};
pub(crate) use self::{
    directory::{DirectoryError, StateDirectory},
    keeper::Keeper,
    slot::{Damage, Kept},
};
use crate::{
    delivery::unknown_features,
    installation::{Installation, Provenance},
};

/// The counter of configurations that could not be kept.
pub(crate) fn write_failures() -> IntCounter {
    let counter = IntCounter::new(
        "apigw_state_write_failures_total",
        "Attempts to keep the configuration that runs on disk, that failed.",
    );
    counter.expect("the metric's name is a legal one")
}

/// Opens the state directory: the named one, else the default one of a data plane of this name. None: nothing will be
/// kept, because the default cannot be had; the log says so.
///
/// # Errors
/// When a directory that somebody named cannot be used.
pub(crate) fn open(
    named: Option<&Path>,
    data_plane: DataPlaneName<'_>,
) -> Result<Option<StateDirectory>, DirectoryError> {
    let path = match (named, data_plane) {
        (Some(path), _) => {
            let directory = StateDirectory::open(path)?;
            tracing::info!(directory = %path.display(), "state directory");
            return Ok(Some(directory));
        }
        (None, DataPlaneName::Passing) => {
            tracing::warn!(
                "without --state-dir nothing is kept: the admin port, and so the data plane's name, is another with each start"
            );
            return Ok(None);
        }
        (None, DataPlaneName::Lasting(name)) => match default_directory(name, &Environment::of_process()) {
            Some(path) => path,
            None => {
                tracing::warn!("without --state-dir nothing is kept: HOME names no directory");
                return Ok(None);
            }
        },
    };
    match StateDirectory::open(&path) {
        Ok(directory) => {
            tracing::info!(directory = %path.display(), "state directory");
            Ok(Some(directory))
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, "nothing is kept: a restart without a control plane would run nothing");
            Ok(None)
        }
    }
}

/// What a data plane is called, for the sake of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataPlaneName<'a> {
    /// The same after a restart.
    Lasting(&'a str),
    /// Another one after a restart, so that nothing would ever be found under it again.
    Passing,
}

/// Brings into force what ran last: of the slots that are whole and can run, the newer one. None: there is none.
pub(crate) async fn boot(directory: &mut StateDirectory, installation: &mut Installation) -> Option<Kept> {
    for name in directory.slots() {
        // Files are read before there is anything else to do.
        match tokio::task::block_in_place(|| recall(directory, name)) {
            Ok(None) => {}
            Ok(Some((kept, config))) => {
                let applied_at = UNIX_EPOCH + Duration::from_millis(kept.applied_at_ms);
                let provenance = Provenance { source: ConfigSource::Disk, applied_at };
                // Why it could not be installed, the installation tells.
                if installation.install(config, kept.revision, provenance).await.is_ok() {
                    directory.runs(name, kept.revision);
                    return Some(kept);
                }
            }
            Err(damage) => {
                let cause = std::error::Error::source(&damage).map(ToString::to_string).unwrap_or_default();
                let file = directory.file(name);
                tracing::error!(file = %file.display(), reason = %damage, cause, "a kept configuration is passed over");
            }
        }
    }
    tracing::warn!(
        "no configuration was kept that could run; the data plane is ready when the control plane sends one"
    );
    None
}

/// Reads a slot as a configuration; none if the slot is not there.
fn recall(directory: &mut StateDirectory, name: SlotName) -> Result<Option<(Kept, GatewayConfig)>, Damage> {
    let Some(kept) = directory.read(name)? else { return Ok(None) };
    let unknown = unknown_features(&kept.required_features);
    if !unknown.is_empty() {
        return Err(Damage::Illegal(unknown));
    }
    let config = wire::decode(kept.resources.iter()).map_err(Damage::Illegal)?;
    Ok(Some((kept, config)))
}
