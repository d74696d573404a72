//! What data planes can be asked for while they run: one kind of rows for each subject.
//!
//! A new subject is a variant here, and its kind of rows; how it is asked and gathered is the same for all. Nothing here
//! asks anybody.

use apigw_proto::v1::{self, observation::Answer, query::Question};
use prost::Message;

/// What a question is about.
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
}

impl Subject {
    /// The question, as it is put to a data plane.
    pub(crate) fn question(self) -> Question {
        match self {
            Self::Limits => Question::Limits(v1::LimitsRequest {}),
            Self::Auth => Question::Auth(v1::AuthRequest {}),
            Self::Backends => Question::Backends(v1::BackendsRequest {}),
            Self::Certificates => Question::Certificates(v1::CertificatesRequest {}),
        }
    }

    /// What an answer is about.
    pub(crate) fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Limits(_) => Self::Limits,
            Answer::Auth(_) => Self::Auth,
            Answer::Backends(_) => Self::Backends,
            Answer::Certificates(_) => Self::Certificates,
        }
    }
}

/// A row of the answers to one subject.
pub(crate) trait Row: Message + Sized {
    const SUBJECT: Subject;

    /// The rows of an answer; none of one to another subject.
    fn rows(answer: Answer) -> Vec<Self>;

    /// The same row under the name by which the data plane is known here, whatever it calls itself.
    fn of_data_plane(self, name: String) -> Self;
}

impl Row for v1::RouteLimits {
    const SUBJECT: Subject = Subject::Limits;

    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Limits(page) => page.rows,
            Answer::Auth(_) | Answer::Backends(_) | Answer::Certificates(_) => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::ProviderState {
    const SUBJECT: Subject = Subject::Auth;

    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Auth(page) => page.providers,
            Answer::Limits(_) | Answer::Backends(_) | Answer::Certificates(_) => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::EndpointState {
    const SUBJECT: Subject = Subject::Backends;

    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Backends(page) => page.endpoints,
            Answer::Limits(_) | Answer::Auth(_) | Answer::Certificates(_) => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}

impl Row for v1::CertificateState {
    const SUBJECT: Subject = Subject::Certificates;

    fn rows(answer: Answer) -> Vec<Self> {
        match answer {
            Answer::Certificates(page) => page.certificates,
            Answer::Limits(_) | Answer::Auth(_) | Answer::Backends(_) => Vec::new(),
        }
    }

    fn of_data_plane(self, name: String) -> Self {
        Self { data_plane: name, ..self }
    }
}
