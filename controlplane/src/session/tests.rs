//! The control plane's side of the protocol, driven by a scripted data plane without any I/O.

use std::collections::HashSet;

use apigw_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message as _;

use super::*;
use crate::publication::{
    Publisher, Verdict,
    tests::{Sample, file_of, publisher},
};

fn publish(source: &mut Publisher, routes: &[&str]) -> Arc<Published> {
    match source.consider(file_of(routes), 1) {
        Verdict::Published(published) => published,
        other => unreachable!("the file is good and new, but: {other:?}"),
    }
}

/// What the session has to send now, as a word for each message.
fn sent(session: &mut Session) -> Vec<String> {
    let mut words = Vec::new();
    while session.has_message() {
        let message = session.next_message().unwrap();
        assert!(message.encoded_len() <= MAX_MESSAGE_BYTES);
        words.push(match message.message.unwrap() {
            follow_response::Message::Offer(offer) => format!("offer {}", offer.revision.unwrap().seq),
            follow_response::Message::Leaves(leaves) => {
                format!("entries {}", leaves.leaves.iter().map(|leaf| leaf.entries.len()).sum::<usize>())
            }
            follow_response::Message::Chunk(chunk) => format!("chunk {}", chunk.resources.len()),
            follow_response::Message::Query(query) => format!("query {}", query.id),
        });
    }
    assert_eq!(session.next_message(), None);
    words
}

fn need(session: &mut Session, published: &Published, indexes: &[u32]) -> Result<Event, Breach> {
    let revision = Some(published.revision().into());
    let need = v1::Need { revision, indexes: indexes.to_vec() };
    session.receive(v1::FollowRequest { message: Some(follow_request::Message::Need(need)) })
}

fn need_leaves(session: &mut Session, published: &Published, indexes: &[u32]) -> Result<Event, Breach> {
    let revision = Some(published.revision().into());
    let need = v1::NeedLeaves { revision, indexes: indexes.to_vec() };
    session.receive(v1::FollowRequest { message: Some(follow_request::Message::NeedLeaves(need)) })
}

fn report(session: &mut Session, published: &Published, outcome: v1::Outcome) -> Result<Event, Breach> {
    let problem = v1::Problem { message: "port taken".into(), ..v1::Problem::default() };
    let problems = if outcome == v1::Outcome::Rejected { vec![problem] } else { vec![] };
    let revision = Some(published.revision().into());
    let report = v1::Report {
        revision,
        outcome: outcome.into(),
        problems,
        listen_address: "a:1".into(),
        applied_at_ms: 7,
    };
    session.receive(v1::FollowRequest { message: Some(follow_request::Message::Report(report)) })
}

fn observe(session: &mut Session, query: u64, last: bool) -> Result<Event, Breach> {
    let observation = v1::Observation { query, answer: None, last };
    session.receive(v1::FollowRequest { message: Some(follow_request::Message::Observation(observation)) })
}

/// A session in which `routes` were offered and listed.
fn listed(routes: &[&str]) -> (Sample, Arc<Published>, Session) {
    let mut source = publisher();
    let published = publish(&mut source, routes);
    let mut session = Session::new(None, None, Some(Arc::clone(&published)));
    assert_eq!(sent(&mut session), ["offer 1"]);
    need_leaves(&mut session, &published, &[0, 1]).unwrap();
    assert_eq!(sent(&mut session), [format!("entries {}", routes.len() + 1)]);
    (source, published, session)
}

#[test]
fn a_push_goes_from_offer_to_applied() {
    let (_, published, mut session) = listed(&["a", "b"]);
    assert_eq!(need(&mut session, &published, &[0, 2]), Ok(Event::Nothing));
    assert_eq!(sent(&mut session), ["chunk 2"]);
    let outcome = Outcome::Applied { listen_address: "a:1".into(), applied_at_ms: 7 };
    let ending = Ending { revision: published.revision(), outcome };
    assert_eq!(report(&mut session, &published, v1::Outcome::Applied), Ok(Event::Ended(ending)));
    assert!(sent(&mut session).is_empty());
}

