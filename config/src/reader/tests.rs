//! What files mean, and everything that can be wrong with one, as data.

mod answers;
mod backends;
mod callers;
mod matching;
mod policies;
mod problems;
mod providers;
mod values;

use crate::{Problem, model::GatewayConfig};

const EXAMPLE: &str = include_str!("../../examples/config.example.yaml");

/// The problems of a file, as people read them.
fn problems(text: &str) -> Vec<String> {
    super::read("g.yaml", text.as_bytes()).err().unwrap_or_default().iter().map(Problem::to_string).collect()
}

/// A legal route on one line, which starts in column 3.
const ROUTE: &str = "- {name: a, match: {path_prefix: /a}, upstream: 'http://h'}";

/// Judges sections with a legal route after them.
#[track_caller]
fn check(sections: &str, expected: &[&str]) {
    let text = format!("{sections}\nroutes:\n  {ROUTE}\n");
    assert_eq!(problems(&text), expected, "{sections}");
}

/// Judges one route, written in braces from line 1, column 12 on: `expected` holds column, key and message.
#[track_caller]
fn check_route(route: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|problem| format!("g.yaml:1:{problem}")).collect();
    assert_eq!(problems(&format!("routes: [ {route} ]")), expected, "{route}");
}

/// What a legal file means.
#[track_caller]
fn legal(text: &str) -> GatewayConfig {
    super::read("g.yaml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}
