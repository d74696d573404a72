//! `docs/DEMO.md`, typed as it stands.

use std::{fs, os::unix::fs::symlink, path::Path};

use apigw_tests::{
    programs::Programs,
    walkthrough::{Ports, Shell, steps},
};

/// The ports of the document: traffic, upstreams, issuer, control plane, admin.
const PORTS: [u16; 8] = [8080, 9001, 9002, 9003, 9999, 9009, 9090, 9901];

#[test]
fn commands_of_the_walk_through_show_what_it_says() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let ports = Ports::instead_of(&PORTS);
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the repository has it");
    let document = ports.put_into(&read("docs/DEMO.md"));

    // As much of the repository's directory as the commands use.
    let place = tempfile::tempdir().expect("a temporary directory");
    let (directory, programs) = (place.path(), Programs::built());
    fs::create_dir_all(directory.join("config/examples")).expect("there is room");
    fs::create_dir(directory.join("target")).expect("there is room");
    symlink(programs.path(""), directory.join("target/release")).expect("there is room");
    let example = "config/examples/config.example.yaml";
    fs::write(directory.join(example), ports.put_into(&read(example))).expect("there is room");

    let endpoint = ports.put_into("http://127.0.0.1:9090");
    let mut shell = Shell::start(programs, directory, ("APIGW_ENDPOINT", &endpoint)).expect("bash starts");
    let steps = steps(&document);
    assert!(steps.len() > 15, "the document has lost its commands");
    for step in &steps {
        if let Err(seen) = shell.take(step, directory) {
            let promised = step.answer.as_deref().unwrap_or_default();
            panic!("line {}: {}promises\n{promised}\nand shows\n{seen}", step.line, step.commands);
        }
    }
}
