//! What path an upstream is asked for.

use apigw_config::model::{PathChange, PathRules, Route};
use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};

use crate::{
    path::NormalPath,
    rejection::Rejection,
    rewrite::{rewritten, strip},
    snapshot::{self, Backend, Snapshot},
};

/// The target an upstream is asked for, in origin form (RFC 9112 section 3.2.1), beneath its base path; the query is not
/// looked at.
///
/// # Errors
/// When escapes, a rewrite or the base path have made it longer than a target can be, or a rewrite has made it none.
pub fn upstream_target(
    received: &Uri,
    path: &NormalPath<'_>,
    route: &snapshot::Route<'_>,
    backend: &Backend,
    snapshot: &Snapshot,
) -> Result<Uri, Rejection> {
    let rules = snapshot.settings().server.paths;
    let changed = match changed_path(path, route.config, backend.base_path(), rules)? {
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
/// A prefix is removed on a segment border only, what is left never becomes empty, and the upstream's base path (without a
/// final slash) is put in front.
///
/// None: the path is sent as it is.
fn changed_path(
    path: &NormalPath<'_>,
    route: &Route,
    base_path: &str,
    rules: PathRules,
) -> Result<Option<String>, Rejection> {
    let rest = match &route.path_change {
        PathChange::None if base_path.is_empty() => return Ok(None),
        PathChange::None => path.as_str().into(),
        PathChange::Strip(prefix) => match strip(path.as_str(), prefix) {
            None if base_path.is_empty() => return Ok(None),
            None => path.as_str().into(),
            Some("") => "/".into(),
            Some(rest) => rest.into(),
        },
        PathChange::Rewrite(rewrite) => rewritten(rewrite, &route.matches, path, rules)?,
    };
    Ok(Some([base_path, &rest].concat()))
}

#[cfg(test)]
mod tests {
    use apigw_config::names::{PathPrefix, RouteName, UpstreamUrl};

    use super::*;

    fn check(path: &str, strip_prefix: &str, base_path: &str, expected: Option<&str>) {
        let name = RouteName::new("a").unwrap();
        let upstream = UpstreamUrl::new("http://h").unwrap();
        let mut route = Route::new(name, PathPrefix::new("/").unwrap(), upstream);
        if !strip_prefix.is_empty() {
            route.path_change = PathChange::Strip(PathPrefix::new(strip_prefix).unwrap());
        }
        let rules = PathRules { merge_slashes: false, ..PathRules::default() };
        let path = NormalPath::new(path, rules).unwrap();
        let changed = changed_path(&path, &route, base_path, rules).unwrap();
        assert_eq!(changed.as_deref(), expected, "{path} - {strip_prefix:?} + {base_path}");
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
