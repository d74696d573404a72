//! The data plane's side of the protocol, driven by a scripted control plane without any I/O.

use std::sync::Arc;

use apigw_config::wire::{Hash, MAX_LEAVES, Resource, ResourceKind};
use apigw_proto::v1::Outcome;

use super::{
    super::{
        assembly::{MAX_BYTES, MAX_NEED},
        script::{Revised, all_leaves, chunk, leaves, of_resources, offer, response, revised},
    },
    *,
};

/// What the session does about a message, as a word for each reaction.
fn told(session: &mut Session, message: v1::FollowResponse) -> Result<Vec<String>, Breach> {
    let word = |reaction: &Reaction| match reaction {
        Reaction::Send(request) => match request.message.as_ref().unwrap() {
            follow_request::Message::NeedLeaves(need) => format!("leaves {:?}", need.indexes),
            follow_request::Message::Need(need) => format!("need {:?}", need.indexes),
            follow_request::Message::Report(report) => {
                let seq = report.revision.as_ref().unwrap().seq;
                format!("{:?} {seq}", report.outcome()).to_lowercase()
            }
            other => format!("{other:?}"),
        },
        Reaction::Refuse(revision, problems) => format!("refuse {}: {}", revision.seq, problems[0].message),
        Reaction::Apply(candidate) => format!("apply {}", candidate.revision.seq),
        Reaction::Observe { query, subject } => format!("observe {query}: {subject:?}"),
    };
    Ok(session.receive(message)?.iter().map(word).collect())
}

fn applied() -> Applied {
    Applied { listen_address: "a:1".into(), applied_at_ms: 7 }
}

/// A session that runs a revision.
fn running(revised: &Revised) -> Session {
    let mut session = Session::default();
    session.receive(offer(revised)).unwrap();
    session.receive(all_leaves(revised)).unwrap();
    let all: Vec<_> = (0..revised.resources.len()).collect();
    let mut reactions = session.receive(chunk(revised, &all)).unwrap();
    let Some(Reaction::Apply(candidate)) = reactions.pop() else { unreachable!("everything has come") };
    session.conclude(candidate.revision, candidate.content, Ok(applied()));
    session
}

