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

use apigw_proto::v1::ConfigSource;
use prometheus::IntCounter;

use self::{directory::SlotName, place::default_directory};
pub(crate) use self::{
    directory::{DirectoryError, StateDirectory},
    keeper::Keeper,
    place::Environment,
    slot::{Damage, Kept, Record},
};
use crate::{
    delivery::{Candidate, unknown_features},
    installation::{Installation, Provenance, Waiting},
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

/// What came of what was kept.
#[derive(Debug, Default)]
pub(crate) struct Booted {
    /// What runs now.
    pub(crate) kept: Option<Kept>,
    /// What would run, and is newer, but for files that it waits for.
    pub(crate) waiting: Option<Waiting>,
}

/// Brings into force what ran last: of the slots that are whole and can run, the newer one.
pub(crate) async fn boot(directory: &mut StateDirectory, installation: &mut Installation) -> Booted {
    let mut waiting = None;
    for name in directory.slots() {
        // Files are read before there is anything else to do.
        match tokio::task::block_in_place(|| recall(directory, name)) {
            Ok(None) => {}
            Ok(Some(kept)) => {
                let applied_at = UNIX_EPOCH + Duration::from_millis(kept.applied_at_ms);
                let provenance = Provenance { source: ConfigSource::Disk, applied_at };
                let config = kept.content.config().clone();
                // Why it could not be installed, the installation tells.
                match installation.install(config, kept.revision, provenance).await {
                    Ok(()) => {
                        directory.runs(name, kept.revision);
                        return Booted { kept: Some(kept), waiting };
                    }
                    Err(refusal) => {
                        let Kept { revision, content, .. } = kept;
                        let candidate = Candidate { revision, content };
                        let newer = refusal.files.map(|files| Waiting { candidate, provenance, files });
                        waiting = waiting.or(newer);
                    }
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
    Booted { kept: None, waiting }
}

/// Reads a slot as a configuration; none if the slot is not there.
fn recall(directory: &mut StateDirectory, name: SlotName) -> Result<Option<Kept>, Damage> {
    let Some(record) = directory.read(name)? else { return Ok(None) };
    let unknown = unknown_features(&record.required_features);
    if !unknown.is_empty() {
        // A later build may want it back.
        directory.keep_if_first(name, record.revision);
        return Err(Damage::Illegal(unknown));
    }
    let content = directory.content(name, &record)?;
    directory.keep_if_first(name, record.revision);
    let Record { revision, applied_at_ms, required_features, .. } = record;
    Ok(Some(Kept { revision, applied_at_ms, required_features, content }))
}

#[cfg(test)]
mod tests {
    use apigw_config::{
        leaf_store::LeafStore,
        wire::{self, Revision},
    };

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
        let recalled = recall(&mut directory, SlotName::A).unwrap().expect("it was kept");
        assert_eq!((&recalled, recalled.content.config().route_count()), (&kept, 1));
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
        // The settings of one and no route.
        let (kept, leaves) = (slot::tests::kept(1, "a"), LeafStore::new(place.path().join("leaves-a")));
        directory.write(&kept).unwrap();
        let settings = kept.content.leaves().next().expect("the settings are a leaf");
        let mut record = Record::of(&kept, 9);
        record.leaves.truncate(1);
        record.revision.root_hash = wire::root_of([settings.hash()]);
        leaves.write(settings).unwrap();
        std::fs::write(directory.file(SlotName::A), record.to_bytes()).unwrap();
        assert!(matches!(recall(&mut directory, SlotName::A), Err(Damage::Illegal(_))));
    }

    /// A directory that keeps one configuration in slot A and then another one in slot B.
    fn two_kept() -> (tempfile::TempDir, Kept, Kept) {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (slot::tests::kept(1, "a"), slot::tests::kept(2, "b"));
        let mut directory = StateDirectory::open(place.path()).unwrap();
        directory.write(&first).unwrap();
        directory.write(&second).unwrap();
        (place, first, second)
    }

    #[test]
    fn a_leaf_that_is_damaged_or_gone_is_found_out_and_written_anew() {
        type Harm<'a> = &'a dyn Fn(&Path);
        let harms: [Harm<'_>; 3] = [
            &|leaf| std::fs::remove_file(leaf).unwrap(),
            &|leaf| std::fs::write(leaf, "").unwrap(),
            &|leaf| {
                let mut bytes = std::fs::read(leaf).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                std::fs::write(leaf, bytes).unwrap();
            },
        ];
        for harm in harms {
            let (place, first, second) = two_kept();
            let store = LeafStore::new(place.path().join("leaves-b"));
            let route = second.content.leaves().last().expect("the route is in a leaf").hash();
            harm(&store.file(route));
            let mut directory = StateDirectory::open(place.path()).unwrap();
            let damage = recall(&mut directory, SlotName::B).unwrap_err();
            assert!(matches!(damage, Damage::Leaf { hash, .. } if hash == route), "{damage}");
            assert_eq!(recall(&mut directory, SlotName::A).unwrap(), Some(first));
            let again = Kept { revision: Revision { seq: 3, ..second.revision }, ..second };
            directory.write(&again).unwrap();
            assert_eq!(recall(&mut directory, SlotName::B).unwrap(), Some(again));
        }
    }

    #[test]
    fn no_damage_of_one_slot_s_leaves_is_damage_of_the_other() {
        let (place, first, _) = two_kept();
        for leaf in std::fs::read_dir(place.path().join("leaves-b")).unwrap() {
            std::fs::write(leaf.unwrap().path(), "nonsense").unwrap();
        }
        let mut directory = StateDirectory::open(place.path()).unwrap();
        assert!(matches!(recall(&mut directory, SlotName::B), Err(Damage::Leaf { .. })));
        assert_eq!(recall(&mut directory, SlotName::A).unwrap(), Some(first));
    }

    #[test]
    fn a_leaf_that_both_slots_have_is_taken_from_the_one_where_it_is_whole() {
        let (place, _, second) = two_kept();
        let settings = second.content.leaves().next().expect("the settings are a leaf").hash();
        std::fs::write(LeafStore::new(place.path().join("leaves-b")).file(settings), "nonsense").unwrap();
        let mut directory = StateDirectory::open(place.path()).unwrap();
        assert_eq!(recall(&mut directory, SlotName::B).unwrap(), Some(second));
    }

    #[test]
    fn a_slot_has_the_leaves_that_it_names_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let mut directory = StateDirectory::open(place.path()).unwrap();
        let count = |name: &str| LeafStore::new(place.path().join(name)).names().unwrap().len();
        for (seq, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            directory.write(&slot::tests::kept(seq, name)).unwrap();
        }
        assert_eq!([count("leaves-a"), count("leaves-b")], [2, 2], "the settings and a route each");
    }
}
