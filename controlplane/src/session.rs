//! One data plane's stream as a state machine: messages in, messages out, no I/O and no clock.
//!
//! The stream's task ([`crate::delivery`]) reads the Hello, makes a session of it, and then only carries: what arrives to
//! [`Session::receive`], a new revision to [`Session::publish`], what [`Session::next_message`] makes to the data plane.
//! Messages are made one at a time, when there is room to send one, so that a push of any size holds no more than one.
//!
//! | state        | is left by                   | NeedLeaves                | Need                         | Report on this push         |
//! |--------------|------------------------------|---------------------------|------------------------------|-----------------------------|
//! | Settled      | a wanted revision: Offering  | breach                    | breach                       | breach                      |
//! | Offering     | the Offer: Offered           | breach                    | breach                       | breach                      |
//! | Offered      | a NeedLeaves                 | Listing; Listed if empty  | breach                       | rejected: Settled           |
//! | Listing      | the last Leaves: Listed      | breach                    | breach                       | rejected: Settled           |
//! | Listed       | a Need                       | breach                    | Sending; Delivered if empty  | rejected: Settled           |
//! | Sending      | the last Chunk: Delivered    | breach                    | breach                       | rejected: Settled           |
//! | Delivered    | a Report, or a further Need  | breach                    | Sending, for higher indexes  | applied, rejected: Settled  |
//!
//! A newer revision supersedes: from Offered on, the push ends here and the next one starts in Offering at once, while the
//! Report on the one before is still awaited. Until it came, a still newer one waits. What a data plane may have said
//! before it saw the new Offer (what it needs or any Report of the superseded push) is taken as what it is; every other
//! disorder ends the stream.

/// One revision on its way.
mod push;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use apigw_config::{
    pages,
    wire::{Hash, IdentityError, Revision},
};
use apigw_proto::v1::{self, follow_request, follow_response, query::Question};

use self::push::Push;
use crate::{observation::Subject, publication::Published};

/// The most questions that one data plane has not answered yet.
pub(crate) const MAX_OPEN_QUERIES: usize = 16;

/// What a peer did that the protocol does not allow. The stream ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    #[error("a message without content, or of a kind unknown to this control plane")]
    Empty,
    #[error("a second Hello")]
    SecondHello,
    #[error("a Need that no offer asked for")]
    UnaskedNeed,
    #[error("a Need whose indexes are not ascending, or were needed before")]
    UnorderedNeed,
    #[error("a Need for resource {index} of {count}")]
    NeedBeyondOffer { index: u32, count: usize },
    #[error("a Need for leaf {index} of {count}")]
    NeedBeyondLeaves { index: u32, count: usize },
    #[error("a Report on a revision that is not under way")]
    UnaskedReport,
    #[error("a Report without a known outcome")]
    UnknownOutcome,
    #[error("applied was reported before everything was delivered")]
    AppliedTooEarly,
    #[error("superseded was reported, but nothing newer was offered")]
    SupersededByNothing,
    #[error("rejected was reported without a problem")]
    RejectedWithoutProblem,
    #[error("a Report with {count} problems, more than {}", pages::MAX_PROBLEMS)]
    TooManyProblems { count: usize },
    #[error("an address to listen on of {length} bytes")]
    LongListenAddress { length: usize },
    #[error("an Observation that nobody asked for")]
    UnaskedObservation,
    #[error("an Observation of something else than was asked for")]
    OtherObservation,
    #[error("no revision: {0}")]
    Revision(#[from] IdentityError),
    #[error("a message without its revision")]
    RevisionMissing,
}

/// What a message of the data plane tells the control plane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Nothing beyond the stream.
    Nothing,
    /// An offer has ended.
    Ended(Ending),
    /// A page of an answer; none: the data plane does not know the question.
    Observed { query: u64, page: Option<v1::observation::Answer>, last: bool },
}

/// How an offer ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ending {
    pub(crate) revision: Revision,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Applied { listen_address: String, applied_at_ms: u64 },
    Rejected { problems: Vec<v1::Problem> },
    Superseded,
}

/// The stream of one data plane after its Hello.
#[derive(Debug)]
pub(crate) struct Session {
    newest: Option<Arc<Published>>,
    running: Option<Revision>,
    /// What this data plane has rejected, as long as it is what should run.
    refused: Option<Hash>,
    push: Option<Push>,
    /// A push before this one, whose Report has not come yet.
    superseded: Option<Revision>,
    /// Questions to be sent.
    questions: VecDeque<(u64, Question)>,
    /// Questions to be answered.
    open: BTreeMap<u64, Subject>,
    next_query: u64,
}

impl Session {
    /// Of a data plane that runs `running` and, in this process of its, has rejected `refused`.
    pub(crate) fn new(
        running: Option<Revision>,
        refused: Option<Hash>,
        newest: Option<Arc<Published>>,
    ) -> Self {
        let mut session = Self {
            newest: None,
            running,
            refused,
            push: None,
            superseded: None,
            questions: VecDeque::new(),
            open: BTreeMap::new(),
            next_query: 1,
        };
        session.publish(newest);
        session
    }

    /// Takes note of what should run now.
    pub(crate) fn publish(&mut self, newest: Option<Arc<Published>>) {
        self.newest = newest;
        if self.refused != self.newest.as_ref().map(|newest| newest.revision().root_hash) {
            self.refused = None;
        }
        self.advance();
    }

    /// Asks for live state, or for a change of it. None when too many questions are open already.
    pub(crate) fn ask(&mut self, question: Question) -> Option<u64> {
        if self.open.len() >= MAX_OPEN_QUERIES {
            return None;
        }
        let query = self.next_query;
        self.next_query += 1;
        self.open.insert(query, Subject::of_question(&question));
        self.questions.push_back((query, question));
        Some(query)
    }

