//! The answers, as scripts see them: the field names and their meaning are an interface that does not change.
//!
//! A view is made of a message and rendered by [`crate::output`]. It decides nothing, and what is absent in the message
//! is null in it.

mod limits;
mod routes;
mod status;

use apigw_config::problem::Problem;
use serde::{Serialize, Serializer};

pub(crate) use self::{limits::LimitsView, routes::RoutesView, status::StatusView};

/// One thing wrong with a configuration. Numbers are from 1.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemView {
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    path: Option<String>,
    message: String,
    /// As one line for people.
    #[serde(skip)]
    text: String,
}

impl ProblemView {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl From<Problem> for ProblemView {
    fn from(problem: Problem) -> Self {
        let text = crate::failure::printable(&problem.to_string());
        let present = |text: String| (!text.is_empty()).then_some(text);
        Self {
            file: present(problem.file),
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            path: present(problem.path),
            message: problem.message,
            text,
        }
    }
}

impl From<apigw_proto::v1::Problem> for ProblemView {
    fn from(problem: apigw_proto::v1::Problem) -> Self {
        Problem::from(problem).into()
    }
}

/// A number without trailing zeros: 5, not 5.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a day in microseconds is far below 2^53")]
pub(crate) fn seconds(micros: u64) -> Number {
    Number(micros as f64 / 1e6)
}
