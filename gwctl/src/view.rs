//! The answers, as scripts see them: the field names and their meaning are an interface that does not change.
//!
//! A view is made of a message and rendered by [`crate::output`]. It decides nothing, and what is absent in the message
//! is null in it.

mod auth;
mod limits;
mod routes;
mod status;

use apigw_config::problem::Problem;
use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::{auth::AuthView, limits::LimitsView, routes::RoutesView, status::StatusView};

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

/// Milliseconds since 1970 as RFC 3339 in UTC; a time that is too far to be written is the last one that is not.
fn timestamp(milliseconds: u64) -> String {
    let timestamp = i64::try_from(milliseconds).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    format!("{:.3}", timestamp.unwrap_or(Timestamp::MAX))
}

/// The same of a time that may not have come; 0: it has not.
fn timestamp_if_any(milliseconds: u64) -> Option<String> {
    (milliseconds > 0).then(|| timestamp(milliseconds))
}

/// That a policy does not refuse anything must not be missed.
fn aside(mode: &str) -> String {
    if matches!(mode, "" | "enforce") { String::new() } else { format!(" ({mode})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_milliseconds_is_a_time() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(u64::MAX), "9999-12-30T22:00:00.999Z");
        assert_eq!((timestamp_if_any(0), timestamp_if_any(1).is_some()), (None, true));
    }
}
