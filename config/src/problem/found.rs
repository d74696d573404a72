//! Collects the problems of one configuration, bounded in number and size.

use std::fmt::{Display, Write as _};

use super::{KeyPath, Position, Problem};

/// What was found wrong so far.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    found: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// The most problems kept; more are counted. With [`Self::MAX_TEXT_BYTES`] they fit in one message of the API.
    pub(crate) const MAX: usize = 200;
    /// The most bytes of a problem's message, and of its path.
    pub(crate) const MAX_TEXT_BYTES: usize = 1_000;

    /// None yet. `file` is named in each; it is empty for a configuration that comes from a peer.
    pub(crate) fn of(file: &str) -> Self {
        Self { file: bounded(file), found: Vec::new(), left_out: 0 }
    }

    /// Adds one.
    pub(crate) fn report(&mut self, position: Option<Position>, path: &KeyPath<'_>, message: impl Display) {
        if self.found.len() == Self::MAX {
            self.left_out += 1;
        } else {
            let (file, path, message) = (self.file.clone(), bounded(path), bounded(message));
            self.found.push(Problem { file, position, path, message });
        }
    }

    /// The value, if nothing was found wrong; else all problems. A value is missing only where a problem was found.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.into_sorted()),
        }
    }

    /// All of them in the order of the file; those without a position last.
    pub(crate) fn into_sorted(self) -> Vec<Problem> {
        let Self { file, mut found, left_out } = self;
        found.sort_by_key(|problem| (problem.position.is_none(), problem.position));
        if left_out > 0 {
            let message = format!("{left_out} more problems are not shown");
            found.push(Problem { file, position: None, path: String::new(), message });
        }
        found
    }
}

/// Writes a text out, cut after [`Problems::MAX_TEXT_BYTES`]: a value of megabytes must not make a message of megabytes.
fn bounded(text: impl Display) -> String {
    let mut cut = Cut(String::new());
    if write!(cut, "{text}").is_err() {
        cut.0.push_str("...");
    }
    cut.0
}

/// Takes text up to the bound and refuses the rest, so that what is cut is not even formatted.
struct Cut(String);

impl std::fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = Problems::MAX_TEXT_BYTES - self.0.len();
        let fits = text.floor_char_boundary(room);
        self.0.push_str(&text[..fits]);
        if fits == text.len() { Ok(()) } else { Err(std::fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: u32) -> Position {
        Position { line, column: 1 }
    }

    #[test]
    fn problems_are_sorted_by_position() {
        let mut problems = Problems::of("g.yaml");
        for position in [Some(line(3)), None, Some(line(1)), Some(line(2))] {
            problems.report(position, &KeyPath::Top, "wrong");
        }
        let lines: Vec<_> = problems.into_sorted().iter().map(|p| p.position.map(|p| p.line)).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn problems_beyond_the_bound_are_counted() {
        for (count, kept) in [(Problems::MAX, Problems::MAX), (Problems::MAX + 2, Problems::MAX + 1)] {
            let mut problems = Problems::of("");
            (0..count).for_each(|_| problems.report(None, &KeyPath::Top, "wrong"));
            let all = problems.into_sorted();
            assert_eq!(all.len(), kept);
            let last = &all[kept - 1].message;
            assert_eq!(last == "2 more problems are not shown", count > Problems::MAX, "{last}");
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut problems = Problems::of("");
        problems.report(None, &KeyPath::Top, "ä".repeat(Problems::MAX_TEXT_BYTES));
        let message = &problems.into_sorted()[0].message;
        assert_eq!(message.len(), Problems::MAX_TEXT_BYTES + "...".len());
        assert!(message.ends_with("ä..."));
    }
}
