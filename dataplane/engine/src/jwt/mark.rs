//! Marks: what is equal when two things are the same, and tells nothing else about them.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

/// A digest of what makes a thing what it is. It may stand for a secret, so it is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 32]);

impl Mark {
    /// The mark of a sequence of parts; where one part ends matters.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(sha256(context))
    }

    /// The bytes, for marks made of marks.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The plain digest of a text.
pub(super) fn digest(text: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(text);
    sha256(context)
}

fn sha256(context: Context) -> [u8; 32] {
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[mark]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(parts: &[&str]) -> Mark {
        Mark::of(parts.iter().map(|part| part.as_bytes()))
    }

    #[test]
    fn marks_are_equal_for_equal_parts_only() {
        assert_eq!(mark(&["ab", "c"]), mark(&["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["c", "ab"]] {
            assert_ne!(mark(&["ab", "c"]), mark(other), "{other:?}");
        }
    }

    #[test]
    fn a_mark_is_not_shown() {
        assert_eq!(format!("{:?}", mark(&["secret"])), "[mark]");
    }
}
