//! A file checked by the code that would run it: read as the control plane reads it, compiled as a data plane does.
//!
//! No server is asked, and nothing is resolved or dialled: a file that passes here is refused nowhere else for what it
//! says, only for where it runs (a port that is taken).

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use apigw_config::{
    model::GatewayConfig,
    problem::Problem,
    watch::MAX_FILE_BYTES,
    wire::{self, Revision},
};
use apigw_engine::Snapshot;
use serde::Serialize;

use crate::{
    failure::{Failure, OneLine},
    output::{Style, Table},
    view::ProblemView,
};

/// What is read of a file at most; one byte more than any legal file, so that reading it says that it is too large.
const MAX_READ_BYTES: u64 = MAX_FILE_BYTES + 1;

/// What there is to say of a file.
#[derive(Debug, Serialize)]
pub(crate) struct Validation {
    pub(crate) ok: bool,
    problems: Vec<ProblemView>,
    /// Part of the documented form; a file cannot hold tests of itself yet.
    tests: [(); 0],
    /// As named on the command line.
    #[serde(skip)]
    file: String,
}

/// Checks a file; `-` is standard input.
pub(crate) fn validate(path: &Path) -> Result<Validation, Failure> {
    let (file, content) = content(path)?;
    let problems = check(&file, &content).err().unwrap_or_default();
    Ok(Validation {
        ok: problems.is_empty(),
        problems: problems.into_iter().map(ProblemView::from).collect(),
        tests: [],
        file,
    })
}

/// What a file means; `-` is standard input.
pub(crate) fn legal(path: &Path) -> Result<GatewayConfig, Failure> {
    let (file, content) = content(path)?;
    apigw_config::read(&file, &content).map_err(|problems| Failure::Illegal {
        file: path.to_owned(),
        first: OneLine::new(&problems.first().map_or_else(String::new, ToString::to_string)),
        count: problems.len(),
    })
}

/// What a file is called, and what it says.
fn content(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let unreadable = |error| Failure::Unreadable { file: path.to_owned(), error };
    if path.as_os_str() == "-" {
        return Ok(("<stdin>".to_owned(), read_bounded(io::stdin().lock()).map_err(unreadable)?));
    }
    let content = File::open(path).and_then(read_bounded).map_err(unreadable)?;
    Ok((path.display().to_string(), content))
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(MAX_READ_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

/// All that is wrong with a file.
fn check(file: &str, content: &[u8]) -> Result<(), Vec<Problem>> {
    let config = apigw_config::read(file, content)?;
    let of_the_file =
        |message: String| Problem { file: file.to_owned(), position: None, path: String::new(), message };
    let resources = wire::encode(&config).map_err(|error| vec![of_the_file(error.to_string())])?;
    let root_hash = wire::root_hash(resources.iter().map(wire::Resource::entry));
    Snapshot::compile(config, Revision { epoch: 0, seq: 0, root_hash }, None).map(drop)
}

impl Table for Validation {
    fn table(&self, _: Style) -> String {
        if self.ok {
            return format!("{}: ok\n", crate::failure::printable(&self.file));
        }
        self.problems.iter().flat_map(|problem| [problem.text(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "routes:\n- {name: a, match: {path_prefix: /a}, upstream: \"http://127.0.0.1:1\"}\n";

    fn validated(content: &str) -> Validation {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.yaml");
        std::fs::write(&path, content).unwrap();
        validate(&path).unwrap()
    }

    #[test]
    fn a_good_file_is_ok() {
        let validation = validated(GOOD);
        assert!(validation.ok, "{}", validation.table(Style::Plain));
        let json = serde_json::to_value(&validation).unwrap();
        assert_eq!(json, serde_json::json!({ "ok": true, "problems": [], "tests": [] }));
    }

    #[test]
    fn every_problem_of_a_bad_file_is_told_with_its_place() {
        let validation =
            validated(&(GOOD.to_owned() + "- {name: a, match: {path_prefix: b}, upstream: x}\n"));
        let table = validation.table(Style::Plain);
        assert!(!validation.ok);
        assert!(table.contains("gateway.yaml:3:"), "{table}");
        assert!(table.contains("routes[1].match.path_prefix: "), "{table}");
        assert!(table.contains("routes[1].upstream: "), "{table}");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_failure_of_its_own() {
        let failure = validate(Path::new("/nonexistent/gateway.yaml")).unwrap_err();
        assert!(matches!(failure, Failure::Unreadable { .. }), "{failure}");
    }
}
