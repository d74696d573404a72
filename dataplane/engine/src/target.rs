//! What path an upstream is asked for.

use apigw_config::names::PathPrefix;
use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};

use crate::{path::NormalPath, rejection::Rejection, snapshot::Route};

/// The target an upstream is asked for, in origin form (RFC 9112 section 3.2.1); the query is not looked at.
///
/// # Errors
/// When escapes or the base path have made it longer than a target can be.
pub fn upstream_target(received: &Uri, path: &NormalPath<'_>, route: &Route<'_>) -> Result<Uri, Rejection> {
    let base_path = route.backend.base_path();
    let rewritten = rewritten_path(path.as_str(), route.config.strip_prefix.as_ref(), base_path);
    let changed = match rewritten {
        Some(path) => path,
        None if path.is_as_received() && received.authority().is_none() => return Ok(received.clone()),
        None => path.as_str().to_owned(),
    };
    let target = match received.query() {
        Some(query) => [changed.as_str(), "?", query].concat(),
        None => changed,
    };
    // A normal path behind a checked base path, and a query that was one already: only the length can be wrong.
    let target =
        PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_length| Rejection::TargetTooLong)?;
    Ok(Uri::from(target))
}

/// The path of a request after the route's own changes.
///
/// `path` is normalised. The prefix is removed on a segment border only, what is left never becomes empty, and the
/// upstream's base path (without a final slash) is put in front.
///
/// None: the path is sent as it is.
fn rewritten_path(path: &str, strip_prefix: Option<&PathPrefix>, base_path: &str) -> Option<String> {
    let stripped = strip_prefix.and_then(|prefix| strip(path, prefix));
    if stripped.is_none() && base_path.is_empty() {
        return None;
    }
    let rest = match stripped.unwrap_or(path) {
        "" => "/",
        rest => rest,
    };
    Some([base_path, rest].concat())
}

/// What follows the prefix: empty or beginning with one slash, since two begin an authority for some (RFC 3986 section 4.2). None:
/// the path does not begin with the prefix.
fn strip<'a>(path: &'a str, prefix: &PathPrefix) -> Option<&'a str> {
    let prefix = prefix.as_str();
    let rest = path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix))?;
    let further = rest.trim_start_matches('/').len();
    let rest = &rest[rest.len().saturating_sub(further + 1)..];
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, strip_prefix: &str, base_path: &str, expected: Option<&str>) {
        let strip_prefix = (!strip_prefix.is_empty()).then(|| PathPrefix::new(strip_prefix).unwrap());
        let rewritten = rewritten_path(path, strip_prefix.as_ref(), base_path);
        assert_eq!(rewritten.as_deref(), expected, "{path} - {strip_prefix:?} + {base_path}");
    }

    #[test]
    fn prefixes_are_stripped_on_segment_borders() {
        check("/api/users/7", "/api", "", Some("/users/7"));
        check("/api/users/7", "/api/", "", Some("/users/7"));
        check("/apis/7", "/api", "", None);
        check("/other", "/api", "", None);
        check("/x", "/", "", Some("/x"));
        // Where empty segments are kept.
        check("/api//evil.example/x", "/api", "", Some("/evil.example/x"));
        check("/api//", "/api/", "", Some("/"));
    }

    #[test]
    fn what_is_left_never_becomes_empty() {
        check("/api", "/api", "", Some("/"));
        check("/api/", "/api", "", Some("/"));
        check("/api", "/api", "/base", Some("/base/"));
    }

    #[test]
    fn base_paths_are_joined() {
        check("/x", "", "/base", Some("/base/x"));
        check("/", "", "/base", Some("/base/"));
        check("/api/x", "/api", "/base", Some("/base/x"));
        check("/x", "", "", None);
    }
}
