//! A file checked by the code that would run it.

use std::path::Path;

use serde::Serialize;

use crate::{
    candidate::Candidate,
    failure::Failure,
    output::{Style, Table},
    view::ProblemView,
};

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
    let candidate = Candidate::read(path)?;
    let problems = candidate.compile().err().unwrap_or_default();
    Ok(Validation {
        ok: problems.is_empty(),
        problems: problems.into_iter().map(ProblemView::from).collect(),
        tests: [],
        file: candidate.file,
    })
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
