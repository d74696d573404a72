//! An answer that is asked for again and again.
//!
//! On a terminal it is redrawn in place, on a screen of its own that is gone when it ends; on a pipe one answer follows
//! the other. A question that fails is shown as what it is and asked again: whoever watches, watches for this, too.

/// On a pipe.
mod pipe;
/// On a terminal.
mod screen;

use std::{future::Future, io, pin::pin, str::FromStr, time::Duration};

use jiff::Timestamp;

pub(crate) use self::{
    pipe::Pipe,
    screen::{Screen, Size},
};
use crate::failure::Failure;

/// From one answer to the next question: 0.1 s to an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(Duration);

/// A text is no time to wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a number of seconds from 0.1 to 3600")]
pub(crate) struct IntervalError;

impl Interval {
    /// In seconds, as an operator writes it.
    pub(crate) fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let seconds = text.parse().ok().filter(|seconds| (0.1..=3_600.0).contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs_f64(seconds))).ok_or(IntervalError)
    }
}

/// What came of asking once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// With a line break at its end; empty when nothing came.
    pub(crate) text: String,
    /// Why there is no more; one line without its break.
    pub(crate) failure: Option<String>,
}

/// Where answers are shown.
pub(crate) trait Display {
    /// Shows an answer of that time.
    fn show(&mut self, answer: &Answer, at: Timestamp) -> io::Result<()>;
}

/// Asks and shows until the end comes, or nobody is there to be shown anything.
pub(crate) async fn watch<A>(
    interval: Interval,
    display: &mut impl Display,
    mut ask: impl FnMut() -> A,
    end: impl Future<Output = ()>,
) -> Result<(), Failure>
where
    A: Future<Output = Result<Answer, Failure>>,
{
    let mut end = pin!(end);
    loop {
        let turn = async {
            let answer = ask().await?;
            display.show(&answer, Timestamp::now()).map_err(Failure::Output)?;
            tokio::time::sleep(interval.0).await;
            Ok(())
        };
        tokio::select! {
            () = &mut end => return Ok(()),
            turned = turn => match turned {
                Ok(()) => {}
                Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(failure) => return Err(failure),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Remembers what it was shown; its pipe breaks after so many answers.
    struct Notebook {
        shown: Vec<Answer>,
        room: usize,
    }

    impl Display for Notebook {
        fn show(&mut self, answer: &Answer, _: Timestamp) -> io::Result<()> {
            if self.shown.len() == self.room {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let Answer { text, failure } = answer;
            self.shown.push(Answer { text: text.clone(), failure: failure.clone() });
            Ok(())
        }
    }

    fn failing(number: usize) -> Answer {
        Answer { text: String::new(), failure: Some(format!("failure {number}")) }
    }

    #[test]
    fn an_interval_is_neither_a_rush_nor_for_ever() {
        let seconds = |text: &str| text.parse().map(Interval::seconds);
        assert_eq!(seconds("0.1"), Ok(0.1));
        assert_eq!(seconds("3600"), Ok(3_600.0));
        for text in ["", "x", "0", "0.09", "3600.1", "-1", "NaN", "inf"] {
            assert_eq!(seconds(text), Err(IntervalError), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_shown_and_asked_again_after_the_interval() {
        let began = Instant::now();
        let mut times = Vec::new();
        let mut notebook = Notebook { shown: Vec::new(), room: 3 };
        let ask = || {
            times.push(began.elapsed().as_secs());
            std::future::ready(Ok(failing(times.len())))
        };
        let watched = watch("5".parse().unwrap(), &mut notebook, ask, std::future::pending()).await;
        assert!(watched.is_ok(), "a reader that has seen enough is nobody's failure");
        assert_eq!(notebook.shown, [failing(1), failing(2), failing(3)]);
        assert_eq!(times, [0, 5, 10, 15]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_even_while_an_answer_is_awaited() {
        let mut notebook = Notebook { shown: Vec::new(), room: 1 };
        let end = tokio::time::sleep(Duration::from_secs(1));
        let ended = watch("5".parse().unwrap(), &mut notebook, std::future::pending, end).await;
        assert!(ended.is_ok() && notebook.shown.is_empty());
    }
}
