//! Released programs are optimised by a profile, and nothing else is: what `profile/rustc` makes of what cargo asks for.

use std::{path::PathBuf, process::Command};

use crate::repository::root;

/// What cargo adds for a dependency that is optimised across crates,
const DEPENDENCY: &[&str] = &["-C", "linker-plugin-lto"];
/// and for a program.
const PROGRAM: &[&str] = &["-C", "lto"];

/// A profile that there is, and the version that it is for.
fn profile() -> (String, PathBuf) {
    let files = root().join("profile").read_dir().expect("the directory is there");
    let profiles = files.flatten().map(|entry| entry.path());
    let path = profiles.filter(|path| path.extension().is_some_and(|kind| kind == "profdata")).max();
    let path = path.expect("a profile");
    let version = path.file_stem().and_then(|version| version.to_str()).expect("a version");
    (version.to_owned(), path)
}

/// What a compiler of that version is asked for beyond these, and what is said about it.
fn added(version: &str, arguments: &[&str], counts: Option<&str>) -> (Vec<String>, String) {
    let mut command = Command::new(root().join("profile/rustc"));
    command.arg(root().join("tests/e2e/profile/rustc")).args(arguments).env("RUSTC_VERSION", version);
    match counts {
        Some(counts) => command.env("APIGW_TRAIN", counts),
        None => command.env_remove("APIGW_TRAIN"),
    };
    let output = command.output().expect("the script runs");
    assert!(output.status.success(), "{output:?}");
    let passed: Vec<_> = str::from_utf8(&output.stdout).expect("text").lines().map(str::to_owned).collect();
    let (as_asked, added) = passed.split_at(arguments.len());
    assert_eq!(as_asked, arguments);
    (added.to_vec(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn what_is_optimised_across_crates_is_so_by_the_profile() {
    let (version, path) = profile();
    for arguments in [DEPENDENCY, PROGRAM] {
        let (added, said) = added(&version, arguments, None);
        assert_eq!(added.first(), Some(&format!("-Cprofile-use={}", path.display())), "{arguments:?}");
        assert_eq!(said, "");
    }
}

#[test]
fn everything_else_is_compiled_as_asked() {
    let (version, _) = profile();
    let counted = ["-C", "lto=off"];
    for arguments in [&counted[..], &["-C", "opt-level=3"], &["--emit", "metadata, with spaces"]] {
        for counts in [None, Some("/nowhere")] {
            assert_eq!(added(&version, arguments, counts), (vec![], String::new()), "{arguments:?}");
        }
    }
}

#[test]
fn a_compiler_without_a_profile_is_told_of_where_it_shows() {
    assert_eq!(added("0.1.2", DEPENDENCY, None), (vec![], String::new()), "once is enough");
    let (added, said) = added("0.1.2", PROGRAM, None);
    assert_eq!(added, [""; 0]);
    assert!(said.contains("rustc 0.1.2") && said.contains("profile/train"), "{said}");
}

#[test]
fn what_is_to_make_a_profile_uses_none() {
    let (version, _) = profile();
    for version in [version.as_str(), "0.1.2"] {
        for arguments in [DEPENDENCY, PROGRAM] {
            let counts = added(version, arguments, Some("/counts"));
            assert_eq!(counts, (vec!["-Cprofile-generate=/counts".to_owned()], String::new()));
        }
    }
}
