//! What files mean, and everything that can be wrong with one, as data.

mod problems;
mod values;

use crate::Problem;

const EXAMPLE: &str = include_str!("../../examples/config.example.yaml");

/// The problems of a file, as people read them.
fn problems(text: &str) -> Vec<String> {
    super::read("g.yaml", text.as_bytes()).err().unwrap_or_default().iter().map(Problem::to_string).collect()
}
