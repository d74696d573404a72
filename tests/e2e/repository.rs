//! Rules of the repository (`docs/architecture.md`) that a machine can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().expect("the repository is there")
}

/// Files with this ending, relative to the root, without what is built or generated.
fn files(extension: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let is_skipped = matches!(name.to_str(), Some("target" | ".git" | "generated") | None);
            if path.is_dir() && !path.is_symlink() && !is_skipped {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|other| other == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), extension, &mut found);
    assert!(!found.is_empty(), "there are no .{extension} files");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_has_two_jobs() {
    let long = |path: &PathBuf| {
        let lines = read(path).lines().count();
        (lines > 500).then(|| format!("{} has {lines} lines", path.display()))
    };
    none(
        "a file of more than 500 lines has two jobs",
        &files("rs").iter().filter_map(long).collect::<Vec<_>>(),
    );
}

#[test]
fn modules_are_named_for_what_they_are() {
    let is_drawer = |name: &str| {
        matches!(name, "mod" | "common" | "util" | "utils" | "helpers" | "core" | "misc" | "shared")
    };
    let drawers: Vec<_> = files("rs")
        .into_iter()
        .filter(|path| {
            let parent = path.parent().and_then(Path::file_name);
            [path.file_stem(), parent].into_iter().flatten().filter_map(|name| name.to_str()).any(is_drawer)
        })
        .map(|path| path.display().to_string())
        .collect();
    none("a module is named after its concept, and foo.rs stands beside foo/", &drawers);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = files("rs")
        .into_iter()
        .filter(|path| !read(path).starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    none("a source file opens with //!", &silent);
}

/// Packages of ours that each package may use, in any kind of dependency but those of its tests.
const ARROWS: [(&str, &[&str]); 8] = [
    ("proto", &[]),
    ("config", &["apigw-proto"]),
    ("transport", &["apigw-config"]),
    ("dataplane/engine", &["apigw-config", "apigw-proto"]),
    ("dataplane", &["apigw-engine", "apigw-transport", "apigw-config", "apigw-proto"]),
    ("controlplane", &["apigw-engine", "apigw-transport", "apigw-config", "apigw-proto"]),
    ("gwctl", &["apigw-engine", "apigw-transport", "apigw-config", "apigw-proto"]),
    // The messages alone, for simulated data planes.
    ("tests", &["apigw-proto"]),
];

/// Packages of ours in a manifest's sections whose title satisfies the condition.
fn our_dependencies(manifest: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let ours = [
        "apigw-proto",
        "apigw-config",
        "apigw-transport",
        "apigw-engine",
        "apigw-tests",
        "dataplane",
        "controlplane",
        "gwctl",
    ];
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[') {
            section.clear();
            section.push_str(title.trim_end_matches(']'));
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if is_wanted(&section) && ours.contains(&name) {
            found.push(name.to_owned());
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let mut broken = Vec::new();
    for (package, allowed) in ARROWS {
        let manifest = read(&root().join(package).join("Cargo.toml"));
        let is_of_the_program = |section: &str| section == "dependencies" || section == "build-dependencies";
        for dependency in our_dependencies(&manifest, is_of_the_program) {
            if !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{package} uses {dependency}"));
            }
        }
    }
    none("proto <- config <- engine and transport <- the programs, and nothing else", &broken);
}

#[test]
fn every_package_is_under_the_rule_of_arrows() {
    let manifest = read(&root().join("Cargo.toml"));
    let members =
        manifest.lines().find(|line| line.starts_with("members")).expect("the workspace has members");
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    let mut ruled: Vec<_> = ARROWS.iter().map(|(package, _)| *package).collect();
    ruled.sort_unstable();
    let mut sorted = members.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ruled);
}

#[test]
fn engine_is_pure() {
    let impure: Vec<_> = files("rs")
        .into_iter()
        .filter(|path| path.starts_with(root().join("dataplane/engine/src")))
        .flat_map(|path| {
            let text = read(&path);
            let words =
                ["std::net::Tcp", "std::fs", "tokio", "Instant::now", "SystemTime::now", "std::thread"];
            let found = words.into_iter().filter(move |word| text.contains(word));
            found.map(|word| format!("{}: {word}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    none("the engine opens no socket, reads no clock and starts nothing", &impure);
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let mut broken = Vec::new();
    for (package, _) in ARROWS {
        let manifest = read(&root().join(package).join("Cargo.toml"));
        let mut is_in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                is_in_dependencies = line.contains("dependencies");
            } else if is_in_dependencies && line.contains('=') && !line.contains("workspace = true") {
                broken.push(format!("{package}: {line}"));
            }
        }
    }
    none("versions stand in the root manifest only", &broken);
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read(&root().join("docs/dependencies.md"));
    let manifest = read(&root().join("Cargo.toml"));
    let section = manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names =
        section.expect("the workspace has dependencies").lines().filter_map(|line| line.split_once(" = "));
    let names: Vec<_> = names.map(|(name, _)| name).filter(|name| !name.starts_with("apigw-")).collect();
    assert!(names.len() > 20, "{names:?}");
    let unexplained: Vec<_> =
        names.into_iter().filter(|name| !reasons.contains(&format!("`{name}`"))).map(str::to_owned).collect();
    none("a dependency has a line in docs/dependencies.md", &unexplained);
}

#[test]
fn tests_are_neither_ignored_nor_asleep_at_the_switch() {
    let mut broken = Vec::new();
    for path in files("rs") {
        // Spelt so that this file is not found by itself.
        for silenced in [concat!("#[", "ignore"), concat!("todo", "!("), concat!("unimplemented", "!(")] {
            if read(&path).contains(silenced) {
                broken.push(format!("{}: {silenced}", path.display()));
            }
        }
    }
    none("nothing is unfinished or silenced", &broken);
}

/// Targets of the links in a Markdown text, without those in code.
fn links(markdown: &str) -> Vec<String> {
    let mut is_code = false;
    let prose = markdown.lines().filter(|line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code
    });
    let targets = |line: &str| {
        let rest = line.split("](").skip(1).map(str::to_owned).collect::<Vec<_>>();
        rest.into_iter().filter_map(|rest| rest.split(')').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    prose.flat_map(targets).collect()
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for path in files("md") {
        for link in links(&read(&path)) {
            let target = link.split('#').next().unwrap_or_default();
            let is_elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            let directory = path.parent().unwrap_or(&path);
            if !is_elsewhere && !directory.join(target).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    none("a relative link leads to a file", &broken);
}

#[test]
fn every_example_is_named_in_a_document() {
    let documents: String = files("md").iter().map(|path| read(path)).collect();
    let examples = fs::read_dir(root().join("config/examples")).expect("there are examples");
    let unnamed: Vec<_> = examples
        .flatten()
        .map(|entry| entry.file_name().display().to_string())
        .filter(|name| !documents.contains(name.as_str()))
        .collect();
    none("an example is named in a document", &unnamed);
}

#[test]
fn dashboards_and_alerts_ask_for_metrics_that_exist() {
    let documented = read(&root().join("docs/metrics.md"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let unknown = |path: &str| {
        let text = read(&root().join(path));
        let words = text.split(|c: char| !is_word(c)).filter(|word| word.starts_with("apigw_"));
        // Series of a histogram have names of their own.
        let words = words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned());
        words.filter(|word| !documented.contains(&format!("| `{word}` |"))).collect::<Vec<_>>()
    };
    none(
        "a panel asks for a metric that docs/metrics.md does not have",
        &unknown("docs/grafana-dashboard.json"),
    );
    none("a rule asks for a metric that docs/metrics.md does not have", &unknown("docs/alerts.yaml"));
    let dashboard: Result<serde_json::Value, _> =
        serde_json::from_str(&read(&root().join("docs/grafana-dashboard.json")));
    assert!(
        dashboard
            .is_ok_and(|dashboard| dashboard["panels"].as_array().is_some_and(|panels| !panels.is_empty()))
    );
}

#[test]
fn every_metric_has_a_panel_and_no_panel_lies_on_another() {
    let page = read(&root().join("docs/metrics.md"));
    let dashboard = read(&root().join("docs/grafana-dashboard.json"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asked: std::collections::HashSet<_> = dashboard
        .split(|c: char| !is_word(c))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect();
    let documented = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let metrics = documented.map(|(name, _)| name).filter(|name| name.starts_with("apigw_"));
    let unseen: Vec<_> = metrics.filter(|name| !asked.contains(name)).map(str::to_owned).collect();
    none("a metric of docs/metrics.md is in no panel of docs/grafana-dashboard.json", &unseen);
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let distinct = |of: &dyn Fn(&serde_json::Value) -> String| {
        panels.iter().map(of).collect::<std::collections::HashSet<_>>().len()
    };
    let places = distinct(&|panel| format!("{} {}", panel["gridPos"]["x"], panel["gridPos"]["y"]));
    assert_eq!((distinct(&|panel| panel["id"].to_string()), places), (panels.len(), panels.len()));
}

/// Names that a `.proto` file declares: of services, their calls, messages, fields, and values of enumerations.
fn declared(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let words: Vec<_> = line.split([' ', '(', ';']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["message" | "enum" | "service" | "rpc", name, ..] => names.push((*name).to_owned()),
            ["reserved" | "syntax" | "package" | "import" | "oneof" | "}", ..] => {}
            // A field or a value: NAME = NUMBER at the end.
            [.., name, "=", _number] => names.push((*name).to_owned()),
            _ => {}
        }
    }
    names
}

#[test]
fn the_protocol_has_a_page_with_every_name_in_it() {
    let page = read(&root().join("docs/protocol.md"));
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let known: std::collections::HashSet<_> = page.split(|character| !is_word(character)).collect();
    let mut unexplained = Vec::new();
    for path in files("proto") {
        let names = declared(&read(&path));
        assert!(!names.is_empty(), "{} declares nothing", path.display());
        let missing = names.into_iter().filter(|name| !known.contains(name.as_str()));
        unexplained.extend(missing.map(|name| format!("{}: {name}", path.display())));
    }
    none("docs/protocol.md explains every message and field", &unexplained);
}

/// Names of tests in the last column of a document's tables.
fn named_tests(markdown: &str) -> Vec<(String, Vec<String>)> {
    let is_row =
        |line: &&str| line.starts_with("| ") && !line.starts_with("| ---") && !line.ends_with("| test |");
    let named = |line: &str| {
        let cell = line.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default().to_owned();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    markdown.lines().filter(is_row).map(|line| (line.to_owned(), named(line))).collect()
}

#[test]
fn every_row_about_protocols_has_a_test() {
    let sources: String = files("rs").iter().map(|path| read(path)).collect();
    let rows = named_tests(&read(&root().join("docs/protocols.md")));
    assert!(rows.len() > 40, "{rows:?}");
    let mut broken = Vec::new();
    for (row, tests) in rows {
        if tests.is_empty() {
            broken.push(format!("no test: {row}"));
        }
        let missing = tests.into_iter().filter(|test| !sources.contains(&format!("fn {test}(")));
        broken.extend(missing.map(|test| format!("no such test: {test}")));
    }
    none("a row of docs/protocols.md names its tests", &broken);
}
