//! The data plane's side of a stream as a state machine: messages in, messages out, no I/O and no clock.
//!
//! [`Session::receive`] takes a message and says what to do: messages to send, a configuration to apply, a question to
//! answer, in that order. Applying happens outside; [`Session::conclude`] makes the report of it.
//!
//! | state    | Offer                               | Leaves                         | Chunk                          |
//! |----------|-------------------------------------|--------------------------------|--------------------------------|
//! | Settled  | Listing (NeedLeaves)                | breach                         | breach                         |
//! | Refused  | Listing (NeedLeaves)                | passed over                    | passed over                    |
//! | Listing  | superseded, Listing (NeedLeaves)    | the last one: Fetching (Need)  | breach                         |
//! | Fetching | superseded, Listing (NeedLeaves)    | breach                         | the last one: Settled (apply)  |
//!
//! A state that has nothing to wait for is passed through at once: an offer whose leaves are all here is answered by
//! NeedLeaves and Need, and applied when no resource is missing either. What had come of a push that was superseded, or
//! whose stream broke, is kept for the next one.
//!
//! An offer that is older than what runs is refused, and so is another content under the number of what runs: a control
//! plane that lost count learns so from the Hello, and counts on from there, before it offers anything.
//!
//! A refused offer is reported at once, and what was under way of it then passes by in Refused. Whatever else comes out
//! of order is a breach: this side ends the stream, and dials again.

use apigw_config::{
    pages,
    problem::Problem,
    wire::{Content, IdentityError, Revision, features},
};
use apigw_proto::v1::{self, follow_request, follow_response};

use super::{
    Applied, Held,
    assembly::{Candidate, Fetch, Holdings, Listing, of_delivery},
    observing::{self, Subject},
};

/// What a control plane did that the protocol does not allow. The stream ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Breach {
    #[error("the control plane sent a message without content, or of an unknown kind")]
    Empty,
    #[error("the control plane sent an offer without a revision")]
    RevisionMissing,
    #[error("the control plane offered no revision: {0}")]
    Revision(#[from] IdentityError),
    #[error("the control plane sent leaves that were not needed")]
    UnaskedLeaves,
    #[error("the control plane sent resources that were not needed")]
    UnaskedChunk,
    #[error("the control plane sent a chunk or a list without content")]
    Void,
}

/// What is to be done about a message.
#[derive(Debug)]
pub(super) enum Reaction {
    Send(v1::FollowRequest),
    /// To be reported: this offer is not brought into force.
    Refuse(Revision, Vec<Problem>),
    /// To be brought into force, and then concluded.
    Apply(Box<Candidate>),
    /// Live state is asked for; the answer has the question's number.
    Observe {
        query: u64,
        subject: Subject,
    },
}

/// What this data plane runs, and what is on its way; nothing of both to begin with.
#[derive(Debug, Default)]
pub(super) struct Session {
    running: Option<Revision>,
    source: v1::ConfigSource,
    /// What is told of `running`.
    applied: Applied,
    /// What `running` was made of, and what came of pushes since.
    holdings: Holdings,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Settled,
    Refused,
    Listing(Listing),
    Fetching(Fetch),
}

impl Session {
    /// Of a data plane that runs what it had kept.
    pub(super) fn resuming(held: Held) -> Self {
        let mut session = Self::default();
        session.hold(held);
        session
    }

    /// Takes note of what runs although it was not offered.
    pub(super) fn hold(&mut self, held: Held) {
        let Held { revision, content, source, applied } = held;
        self.running = Some(revision);
        self.source = source;
        self.applied = applied;
        self.holdings = Holdings::of(content);
    }

    /// Begins a new stream: what was under way on the one before is over, but what had come of it need not come again.
    pub(super) fn restart(&mut self) {
        self.break_off();
    }

    pub(super) fn running(&self) -> Option<Revision> {
        self.running
    }

