//! What every answer on a route says besides what it answers, whoever answers: the upstream, or the gateway refusing.

use apigw_engine::{
    answer_changes::ReadyAnswerChanges, cors::Grant, fields::Fields, mode::JudgedMode, snapshot::Route,
};

use apigw_config::names::ContentCoding;

use super::{caller, counting::Count};
use crate::pieces;

/// Header fields that judgements leave for the answer. A policy in shadow mode leaves none: nobody is to notice it.
#[derive(Debug, Default)]
pub(crate) struct AnswerFields {
    grant: Option<Grant>,
    count: Option<Count>,
    changes: Option<ReadyAnswerChanges>,
    coding: Option<ContentCoding>,
}

impl AnswerFields {
    /// Keeps what a browser is to be told.
    pub(crate) fn set_grant(&mut self, grant: Grant) {
        self.grant = Some(grant);
    }

    /// Keeps how the request was counted.
    pub(crate) fn set_count(&mut self, count: Count) {
        self.count = Some(count);
    }

    /// Keeps what the route changes of every answer.
    pub(crate) fn set_changes(&mut self, changes: ReadyAnswerChanges) {
        self.changes = Some(changes);
    }

    /// Keeps in which coding the client likes an answer best; none: in none of the route's.
    pub(crate) fn set_coding(&mut self, coding: Option<ContentCoding>) {
        self.coding = coding;
    }

    /// The same.
    pub(crate) fn coding(&self) -> Option<ContentCoding> {
        self.coding
    }

    /// Puts the fields on an answer: the route's changes first, for what judgements say is not theirs to change; both over what the upstream may have said about the same.
    pub(crate) fn put_on(self, headers: &mut Fields, route: &Route<'_>) {
        if let Some(changes) = self.changes {
            changes.apply(headers);
        }
        let limit = route.policies.rate_limit.as_ref();
        if let Some(limit) = limit.filter(|limit| limit.mode() == JudgedMode::Enforce) {
            let fields = &limit.rules().headers;
            match &self.count {
                Some(Count { decision, by }) => {
                    fields.write(headers, *by, decision, caller::now, pieces::join);
                }
                None => fields.write_policy(headers),
            }
        }
        if let Some(grant) = self.grant {
            grant.put_on(headers);
        }
    }
}
