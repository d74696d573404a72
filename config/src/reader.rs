//! From the text of a file to the checked configuration, with every problem at once.
//!
//! Each type of the model says here, beside the others of its section, which keys it has in a file and how they are
//! read; there is no other list of keys. What is legal is decided by the model's constructors and by nothing here. A bad
//! value is reported where it stands and then left aside, so that it neither hides other problems nor causes more.

mod again;
mod api_keys;
mod auth;
mod backend;
mod checks;
mod compression;
mod destination;
mod entries;
mod external_auth;
mod gateway;
mod header_changes;
mod health;
mod keys;
mod mapping;
mod mtls;
mod place;
mod policy;
mod rate_limit;
mod retry;
mod rewrite;
mod route;
mod route_auth;
mod route_match;
mod server;
mod session_cookie;
mod timeouts;
mod tls;
mod tracing;
mod users;
mod values;

use self::mapping::Mapping;
pub use self::{
    again::ConfigReader,
    api_keys::read as read_api_keys,
    keys::known as known_keys,
    place::{place_of, places_of},
    users::read as read_users,
};
use crate::{
    model::{Checks, GatewayConfig},
    problem::{KeyPath, Problem, Problems},
    yaml::{self, Document, Node},
};

/// Reads a configuration file that was found under the name `file`.
///
/// # Errors
/// Everything wrong with it, in the order of the file; at least one problem.
pub fn read(file: &str, content: &[u8]) -> Result<GatewayConfig, Vec<Problem>> {
    read_with_checks(file, content).map(|(config, _)| config)
}

/// Reads a configuration file, and what it demands of itself before it goes out.
///
/// # Errors
/// Everything wrong with it, in the order of the file; at least one problem.
pub fn read_with_checks(file: &str, content: &[u8]) -> Result<(GatewayConfig, Checks), Vec<Problem>> {
    let mut problems = Problems::of(file);
    let Some(document) = yaml::parse(content, &mut problems) else { return Err(problems.into_sorted()) };
    read_document(&document, problems)
}

/// Reads what a text is made of; these are the problems so far.
fn read_document(
    document: &Document<'_>,
    problems: Problems,
) -> Result<(GatewayConfig, Checks), Vec<Problem>> {
    let mut reader = Reader::new(problems, Contents::Settings);
    let config = gateway::read(Place { node: &document.root, path: KeyPath::Top }, &mut reader);
    reader.problems.or(config)
}

/// What problems may show of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contents {
    /// What is not as it should be, as it is written.
    Settings,
    /// No text of it: whatever stands in the wrong place may be a secret.
    Secrets,
}

/// What one reading of a document gathers beside the values.
struct Reader {
    problems: Problems,
    contents: Contents,
    /// Every key that was asked for; only while the keys are being listed.
    asked: Option<Vec<String>>,
}

impl Reader {
    fn new(problems: Problems, contents: Contents) -> Self {
        Self { problems, contents, asked: None }
    }
}

/// A value of the document and the way to it.
#[derive(Clone, Copy)]
struct Place<'n> {
    node: &'n Node<'n>,
    path: KeyPath<'n>,
}

/// What can be read from a document. None: it could not, and the problem is reported.
trait Read: Sized {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self>;
}

#[cfg(test)]
mod tests;
