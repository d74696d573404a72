//! What is known of each data plane: who it is, what it runs, what it refused.
//!
//! The fleet only remembers. It sends nothing, and what it says of a data plane is what that data plane said last.
//! Connected ones are as many as there may be streams; of those that went, the last [`MAX_DEPARTED`] are remembered.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use apigw_config::wire::{Hash, Revision};
use apigw_proto::v1::{self, query};
use tokio::sync::{mpsc, watch};

use crate::{
    greeting::{DataPlaneName, Greeting},
    session::{Ending, Outcome},
};

/// The most data planes that are remembered after they went; the one that went first is forgotten first.
pub(crate) const MAX_DEPARTED: usize = 1_000;

/// A connection of a data plane. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(u64);

/// Somebody wants to know the live state of a data plane, or have some of it changed. The sender is dropped when no answer will come (any more).
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: query::Question,
    pub(crate) answers: mpsc::Sender<Answer>,
}

/// A part of the answer to a question.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) from: MemberId,
    /// None: the data plane does not know the question.
    pub(crate) page: Option<v1::observation::Answer>,
    pub(crate) last: bool,
}

/// Whom a question can be put to.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: MemberId,
    pub(crate) name: DataPlaneName,
    pub(crate) questions: mpsc::Sender<Question>,
}

/// All data planes, connected and gone.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    registry: Mutex<Registry>,
    newest_running: watch::Sender<Option<Revision>>,
}

#[derive(Debug, Default)]
struct Registry {
    connected: BTreeMap<MemberId, Connected>,
    departed: VecDeque<Member>,
    next_id: u64,
}

#[derive(Debug)]
struct Connected {
    member: Member,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Member {
    greeting: Greeting,
    refused: Option<Refused>,
}

/// What a data plane could not run.
#[derive(Debug)]
struct Refused {
    hash: Hash,
    problems: Vec<v1::Problem>,
}

/// A data plane's place in the fleet, for as long as its stream lasts; dropping it is how the data plane goes.
#[derive(Debug)]
pub(crate) struct Membership {
    fleet: Arc<Fleet>,
    id: MemberId,
}

impl Fleet {
    /// Takes a data plane in, in place of what is remembered of it.
    ///
    /// A process has one stream: when the same one is still connected, its other stream is a dead one that was not
    /// noticed yet. That one's questions end, by which its task knows. Returned with the place is what this process has
    /// rejected before.
    pub(crate) fn join(
        self: &Arc<Self>,
        greeting: Greeting,
        questions: mpsc::Sender<Question>,
    ) -> (Membership, Option<Hash>) {
        self.newest_running.send_if_modified(|newest| {
            // Two of one number may have different contents: both count.
            let is_news = |running: &Revision| {
                newest.is_none_or(|newest| newest != *running && !newest.is_newer_than(running))
            };
            greeting.running.filter(is_news).map(|running| *newest = Some(running)).is_some()
        });
        let mut registry = self.lock();
        registry.retire(|member| member.is_same_process(&greeting));
        let former = registry.recall(&greeting);
        let refused =
            former.filter(|member| member.is_same_process(&greeting)).and_then(|member| member.refused);
        let hash = refused.as_ref().map(|refused| refused.hash);
        registry.next_id += 1;
        let id = MemberId(registry.next_id);
        registry.connected.insert(id, Connected { member: Member { greeting, refused }, questions });
        (Membership { fleet: Arc::clone(self), id }, hash)
    }

    /// The latest revision that a data plane ran when it connected.
    pub(crate) fn newest_running(&self) -> watch::Receiver<Option<Revision>> {
        self.newest_running.subscribe()
    }

    /// What there is to say of each data plane, by name; `newest` is what they should run.
    pub(crate) fn statuses(&self, newest: Option<Revision>) -> Vec<v1::DataPlaneStatus> {
        let registry = self.lock();
        let connected = registry.connected.values().map(|connected| {
            let member = &connected.member;
            member.status(member.state(newest))
        });
        let departed = registry.departed.iter().map(|member| member.status(v1::DataPlaneState::Disconnected));
        let mut statuses: Vec<_> = connected.chain(departed).collect();
        statuses.sort_by(|a, b| a.id.cmp(&b.id));
        statuses
    }

