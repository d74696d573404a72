//! A file checked by the code that would run it.

/// The files of API keys and users that it names.
mod credentials;

use std::{path::Path, time::SystemTime};

use apigw_config::problem::Problem;
use apigw_engine::{
    Snapshot,
    checks::{self, Finding, Outcome, Source},
    explain::AtRest,
    jwt::time::UnixTime,
};
use apigw_transport::tls::configured::{self, Fault, FileBase};
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
    /// What is legal and probably not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ProblemView>,
    /// The file's tests and invariants; none are judged of a file that is not legal.
    tests: Vec<TestView>,
    /// As named on the command line.
    #[serde(skip)]
    file: String,
}

/// How a test or an invariant of the file came out.
#[derive(Debug, Serialize)]
struct TestView {
    name: String,
    passed: bool,
    message: Option<String>,
}

impl TestView {
    /// None: it was not judged, which is a warning.
    fn of(outcome: Outcome) -> Option<Self> {
        let (passed, message) = match outcome.finding {
            Finding::Passed => (true, None),
            Finding::Failed(failure) => (false, Some(failure)),
            Finding::Unjudged => return None,
        };
        Some(Self { name: outcome.name, passed, message })
    }
}

/// Checks a file; `-` is standard input.
pub(crate) fn validate(path: &Path) -> Result<Validation, Failure> {
    let candidate = Candidate::read(path)?;
    let source = Source { file: &candidate.file, content: &candidate.content };
    let (problems, outcomes, warnings) = match candidate.compile_with_checks() {
        Ok((snapshot, checks)) => {
            let now = UnixTime::of(SystemTime::now());
            let (mut problems, mut warnings) = certificates(&snapshot, &candidate.base);
            let mut files = credentials::check(snapshot.settings(), &candidate.base);
            problems.append(&mut files.problems);
            warnings.append(&mut files.warnings);
            warnings.extend(checks::warnings(&snapshot));
            checks::locate(&mut problems, source);
            checks::locate(&mut warnings, source);
            let at_rest = AtRest::new(snapshot.settings(), now).with(files.read);
            let outcomes = checks::judge(&snapshot, &checks, None, &at_rest);
            warnings.extend(outcomes.iter().filter_map(|outcome| outcome.warning(source)));
            (problems, outcomes, warnings)
        }
        Err(problems) => (problems, Vec::new(), Vec::new()),
    };
    let failures = outcomes.iter().filter_map(|outcome| outcome.problem(source));
    let problems: Vec<_> = problems.into_iter().chain(failures).map(ProblemView::from).collect();
    Ok(Validation {
        ok: problems.is_empty(),
        problems,
        warnings: warnings.into_iter().map(ProblemView::from).collect(),
        tests: outcomes.into_iter().filter_map(TestView::of).collect(),
        file: candidate.file,
    })
}

/// What is wrong with the files of certificates, without places: problems, and warnings of files that another machine may have.
fn certificates(snapshot: &Snapshot, base: &FileBase) -> (Vec<Problem>, Vec<Problem>) {
    let faults = configured::check(snapshot.config(), base);
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        faults.into_iter().partition(|fault| fault.error.is_of_another_machine());
    let problem = |Fault { path, error }: Fault| Problem {
        file: String::new(),
        position: None,
        path,
        message: error.to_string(),
    };
    (here.into_iter().map(problem).collect(), elsewhere.into_iter().map(problem).collect())
}

impl Table for Validation {
    fn table(&self, _: Style) -> String {
        if self.ok {
            let tests = match self.tests.len() {
                0 => String::new(),
                tests => format!(", {tests} tests and invariants passed"),
            };
            let ok = format!("{}: ok{tests}\n", crate::failure::printable(&self.file));
            let warnings = self.warnings.iter().map(|warning| format!("warning: {}\n", warning.text()));
            return warnings.chain([ok]).collect();
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
    fn a_file_that_fails_its_own_tests_is_not_ok() {
        let test = "tests:\n- {name: t, request: {path: /a}, expect: {status: 401}}\n";
        let validation = validated(&(GOOD.to_owned() + test));
        assert!(!validation.ok);
        let table = validation.table(Style::Plain);
        assert!(table.contains("gateway.yaml:4:3 tests[0]: t: expected status 401, found none"), "{table}");
        let json = serde_json::to_value(&validation).unwrap();
        let expected = serde_json::json!([
            { "name": "t", "passed": false, "message": "expected status 401, found none" }
        ]);
        assert_eq!(json["tests"], expected);
        let validation = validated(&(GOOD.to_owned() + &test.replace("status: 401", "route: a")));
        assert!(validation.table(Style::Plain).ends_with(": ok, 1 tests and invariants passed\n"));
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
    fn a_route_that_serves_nothing_is_a_warning() {
        let validation =
            validated(&(GOOD.to_owned() + &GOOD["routes:\n".len()..].replace("name: a", "name: b")));
        assert!(validation.ok);
        let warning = "gateway.yaml:3:13 routes[1].match: b serves nothing: a wins wherever it matches";
        let table = validation.table(Style::Plain);
        assert!(table.starts_with("warning: ") && table.contains(warning), "{table}");
        let json = serde_json::to_value(&validation).unwrap();
        assert_eq!(json["warnings"][0]["path"], "routes[1].match");
    }

    #[test]
    fn a_test_with_an_api_key_is_judged_by_the_file_of_keys_if_that_is_here() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.yaml");
        let keys = "keys:\n- {name: billing, sha256: f7c28d1179e4b9f9b5df3f63b32285089c8f28b69f930e0a4e0e4b43e23d6ca6}\n";
        std::fs::write(directory.path().join("keys.yaml"), keys).unwrap();
        let validated = |file: &str, expect: &str| {
            let text = format!(
                "auth: {{api_keys: {{file: {file}}}}}\nroutes:\n- {{name: a, match: {{path_prefix: /a}}, \
                 upstream: \"http://127.0.0.1:1\", auth_required: true, auth: {{any: [api_key]}}}}\ntests:\n\
                 - {{name: t, request: {{path: /a, headers: {{x-api-key: key-of-billing}}}}, expect: {{{expect}}}}}\n"
            );
            std::fs::write(&path, text).unwrap();
            let validation = validate(&path).unwrap();
            (validation.ok, validation.table(Style::Plain))
        };
        let (ok, told) = validated("keys.yaml", "route: a");
        assert!(ok && told.ends_with(": ok, 1 tests and invariants passed\n"), "{told}");
        let (ok, told) = validated("keys.yaml", "status: 401");
        assert!(!ok && told.contains("tests[0]: t: expected status 401, found none"), "{told}");
        for expect in ["route: a", "status: 401"] {
            let (ok, told) = validated("/nowhere/keys.yaml", expect);
            assert!(ok && told.contains("warning: ") && told.contains("tests[0]: t: not judged"), "{told}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_a_failure_of_its_own() {
        let failure = validate(Path::new("/nonexistent/gateway.yaml")).unwrap_err();
        assert!(matches!(failure, Failure::Unreadable { .. }), "{failure}");
    }
}
