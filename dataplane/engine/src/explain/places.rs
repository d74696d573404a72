//! The line of the file behind each judgement, for whoever has the text that the configuration was read from.

use apigw_config::{places_of, wire::Revision};
use apigw_proto::v1;

use crate::checks::Source;

/// Gives each verdict the place in the text where it is said.
pub fn locate(answer: &mut v1::ExplainResponse, Source { file, content }: Source<'_>) {
    let (verdicts, paths): (Vec<_>, Vec<_>) = answer
        .policies
        .iter_mut()
        .filter(|verdict| !verdict.path.is_empty())
        .map(|verdict| {
            let path = verdict.path.clone();
            (verdict, path)
        })
        .unzip();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    // A text is read once for all: it may be large.
    for (verdict, position) in verdicts.into_iter().zip(places_of(content, &paths)) {
        verdict.place = position.map(|position| v1::Place { file: file.into(), line: position.line });
    }
}

/// What a text is called that its file does not hold any more: the file's name and the revision that was read from it.
#[must_use]
pub fn former_text(file: &str, revision: Revision) -> String {
    format!("{file}@{}-{:.8}", revision.seq, revision.root_hash.to_string())
}

/// Notes why verdicts have no place, unless there is none that could have one.
pub fn leave_unplaced(answer: &mut v1::ExplainResponse, reason: &str) {
    if answer.policies.iter().any(|verdict| !verdict.path.is_empty()) {
        answer.no_places = reason.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> v1::ExplainResponse {
        let verdict = |path: &str| v1::PolicyVerdict { path: path.into(), ..v1::PolicyVerdict::default() };
        v1::ExplainResponse {
            policies: vec![verdict(""), verdict("routes[0].auth"), verdict("server")],
            ..v1::ExplainResponse::default()
        }
    }

    #[test]
    fn verdicts_of_the_file_are_placed_and_others_are_not() {
        let content = b"routes:\n  - name: a\n    auth: {}\n";
        let mut answer = answer();
        locate(&mut answer, Source { file: "g.yaml", content });
        let lines: Vec<_> =
            answer.policies.iter().map(|verdict| verdict.place.as_ref().map(|place| place.line)).collect();
        assert_eq!(lines, [None, Some(3), None]);
    }

    #[test]
    fn a_former_text_is_named_by_its_revision() {
        let revision = Revision { epoch: 7, seq: 3, root_hash: apigw_config::wire::Hash::of(b"abc") };
        assert_eq!(former_text("g.yaml", revision), "g.yaml@3-ba7816bf");
    }

    #[test]
    fn a_reason_is_told_only_where_a_place_could_be() {
        let mut of_the_file = answer();
        leave_unplaced(&mut of_the_file, "why");
        assert_eq!(of_the_file.no_places, "why");
        let mut of_none = v1::ExplainResponse::default();
        leave_unplaced(&mut of_none, "why");
        assert_eq!(of_none.no_places, "");
    }
}
