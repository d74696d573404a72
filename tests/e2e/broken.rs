//! Files that no gateway runs: whoever is given one says the same of it, and nothing changes.
//!
//! They lie in `broken/`, and beside them, in `first_problems.txt`, what is told of each first. Those that are too large
//! to lie there are made here.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use apigw_tests::{
    configuration::Document,
    gateway::{Fleet, Gateway, gwctl_json},
    load::{Load, Reuse},
    origin::{Origin, ok},
    programs::Programs,
    waiting::eventually,
};
use serde_json::Value;
use tempfile::TempDir;

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/broken"))
}

/// What `gwctl validate` says of a file, without its name; there is something.
fn told(path: &Path) -> Value {
    let arguments = ["-o", "json", "validate", &path.display().to_string()];
    let told = Programs::built().output("gwctl", &arguments);
    assert_eq!(told.code, Some(1), "{}: {told:?}", path.display());
    let told: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    unnamed(&told["problems"])
}

/// A problem as it is told to a person, behind the name of the file.
fn line(problem: &Value) -> String {
    let key = problem["path"].as_str().map(|path| format!(" {path}")).unwrap_or_default();
    let message = problem["message"].as_str().unwrap_or_default();
    format!("{}:{}{key}: {message}", problem["line"], problem["column"])
}

/// Problems without the name of the file, under which each program knows it.
fn unnamed(problems: &Value) -> Value {
    let mut problems = problems.clone();
    for problem in problems.as_array_mut().into_iter().flatten() {
        problem.as_object_mut().expect("a problem is an object").remove("file");
    }
    problems
}

/// A control plane with its data plane, and a data plane by itself, both under load.
struct Scene {
    fleet: Fleet,
    alone: Gateway,
    loads: [Load; 2],
    _upstream: Origin,
}

impl Scene {
    fn new() -> Self {
        let upstream = Origin::answering_after(Duration::from_millis(5), |_| ok("served"));
        let good = Document::new().route("all", "/", upstream.url());
        let (fleet, alone) = (Fleet::start(&good, 1), Gateway::standalone(&good));
        let loads = [fleet.data_planes[0].traffic(), alone.address()]
            .map(|address| Load::start(address, "/", 1, Reuse::MustSucceed, |_| Ok(())));
        Self { fleet, alone, loads, _upstream: upstream }
    }

    /// Puts a file in place of both, and waits until both refuse it in these words.
    fn refuse(&self, path: &Path, expected: &Value) {
        let former = self.fleet.status()["control_plane"]["rejected_file"]["at"].clone();
        for file in [&self.fleet.file, &self.alone.file] {
            let beside = file.directory().join("beside");
            let put = fs::copy(path, &beside).and_then(|_| fs::rename(&beside, file.path()));
            put.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let name = path.display();
        eventually(&format!("the control plane says {expected:#} of {name}"), || {
            let rejected = self.fleet.status()["control_plane"]["rejected_file"].clone();
            (rejected["at"] != former && unnamed(&rejected["problems"]) == *expected).then_some(())
        });
        eventually(&format!("the data plane says {expected:#} of {name}"), || {
            let status = gwctl_json(self.alone.data_plane.admin(), &["status"]);
            (unnamed(&status["data_planes"][0]["problems"]) == *expected).then_some(())
        });
    }

    /// What runs, is what ran at the start.
    fn unchanged(self) {
        let status = self.fleet.synchronised();
        assert_eq!(status["control_plane"]["revision"]["seq"], 1, "{status}");
        self.loads.into_iter().for_each(|load| load.stop().is_flawless());
    }
}

#[test]
fn broken_files_are_refused_in_the_same_words_everywhere_and_change_nothing() {
    let listed = fs::read_to_string(directory().join("first_problems.txt")).expect("the list is there");
    let mut files: Vec<_> = fs::read_dir(directory()).expect("they are there").flatten().collect();
    files.retain(|entry| entry.path().extension().is_some_and(|extension| extension == "yaml"));
    files.sort_by_key(fs::DirEntry::path);
    let scene = Scene::new();
    let mut found = String::new();
    for file in files {
        let path = file.path();
        let problems = told(&path);
        let _ = writeln!(found, "{}:{}", file.file_name().display(), line(&problems[0]));
        scene.refuse(&path, &problems);
    }
    // Line by line, so that the one that differs is the one that shows.
    for (found, listed) in found.lines().zip(listed.lines()) {
        assert_eq!(found, listed, "first_problems.txt says otherwise");
    }
    assert_eq!(found.lines().count(), listed.lines().count(), "first_problems.txt is not of these files");
    scene.unchanged();
}

/// Writes a file that is too large to keep.
fn made(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    path
}

#[test]
fn large_broken_files_are_refused_in_the_same_words_everywhere_and_change_nothing() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut keys = String::new();
    for key in 0..50_000 {
        let _ = writeln!(keys, "key{key}: 1");
    }
    let cases = [
        ("keys.yaml", keys.as_str(), Some("key0")),
        ("deep.yaml", &"[".repeat(100_000), None),
        ("text.yaml", &format!("routes: {}\n", "x".repeat(500_000)), Some("routes")),
    ];
    for (name, text, key) in cases {
        let path = made(&directory, name, text);
        let problems = told(&path);
        assert_eq!(problems[0]["path"].as_str(), key, "{name}: {}", problems[0]);
        scene.refuse(&path, &problems);
    }
    let path = made(&directory, "oversized.yaml", "");
    let sized = File::options().write(true).open(&path).and_then(|file| file.set_len((64 << 20) + 1));
    sized.expect("a file may have holes");
    let problems = told(&path);
    assert_eq!(problems[0]["message"], "is larger than 67108864 bytes");
    scene.refuse(&path, &problems);
    scene.unchanged();
}
