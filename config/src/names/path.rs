//! Paths as files write them: whole ones, and what they begin with. Nothing here sees a request.

use std::{fmt, sync::Arc};

use super::{ValueError, checked_text};

checked_text! {
    /// The beginning of the paths a route serves, or of what is stripped from them.
    ///
    /// Starts with `/`; at most 8,192 bytes of visible ASCII; without `?`, `#`, empty or dot segments (a normalised path has
    /// none, so such a prefix could never match). Whether it ends in `/` matters: `/a` matches `/a` and `/a/b`, `/a/` only
    /// what is beneath it.
    PathPrefix, at most 8192 bytes, by check_path
}

checked_text! {
    /// A path, all of it, under the rules of a prefix. `/a` and `/a/` are two paths.
    ExactPath, at most 8192 bytes, by check_path
}

checked_text! {
    /// What an endpoint is asked for to see whether it is well: a path and perhaps a query, sent as it is.
    ///
    /// Starts with `/`; at most 8,192 bytes of visible ASCII, without what no target of a request has.
    ProbePath, at most 8192 bytes, by check_target
}

/// What is true of every path.
fn check_beginning(text: &str, limit: usize) -> Result<(), ValueError> {
    if !text.starts_with('/') {
        return Err(ValueError::NoLeadingSlash { text: text.into() });
    }
    if text.len() > limit {
        return Err(ValueError::TooLong { limit });
    }
    Ok(())
}

/// The rule of what is sent as it is.
fn check_target(text: &str, limit: usize) -> Result<(), ValueError> {
    check_beginning(text, limit)?;
    let is_legal = text.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>^`{}|".contains(&b));
    if is_legal { Ok(()) } else { Err(ValueError::NotATarget { text: text.into() }) }
}

/// The rule of what a normalised path can be, or begin with.
fn check_path(text: &str, limit: usize) -> Result<(), ValueError> {
    check_beginning(text, limit)?;
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
