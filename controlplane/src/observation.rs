//! What data planes can be asked for while they run, or asked to do: one kind of rows for each subject.
//!
//! A new subject is a variant here, and its kind of rows; how it is asked and gathered is the same for all. Nothing here
//! asks anybody.

use apigw_proto::v1::{self, observation::Answer, query::Question};
use prost::Message;

/// What a question, or its answer, is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The live state of each route.
    Limits,
    /// The providers of tokens and their keys.
    Auth,
    /// The endpoints of backends.
    Backends,
    /// The certificates in use.
    Certificates,
    /// Whether endpoints are given new requests.
    Drain,
}

impl Subject {
    /// What a question is about.
    pub(crate) fn of_question(question: &Question) -> Self {
        match question {
            Question::Limits(_) => Self::Limits,
            Question::Auth(_) => Self::Auth,
            Question::Backends(_) => Self::Backends,
            Question::Certificates(_) => Self::Certificates,
            Question::Drain(_) => Self::Drain,
        }
    }

    /// What an answer is about.
    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Limits(_) => Self::Limits,
            Answer::Auth(_) => Self::Auth,
            Answer::Backends(_) => Self::Backends,
            Answer::Certificates(_) => Self::Certificates,
            Answer::Drain(_) => Self::Drain,
        }
    }
}

/// A row of the answers to one subject.
pub(crate) trait Row: Message + Sized {
    /// The rows of an answer; none of one to another subject.
    fn rows(answer: Answer) -> Vec<Self>;

    /// The same row under the name by which the data plane is known here, whatever it calls itself.
    fn of_data_plane(self, name: String) -> Self;
}

impl Row for v1::RouteLimits {
    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Limits(page) => page.rows,
            _ => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::ProviderState {
    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Auth(page) => page.providers,
            _ => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::EndpointState {
    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Backends(page) => page.endpoints,
            _ => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::CertificateState {
    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Certificates(page) => page.certificates,
            _ => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::DrainOutcome {
    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Drain(page) => page.outcomes,
            _ => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        let endpoint = self.endpoint.map(|endpoint| endpoint.of_data_plane(name.clone()));
        Self { data_plane: name, endpoint, ..self }
    }
}
