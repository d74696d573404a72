//! Answers one after another, for a program that reads them; failures go where failures go.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{Answer, Display};
use crate::output::Format;

/// A place for answers, and one for failures.
pub(crate) struct Pipe<W, E> {
    answers: W,
    failures: E,
    format: Format,
    is_begun: bool,
}

impl<W: Write, E: Write> Pipe<W, E> {
    /// For answers in that form.
    pub(crate) fn new(answers: W, failures: E, format: Format) -> Self {
        Self { answers, failures, format, is_begun: false }
    }
}

impl<W: Write, E: Write> Display for Pipe<W, E> {
    fn show(&mut self, answer: &Answer, _: Timestamp) -> io::Result<()> {
        if !answer.text.is_empty() {
            if self.is_begun {
                self.answers.write_all(self.format.separator().as_bytes())?;
            }
            self.is_begun = true;
            self.answers.write_all(answer.text.as_bytes())?;
            self.answers.flush()?;
        }
        if let Some(failure) = &answer.failure {
            writeln!(self.failures, "gwctl: {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_apart_and_failures_elsewhere() {
        let written = |format| {
            let (mut answers, mut failures) = (Vec::new(), Vec::new());
            let mut pipe = Pipe::new(&mut answers, &mut failures, format);
            let answer = |text: &str, failure: Option<&str>| Answer {
                text: text.into(),
                failure: failure.map(Into::into),
            };
            for answer in [answer("", Some("away")), answer("1\n", None), answer("2\n", Some("half"))] {
                pipe.show(&answer, Timestamp::UNIX_EPOCH).unwrap();
            }
            assert_eq!(String::from_utf8(failures).unwrap(), "gwctl: away\ngwctl: half\n");
            String::from_utf8(answers).unwrap()
        };
        assert_eq!(written(Format::Table), "1\n\n2\n");
        assert_eq!(written(Format::Json), "1\n2\n");
        assert_eq!(written(Format::Yaml), "1\n---\n2\n");
    }
}
