//! What survives of what was kept, whatever happens to its files.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{
    super::{
        recall,
        slot::tests::{kept, written},
    },
    *,
};

fn directory() -> (TempDir, StateDirectory) {
    let place = tempfile::tempdir().unwrap();
    let directory = StateDirectory::open(&place.path().join("state")).unwrap();
    (place, directory)
}

/// The same directory, as the next process finds it.
fn reopened(directory: StateDirectory) -> StateDirectory {
    let path = directory.path.clone();
    drop(directory);
    StateDirectory::open(&path).unwrap()
}

/// What a slot holds, with its leaves.
fn read(directory: &mut StateDirectory, name: SlotName) -> Option<Kept> {
    recall(directory, name).unwrap()
}

/// The sequence number of what the next process would begin with.
fn recalled(directory: &mut StateDirectory) -> Option<u64> {
    let newest_first = directory.slots();
    newest_first
        .into_iter()
        .find_map(|name| recall(directory, name).ok().flatten())
        .map(|kept| kept.revision.seq)
}

/// A directory in which 1 and then 2 were kept.
fn two_kept() -> (TempDir, StateDirectory) {
    let (place, mut directory) = directory();
    directory.write(&kept(1, "a")).unwrap();
    directory.write(&kept(2, "b")).unwrap();
    (place, reopened(directory))
}

#[test]
fn the_newest_of_two_is_recalled_and_then_the_one_before() {
    let (_place, mut directory) = two_kept();
    let read = directory.slots().map(|name| read(&mut directory, name));
    assert_eq!(read, [Some(kept(2, "b")), Some(kept(1, "a"))]);
}

#[test]
fn nothing_is_kept_at_first() {
    let (_place, mut directory) = directory();
    assert_eq!(recalled(&mut directory), None);
}

#[test]
fn a_third_takes_the_place_of_the_first() {
    let (_place, mut directory) = two_kept();
    assert_eq!(recalled(&mut directory), Some(2));
    directory.write(&kept(3, "c")).unwrap();
    let mut directory = reopened(directory);
    let read = directory.slots().map(|name| read(&mut directory, name).unwrap().revision.seq);
    assert_eq!(read, [3, 2]);
}

#[test]
fn the_same_content_under_a_new_revision_leaves_the_other_slot_its_own() {
    let (_place, mut directory) = two_kept();
    assert_eq!(recalled(&mut directory), Some(2));
    directory.write(&kept(9, "b")).unwrap();
    let mut directory = reopened(directory);
    let read = directory.slots().map(|name| read(&mut directory, name));
    assert_eq!(read, [Some(kept(9, "b")), Some(kept(1, "a"))]);
}

#[test]
fn what_is_kept_already_is_not_written_again() {
    let (_place, mut directory) = two_kept();
    assert_eq!(recalled(&mut directory), Some(2));
    let path = directory.path.clone();
    fs::remove_dir_all(&path).unwrap();
    directory.write(&kept(2, "b")).expect("nothing is written");
    assert!(directory.write(&kept(3, "c")).is_err(), "and this cannot be");
    StateDirectory::open(&path).unwrap();
    directory.write(&kept(3, "c")).expect("a failure does not last");
}

#[test]
fn a_damaged_slot_is_found_out_and_the_other_one_used() {
    let whole = written(&kept(2, "b"), 2);
    let (_place, mut directory) = two_kept();
    let newest = directory.file(SlotName::B);
    assert_eq!(fs::read(&newest).unwrap(), whole);
    let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flipped = (0..whole.len()).map(|index| {
        let mut flipped = whole.clone();
        flipped[index] ^= 1 << (index % 8);
        flipped
    });
    for damaged in truncated.chain(flipped) {
        fs::write(&newest, damaged).unwrap();
        directory.newest = None;
        assert_eq!(recalled(&mut directory), Some(1));
        assert!(directory.read(SlotName::B).is_err());
    }
    fs::write(&newest, whole).unwrap();
    assert_eq!(recalled(&mut directory), Some(2), "it was the damage");
}

