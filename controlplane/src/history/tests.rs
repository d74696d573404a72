//! What is found on disk after a good end, a bad one and after damage.

use std::{fs, os::unix::fs::PermissionsExt};

use apigw_config::{
    model::{GatewayConfig, Route, Settings},
    names::{PathPrefix, RouteName, UpstreamUrl},
    wire::Content,
};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::*;

/// A configuration of these routes.
fn content(routes: &[&str]) -> Content {
    let route = |name: &&str| {
        let (name, prefix) = (RouteName::new(name).unwrap(), PathPrefix::new("/").unwrap());
        Route::new(name, prefix, UpstreamUrl::new("http://h").unwrap())
    };
    let config = GatewayConfig::new(Settings::default(), routes.iter().map(route).collect()).unwrap();
    Content::encode(&config, None).unwrap()
}

fn leaves(content: &Content) -> Vec<Arc<Leaf>> {
    content.leaves().cloned().collect()
}

fn record(seq: u64, content: &Content) -> Record {
    let revision = Revision { epoch: 1, seq, root_hash: content.root_hash() };
    Record { revision, at_ms: seq, origin: Origin::File, summary: format!("number {seq}"), held_back: None }
}

/// A history of revisions 1, 2, ... with these routes.
fn keep(history: &History, contents: &[&[&str]]) -> Vec<Record> {
    let kept = (1..).zip(contents).map(|(seq, routes)| {
        let content = content(routes);
        let record = record(seq, &content);
        history.keep(record.clone(), content.leaves()).unwrap();
        record
    });
    kept.collect()
}

fn seqs(history: &History) -> Vec<u64> {
    history.records().iter().map(|record| record.revision.seq).collect()
}

fn files(directory: &TempDir) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for folder in ["leaves", "revisions"] {
        let entries = fs::read_dir(directory.path().join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

#[test]
fn what_was_kept_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let contents: [&[&str]; 3] = [&["a"], &["a", "b"], &["b"]];
    let kept = keep(&History::open(directory.path(), 50).unwrap(), &contents);
    let history = History::open(directory.path(), 50).unwrap();
    assert_eq!(history.records(), kept.iter().rev().cloned().collect::<Vec<_>>());
    for (record, routes) in kept.iter().zip(contents) {
        assert_eq!(history.leaves(record.revision).unwrap(), leaves(&content(routes)));
    }
    let kept = files(&directory).len() - contents.len();
    assert_eq!(kept, 4, "the settings are shared");
}

#[test]
fn only_the_last_revisions_stay_and_what_only_the_others_needed_goes() {
    let directory = tempfile::tempdir().unwrap();
    let history = History::open(directory.path(), 2).unwrap();
    let kept = keep(&history, &[&["a"], &["a", "b"], &["b", "c"]]);
    assert_eq!(seqs(&history), [3, 2]);
    assert_eq!(files(&directory).len(), 2 + 3, "the settings and two lists");
    assert!(matches!(history.leaves(kept[0].revision), Err(HistoryError::Unknown { .. })));
    drop(history);
    let history = History::open(directory.path(), 1).unwrap();
    assert_eq!(seqs(&history), [3]);
    assert_eq!(files(&directory).len(), 1 + 2, "the settings and a list");
    assert_eq!(history.leaves(kept[2].revision).unwrap(), leaves(&content(&["b", "c"])));
}

#[test]
fn what_an_end_in_the_middle_leaves_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let history = History::open(directory.path(), 50).unwrap();
    keep(&history, &[&["a"]]);
    let whole = files(&directory);
    // Leaves were written, the record was not.
    let orphan = content(&["orphan"]);
    let orphans: Vec<&Leaf> = orphan.leaves().map(AsRef::as_ref).collect();
    history.store.write_leaves(&orphans).unwrap();
    for folder in ["leaves", "revisions"] {
        fs::write(directory.path().join(folder).join(".new"), b"half of").unwrap();
    }
    drop(history);
    let history = History::open(directory.path(), 50).unwrap();
    assert_eq!(seqs(&history), [1]);
    let left: Vec<_> = files(&directory).into_iter().filter(|path| !path.ends_with(".new")).collect();
    assert_eq!(left, whole);
}

#[test]
fn a_damaged_revision_goes_with_time_and_its_number_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    keep(&History::open(directory.path(), 2).unwrap(), &[&["a"], &["b"]]);
    fs::write(directory.path().join("revisions/1-2"), b"").unwrap();
    let history = History::open(directory.path(), 2).unwrap();
    assert_eq!((seqs(&history), history.newest_place()), (vec![1], Some(Place { epoch: 1, seq: 2 })));
    for seq in 3..=4 {
        let content = content(&["c"]);
        history.keep(record(seq, &content), content.leaves()).unwrap();
    }
    assert_eq!(seqs(&history), [4, 3]);
    assert!(!directory.path().join("revisions/1-2").exists());
}

#[test]
fn files_are_for_their_user_only() {
    let directory = tempfile::tempdir().unwrap();
    keep(&History::open(directory.path(), 50).unwrap(), &[&["a"]]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in files(&directory) {
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700), "{}", path.display());
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Truncated(Index),
    Flipped(Index, u8),
    Removed,
    Replaced(Vec<u8>),
}

fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Truncated),
        (any::<Index>(), 0_u8..8).prop_map(|(place, bit)| Damage::Flipped(place, bit)),
        Just(Damage::Removed),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Replaced),
    ]
}

fn damage(path: &Path, damage: Damage) {
    let mut bytes = fs::read(path).unwrap();
    match damage {
        Damage::Truncated(place) => bytes.truncate(place.index(bytes.len())),
        Damage::Flipped(place, bit) => {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        Damage::Removed => return fs::remove_file(path).unwrap(),
        Damage::Replaced(others) => bytes = others,
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damage_never_yields_other_content_than_was_kept(
        file in any::<Index>(), harm in any_damage(), is_open in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let contents: [&[&str]; 3] = [&["a"], &["a", "b"], &["b", "c"]];
        let history = History::open(directory.path(), 50).unwrap();
        let kept = keep(&history, &contents);
        let files = files(&directory);
        let harmed = &files[file.index(files.len())];
        damage(harmed, harm);
        // Damage may come before the start or after it.
        let history = if is_open { history } else { History::open(directory.path(), 50).unwrap() };
        let records = history.records();
        prop_assert!(records.iter().all(|record| kept.contains(record)), "{:?}", records);
        for (record, routes) in kept.iter().zip(contents) {
            let expected = leaves(&content(routes));
            let needs_it = |path: &Path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                name == place(record.revision).to_string()
                    || expected.iter().any(|leaf| leaf.hash().to_string() == name)
            };
            match history.leaves(record.revision) {
                Ok(found) => prop_assert_eq!(found, expected),
                Err(_) => prop_assert!(needs_it(harmed), "only what needs the file suffers"),
            }
            prop_assert!(!records.contains(record) || is_open || history.leaves(record.revision).is_ok());
        }
    }
}

#[test]
fn what_is_no_file_is_passed_over_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let kept = keep(&History::open(directory.path(), 10).unwrap(), &[&["a"], &["b"], &["c"]]);
    let revisions = directory.path().join("revisions");
    let [first, second] = [0, 1].map(|index| revisions.join(place(kept[index].revision).to_string()));
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    fs::create_dir(directory.path().join("leaves/nobody-s")).unwrap();
    // A reader of it would wait for ever.
    fs::remove_file(&second).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&second).status().unwrap().success());
    let history = History::open(directory.path(), 1).unwrap();
    assert_eq!(seqs(&history), [3]);
}
