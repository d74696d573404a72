//! What `match` may say.

use super::{check_route, legal};
use crate::model::RouteMatch;

/// Judges a `match`: `expected` holds the column in it, key and message.
#[track_caller]
fn check_match(text: &str, expected: &[&str]) {
    const COLUMNS_BEFORE: usize = 47;
    let moved = |problem: &&str| {
        let (column, rest) = problem.split_once(' ').unwrap();
        format!("{} {rest}", column.parse::<usize>().unwrap() + COLUMNS_BEFORE)
    };
    let expected: Vec<_> = expected.iter().map(moved).collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    check_route(&format!("{{name: a, upstream: http://h, match: {text}}}"), &expected);
}

#[test]
fn a_route_has_one_kind_of_path() {
    check_match(
        "{path: /a, path_prefix: /a}",
        &["8 routes[0].match.path: not beside \"path_prefix\": a route has one of them"],
    );
    check_match(
        "{path: /a, path_regex: /a}",
        &["24 routes[0].match.path_regex: not beside \"path\": a route has one of them"],
    );
    check_match("{path: a, hosts: [a]}", &["8 routes[0].match.path: must start with \"/\": \"a\""]);
    check_match("{methods: []}", &["1 routes[0].match.path_prefix: missing"]);
}

#[test]
fn where_something_else_is_said_every_path_is_meant() {
    let of = |text: &str| {
        let file = format!("routes: [ {{name: a, upstream: http://h, match: {{{text}}}}} ]");
        legal(&file).route(0).unwrap().matches.clone()
    };
    for text in [
        "hosts: [a]",
        "methods: [GET]",
        "headers: [{name: a, present: true}]",
        "query: [{name: a, exact: 1}]",
    ] {
        assert_eq!(of(text).path, of("path_prefix: /").path, "{text}");
    }
    assert_eq!(of("path_prefix: /, hosts: [], methods: []"), of("path_prefix: /"));
}

#[test]
fn a_condition_says_one_thing() {
    let condition = |text: &str, expected: &str| {
        check_match(&format!("{{path: /, headers: [{{name: a{text}}}]}}"), &[expected]);
    };
    condition(
        "",
        "21 routes[0].match.headers[0].exact: missing: one of exact, prefix, regex, present and absent is needed",
    );
    condition(
        ", exact: a, absent: true",
        "49 routes[0].match.headers[0].absent: not beside \"exact\": there is one of them",
    );
    condition(
        ", present: false",
        "40 routes[0].match.headers[0].present: must be true; the other is \"absent: true\"",
    );
    condition(
        ", regex: '('",
        "38 routes[0].match.headers[0].regex: not a regular expression: unclosed group: \"(\"",
    );
    condition(
        ", exact: [1]",
        "38 routes[0].match.headers[0].exact: expected a text, a whole number, true or false, found a list",
    );
}

#[test]
fn lists_are_bounded_and_name_nothing_twice() {
    check_match("{hosts: [a.b, A.B.]}", &["9 routes[0].match.hosts: has \"a.b\" twice"]);
    check_match("{methods: [GET, GET]}", &["11 routes[0].match.methods: has \"GET\" twice"]);
    let list =
        |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(",");
    for (key, limit, entry) in [
        ("hosts", RouteMatch::MAX_HOSTS, &(|n| format!("h{n}")) as &dyn Fn(usize) -> String),
        ("methods", RouteMatch::MAX_METHODS, &|n| {
            "X".repeat(n / 26) + &char::from(b'A' + u8::try_from(n % 26).unwrap()).to_string()
        }),
        ("headers", RouteMatch::MAX_FIELDS, &|n| format!("{{name: x{n}, present: true}}")),
        ("query", RouteMatch::MAX_FIELDS, &|n| format!("{{name: x{n}, absent: true}}")),
    ] {
        check_match(&format!("{{{key}: [{}]}}", list(limit, entry)), &[]);
        let column = "{: [".len() + key.len();
        let expected = format!("{column} routes[0].match.{key}: {} entries, more than {limit}", limit + 1);
        check_match(&format!("{{{key}: [{}]}}", list(limit + 1, entry)), &[&expected]);
    }
}

#[test]
fn answers_tell_no_claims() {
    check_route(
        "{name: a, match: {path: /}, upstream: http://h, response_headers: {set: {x-a: '${claim:sub}'}}}",
        &[
            "77 routes[0].response_headers: must not use ${claim:...}: answers are written for callers who are not known, too",
        ],
    );
}