#[test]
fn a_configuration_is_put_together_and_applied() {
    let first = revised(1, &["a", "b"]);
    let mut session = Session::default();
    assert_eq!(told(&mut session, offer(&first)).unwrap(), ["leaves [0, 1]"]);
    assert_eq!(told(&mut session, leaves(&first, &[0])).unwrap(), Vec::<String>::new());
    assert_eq!(told(&mut session, leaves(&first, &[1])).unwrap(), ["need [0, 1, 2]"]);
    assert_eq!(told(&mut session, chunk(&first, &[0, 1])).unwrap(), Vec::<String>::new());
    let mut reactions = session.receive(chunk(&first, &[2])).unwrap();
    let Some(Reaction::Apply(candidate)) = reactions.pop() else {
        panic!("everything has come: {reactions:?}")
    };
    let names: Vec<_> = candidate.content.config().routes().map(|route| route.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(session.running(), None, "nothing runs before it was applied");
    session.conclude(candidate.revision, candidate.content, Ok(applied()));
    assert_eq!((session.running(), session.applied()), (Some(first.revision), &applied()));
}

#[test]
fn only_what_is_not_here_travels() {
    let mut session = running(&revised(1, &["a", "b"]));
    let second = revised(2, &["a", "c", "b"]);
    assert_eq!(told(&mut session, offer(&second)).unwrap(), ["leaves [1]"]);
    assert_eq!(told(&mut session, leaves(&second, &[1])).unwrap(), ["need [2]"]);
    assert_eq!(told(&mut session, chunk(&second, &[2])).unwrap(), ["apply 2"]);
}

#[test]
fn the_same_content_under_another_revision_needs_nothing() {
    let mut session = running(&revised(1, &["a"]));
    let again = revised(2, &["a"]);
    assert_eq!(told(&mut session, offer(&again)).unwrap(), ["leaves []", "need []", "apply 2"]);
}

#[test]
fn what_could_not_be_applied_does_not_run_and_is_reported_with_its_problems() {
    let first = revised(1, &["a"]);
    let mut session = running(&first);
    let other = revised(2, &["b"]);
    let problems = vec![of_delivery("port taken".into())];
    let report = session.conclude(other.revision, other.content(), Err(problems));
    let Some(follow_request::Message::Report(report)) = report.message else { unreachable!() };
    assert_eq!((report.outcome(), report.problems[0].message.as_str()), (Outcome::Rejected, "port taken"));
    assert_eq!(session.running(), Some(first.revision));
    let words = told(&mut session, offer(&first)).unwrap();
    assert_eq!(words, ["leaves []", "need []", "apply 1"], "what runs is still held");
}

#[test]
fn a_newer_offer_supersedes_at_any_point_of_a_push() {
    let (first, second) = (revised(1, &["a"]), revised(2, &["b"]));
    let before = [offer(&first), all_leaves(&first), chunk(&first, &[0])];
    for messages in 1..=before.len() {
        let mut session = Session::default();
        for message in &before[..messages] {
            session.receive(message.clone()).unwrap();
        }
        // What came of the first one is kept: its settings are those of the second.
        let (missing, needed) =
            (["leaves [0, 1]", "leaves [1]", "leaves [1]"], ["need [0, 1]", "need [0, 1]", "need [1]"]);
        let words = told(&mut session, offer(&second)).unwrap();
        assert_eq!(words, ["superseded 1", missing[messages - 1]], "after {messages}");
        let missing: &[usize] = if messages == 1 { &[0, 1] } else { &[1] };
        assert_eq!(told(&mut session, leaves(&second, missing)).unwrap(), [needed[messages - 1]]);
        let needed: &[usize] = if messages == 3 { &[1] } else { &[0, 1] };
        assert_eq!(told(&mut session, chunk(&second, needed)).unwrap(), ["apply 2"]);
    }
}

#[test]
fn a_new_stream_goes_on_with_what_came_before_the_break() {
    let mut session = running(&revised(1, &["a"]));
    let second = revised(2, &["a", "b", "c", "d"]);
    assert_eq!(told(&mut session, offer(&second)).unwrap(), ["leaves [1]"]);
    session.restart();
    assert_eq!(told(&mut session, offer(&second)).unwrap(), ["leaves [1]"]);
    assert_eq!(told(&mut session, leaves(&second, &[1])).unwrap(), ["need [2, 3, 4]"]);
    session.restart();
    assert_eq!(told(&mut session, offer(&second)).unwrap(), ["leaves []", "need [2, 3, 4]"]);
    assert_eq!(told(&mut session, chunk(&second, &[2, 3])).unwrap(), Vec::<String>::new());
    session.restart();
    // Another control plane may push something else by then.
    let third = revised(3, &["c", "e", "b", "a"]);
    assert_eq!(told(&mut session, offer(&third)).unwrap(), ["leaves [1]"]);
    assert_eq!(told(&mut session, leaves(&third, &[1])).unwrap(), ["need [2]"]);
    assert_eq!(told(&mut session, chunk(&third, &[2])).unwrap(), ["apply 3"]);
    assert_eq!(session.running().map(|revision| revision.seq), Some(1), "nothing was concluded");
}

#[test]
fn what_is_older_or_otherwise_the_same_is_refused_and_what_runs_is_not() {
    let running_revision = |epoch, seq, routes: &[&str]| {
        let revised = revised(seq, routes);
        Revised { revision: Revision { epoch, ..revised.revision }, ..revised }
    };
    let runs = running_revision(5, 3, &["a"]);
    let resume = || {
        let held = Held {
            revision: runs.revision,
            content: runs.content(),
            source: v1::ConfigSource::Disk,
            applied: applied(),
        };
        Session::resuming(held)
    };
    let refused = [
        (running_revision(5, 2, &["b"]), "refuse 2: revision 5.2 is older than 5.3, which runs"),
        (running_revision(4, 9, &["a"]), "refuse 9: revision 4.9 is older than 5.3, which runs"),
        (
            running_revision(5, 3, &["b"]),
            "refuse 3: revision 5.3 runs with another content than is offered under the same number",
        ),
    ];
    for (offered, words) in refused {
        let mut session = resume();
        assert_eq!(told(&mut session, offer(&offered)).unwrap(), [words]);
        assert_eq!(told(&mut session, all_leaves(&offered)).unwrap(), Vec::<String>::new());
    }
    for (epoch, seq) in [(5, 3), (5, 4), (6, 1)] {
        let mut session = resume();
        let offered = running_revision(epoch, seq, &["a"]);
        let words = ["leaves []".to_owned(), "need []".to_owned(), format!("apply {seq}")];
        assert_eq!(told(&mut session, offer(&offered)).unwrap(), words, "what was kept need not travel");
    }
}

#[test]
fn lies_are_refused_and_what_follows_of_them_passes_by() {
    let honest = revised(1, &["a", "b"]);
    let refused = |messages: Vec<v1::FollowResponse>, reason: &str| {
        let mut session = Session::default();
        let mut words = Vec::new();
        for message in messages {
            words.extend(told(&mut session, message).unwrap());
        }
        let last = words.pop().unwrap();
        assert!(last.starts_with("refuse 1: ") && last.contains(reason), "{last:?} is not about {reason:?}");
        for leftover in [all_leaves(&honest), chunk(&honest, &[0])] {
            assert_eq!(told(&mut session, leftover).unwrap(), Vec::<String>::new());
        }
        let next = revised(2, &["c"]);
        assert_eq!(told(&mut session, offer(&next)).unwrap(), ["leaves [0, 1]"]);
        assert_eq!(told(&mut session, all_leaves(&next)).unwrap(), ["need [0, 1]"]);
    };
    let mut other_root = revised(1, &["a", "b"]);
    other_root.revision.root_hash = Hash::of(b"other");
    // An offer of these bytes, whose root hash is right if it can be.
    let hashes = |bytes: Vec<u8>| {
        let mut offer = offer(&honest);
        let Some(follow_response::Message::Offer(message)) = &mut offer.message else { unreachable!() };
        let hashes = bytes.chunks_exact(32).map(|hash| Hash::try_from(hash).unwrap());
        let root_hash = apigw_config::wire::root_of(hashes);
        message.revision = Some(Revision { root_hash, ..honest.revision }.into());
        message.leaf_hashes = bytes.into();
        offer
    };
    let mut featured = offer(&honest);
    if let Some(follow_response::Message::Offer(message)) = &mut featured.message {
        message.required_features = vec!["time-travel".into()];
    }
    let bad_entry = v1::Entry { kind: 9, ..v1::Entry::default() };
    let leaf_of = |entries: Vec<v1::Entry>| {
        response(follow_response::Message::Leaves(v1::Leaves { leaves: vec![v1::Leaf { entries }] }))
    };
    let entries: Vec<v1::Entry> = honest.resources.iter().map(|r| r.entry().clone().into()).collect();
    refused(vec![featured], "does not enforce \"time-travel\"");
    refused(vec![hashes(vec![])], "no resources");
    refused(vec![hashes(vec![0; 33])], "33 bytes");
    refused(vec![hashes(vec![0; 32 * (MAX_LEAVES + 1)])], "30001 leaves, more than 30000");
    refused(vec![offer(&other_root)], "do not have the hash");
    refused(vec![offer(&honest), leaf_of(vec![bad_entry])], "leaf 0: ");
    refused(vec![offer(&honest), leaf_of(vec![])], "leaf 0 is none: a leaf is empty");
    refused(vec![offer(&honest), leaf_of(entries)], "leaf 0 is none: a leaf goes on after its entry 0");
    refused(vec![offer(&honest), leaves(&honest, &[1])], "leaf 0 does not have the hash");
    refused(vec![offer(&honest), leaves(&honest, &[0, 1, 1])], "a leaf that nobody needed");
    refused(
        vec![offer(&honest), all_leaves(&honest), chunk(&honest, &[1])],
        "resource 0 does not have the hash",
    );
    let too_many = chunk(&honest, &[0, 1, 2, 2]);
    refused(vec![offer(&honest), all_leaves(&honest), too_many], "nobody needed");
}

/// Of a leaf whose entries are here, each further naming would be a copy of them all.
#[test]
fn a_leaf_that_is_offered_twice_is_refused_though_it_is_held() {
    let (honest, running) = (revised(2, &["a", "b"]), running(&revised(1, &["a", "b"])));
    let mut listed = Session::default();
    listed.receive(offer(&honest)).unwrap();
    listed.receive(all_leaves(&honest)).unwrap();
    let mut twice = revised(3, &["a", "b"]);
    twice.leaves.push(Arc::clone(&honest.leaves[1]));
    twice.revision.root_hash = apigw_config::wire::root_of(twice.leaves.iter().map(|leaf| leaf.hash()));
    for mut session in [listed, running] {
        let words = told(&mut session, offer(&twice)).unwrap();
        assert_eq!(words.last().unwrap(), "refuse 3: leaf 2 is offered twice");
        session.receive(offer(&honest)).unwrap();
    }
}

#[test]
fn what_is_no_configuration_is_refused_with_every_problem() {
    let good = revised(1, &["a", "b"]);
    let doubled = [0, 1, 1, 1].map(|index: usize| good.resources[index].clone()).to_vec();
    let doubled = of_resources(1, doubled);
    let mut session = Session::default();
    session.receive(offer(&doubled)).unwrap();
    session.receive(all_leaves(&doubled)).unwrap();
    let reactions = session.receive(chunk(&doubled, &[0, 1, 2, 3])).unwrap();
    let [Reaction::Refuse(_, problems)] = reactions.as_slice() else { panic!("refused: {reactions:?}") };
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn a_need_above_its_bound_is_told_in_parts() {
    let bytes = bytes::Bytes::from_static(b"x");
    let resource = |index: usize| Resource::new(ResourceKind::Route, index.to_string(), bytes.clone());
    let many = of_resources(1, (0..=MAX_NEED).map(resource).collect());
    let mut session = Session::default();
    session.receive(offer(&many)).unwrap();
    let needs = |reactions: Vec<Reaction>| match reactions.as_slice() {
        [Reaction::Send(v1::FollowRequest { message: Some(follow_request::Message::Need(need)) })] => {
            assert!(prost::Message::encoded_len(need) <= apigw_proto::MAX_MESSAGE_BYTES);
            need.indexes.clone()
        }
        other => panic!("a need: {other:?}"),
    };
    assert_eq!(needs(session.receive(all_leaves(&many)).unwrap()).len(), MAX_NEED);
    let first: Vec<_> = (0..MAX_NEED).collect();
    let last = u32::try_from(MAX_NEED).unwrap();
    assert_eq!(needs(session.receive(chunk(&many, &first)).unwrap()), [last]);

    let mut session = Session::default();
    session.receive(offer(&many)).unwrap();
    session.receive(all_leaves(&many)).unwrap();
    let all: Vec<_> = (0..=MAX_NEED).collect();
    let refused = told(&mut session, chunk(&many, &all)).unwrap();
    assert_eq!(refused, ["refuse 1: a resource that nobody needed"], "it is missing, but was not needed yet");
}

#[test]
fn more_bytes_than_the_bound_are_refused() {
    let bytes = bytes::Bytes::from(vec![0; 1 << 20]);
    let whole = MAX_BYTES / bytes.len();
    let resource = |index: usize| Resource::new(ResourceKind::Route, index.to_string(), bytes.clone());
    // Exactly the bound, and one byte more.
    let one_byte = Resource::new(ResourceKind::Route, "one".into(), bytes::Bytes::from_static(b"x"));
    let large = of_resources(1, (0..whole).map(resource).chain([one_byte]).collect());
    let mut session = Session::default();
    session.receive(offer(&large)).unwrap();
    session.receive(all_leaves(&large)).unwrap();
    for index in 0..whole {
        assert_eq!(told(&mut session, chunk(&large, &[index])).unwrap(), Vec::<String>::new(), "{index}");
    }
    let refused = told(&mut session, chunk(&large, &[whole])).unwrap();
    assert_eq!(refused, [format!("refuse 1: resources of more than {MAX_BYTES} bytes")]);
}

#[test]
fn disorder_is_a_breach() {
    let first = revised(1, &["a"]);
    let nothing_listed = response(follow_response::Message::Leaves(v1::Leaves::default()));
    let nothing_sent = response(follow_response::Message::Chunk(v1::Chunk::default()));
    let no_revision = response(follow_response::Message::Offer(v1::Offer::default()));
    let half = v1::Revision { root_hash: vec![0; 16], ..v1::Revision::default() };
    let half =
        response(follow_response::Message::Offer(v1::Offer { revision: Some(half), ..v1::Offer::default() }));
    let cases = [
        (vec![v1::FollowResponse { message: None }], Breach::Empty),
        (vec![no_revision], Breach::RevisionMissing),
        (vec![half], Breach::Revision(IdentityError::HashLength { length: 16 })),
        (vec![all_leaves(&first)], Breach::UnaskedLeaves),
        (vec![chunk(&first, &[0])], Breach::UnaskedChunk),
        (vec![offer(&first), chunk(&first, &[0])], Breach::UnaskedChunk),
        (vec![offer(&first), all_leaves(&first), all_leaves(&first)], Breach::UnaskedLeaves),
        (vec![offer(&first), nothing_listed], Breach::Void),
        (vec![offer(&first), all_leaves(&first), nothing_sent], Breach::Void),
    ];
    for (mut messages, expected) in cases {
        let mut session = Session::default();
        let last = messages.pop().unwrap();
        for message in messages {
            session.receive(message).unwrap();
        }
        assert_eq!(told(&mut session, last), Err(expected));
    }
}

#[test]
fn questions_are_told_apart_and_an_unknown_one_has_an_empty_answer() {
    let reaction = |question| {
        let query = response(follow_response::Message::Query(v1::Query { id: 7, question }));
        told(&mut Session::default(), query).unwrap()
    };
    assert_eq!(reaction(Some(v1::query::Question::Limits(v1::LimitsRequest {}))), ["observe 7: Limits"]);
    assert_eq!(reaction(Some(v1::query::Question::Auth(v1::AuthRequest {}))), ["observe 7: Auth"]);
    let empty = v1::Observation { query: 7, answer: None, last: true };
    assert_eq!(reaction(None), [format!("{:?}", follow_request::Message::Observation(empty))]);
}

#[test]
fn what_this_build_enforces_is_taken_and_each_other_feature_is_named() {
    let first = revised(1, &["a"]);
    let requiring = |features: Vec<String>| {
        let mut offer = offer(&first);
        let Some(follow_response::Message::Offer(message)) = &mut offer.message else { unreachable!() };
        message.required_features = features;
        Session::default().receive(offer).unwrap()
    };
    let known = features::KNOWN.map(|feature| feature.to_string()).to_vec();
    assert!(matches!(requiring(known.clone())[..], [Reaction::Send(_)]), "nothing is refused");
    let reactions = requiring([known, vec!["foresight".into(), "time-travel".into()]].concat());
    let [Reaction::Refuse(_, problems)] = reactions.as_slice() else { panic!("refused: {reactions:?}") };
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("does not enforce \"foresight\""), "{messages:?}");
    assert!(messages[1].contains("does not enforce \"time-travel\""), "{messages:?}");
}
