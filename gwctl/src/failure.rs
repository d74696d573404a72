//! Why a question got no answer.
//!
//! The text of each variant is the one line a person reads: it names the endpoint and says what to try. Deciding which
//! one it is happens here too, because gRPC reports a stranger's server in many ways.

use std::{error::Error, fmt, io, path::PathBuf};

use apigw_config::{admin_key::AdminKeyError, problem::Problem};
use apigw_engine::explain::QuestionError;
use tonic::{Code, Status};

use crate::reference::ResolveError;
use apigw_transport::{
    client::{CONNECT_TIMEOUT, ConnectError},
    credentials::Unfit,
    endpoint::{Endpoint, EndpointError},
    tls::{TlsError, TlsFailure},
};

const ADDRESSES: &str =
    "use the control plane's address (http://127.0.0.1:9090 unless set) or a data plane's admin address";

/// One variant for each thing a person can do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The URL itself is wrong.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The URL does not go with the certificates.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The certificates are of no use.
    #[error(transparent)]
    Certificates(#[from] TlsError),
    /// The variable with the key holds no key.
    #[error("cannot use the key in APIGW_ADMIN_KEY: {0}")]
    Key(#[source] AdminKeyError),
    /// The endpoint's name means no address.
    #[error("cannot find the host of {endpoint}: {error}; check the name in --endpoint or APIGW_ENDPOINT")]
    NoSuchHost { endpoint: Endpoint, error: io::Error },
    /// Nobody accepts connections there.
    #[error(
        "nothing answers at {endpoint}: {}; start it, or name another address with --endpoint ({ADDRESSES})", error.kind())]
    Unreachable { endpoint: Endpoint, error: io::Error },
    /// Somebody is there, and the two do not trust each other.
    #[error("no secure connection to {endpoint}: {failure}")]
    Insecure { endpoint: Endpoint, failure: TlsFailure },
    /// Something is there, but it says nothing.
    #[error("no answer from {endpoint} within {seconds} s; is that the right address? {ADDRESSES}")]
    TimedOut { endpoint: Endpoint, seconds: u64 },
    /// Something is there, but it is not ours.
    #[error("{endpoint} does not speak apigw's API; {ADDRESSES}, not one for traffic")]
    NotOurs { endpoint: Endpoint },
    /// A key is needed and none was sent.
    #[error("{endpoint} needs a key: set APIGW_ADMIN_KEY to the one it was started with")]
    KeyMissing { endpoint: Endpoint },
    /// A key was sent, but it is not the right one.
    #[error("{endpoint} refused the key: set APIGW_ADMIN_KEY to the one it was started with")]
    KeyWrong { endpoint: Endpoint },
    /// The connection was there and broke.
    #[error("the connection to {endpoint} broke in the middle of the answer; ask again")]
    Broken { endpoint: Endpoint },
    /// The server says why not.
    #[error("{endpoint} says: {message}")]
    Refused { endpoint: Endpoint, message: OneLine },
    /// More than a sound server would send.
    #[error("{endpoint} sent more than {limit} {what}; gave up")]
    TooMuch { endpoint: Endpoint, limit: usize, what: &'static str },
    /// The file to check cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    /// The file to judge by, or to compare, is not a legal one.
    #[error("that file is not legal: {}{}", .problems.first().map(ToString::to_string).unwrap_or_default(), more(.problems.len()))]
    NotLegal { problems: Vec<Problem> },
    /// The request is none.
    #[error("cannot ask for that: {0}")]
    Question(#[source] QuestionError),
    /// No such revision.
    #[error(transparent)]
    Revision(#[from] ResolveError),
    /// What a control plane sent as a revision's content is none for this build.
    #[error("cannot read the content of revision {revision}: {problem}")]
    Content { revision: String, problem: OneLine },
    /// An earlier build answers there.
    #[error("the control plane does not know how to judge by revision {revision}; it is of an earlier build")]
    OtherRevision { revision: String },
    /// An order was not carried out everywhere.
    #[error("not done {refused} of {asked} times: {data_plane}: {reason}")]
    NotDrained { refused: usize, asked: usize, data_plane: OneLine, reason: OneLine },
    /// Nobody was there to carry it out.
    #[error("no data plane is connected that runs anything")]
    NobodyDrained,
    /// Only a control plane knows what others run.
    #[error("a data plane answers there; ask its control plane")]
    NoControlPlane,
    /// Standard output takes nothing.
    #[error("cannot write the answer: {0}")]
    Output(#[source] io::Error),
    /// An answer has no JSON form.
    #[error("cannot write the answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An answer has no YAML form.
    #[error("cannot write the answer as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// The system gives no means to wait for a network.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

fn more(problems: usize) -> String {
    match problems {
        0 | 1 => String::new(),
        problems => format!(" (and {} more; `gwctl validate` lists them)", problems - 1),
    }
}

/// Whether the caller had a key to present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    Key,
    NoKey,
}

/// How far an answer had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing of it was there yet.
    Asked,
    /// A part was there, so the server is one of ours.
    Answering,
}

impl Failure {
    /// What it means for the person who asked that there is no connection.
    pub(crate) fn of_connection(endpoint: &Endpoint, error: ConnectError) -> Self {
        let endpoint = endpoint.clone();
        match error {
            ConnectError::NoSuchHost(error) => Self::NoSuchHost { endpoint, error },
            ConnectError::Unreachable(error) => Self::Unreachable { endpoint, error },
            ConnectError::TimedOut => Self::TimedOut { endpoint, seconds: CONNECT_TIMEOUT.as_secs() },
            ConnectError::Tls(failure) => Self::Insecure { endpoint, failure },
            ConnectError::NoCertificates => Self::Unfit(Unfit::NoCertificates { endpoint }),
            ConnectError::NotOurs(_) => Self::NotOurs { endpoint },
        }
    }

    /// What a gRPC status means for the person who asked.
    pub(crate) fn of_call(
        endpoint: &Endpoint,
        presented: Presented,
        progress: Progress,
        status: &Status,
    ) -> Self {
        let endpoint = endpoint.clone();
        match (status.code(), presented) {
            (Code::Unauthenticated, Presented::NoKey) => Self::KeyMissing { endpoint },
            (Code::Unauthenticated, Presented::Key) => Self::KeyWrong { endpoint },
            _ if is_from_transport(status) => match progress {
                Progress::Asked => Self::NotOurs { endpoint },
                Progress::Answering => Self::Broken { endpoint },
            },
            // One of ours that does not keep what was asked for says who does.
            (Code::Unimplemented, _) if is_said_by_the_server(status) => {
                Self::Refused { endpoint, message: OneLine::new(status.message()) }
            }
            // Without a gRPC status in the answer, the client makes these from whatever HTTP status there was.
            (Code::Unimplemented | Code::Unknown | Code::Internal | Code::PermissionDenied, _)
                if progress == Progress::Asked =>
            {
                Self::NotOurs { endpoint }
            }
            _ => Self::Refused { endpoint, message: OneLine::new(status.message()) },
        }
    }
}

/// Whether a status was made on this side, of a connection that does not work: one that a server sent has no source.
fn is_from_transport(status: &Status) -> bool {
    status.source().is_some()
}

/// Whether a status came with words of its own, and not by way of an HTTP status or from a server without the method.
fn is_said_by_the_server(status: &Status) -> bool {
    !status.message().is_empty() && !status.message().contains("grpc-status header missing")
}

/// A text of the other side, made fit to stand in a line: what is not printable is escaped, what is long is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OneLine(String);

impl OneLine {
    const MAX_CHARACTERS: usize = 300;

    pub(crate) fn new(text: &str) -> Self {
        let mut line = printable(&text.chars().take(Self::MAX_CHARACTERS).collect::<String>());
        if text.chars().nth(Self::MAX_CHARACTERS).is_some() {
            line.push_str("...");
        }
        Self(line)
    }
}

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot move a terminal's cursor or break a line.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_stays_in_its_line() {
        assert_eq!(OneLine::new("bad\n\u{1b}[2Jthing").to_string(), "bad\\n\\u{1b}[2Jthing");
        let long = OneLine::new(&"x".repeat(OneLine::MAX_CHARACTERS + 1)).to_string();
        assert_eq!(long, "x".repeat(OneLine::MAX_CHARACTERS) + "...");
        assert_eq!(
            OneLine::new(&"x".repeat(OneLine::MAX_CHARACTERS)).to_string().len(),
            OneLine::MAX_CHARACTERS
        );
    }

    #[test]
    fn a_connection_that_breaks_is_told_by_what_had_come() {
        let endpoint: Endpoint = "http://h:1".parse().unwrap();
        let told = |progress, status: &Status| {
            Failure::of_call(&endpoint, Presented::NoKey, progress, status).to_string()
        };
        let broken = Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert!(told(Progress::Asked, &broken).contains("does not speak apigw's API"));
        assert!(told(Progress::Answering, &broken).contains("broke in the middle"));
        let said = Status::unknown("out of luck");
        assert!(told(Progress::Answering, &said).contains("says: out of luck"));
    }

    #[test]
    fn a_missing_key_and_a_wrong_key_are_told_apart() {
        let endpoint: Endpoint = "http://h:1".parse().unwrap();
        let told = |presented| {
            let status = Status::unauthenticated("no");
            Failure::of_call(&endpoint, presented, Progress::Asked, &status).to_string()
        };
        assert!(told(Presented::NoKey).contains("needs a key"));
        assert!(told(Presented::Key).contains("refused the key"));
    }
}
