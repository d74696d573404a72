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
    error::Error,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use apigw_config::{model::GatewayConfig, wire};
use apigw_proto::v1::ConfigSource;
use prometheus::IntCounter;

use self::{directory::SlotName, place::default_directory};
pub(crate) use self::{
    directory::{DirectoryError, StateDirectory},
    keeper::Keeper,
    place::Environment,
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
    environment: &Environment,
) -> Result<Option<StateDirectory>, DirectoryError> {
    if let Some(path) = named {
        return StateDirectory::open(path).map(Some);
    }
    let DataPlaneName::Lasting(name) = data_plane else {
        tracing::warn!(
            "without --state-dir nothing is kept: the data plane's name is made of its admin port, which is another with each start"
        );
        return Ok(None);
    };
    let Some(path) = default_directory(name, environment) else {
        tracing::warn!("without --state-dir nothing is kept: the environment names no place for state");
        return Ok(None);
    };
    Ok(StateDirectory::open(&path)
        .inspect_err(|error| {
            let cause = cause(error);
            tracing::warn!(%error, cause, "nothing is kept: a restart without a control plane would run nothing");
        })
        .ok())
}

/// What is beneath an error; empty: nothing.
fn cause(error: &dyn Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
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
                let (file, cause) = (directory.file(name), cause(&damage));
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

#[cfg(test)]
mod tests {
    use apigw_config::wire::Revision;

    use super::*;

    #[test]
    fn a_place_that_nobody_named_may_be_missing() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        let open = |state_home: &Path, name| {
            let environment = Environment::of_user(state_home.into());
            open(None, name, &environment).unwrap().is_some()
        };
        let lasting = DataPlaneName::Lasting("web-1:9901");
        assert!(open(place.path(), lasting));
        assert!(place.path().join("apigw/dataplane/web-1:9901").is_dir());
        assert!(!open(place.path(), DataPlaneName::Passing));
        assert!(!open(Path::new("relative"), lasting));
        assert!(!open(&file, lasting), "it cannot be created");
    }

    #[test]
    fn a_place_that_was_named_must_be_there() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        let environment = Environment::of_user(place.path().into());
        let named = place.path().join("named");
        assert!(open(Some(&named), DataPlaneName::Passing, &environment).unwrap().is_some());
        assert!(open(Some(&file), DataPlaneName::Lasting("web-1:9901"), &environment).is_err());
    }

    #[test]
    fn what_this_build_does_not_enforce_is_not_run_from_disk() {
        let place = tempfile::tempdir().unwrap();
        let mut directory = StateDirectory::open(place.path()).unwrap();
        let kept = slot::tests::kept(1, "a");
        directory.write(&kept).unwrap();
        let (recalled, config) = recall(&mut directory, SlotName::A).unwrap().expect("it was kept");
        assert_eq!((recalled, config.routes().len()), (kept.clone(), 1));
        let revision = Revision { seq: 2, ..kept.revision };
        let later = Kept { revision, required_features: vec!["time-travel".into()], ..kept };
        directory.write(&later).unwrap();
        let damage = recall(&mut directory, SlotName::A).unwrap_err();
        assert!(matches!(damage, Damage::Illegal(_)), "{damage}");
        assert!(damage.to_string().contains("time-travel"), "{damage}");
    }

    #[test]
    fn what_is_no_configuration_is_damage() {
        let place = tempfile::tempdir().unwrap();
        let mut directory = StateDirectory::open(place.path()).unwrap();
        let kept = slot::tests::kept(1, "a");
        let doubled: Vec<_> = kept.resources.iter().chain(&kept.resources[1..]).cloned().collect();
        let root_hash = wire::root_hash(doubled.iter().map(wire::Resource::entry));
        let revision = Revision { root_hash, ..kept.revision };
        directory.write(&Kept { revision, resources: doubled.into(), ..kept }).unwrap();
        assert!(matches!(recall(&mut directory, SlotName::A), Err(Damage::Illegal(_))));
    }
}