#[test]
fn what_is_no_file_in_place_of_one_is_written_over() {
    let (_place, mut directory) = two_kept();
    assert_eq!(recalled(&mut directory), Some(2));
    // Where 3 goes.
    let leaf = kept(3, "c").content.leaves().next().unwrap().hash();
    for path in [
        directory.file(SlotName::A),
        directory.leaves[SlotName::A as usize].store.file(leaf),
        directory.path.join(UNFINISHED),
    ] {
        state_file::clear(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
    }
    directory.runs(SlotName::B, kept(2, "b").revision);
    directory.write(&kept(3, "c")).unwrap();
    assert_eq!(recalled(&mut reopened(directory)), Some(3));
}

#[test]
fn a_pipe_in_place_of_the_lock_is_told_and_one_in_place_of_a_slot_is_passed_over() {
    let (place, directory) = two_kept();
    let path = directory.path.clone();
    drop(directory);
    let pipe_at = |name: &str| {
        state_file::clear(&path.join(name)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path.join(name)).status().unwrap().success());
    };
    pipe_at(UNFINISHED);
    pipe_at("slot-b");
    assert_eq!(recalled(&mut StateDirectory::open(&path).unwrap()), Some(1));
    pipe_at(LOCK);
    assert!(matches!(StateDirectory::open(&path), Err(DirectoryError::Unwritable { .. })));
    drop(place);
}

#[test]
fn what_is_no_file_or_too_large_is_passed_over() {
    let (_place, mut directory) = two_kept();
    let newest = directory.file(SlotName::B);
    File::options().write(true).open(&newest).unwrap().set_len(slot::MAX_SLOT_BYTES as u64 + 1).unwrap();
    assert!(matches!(directory.read(SlotName::B), Err(Damage::TooLarge { .. })));
    assert_eq!(recalled(&mut directory), Some(1));
    fs::remove_file(&newest).unwrap();
    fs::create_dir(&newest).unwrap();
    assert!(matches!(directory.read(SlotName::B), Err(Damage::NotAFile)));
    assert_eq!(recalled(&mut directory), Some(1));
    fs::remove_file(directory.file(SlotName::A)).unwrap();
    assert_eq!(recalled(&mut directory), None);
}

#[test]
fn a_write_after_damage_is_the_newest_and_repairs() {
    for damaged in SlotName::ALL {
        let (_place, mut directory) = two_kept();
        // Its head still claims an age beyond all others.
        let mut bytes = written(&kept(5, "e"), u64::MAX);
        bytes.pop();
        fs::write(directory.file(damaged), bytes).unwrap();
        let before = recalled(&mut directory);
        assert_eq!(before, Some(if damaged == SlotName::B { 1 } else { 2 }));
        directory.write(&kept(6, "f")).unwrap();
        let mut directory = reopened(directory);
        let read = directory.slots().map(|name| read(&mut directory, name).unwrap().revision.seq);
        assert_eq!(Some(read), before.map(|before| [6, before]));
    }
}

#[test]
fn what_runs_is_not_written_over() {
    let (_place, mut directory) = two_kept();
    // The newer one is whole, but could not run; the older one does.
    assert_eq!(recalled(&mut directory), Some(2));
    directory.runs(SlotName::A, kept(1, "a").revision);
    directory.write(&kept(3, "c")).unwrap();
    let mut directory = reopened(directory);
    let read = directory.slots().map(|name| read(&mut directory, name).unwrap().revision.seq);
    assert_eq!(read, [3, 1]);
}

#[test]
fn a_write_that_was_cut_off_harms_nothing() {
    let whole = written(&kept(3, "c"), 3);
    for length in [0, 1, whole.len() / 2, whole.len()] {
        let (_place, directory) = two_kept();
        let unfinished = directory.path.join(UNFINISHED);
        fs::write(&unfinished, &whole[..length]).unwrap();
        let mut directory = reopened(directory);
        assert!(!unfinished.exists(), "it is removed");
        assert_eq!(recalled(&mut directory), Some(2));
        directory.write(&kept(4, "d")).unwrap();
        assert_eq!(recalled(&mut reopened(directory)), Some(4));
    }
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let (_place, directory) = directory();
    assert!(matches!(StateDirectory::open(&directory.path), Err(DirectoryError::InUse { .. })));
    reopened(directory);
}

#[test]
fn what_is_kept_is_for_its_owner_only() {
    let (_place, directory) = two_kept();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path), OWN_DIRECTORY);
    for name in SlotName::ALL {
        assert_eq!(mode(&directory.file(name)), 0o600);
    }
}

#[test]
fn a_place_that_is_no_directory_is_told() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("beneath")] {
        let refused = StateDirectory::open(&path).unwrap_err();
        assert!(matches!(refused, DirectoryError::Create { .. }), "{refused}");
        assert!(refused.to_string().contains(&*path.display().to_string()), "{refused}");
    }
}
