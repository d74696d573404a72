//! What becomes of a route's answers.

use super::{legal, problems};
use crate::{
    model::{Compression, Route},
    names::{AnswerPreset, ContentCoding},
};

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

#[test]
fn answers_are_compressed_where_it_is_enabled() {
    let compression = |keys: &str| route(&format!("compression: {{{keys}}}")).compression;
    assert!(compression("enabled: false, min_bytes: 5").is_none());
    assert_eq!(compression("enabled: true").as_deref(), Some(&Compression::default()));
    let own =
        compression("enabled: true, algorithms: [gzip], min_bytes: 1, content_types: [TEXT/*]").unwrap();
    assert_eq!(own.algorithms.as_slice(), [ContentCoding::Gzip]);
    assert_eq!((own.min_bytes.get(), own.content_types.as_slice()[0].as_str()), (1, "text/*"));
}

#[test]
fn a_compression_that_nobody_can_have_meant_is_refused() {
    let refused = |keys: &str, expected: &[(&str, &str, &str)]| {
        check_keys(&format!("compression: {{{keys}}}"), expected);
    };
    refused("min_bytes: 5", &[("{min", "compression.enabled", "missing")]);
    refused(
        "enabled: true, algorithms: [deflate], min_bytes: 0, content_types: [json]",
        &[
            ("deflate", "compression.algorithms[0]", "must be one of zstd, br, gzip: \"deflate\""),
            ("0, con", "compression.min_bytes", "must be from 1 to 9007199254740992 bytes"),
            (
                "json]",
                "compression.content_types[0]",
                "not media types such as \"text/html\", \"text/*\" or \"application/*+json\": \"json\"",
            ),
        ],
    );
    refused(
        "enabled: true, algorithms: [gzip, br, gzip], content_types: []",
        &[
            ("[gzip", "compression.algorithms", "has \"gzip\" twice"),
            ("[]", "compression.content_types", "must not be empty"),
        ],
    );
}
