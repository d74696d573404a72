//! What takes the place of a path that an expression matches. Putting it together is the engine's business.

use std::{fmt, str::FromStr, sync::Arc};

use super::{
    ValueError,
    template::{Piece, Pieces},
};

/// A path with groups of an expression in it, such as `/v2/${1}/${name}`; `${0}` is all of what was matched, and `$${` stands
/// for `${`.
///
/// Starts with `/`; at most 1,024 bytes of visible ASCII without `?` and `#`, and without dot segments: a path that has one is
/// refused, whatever the groups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: Arc<str>,
    parts: Arc<[PathPart]>,
}

/// A piece of such a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPart {
    /// As it is.
    Text(Arc<str>),
    /// What a group of the expression matched, by its name or number.
    Group(Arc<str>),
}

impl PathTemplate {
    /// The most bytes of a template.
    pub const MAX_BYTES: usize = 1_024;

    /// Its pieces, at least one.
    #[must_use]
    pub fn parts(&self) -> &[PathPart] {
        &self.parts
    }
}

impl FromStr for PathTemplate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if !text.starts_with('/') {
            return Err(ValueError::NoLeadingSlash { text: text.into() });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        match text.chars().find(|c| !c.is_ascii_graphic()) {
            Some(character) => return Err(ValueError::NotVisibleAscii { character }),
            None if text.contains(['?', '#']) => return Err(ValueError::EndsPath { text: text.into() }),
            None if text.split('/').any(is_dot_segment) => {
                return Err(ValueError::DotSegment { text: text.into() });
            }
            None => {}
        }
        let part = |piece| match piece {
            Piece::Text(text) => PathPart::Text(text.into()),
            Piece::Name(group) => PathPart::Group(group.into()),
        };
        let parts: Result<_, ValueError> = Pieces::of(text).map(|piece| piece.map(part)).collect();
        Ok(Self { text: text.into(), parts: parts? })
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a segment of a path is `.` or `..` (RFC 3986 section 3.3), however its dots are written.
#[must_use]
pub fn is_dot_segment(segment: &str) -> bool {
    let mut dots = 0;
    let mut rest = segment;
    while !rest.is_empty() {
        let escaped = rest.get(..3).filter(|escape| escape.eq_ignore_ascii_case("%2e")).map(str::len);
        let Some(length) = rest.starts_with('.').then_some(1).or(escaped) else { return false };
        rest = &rest[length..];
        dots += 1;
    }
    dots == 1 || dots == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_refused_where_no_group_is_a_part_of_them() {
        for text in ["/a/../b", "/..", "/./${1}", "/%2e%2E/x", "/a/.%2e"] {
            let refused = Err(ValueError::DotSegment { text: text.into() });
            assert_eq!(text.parse::<PathTemplate>(), refused);
        }
        for text in ["/a/.well-known/${1}", "/...", "/.${1}/b", "/a/${1}../b"] {
            assert!(text.parse::<PathTemplate>().is_ok(), "{text}");
        }
    }
}