    /// Where what runs came from.
    pub(super) fn source(&self) -> v1::ConfigSource {
        self.source
    }

    pub(super) fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Takes a message of the control plane.
    pub(super) fn receive(&mut self, response: v1::FollowResponse) -> Result<Vec<Reaction>, Breach> {
        match response.message.ok_or(Breach::Empty)? {
            follow_response::Message::Offer(offer) => self.offered(offer),
            follow_response::Message::Leaves(leaves) => self.listed(leaves.leaves),
            follow_response::Message::Chunk(chunk) => self.delivered(chunk),
            follow_response::Message::Query(query) => Ok(vec![asked(&query)]),
        }
    }

    /// Takes note of what came of a candidate, and makes the report of it.
    pub(super) fn conclude(
        &mut self,
        candidate: Revision,
        content: Content,
        outcome: Result<Applied, Vec<Problem>>,
    ) -> v1::FollowRequest {
        match outcome {
            Ok(applied) => {
                self.running = Some(candidate);
                self.source = v1::ConfigSource::Stream;
                self.holdings = Holdings::of(content);
                self.applied = applied.clone();
                let Applied { listen_address, applied_at_ms } = applied;
                let report = report(candidate, v1::Outcome::Applied);
                let report = v1::Report { listen_address, applied_at_ms, ..report };
                request(follow_request::Message::Report(report))
            }
            Err(problems) => rejected(candidate, &problems),
        }
    }

    fn offered(&mut self, offer: v1::Offer) -> Result<Vec<Reaction>, Breach> {
        let revision = Revision::try_from(offer.revision.ok_or(Breach::RevisionMissing)?)?;
        let mut reactions = Vec::new();
        if let Some(superseded) = self.break_off() {
            let report = report(superseded, v1::Outcome::Superseded);
            reactions.push(Reaction::Send(request(follow_request::Message::Report(report))));
        }
        let mut problems = unknown_features(&offer.required_features);
        problems.extend(self.running.and_then(|running| out_of_order(revision, running)));
        if !problems.is_empty() {
            reactions.push(self.refuse(revision, problems));
            return Ok(reactions);
        }
        match Listing::new(revision, &offer.leaf_hashes, &self.holdings) {
            Ok(listing) => {
                let indexes = listing.missing().to_vec();
                let need = v1::NeedLeaves { revision: Some(revision.into()), indexes };
                reactions.push(Reaction::Send(request(follow_request::Message::NeedLeaves(need))));
                reactions.extend(self.list(listing));
            }
            Err(refusal) => reactions.push(self.refuse(revision, refusal)),
        }
        Ok(reactions)
    }

