//! What users read about the configuration must be true: every example loads, every key has its entry.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if let Err(problems) = apigw_config::read(&name, &fs::read(&path).unwrap()) {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        count += 1;
    }
    assert!(count >= 4, "only {count} examples were found");
}

#[test]
fn the_reference_has_an_entry_for_every_key_and_for_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(path).unwrap();
    // An entry is a row of a table of keys whose first cell is the key's whole path in backticks.
    let tables = text.split("\n\n").filter(|paragraph| paragraph.starts_with("| key |"));
    let entries: BTreeSet<&str> = tables
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(path, _)| path)
        .collect();
    let known: BTreeSet<&str> = apigw_config::known_keys().iter().map(String::as_str).collect();
    assert_eq!(entries, known);
}

#[test]
fn the_examples_have_every_key() {
    let text =
        concat!(include_str!("../examples/everything.yaml"), include_str!("../examples/providers.yaml"));
    for path in apigw_config::known_keys() {
        let key = path.rsplit('.').next().unwrap_or(path);
        assert!(text.contains(&format!("{key}:")), "{path}");
    }
}

#[test]
fn the_path_of_a_configuration_names_every_feature_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config-path.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("| feature |").expect("there is a table of features");
    let (table, _) = section.split_once("\n\n").expect("it ends");
    let entries: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|row| row.0).collect();
    assert_eq!(entries, apigw_config::wire::features::KNOWN.map(apigw_config::wire::features::Feature::name));
}
