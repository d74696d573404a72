//! Paths as files write them: whole ones, and what they begin with. Nothing here sees a request.

use std::{fmt, sync::Arc};

use super::ValueError;

/// The most bytes of a path.
const MAX_BYTES: usize = 8_192;

/// A text that a normalised path can be, or begin with.
macro_rules! path {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes it has.
            pub const MAX_BYTES: usize = MAX_BYTES;

            /// Takes a text.
            ///
            /// # Errors
            /// When it does not start with `/`, is too long, or no normalised path is like it.
            pub fn new(text: &str) -> Result<Self, ValueError> {
                check(text).map(|()| Self(text.into()))
            }

            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

path! {
    /// The beginning of the paths a route serves, or of what is stripped from them.
    ///
    /// Starts with `/`; at most 8,192 bytes of visible ASCII; without `?`, `#`, empty or dot segments (a normalised path has
    /// none, so such a prefix could never match). Whether it ends in `/` matters: `/a` matches `/a` and `/a/b`, `/a/` only
    /// what is beneath it.
    PathPrefix
}

path! {
    /// A path, all of it, under the rules of a prefix. `/a` and `/a/` are two paths.
    ExactPath
}

/// What an endpoint is asked for to see whether it is well: a path and perhaps a query, sent as it is.
///
/// Starts with `/`; at most 8,192 bytes of visible ASCII, without what no target of a request has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbePath(Arc<str>);

impl ProbePath {
    /// Takes a path.
    ///
    /// # Errors
    /// When it does not start with `/`, is too long, or has a character that no target has.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_beginning(text)?;
        let is_legal = text.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`{}|".contains(&b));
        if is_legal { Ok(Self(text.into())) } else { Err(ValueError::NotATarget { text: text.into() }) }
    }

    /// The path and the query as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is true of every path.
fn check_beginning(text: &str) -> Result<(), ValueError> {
    if !text.starts_with('/') {
        return Err(ValueError::NoLeadingSlash { text: text.into() });
    }
    if text.len() > MAX_BYTES {
        return Err(ValueError::TooLong { limit: MAX_BYTES });
    }
    Ok(())
}

/// The rule of both: what a normalised path can be, or begin with.
fn check(text: &str) -> Result<(), ValueError> {
    check_beginning(text)?;
    let unreachable = |reason| ValueError::UnreachablePrefix { text: text.into(), reason };
    if let Some(bad) = text.bytes().find(|b| !b.is_ascii_graphic() || b"?#\\\"<>^`{}|".contains(b)) {
        return Err(unreachable(match bad {
            b'?' | b'#' => "a path ends before \"?\" and \"#\"",
            b'\\' => "backslashes are refused",
            _ => "only characters that a path holds unescaped, and percent escapes, can match",
        }));
    }
    let segments = text[1..].strip_suffix('/').unwrap_or(&text[1..]);
    for segment in segments.split('/').filter(|_| !segments.is_empty()) {
        match segment {
            "" => return Err(unreachable("\"//\" is merged into \"/\" before matching")),
            "." | ".." => return Err(unreachable("dot segments are resolved before matching")),
            _ => {}
        }
    }
    if text == "//" {
        return Err(unreachable("\"//\" is merged into \"/\" before matching"));
    }
    Ok(())
}