    /// Ends what is under way, and keeps what had come of it. Gives what it was.
    fn break_off(&mut self) -> Option<Revision> {
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Settled | State::Refused => None,
            State::Listing(listing) => {
                let revision = listing.revision();
                self.holdings.keep_listing(listing);
                Some(revision)
            }
            State::Fetching(fetch) => {
                let revision = fetch.revision();
                self.holdings.keep_fetch(fetch);
                Some(revision)
            }
        }
    }

    fn listed(&mut self, leaves: Vec<v1::Leaf>) -> Result<Vec<Reaction>, Breach> {
        if leaves.is_empty() {
            return Err(Breach::Void);
        }
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Listing(mut listing) => Ok(match listing.extend(leaves) {
                Ok(()) => self.list(listing),
                Err(refusal) => vec![self.refuse(listing.revision(), refusal)],
            }),
            State::Refused => {
                self.state = State::Refused;
                Ok(Vec::new())
            }
            State::Settled | State::Fetching(_) => Err(Breach::UnaskedLeaves),
        }
    }

    /// Waits for more leaves, or needs the resources of those that are here.
    fn list(&mut self, listing: Listing) -> Vec<Reaction> {
        if !listing.is_whole() {
            self.state = State::Listing(listing);
            return Vec::new();
        }
        let mut fetch = listing.fetch(&self.holdings);
        let mut reactions = vec![Reaction::Send(needed(&mut fetch))];
        reactions.extend(self.go_on(fetch));
        reactions
    }

    fn delivered(&mut self, chunk: v1::Chunk) -> Result<Vec<Reaction>, Breach> {
        if chunk.resources.is_empty() {
            return Err(Breach::Void);
        }
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Fetching(mut fetch) => {
                let revision = fetch.revision();
                Ok(match fetch.extend(chunk.resources) {
                    Ok(()) if fetch.is_met() && !fetch.is_whole() => {
                        let need = Reaction::Send(needed(&mut fetch));
                        self.state = State::Fetching(fetch);
                        vec![need]
                    }
                    Ok(()) => self.go_on(fetch).into_iter().collect(),
                    Err(refusal) => vec![self.refuse(revision, refusal)],
                })
            }
            State::Refused => {
                self.state = State::Refused;
                Ok(Vec::new())
            }
            State::Settled | State::Listing(_) => Err(Breach::UnaskedChunk),
        }
    }

    /// Waits for more, or makes a candidate of what is whole.
    fn go_on(&mut self, fetch: Fetch) -> Option<Reaction> {
        if !fetch.is_whole() {
            self.state = State::Fetching(fetch);
            return None;
        }
        let revision = fetch.revision();
        Some(match fetch.finish(&self.holdings) {
            Ok(candidate) => Reaction::Apply(Box::new(candidate)),
            Err(refusal) => self.refuse(revision, refusal),
        })
    }

    fn refuse(&mut self, revision: Revision, problems: impl Into<Vec<Problem>>) -> Reaction {
        self.state = State::Refused;
        Reaction::Refuse(revision, problems.into())
    }
}

/// Why an offer does not follow what runs. Whoever sends it does not know of a later publication, or counts like another
/// control plane does; either way the operators' last word may be what runs.
fn out_of_order(offered: Revision, running: Revision) -> Option<Problem> {
    let number = |revision: Revision| format!("{}.{}", revision.epoch, revision.seq);
    if offered == running || offered.is_newer_than(&running) {
        return None;
    }
    let (older, newer) = (number(offered), number(running));
    Some(of_delivery(if older == newer {
        format!("revision {newer} runs with another content than is offered under the same number")
    } else {
        format!("revision {older} is older than {newer}, which runs")
    }))
}

/// What this build would pass over, were it to run the configuration.
pub(crate) fn unknown_features(required: &[String]) -> Vec<Problem> {
    let unknown = required.iter().filter(|name| !features::is_known(name));
    let problem = |name: &String| {
        let version = env!("CARGO_PKG_VERSION");
        of_delivery(format!("this build ({version}) does not enforce {name:?}, which the configuration uses"))
    };
    unknown.map(problem).collect()
}

fn asked(query: &v1::Query) -> Reaction {
    match &query.question {
        Some(question) => Reaction::Observe { query: query.id, subject: question.into() },
        None => Reaction::Send(observing::unknown(query.id)),
    }
}

fn needed(fetch: &mut Fetch) -> v1::FollowRequest {
    let need = v1::Need { revision: Some(fetch.revision().into()), indexes: fetch.need() };
    request(follow_request::Message::Need(need))
}

/// The report of an offer that is not in force, with as many problems as a message holds.
pub(super) fn rejected(revision: Revision, problems: &[Problem]) -> v1::FollowRequest {
    let problems = pages::leading_problems(problems);
    let report = v1::Report { problems, ..report(revision, v1::Outcome::Rejected) };
    request(follow_request::Message::Report(report))
}

fn report(revision: Revision, outcome: v1::Outcome) -> v1::Report {
    v1::Report { revision: Some(revision.into()), outcome: outcome.into(), ..v1::Report::default() }
}

fn request(message: follow_request::Message) -> v1::FollowRequest {
    v1::FollowRequest { message: Some(message) }
}

#[cfg(test)]
mod tests;
