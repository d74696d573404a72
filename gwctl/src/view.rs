//! The answers, as scripts see them: the field names and their meaning are an interface that does not change.
//!
//! A view is made of a message and rendered by [`crate::output`]. It decides nothing, and what is absent in the message
//! is null in it.

mod auth;
mod limits;
mod reasons;
mod routes;
mod status;

use apigw_config::problem::Problem;
use serde::Serialize;

pub(crate) use self::{
    auth::AuthView, limits::LimitsView, reasons::ReasonsView, routes::RoutesView, status::StatusView,
};

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

/// That a policy does not refuse anything must not be missed.
fn aside(mode: &str) -> String {
    if matches!(mode, "" | "enforce") { String::new() } else { format!(" ({mode})") }
}