#[test]
fn what_runs_already_is_not_offered() {
    let published = publish(&mut publisher(), &["a"]);
    let running = Some(published.revision());
    assert!(sent(&mut Session::new(running, None, Some(published))).is_empty());
}

#[test]
fn the_same_content_under_another_revision_is_offered_and_nothing_travels() {
    let published = publish(&mut publisher(), &["a"]);
    let running = Revision { epoch: 1, ..published.revision() };
    let mut session = Session::new(Some(running), None, Some(Arc::clone(&published)));
    assert_eq!(sent(&mut session), ["offer 1"]);
    need_leaves(&mut session, &published, &[]).unwrap();
    assert!(sent(&mut session).is_empty());
    need(&mut session, &published, &[]).unwrap();
    assert!(sent(&mut session).is_empty());
    report(&mut session, &published, v1::Outcome::Applied).unwrap();
}

#[test]
fn a_long_need_comes_in_parts() {
    let (_, published, mut session) = listed(&["a", "b", "c"]);
    for part in [&[0, 1][..], &[2], &[3]] {
        need(&mut session, &published, part).unwrap();
        assert_eq!(sent(&mut session), [format!("chunk {}", part.len())]);
    }
    report(&mut session, &published, v1::Outcome::Applied).unwrap();
}

#[test]
fn a_large_push_is_cut_into_messages_that_keep_the_limit() {
    let names: Vec<String> = (0..40_000).map(|number| format!("route-{number:0>150}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let published = publish(&mut publisher(), &names);
    let mut session = Session::new(None, None, Some(Arc::clone(&published)));
    assert_eq!(sent(&mut session), ["offer 1"]);
    let leaves: Vec<u32> = (0..).take(published.content.leaves().len()).collect();
    need_leaves(&mut session, &published, &leaves).unwrap();
    assert!(sent(&mut session).len() > 5, "entries of 8 MB are several messages");
    let all: Vec<u32> = (0..40_001).collect();
    need(&mut session, &published, &all).unwrap();
    let mut resources = Vec::new();
    while let Some(message) = session.next_message() {
        assert!(message.encoded_len() <= MAX_MESSAGE_BYTES);
        let Some(follow_response::Message::Chunk(chunk)) = message.message else { unreachable!() };
        resources.extend(chunk.resources);
    }
    let expected: Vec<_> = published.content.resources().map(|resource| resource.bytes().clone()).collect();
    assert!(resources == expected, "every resource travels once, in order");
}

/// Indexes of what is not among what was held.
fn absent(wanted: impl Iterator<Item = Hash>, held: &HashSet<Hash>) -> Vec<u32> {
    (0..).zip(wanted).filter(|(_, hash)| !held.contains(hash)).map(|(index, _)| index).collect()
}

#[test]
fn one_edited_route_among_20000_costs_less_than_64_kib() {
    let mut source = publisher();
    let mut names: Vec<String> = (0..20_000).map(|number| format!("route-{number}")).collect();
    let publish = |source: &mut Publisher, names: &[String]| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        publish(source, &names)
    };
    let first = publish(&mut source, &names);
    names[11_111].push_str("-edited");
    let second = publish(&mut source, &names);

    let held: HashSet<Hash> = first.content.leaves().map(|leaf| leaf.hash()).collect();
    let leaves = absent(second.content.leaves().map(|leaf| leaf.hash()), &held);
    let held: HashSet<Hash> = first.content.resources().map(|resource| resource.entry().hash).collect();
    let resources = absent(second.content.resources().map(|resource| resource.entry().hash), &held);
    assert_eq!(resources.len(), 1);

    let mut session = Session::new(Some(first.revision()), None, Some(Arc::clone(&second)));
    let mut bytes = 0;
    let mut count = |session: &mut Session| {
        while let Some(message) = session.next_message() {
            bytes += message.encoded_len();
        }
    };
    count(&mut session);
    need_leaves(&mut session, &second, &leaves).unwrap();
    count(&mut session);
    need(&mut session, &second, &resources).unwrap();
    count(&mut session);
    report(&mut session, &second, v1::Outcome::Applied).unwrap();
    assert!(bytes < 64 << 10, "{bytes} bytes");
}

#[test]
fn a_newer_revision_supersedes_at_any_point_of_a_push() {
    for messages_before in 1..=5 {
        let mut publisher = publisher();
        let first = publish(&mut publisher, &["a"]);
        let second = publish(&mut publisher, &["b"]);
        let mut session = Session::new(None, None, Some(Arc::clone(&first)));
        let steps: [&dyn Fn(&mut Session); 5] = [
            &|session| drop(session.next_message()),
            &|session| drop(need_leaves(session, &first, &[1]).unwrap()),
            &|session| drop(session.next_message()),
            &|session| drop(need(session, &first, &[0]).unwrap()),
            &|session| drop(session.next_message()),
        ];
        steps[..messages_before].iter().for_each(|step| step(&mut session));
        session.publish(Some(Arc::clone(&second)));
        assert_eq!(sent(&mut session), ["offer 2"], "after {messages_before} steps");
        report(&mut session, &first, v1::Outcome::Superseded).unwrap();
        need_leaves(&mut session, &second, &[1]).unwrap();
        assert_eq!(sent(&mut session), ["entries 1"]);
        need(&mut session, &second, &[]).unwrap();
        report(&mut session, &second, v1::Outcome::Applied).unwrap();
        assert!(sent(&mut session).is_empty());
    }
}

#[test]
fn an_offer_that_was_not_sent_is_replaced_silently() {
    let mut publisher = publisher();
    let first = publish(&mut publisher, &["a"]);
    let mut session = Session::new(None, None, Some(first));
    session.publish(Some(publish(&mut publisher, &["b"])));
    assert_eq!(sent(&mut session), ["offer 2"]);
}

#[test]
fn a_still_newer_revision_waits_for_the_report_that_is_owed() {
    let (mut publisher, first, mut session) = listed(&["a"]);
    let second = publish(&mut publisher, &["b"]);
    session.publish(Some(Arc::clone(&second)));
    assert_eq!(sent(&mut session), ["offer 2"]);
    let third = publish(&mut publisher, &["c"]);
    session.publish(Some(Arc::clone(&third)));
    assert!(sent(&mut session).is_empty());
    report(&mut session, &first, v1::Outcome::Superseded).unwrap();
    assert_eq!(sent(&mut session), ["offer 3"]);
    report(&mut session, &second, v1::Outcome::Superseded).unwrap();
    need_leaves(&mut session, &third, &[]).unwrap();
    need(&mut session, &third, &[]).unwrap();
    report(&mut session, &third, v1::Outcome::Applied).unwrap();
}

#[test]
fn what_was_said_before_the_new_offer_arrived_is_no_breach() {
    for outcome in [v1::Outcome::Applied, v1::Outcome::Rejected, v1::Outcome::Superseded] {
        let (mut publisher, first, mut session) = listed(&["a"]);
        let second = publish(&mut publisher, &["b"]);
        session.publish(Some(Arc::clone(&second)));
        sent(&mut session);
        assert_eq!(need(&mut session, &first, &[0]), Ok(Event::Nothing));
        assert!(sent(&mut session).is_empty(), "nothing of a superseded push travels");
        report(&mut session, &first, outcome).unwrap();
        need_leaves(&mut session, &second, &[]).unwrap();
        need(&mut session, &second, &[]).unwrap();
        report(&mut session, &second, v1::Outcome::Applied).unwrap();
    }
}

#[test]
fn what_is_older_than_what_runs_is_not_offered() {
    let newest = publish(&mut publisher(), &["a"]);
    let revision = newest.revision();
    let other = Hash::of(b"other");
    for (running, is_offered) in [
        (Revision { epoch: revision.epoch + 1, ..revision }, false),
        (Revision { seq: revision.seq + 1, root_hash: other, ..revision }, false),
        (Revision { root_hash: other, ..revision }, false),
        (revision, false),
        (Revision { seq: revision.seq - 1, ..revision }, true),
        (Revision { epoch: revision.epoch - 1, seq: 9, root_hash: other }, true),
    ] {
        let session = Session::new(Some(running), None, Some(Arc::clone(&newest)));
        assert_eq!(session.has_message(), is_offered, "{running:?}");
    }
}

#[test]
fn a_rejected_hash_is_not_offered_again_until_it_changes() {
    let (mut publisher, first, mut session) = listed(&["a"]);
    report(&mut session, &first, v1::Outcome::Rejected).unwrap();
    session.publish(Some(Arc::clone(&first)));
    assert!(sent(&mut session).is_empty());
    let reconnected = Session::new(None, Some(first.revision().root_hash), Some(first));
    assert!(!reconnected.has_message());
    for (routes, seq) in [(["b"], 2), (["a"], 3)] {
        session.publish(Some(publish(&mut publisher, &routes)));
        assert_eq!(sent(&mut session), [format!("offer {seq}")]);
        session.push = None;
    }
}

#[test]
fn questions_go_out_during_a_push_and_are_bounded() {
    let (_, _, mut session) = listed(&["a"]);
    assert_eq!(session.ask(Question::Limits(v1::LimitsRequest {})), Some(1));
    assert_eq!(sent(&mut session), ["query 1"]);
    let observed = |last| Ok(Event::Observed { query: 1, page: None, last });
    assert_eq!(observe(&mut session, 1, false), observed(false));
    for query in 2..=MAX_OPEN_QUERIES as u64 {
        assert_eq!(session.ask(Question::Limits(v1::LimitsRequest {})), Some(query));
    }
    assert_eq!(session.ask(Question::Limits(v1::LimitsRequest {})), None);
    assert_eq!(observe(&mut session, 1, true), observed(true));
    assert_eq!(session.ask(Question::Limits(v1::LimitsRequest {})), Some(MAX_OPEN_QUERIES as u64 + 1));
}

#[test]
fn each_subject_is_asked_for_and_answered_as_what_it_is() {
    use v1::observation::Answer;
    let (_, _, mut session) = listed(&["a"]);
    let asked = |session: &mut Session, question: &Question| {
        let query = session.ask(question.clone()).unwrap();
        match session.next_message().unwrap().message {
            Some(follow_response::Message::Query(message)) if message.id == query => {
                (query, message.question.unwrap())
            }
            other => panic!("a query is due: {other:?}"),
        }
    };
    let answered = |session: &mut Session, query, answer: &Answer| {
        let observation = v1::Observation { query, answer: Some(answer.clone()), last: true };
        let message = Some(follow_request::Message::Observation(observation));
        session.receive(v1::FollowRequest { message })
    };
    let limits = (Question::Limits(v1::LimitsRequest {}), Answer::Limits(v1::LimitsResponse::default()));
    let drain = (
        Question::Drain(v1::DrainRequest { url: "http://h".into(), ..v1::DrainRequest::default() }),
        Answer::Drain(v1::DrainResponse::default()),
    );
    for ((question, own), (_, other)) in [(&limits, &drain), (&drain, &limits)] {
        let (query, sent) = asked(&mut session, question);
        assert_eq!(sent, *question);
        let observed = Event::Observed { query, page: Some(own.clone()), last: true };
        assert_eq!(answered(&mut session, query, own), Ok(observed));
        let (query, _) = asked(&mut session, question);
        assert_eq!(answered(&mut session, query, other), Err(Breach::OtherObservation));
    }
}

#[test]
fn an_offer_names_what_its_content_requires() {
    let required = |text: &str| {
        let content = apigw_config::watch::Content::Text(Arc::new(text.into()));
        let Verdict::Published(published) = publisher().consider(content, 1) else {
            unreachable!("it is good")
        };
        let message = Session::new(None, None, Some(published)).next_message().unwrap().message;
        let Some(follow_response::Message::Offer(offer)) = message else { unreachable!("an offer is first") };
        offer.required_features
    };
    let route = "routes: [{ name: a, match: { path_prefix: / }, upstream: \"http://h:1\"";
    assert_eq!(required(&format!("{route} }}]")), Vec::<String>::new());
    let policies = "concurrency: { max_in_flight: 1, mode: shadow }, deny_cidrs: [\"192.0.2.7\"]";
    let expected = ["concurrency", "address_lists", "policy_mode"];
    assert_eq!(required(&format!("{route}, {policies} }}]")), expected);
}

/// A session that has offered this and nothing else.
fn offered(published: &Published) -> Session {
    let mut source = publisher();
    let again = publish(&mut source, &["a"]);
    assert_eq!(again.revision(), published.revision());
    let mut session = Session::new(None, None, Some(again));
    assert_eq!(sent(&mut session), ["offer 1"]);
    session
}

#[test]
fn lies_and_disorder_are_breaches() {
    use v1::Outcome::{Applied, Rejected, Superseded, Unspecified};
    type Misdeed<'a> = &'a dyn Fn(&mut Session, &Published) -> Result<Event, Breach>;
    let other = publish(&mut publisher(), &["other"]);
    let many = |s: &mut Session, p: &Published| {
        let problems = vec![v1::Problem::default(); pages::MAX_PROBLEMS + 1];
        let revision = Some(p.revision().into());
        let report = v1::Report { revision, outcome: Rejected.into(), problems, ..v1::Report::default() };
        s.receive(v1::FollowRequest { message: Some(follow_request::Message::Report(report)) })
    };
    let without_revision = |s: &mut Session, _: &Published| {
        let message = Some(follow_request::Message::Need(v1::Need::default()));
        s.receive(v1::FollowRequest { message })
    };
    let twice = |s: &mut Session, p: &Published| {
        need(s, p, &[1]).unwrap();
        sent(s);
        need(s, p, &[1])
    };
    let cases: [(Misdeed<'_>, Breach); 17] = [
        (&|s, _| s.receive(v1::FollowRequest { message: None }), Breach::Empty),
        (&|s, _| need(s, &other, &[0]), Breach::UnaskedNeed),
        (&|s, p| need_leaves(s, p, &[0]), Breach::UnaskedNeed),
        (&|_, p| need_leaves(&mut offered(p), p, &[1, 0]), Breach::UnorderedNeed),
        (&|_, p| need_leaves(&mut offered(p), p, &[2]), Breach::NeedBeyondLeaves { index: 2, count: 2 }),
        (&|s, p| need(s, p, &[1, 0]), Breach::UnorderedNeed),
        (&|s, p| need(s, p, &[1, 1]), Breach::UnorderedNeed),
        (&|s, p| need(s, p, &[2]), Breach::NeedBeyondOffer { index: 2, count: 2 }),
        (&twice, Breach::UnorderedNeed),
        (&|s, p| need(s, p, &[0]).and(need(s, p, &[1])), Breach::UnaskedNeed),
        (&|s, p| report(s, p, Applied), Breach::AppliedTooEarly),
        (&|s, p| report(s, p, Superseded), Breach::SupersededByNothing),
        (&|s, p| report(s, p, Unspecified), Breach::UnknownOutcome),
        (&|s, _| report(s, &other, Rejected), Breach::UnaskedReport),
        (&many, Breach::TooManyProblems { count: pages::MAX_PROBLEMS + 1 }),
        (&without_revision, Breach::RevisionMissing),
        (&|s, _| observe(s, 1, true), Breach::UnaskedObservation),
    ];
    for (misdeed, expected) in cases {
        let (_, published, mut session) = listed(&["a"]);
        assert_eq!(misdeed(&mut session, &published), Err(expected));
    }
}

#[test]
fn nothing_may_be_reported_of_an_offer_that_was_not_sent() {
    let published = publish(&mut publisher(), &["a"]);
    let mut session = Session::new(None, None, Some(Arc::clone(&published)));
    assert_eq!(report(&mut session, &published, v1::Outcome::Rejected), Err(Breach::UnaskedReport));
}
