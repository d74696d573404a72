//! What is wrong with a configuration, and where: the one shape in which files, peers and compilers complain.
//!
//! This module only describes. It decides nothing, and reads nothing but what it is handed.

mod found;
mod path;

use std::fmt;

use apigw_proto::v1;

pub(crate) use self::{found::Problems, path::KeyPath};

/// A place in a file. Both numbers start at 1; the column counts characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing wrong with a configuration.
///
/// Written as `gateway.yaml:31:15 routes[3].upstream: message`, without the parts that are not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file as it was named to the program; empty when the problem is of no file.
    pub file: String,
    /// Where in the file; none when the problem is of the file as a whole, or of no file.
    pub position: Option<Position>,
    /// The key, such as `routes[3].upstream`; empty for the whole configuration.
    pub path: String,
    /// Lower case, without a full stop; never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (self.file.as_str(), self.position) {
            ("", None) => String::new(),
            ("", Some(position)) => position.to_string(),
            (file, None) => file.to_owned(),
            (file, Some(position)) => format!("{file}:{position}"),
        };
        match (place.as_str(), self.path.as_str()) {
            ("", "") => f.write_str(&self.message),
            (place, "") => write!(f, "{place}: {}", self.message),
            ("", path) => write!(f, "{path}: {}", self.message),
            (place, path) => write!(f, "{place} {path}: {}", self.message),
        }
    }
}

impl From<Problem> for v1::Problem {
    fn from(problem: Problem) -> Self {
        let (line, column) = problem.position.map_or((0, 0), |position| (position.line, position.column));
        Self { file: problem.file, line, column, path: problem.path, message: problem.message }
    }
}

impl From<v1::Problem> for Problem {
    /// Takes what a peer says: a place is one only when it has both numbers.
    fn from(problem: v1::Problem) -> Self {
        let position = match (problem.line, problem.column) {
            (0, _) | (_, 0) => None,
            (line, column) => Some(Position { line, column }),
        };
        Self { file: problem.file, position, path: problem.path, message: problem.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_without_the_parts_that_are_not_known() {
        let place = Some(Position { line: 31, column: 15 });
        let cases = [
            ("g.yaml", place, "routes[3].upstream", "g.yaml:31:15 routes[3].upstream: wrong"),
            ("g.yaml", place, "", "g.yaml:31:15: wrong"),
            ("g.yaml", None, "routes", "g.yaml routes: wrong"),
            ("g.yaml", None, "", "g.yaml: wrong"),
            ("", None, "routes", "routes: wrong"),
            ("", None, "", "wrong"),
        ];
        for (file, position, path, expected) in cases {
            let (file, path, message) = (file.into(), path.into(), "wrong".into());
            assert_eq!(Problem { file, position, path, message }.to_string(), expected);
        }
    }

    #[test]
    fn a_problem_survives_the_wire() {
        for position in [None, Some(Position { line: 3, column: 1 })] {
            let (file, path, message) = ("g.yaml".into(), "routes".into(), "wrong".into());
            let problem = Problem { file, position, path, message };
            assert_eq!(Problem::from(v1::Problem::from(problem.clone())), problem);
        }
    }
}
