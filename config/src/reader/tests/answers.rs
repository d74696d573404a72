//! What becomes of a route's answers.

use super::{legal, problems};
use crate::{model::Route, names::AnswerPreset};

fn file(keys: &str) -> String {
    format!("routes: [{{name: a, match: {{path_prefix: /}}, upstream: http://h, {keys}}}]")
}

fn route(keys: &str) -> Route {
    legal(&file(keys)).route(0).unwrap().clone()
}

/// Judges keys of a route: `expected` holds what is complained of, as written, its key and the message.
#[track_caller]
fn check_keys(keys: &str, expected: &[(&str, &str, &str)]) {
    let file = file(keys);
    let problem = |(text, key, message): &(&str, &str, &str)| {
        let column = file.find(text).unwrap() + 1;
        format!("g.yaml:1:{column} routes[0].{key}: {message}")
    };
    assert_eq!(problems(&file), expected.iter().map(problem).collect::<Vec<_>>(), "{keys}");
}

#[test]
fn answers_say_what_a_preset_says_where_one_is_named() {
    for (keys, preset, is_empty) in [
        ("response_headers: {preset: security}", AnswerPreset::Security, false),
        ("response_headers: {preset: none}", AnswerPreset::None, true),
        ("response_headers: {remove: [server]}", AnswerPreset::None, false),
        ("strip_prefix: /a", AnswerPreset::None, true),
    ] {
        let changes = route(keys).response_headers;
        assert_eq!((changes.preset(), changes.is_empty()), (preset, is_empty), "{keys}");
    }
}

#[test]
fn presets_have_names_and_are_for_answers() {
    check_keys(
        "response_headers: {preset: secure}",
        &[("secure", "response_headers.preset", "must be one of none, security: \"secure\"")],
    );
    let problems = problems(&file("request_headers: {preset: security}"));
    assert!(problems[0].contains("routes[0].request_headers.preset: unknown key"), "{problems:?}");
}