    /// The connected ones, by name.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        let registry = self.lock();
        let listener = |(id, connected): (&MemberId, &Connected)| Listener {
            id: *id,
            name: connected.member.greeting.name.clone(),
            questions: connected.questions.clone(),
        };
        let mut listeners: Vec<_> = registry.connected.iter().map(listener).collect();
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        listeners
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Every change of the registry is complete before anything in it can panic.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Moves connected ones to those that are remembered.
    fn retire(&mut self, is_meant: impl Fn(&Member) -> bool) {
        let meant: Vec<_> =
            self.connected.extract_if(.., |_, connected| is_meant(&connected.member)).collect();
        meant.into_iter().for_each(|(_, connected)| self.remember(connected.member));
    }

    fn remember(&mut self, member: Member) {
        if self.departed.len() == MAX_DEPARTED {
            self.departed.pop_front();
        }
        self.departed.push_back(member);
    }

    /// Takes out what is remembered of a data plane: of this very process if it is there, else of that name.
    fn recall(&mut self, greeting: &Greeting) -> Option<Member> {
        let same_process = self.departed.iter().position(|member| member.is_same_process(greeting));
        let same_name = || self.departed.iter().position(|member| member.greeting.name == greeting.name);
        self.departed.remove(same_process.or_else(same_name)?)
    }
}

impl Member {
    fn is_same_process(&self, greeting: &Greeting) -> bool {
        self.greeting.name == greeting.name && self.greeting.instance == greeting.instance
    }

    fn state(&self, newest: Option<Revision>) -> v1::DataPlaneState {
        let refused = self.refused.as_ref().map(|refused| refused.hash);
        match newest {
            Some(newest) if self.greeting.running == Some(newest) => v1::DataPlaneState::InSync,
            Some(newest) if refused == Some(newest.root_hash) => v1::DataPlaneState::Rejected,
            _ => v1::DataPlaneState::Updating,
        }
    }

    fn status(&self, state: v1::DataPlaneState) -> v1::DataPlaneStatus {
        let Greeting { name, instance: _, version, listen_address, running, source, applied_at_ms } =
            &self.greeting;
        let problems = match state {
            v1::DataPlaneState::Rejected => self.refused.as_ref().map(|refused| refused.problems.clone()),
            _ => None,
        };
        v1::DataPlaneStatus {
            id: name.to_string(),
            version: version.clone(),
            listen_address: listen_address.clone(),
            state: state.into(),
            revision: running.map(v1::Revision::from),
            source: (*source).into(),
            problems: problems.unwrap_or_default(),
            applied_at_ms: *applied_at_ms,
        }
    }
}

impl Membership {
    pub(crate) fn id(&self) -> MemberId {
        self.id
    }

