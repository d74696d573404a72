//! The answers, as scripts see them: the field names and their meaning are an interface that does not change.
//!
//! A view is made of a message and rendered by [`crate::output`]. It decides nothing, and what is absent in the message
//! is null in it.

mod auth;
mod explain;
mod limits;
mod reasons;
mod routes;
mod status;

use std::fmt::Write;

use apigw_config::problem::Problem;
use apigw_proto::v1;
use serde::Serialize;

pub(crate) use self::{
    auth::AuthView, explain::ExplainView, limits::LimitsView, reasons::ReasonsView, routes::RoutesView,
    status::StatusView,
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

/// Identity of a configuration.
#[derive(Debug, Serialize)]
pub(crate) struct RevisionView {
    epoch: u64,
    seq: u64,
    /// Lower-case hexadecimal digits.
    hash: String,
}

impl From<v1::Revision> for RevisionView {
    fn from(revision: v1::Revision) -> Self {
        let mut hash = String::with_capacity(revision.root_hash.len() * 2);
        for byte in &revision.root_hash {
            write!(hash, "{byte:02x}").expect("a string takes any text");
        }
        Self { epoch: revision.epoch, seq: revision.seq, hash }
    }
}

impl RevisionView {
    /// The sequence number and the first 8 digits: enough to tell two revisions on a screen apart.
    pub(crate) fn short(&self) -> String {
        format!("{}-{}", self.seq, self.hash.chars().take(8).collect::<String>())
    }
}

/// That a policy does not refuse anything must not be missed.
fn aside(mode: &str) -> String {
    if matches!(mode, "" | "enforce") { String::new() } else { format!(" ({mode})") }
}
