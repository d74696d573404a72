//! An answer redrawn in place, on the terminal's alternate screen (xterm's private mode 1049); dropping it brings back
//! what was there before.
//!
//! Texts come here with nothing in them that could move the cursor; only colours are let through.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{Answer, Display};
use crate::output::{Colour, Style, painted};

/// The alternate screen, no cursor, and no wrapping of long lines.
const BEGIN: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const END: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
const HOME: &str = "\u{1b}[H";
const CLEAR_TO_LINE_END: &str = "\u{1b}[K";
const CLEAR_TO_SCREEN_END: &str = "\u{1b}[J";

/// How much fits, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    rows: usize,
    columns: usize,
}

impl Size {
    /// Of a terminal that does not say.
    const USUAL: Self = Self { rows: 24, columns: 80 };

    /// Of the terminal behind standard output, as it is now.
    pub(crate) fn of_stdout() -> Self {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                Self { rows: size.ws_row.into(), columns: size.ws_col.into() }
            }
            _ => Self::USUAL,
        }
    }
}

/// A terminal that shows nothing else for the time being.
pub(crate) struct Screen<W: Write, S> {
    terminal: W,
    title: String,
    style: Style,
    size: S,
}

impl<W: Write, S: Fn() -> Size> Screen<W, S> {
    /// Takes the terminal over. The title stands above each answer.
    pub(crate) fn take(terminal: W, title: String, style: Style, size: S) -> io::Result<Self> {
        let mut screen = Self { terminal, title, style, size };
        screen.write(BEGIN)?;
        Ok(screen)
    }
}

impl<W: Write, S> Screen<W, S> {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.terminal.write_all(text.as_bytes())?;
        self.terminal.flush()
    }
}

impl<W: Write, S> Drop for Screen<W, S> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.write(END);
    }
}

impl<W: Write, S: Fn() -> Size> Display for Screen<W, S> {
    fn show(&mut self, answer: &Answer, at: Timestamp) -> io::Result<()> {
        let size = (self.size)();
        let mut lines = vec![format!("{}  {at:.0}", self.title), String::new()];
        for part in answer.failure.iter().flat_map(|failure| wrapped(failure, size.columns)) {
            lines.push(painted(&part, Colour::Bad, self.style));
        }
        if answer.failure.is_some() && !answer.text.is_empty() {
            lines.push(String::new());
        }
        lines.extend(answer.text.lines().map(Into::into));
        self.write(&frame(&cut(lines, size.rows)))
    }
}

/// A text in lines of so many characters.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(columns.max(1)).map(|line| line.iter().collect()).collect()
}

/// The first lines; of those for which there is no room, how many they are.
fn cut(mut lines: Vec<String>, rows: usize) -> Vec<String> {
    if lines.len() > rows {
        let kept = rows.saturating_sub(1);
        let others = lines.len() - kept;
        lines.truncate(kept);
        lines.push(format!("... and {others} more lines"));
    }
    lines
}

/// What draws these lines over whatever was drawn before.
fn frame(lines: &[String]) -> String {
    let line_end = format!("{CLEAR_TO_LINE_END}\r\n");
    // A break after the last line would scroll a full screen.
    format!("{HOME}{}{CLEAR_TO_LINE_END}{CLEAR_TO_SCREEN_END}", lines.join(&line_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal of that size is sent for some answers, from the first byte to the last.
    fn sent(rows: usize, columns: usize, answers: &[Answer]) -> String {
        let mut terminal = Vec::new();
        let size = || Size { rows, columns };
        let mut screen = Screen::take(&mut terminal, "title".into(), Style::Plain, size).unwrap();
        for answer in answers {
            screen.show(answer, Timestamp::UNIX_EPOCH).unwrap();
        }
        drop(screen);
        String::from_utf8(terminal).unwrap()
    }

    fn answer(text: &str, failure: Option<&str>) -> Answer {
        Answer { text: text.into(), failure: failure.map(Into::into) }
    }

    #[test]
    fn each_answer_is_drawn_over_the_one_before_and_the_terminal_is_given_back() {
        let drawn = |body: &str| {
            format!("\u{1b}[Htitle  1970-01-01T00:00:00Z\u{1b}[K\r\n\u{1b}[K\r\n{body}\u{1b}[K\u{1b}[J")
        };
        let expected = [BEGIN, &drawn("A\u{1b}[K\r\nB"), &drawn("C"), END].concat();
        assert_eq!(sent(24, 80, &[answer("A\nB\n", None), answer("C\n", None)]), expected);
    }

    #[test]
    fn a_failure_stands_above_what_came_all_the_same() {
        let text = sent(24, 5, &[answer("A\n", Some("too long"))]);
        let lines: Vec<_> = text.split("\u{1b}[K\r\n").skip(2).collect();
        assert_eq!(lines, ["too l", "ong", "", &format!("A\u{1b}[K\u{1b}[J{END}")]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let lines = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(cut(lines(3), 3), lines(3));
        assert_eq!(cut(lines(4), 3), ["0", "1", "... and 2 more lines"]);
        assert_eq!(cut(lines(2), 0).len(), 1);
    }
}