    /// Takes note of how an offer ended.
    pub(crate) fn record(&self, ending: &Ending) {
        let mut registry = self.fleet.lock();
        let Some(Connected { member, .. }) = registry.connected.get_mut(&self.id) else {
            return;
        };
        match &ending.outcome {
            Outcome::Applied { listen_address, applied_at_ms } => {
                member.greeting.running = Some(ending.revision);
                member.greeting.source = v1::ConfigSource::Stream;
                member.greeting.listen_address.clone_from(listen_address);
                member.greeting.applied_at_ms = *applied_at_ms;
                member.refused = None;
            }
            Outcome::Rejected { problems } => {
                member.refused =
                    Some(Refused { hash: ending.revision.root_hash, problems: problems.clone() });
            }
            Outcome::Superseded => {}
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut registry = self.fleet.lock();
        if let Some(connected) = registry.connected.remove(&self.id) {
            registry.remember(connected.member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::greeting::tests::greeting;

    fn revision(seq: u64, content: &str) -> Revision {
        Revision { epoch: 1, seq, root_hash: Hash::of(content.as_bytes()) }
    }

    fn join(fleet: &Arc<Fleet>, name: &str, instance: u64) -> (Membership, mpsc::Receiver<Question>) {
        let (questions, receiver) = mpsc::channel(1);
        (fleet.join(greeting(name, instance), questions).0, receiver)
    }

    fn states(fleet: &Fleet, newest: Option<Revision>) -> Vec<(String, v1::DataPlaneState)> {
        let statuses = fleet.statuses(newest);
        statuses.into_iter().map(|status| (status.id.clone(), status.state())).collect()
    }

    fn applied() -> Outcome {
        Outcome::Applied { listen_address: "127.0.0.1:8080".into(), applied_at_ms: 7 }
    }

    fn rejected() -> Outcome {
        Outcome::Rejected {
            problems: vec![v1::Problem { message: "port taken".into(), ..v1::Problem::default() }],
        }
    }

    #[test]
    fn state_follows_what_is_wanted_and_what_was_reported() {
        let fleet = Arc::new(Fleet::default());
        let (member, _questions) = join(&fleet, "a", 1);
        let (good, bad) = (revision(1, "good"), revision(2, "bad"));
        let state = |newest| states(&fleet, newest)[0].1;
        assert_eq!(state(None), v1::DataPlaneState::Updating);
        assert_eq!(state(Some(good)), v1::DataPlaneState::Updating);
        member.record(&Ending { revision: good, outcome: applied() });
        assert_eq!(state(Some(good)), v1::DataPlaneState::InSync);
        assert_eq!(state(Some(bad)), v1::DataPlaneState::Updating);
        member.record(&Ending { revision: bad, outcome: rejected() });
        assert_eq!(state(Some(bad)), v1::DataPlaneState::Rejected);
        let status = &fleet.statuses(Some(bad))[0];
        assert_eq!(status.problems[0].message, "port taken");
        assert_eq!(status.revision, Some(good.into()), "it still runs what it ran");
        assert_eq!(status.applied_at_ms, 7);
        assert_eq!(state(Some(revision(3, "good"))), v1::DataPlaneState::Updating);
        assert!(fleet.statuses(Some(revision(3, "good")))[0].problems.is_empty());
    }

    #[test]
    fn a_reconnect_replaces_the_disconnected_entry() {
        let fleet = Arc::new(Fleet::default());
        drop(join(&fleet, "a", 1));
        assert_eq!(states(&fleet, None), [("a".into(), v1::DataPlaneState::Disconnected)]);
        let _restarted = join(&fleet, "a", 2);
        assert_eq!(states(&fleet, None), [("a".into(), v1::DataPlaneState::Updating)]);
    }

    #[test]
    fn two_connected_ones_with_one_name_are_both_shown() {
        let fleet = Arc::new(Fleet::default());
        let _both = (join(&fleet, "a", 1), join(&fleet, "a", 2));
        assert_eq!(states(&fleet, None).len(), 2);
    }

    #[test]
    fn one_process_has_one_stream_and_the_older_one_is_told() {
        let fleet = Arc::new(Fleet::default());
        let (dead, mut questions) = join(&fleet, "a", 1);
        let _live = join(&fleet, "a", 1);
        assert_eq!(questions.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
        drop(dead);
        assert_eq!(states(&fleet, None), [("a".into(), v1::DataPlaneState::Updating)]);
    }

    #[test]
    fn a_process_is_not_asked_again_what_it_rejected_but_a_new_one_is() {
        let fleet = Arc::new(Fleet::default());
        let bad = revision(2, "bad");
        let rejoin = |instance| {
            let (questions, _) = mpsc::channel(1);
            fleet.join(greeting("a", instance), questions)
        };
        let (member, refused) = rejoin(1);
        assert_eq!(refused, None);
        member.record(&Ending { revision: bad, outcome: rejected() });
        drop(member);
        let (member, refused) = rejoin(1);
        assert_eq!(refused, Some(bad.root_hash));
        assert_eq!(states(&fleet, Some(bad))[0].1, v1::DataPlaneState::Rejected);
        drop(member);
        assert_eq!(rejoin(2).1, None);
    }

    #[test]
    fn the_latest_revision_that_anybody_runs_is_told() {
        let fleet = Arc::new(Fleet::default());
        let mut newest = fleet.newest_running();
        let mut told = |running: Revision| {
            let (questions, _) = mpsc::channel(1);
            drop(fleet.join(Greeting { running: Some(running), ..greeting("a", 1) }, questions));
            let is_news = newest.has_changed().unwrap();
            newest.mark_unchanged();
            is_news
        };
        assert!(told(revision(2, "x")));
        assert!(!told(revision(1, "y")), "it is older");
        assert!(!told(revision(2, "x")), "it is known");
        assert!(told(revision(2, "z")), "it contradicts");
        assert!(told(revision(3, "x")));
    }

    #[test]
    fn only_so_many_are_remembered_and_the_oldest_is_forgotten() {
        let fleet = Arc::new(Fleet::default());
        for number in 0..=MAX_DEPARTED {
            drop(join(&fleet, &format!("dp-{number}"), 1));
        }
        let states = states(&fleet, None);
        assert_eq!(states.len(), MAX_DEPARTED);
        assert!(!states.iter().any(|(name, _)| name == "dp-0"));
    }
}
