//! The answers, as scripts see them: the field names and their meaning are an interface that does not change.
//!
//! A view is made of a message and rendered by [`crate::output`]. It decides nothing, and what is absent in the message
//! is null in it.

mod auth;
mod backends;
mod certificates;
mod diff;
mod drain;
mod explain;
mod history;
mod limits;
mod reasons;
mod revision;
mod routes;
mod status;
mod wait;

use std::fmt::Write;

use apigw_config::problem::Problem;
use apigw_proto::v1;
use serde::Serialize;

pub(crate) use self::{
    auth::AuthView,
    backends::BackendsView,
    diff::DiffView,
    drain::DrainView,
    explain::ExplainView,
    history::{HistoryView, RollbackView},
    limits::LimitsView,
    reasons::ReasonsView,
    revision::RevisionView,
    routes::RoutesView,
    status::StatusView,
    wait::WaitView,
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

impl From<v1::Problem> for ProblemView {
    fn from(problem: v1::Problem) -> Self {
        Problem::from(problem).into()
    }
}

/// Problems beneath a head of their own.
fn push_problems(text: &mut String, head: &str, problems: &[ProblemView]) {
    writeln!(text, "\n{head}:").expect("a string takes any text");
    for problem in problems {
        writeln!(text, "  {}", problem.text()).expect("a string takes any text");
    }
}

/// That a policy does not refuse anything must not be missed.
fn aside(mode: &str) -> String {
    if matches!(mode, "" | "enforce") { String::new() } else { format!(" ({mode})") }
}