    /// Whether [`Self::next_message`] would make one.
    pub(crate) fn has_message(&self) -> bool {
        !self.questions.is_empty() || self.push.as_ref().is_some_and(Push::has_message)
    }

    /// The next message to the data plane, if there is one to send.
    pub(crate) fn next_message(&mut self) -> Option<v1::FollowResponse> {
        let message = match self.questions.pop_front() {
            Some((id, question)) => {
                follow_response::Message::Query(v1::Query { id, question: Some(question) })
            }
            None => self.push.as_mut()?.next_message()?,
        };
        Some(v1::FollowResponse { message: Some(message) })
    }

    /// Takes a message of the data plane.
    pub(crate) fn receive(&mut self, request: v1::FollowRequest) -> Result<Event, Breach> {
        match request.message.ok_or(Breach::Empty)? {
            follow_request::Message::Hello(_) => Err(Breach::SecondHello),
            follow_request::Message::NeedLeaves(need) => {
                self.needed(need.revision, |push| push.need_leaves(need.indexes))
            }
            follow_request::Message::Need(need) => self.needed(need.revision, |push| push.need(need.indexes)),
            follow_request::Message::Report(report) => self.report(report),
            follow_request::Message::Observation(observation) => self.observed(observation),
        }
    }

    /// Takes what the data plane needs of a push.
    fn needed(
        &mut self,
        revision: Option<v1::Revision>,
        take: impl FnOnce(&mut Push) -> Result<(), Breach>,
    ) -> Result<Event, Breach> {
        let revision = required(revision)?;
        if self.superseded == Some(revision) {
            return Ok(Event::Nothing);
        }
        let push = self.push.as_mut().filter(|push| push.published.revision() == revision);
        take(push.ok_or(Breach::UnaskedNeed)?)?;
        Ok(Event::Nothing)
    }

    fn report(&mut self, report: v1::Report) -> Result<Event, Breach> {
        let outcome = report.outcome();
        let revision = required(report.revision)?;
        let of_superseded = self.superseded == Some(revision);
        if !of_superseded {
            let push = self.push.as_ref().filter(|push| push.published.revision() == revision);
            // Reports come in the order of the offers.
            push.filter(|_| self.superseded.is_none()).ok_or(Breach::UnaskedReport)?.may_end(outcome)?;
        }
        let outcome = match outcome {
            v1::Outcome::Unspecified => return Err(Breach::UnknownOutcome),
            v1::Outcome::Applied => applied(report.listen_address, report.applied_at_ms)?,
            v1::Outcome::Rejected => rejected(report.problems)?,
            v1::Outcome::Superseded => Outcome::Superseded,
        };
        match outcome {
            Outcome::Applied { .. } => self.running = Some(revision),
            Outcome::Rejected { .. } => self.refused = self.refused_by(revision),
            Outcome::Superseded => {}
        }
        if of_superseded {
            self.superseded = None;
        } else {
            self.push = None;
        }
        self.advance();
        Ok(Event::Ended(Ending { revision, outcome }))
    }

    /// A rejected hash matters only while it is what should run.
    fn refused_by(&self, rejected: Revision) -> Option<Hash> {
        let wanted = self.newest.as_ref().map(|newest| newest.revision().root_hash);
        wanted.filter(|hash| *hash == rejected.root_hash).or(self.refused)
    }

    fn observed(&mut self, observation: v1::Observation) -> Result<Event, Breach> {
        let v1::Observation { query, answer, last } = observation;
        let subject = *self.open.get(&query).ok_or(Breach::UnaskedObservation)?;
        if answer.as_ref().is_some_and(|answer| Subject::of(answer) != subject) {
            return Err(Breach::OtherObservation);
        }
        if last {
            self.open.remove(&query);
        }
        Ok(Event::Observed { query, page: answer, last })
    }

    /// Starts the push of what should run, or lets it supersede the one under way.
    fn advance(&mut self) {
        let Some(newest) = self.newest.as_ref().filter(|newest| self.wants(newest.revision())) else {
            return;
        };
        match &self.push {
            Some(push) if push.published.revision() == newest.revision() => return,
            // The data plane has not heard of it: nothing is superseded.
            None => {}
            Some(push) if !push.is_offered() => {}
            Some(push) if self.superseded.is_none() => self.superseded = Some(push.published.revision()),
            // One more Report is owed before another push may be left behind.
            Some(_) => return,
        }
        self.push = Some(Push::new(Arc::clone(newest)));
    }

    /// It refuses what does not follow what it runs; [`crate::publication`] sees to it that something does.
    fn wants(&self, revision: Revision) -> bool {
        let follows = self.running.is_none_or(|running| revision.is_newer_than(&running));
        follows && self.refused != Some(revision.root_hash)
    }
}

fn required(revision: Option<v1::Revision>) -> Result<Revision, Breach> {
    Ok(revision.ok_or(Breach::RevisionMissing)?.try_into()?)
}

fn applied(listen_address: String, applied_at_ms: u64) -> Result<Outcome, Breach> {
    let length = listen_address.len();
    if length > crate::greeting::MAX_TEXT_BYTES {
        return Err(Breach::LongListenAddress { length });
    }
    Ok(Outcome::Applied { listen_address, applied_at_ms })
}

fn rejected(problems: Vec<v1::Problem>) -> Result<Outcome, Breach> {
    match problems.len() {
        0 => Err(Breach::RejectedWithoutProblem),
        count if count > pages::MAX_PROBLEMS => Err(Breach::TooManyProblems { count }),
        _ => Ok(Outcome::Rejected { problems }),
    }
}

#[cfg(test)]
mod tests;
