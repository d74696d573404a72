//! Answers to questions about live state, in messages that keep their limit. What is told is not known here.

use apigw_config::pages;
use apigw_proto::v1::{self, follow_request, observation::Answer, query::Question};
use prost::Message;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// The live state of each route.
    Limits,
    /// The providers of tokens and their keys.
    Auth,
    /// The endpoints of backends.
    Backends,
    /// The certificates in use.
    Certificates,
    /// That an endpoint is given no new requests, or some again.
    Drain(v1::DrainRequest),
}

impl From<&Question> for Subject {
    fn from(question: &Question) -> Self {
        match question {
            Question::Limits(_) => Self::Limits,
            Question::Auth(_) => Self::Auth,
            Question::Backends(_) => Self::Backends,
            Question::Certificates(_) => Self::Certificates,
            Question::Drain(request) => Self::Drain(request.clone()),
        }
    }
}

/// A row of an answer.
pub(super) trait Row: Message {
    /// An answer, or a part of it, of these rows.
    fn answer(rows: Vec<Self>) -> Answer
    where
        Self: Sized;
}

impl Row for v1::RouteLimits {
    fn answer(rows: Vec<Self>) -> Answer {
        Answer::Limits(v1::LimitsResponse { rows })
    }
}

impl Row for v1::ProviderState {
    fn answer(providers: Vec<Self>) -> Answer {
        Answer::Auth(v1::AuthResponse { providers })
    }
}

impl Row for v1::EndpointState {
    fn answer(endpoints: Vec<Self>) -> Answer {
        Answer::Backends(v1::BackendsResponse { endpoints })
    }
}

impl Row for v1::CertificateState {
    fn answer(certificates: Vec<Self>) -> Answer {
        Answer::Certificates(v1::CertificatesResponse { certificates })
    }
}

impl Row for v1::DrainOutcome {
    fn answer(outcomes: Vec<Self>) -> Answer {
        Answer::Drain(v1::DrainResponse { outcomes })
    }
}

/// The answer to a question, in as many messages as it takes; the last one is empty.
pub(super) fn observations<R: Row>(query: u64, rows: Vec<R>) -> impl Iterator<Item = v1::FollowRequest> {
    let observation = move |rows, last| of(v1::Observation { query, answer: Some(R::answer(rows)), last });
    let pages = pages::pages(rows).map(move |page| observation(page, false));
    pages.chain(std::iter::once_with(move || observation(Vec::new(), true)))
}

/// The answer to a question of a newer control plane: there is one, but nothing in it.
pub(super) fn unknown(query: u64) -> v1::FollowRequest {
    of(v1::Observation { query, answer: None, last: true })
}

fn of(observation: v1::Observation) -> v1::FollowRequest {
    v1::FollowRequest { message: Some(follow_request::Message::Observation(observation)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all messages say, each of which is legal, names its question and says whether it is the last.
    fn answers<R: Row>(rows: Vec<R>) -> Vec<Answer> {
        let messages: Vec<_> = observations(7, rows).collect();
        let count = messages.len();
        let answer = |(index, message): (usize, v1::FollowRequest)| {
            assert!(message.encoded_len() <= apigw_proto::MAX_MESSAGE_BYTES);
            let Some(follow_request::Message::Observation(observation)) = message.message else {
                unreachable!("observations are made of observations")
            };
            assert_eq!((observation.query, observation.last), (7, index + 1 == count));
            observation.answer.unwrap()
        };
        messages.into_iter().enumerate().map(answer).collect()
    }

    #[test]
    fn limits_are_told_in_pages_with_an_end() {
        let row = v1::RouteLimits { route: "r".repeat(200), ..v1::RouteLimits::default() };
        let answers = answers(vec![row; 20_000]);
        assert!(answers.len() > 4, "4 MB are several messages");
        let rows = answers.into_iter().map(|answer| match answer {
            Answer::Limits(page) => page.rows.len(),
            other => panic!("it was not asked for: {other:?}"),
        });
        assert_eq!(rows.sum::<usize>(), 20_000);
    }

    #[test]
    fn providers_are_told_as_providers() {
        let row = v1::ProviderState { provider: "staff".into(), ..v1::ProviderState::default() };
        let page = |providers| Answer::Auth(v1::AuthResponse { providers });
        assert_eq!(answers(vec![row.clone()]), [page(vec![row]), page(vec![])]);
    }
}
