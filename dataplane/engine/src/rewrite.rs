//! What takes the place of a request's path, where a route rewrites it. The result is judged as a path that a client sent:
//! whatever a request's own pieces are put together to, it does not leave the place that the route names.

use std::borrow::Cow;

use apigw_config::{
    model::{PathMatch, PathRewrite, PathRules, RouteMatch},
    names::{Expansion, PathPrefix, is_dot_segment},
};

use crate::{path::NormalPath, rejection::Rejection};

/// The most bytes of a path that is put together: those of a target.
const MAX_BYTES: usize = 65_534;

/// The path that a rewrite makes of another one, in the one form; the same where it does not apply.
///
/// # Errors
/// When it becomes too long, or none that a client could have asked for.
pub(crate) fn rewritten<'p>(
    rewrite: &PathRewrite,
    matches: &RouteMatch,
    path: &'p NormalPath<'_>,
    rules: PathRules,
) -> Result<Cow<'p, str>, Rejection> {
    let text = match rewrite {
        PathRewrite::Full(path) => path.as_str().to_owned(),
        PathRewrite::Prefix(with) => match replaced(path.as_str(), matches, with) {
            Some(text) => text,
            None => return Ok(path.as_str().into()),
        },
        PathRewrite::Regex(regex) => match regex.pattern().expand(path.as_str(), regex.with(), MAX_BYTES) {
            Expansion::Text(text) => text,
            Expansion::NoMatch => return Ok(path.as_str().into()),
            Expansion::TooLong => return Err(Rejection::TargetTooLong),
        },
    };
    if text.split('/').any(is_dot_segment) {
        return Err(Rejection::RewrittenPath);
    }
    let normal = NormalPath::new(&text, rules).map_err(|_ambiguous| Rejection::RewrittenPath)?;
    Ok(normal.as_str().to_owned().into())
}

/// The path with another beginning in the place of what the route names; none: the route names none.
fn replaced(path: &str, matches: &RouteMatch, with: &PathPrefix) -> Option<String> {
    let rest = match &matches.path {
        PathMatch::Prefix(prefix) => strip(path, prefix)?,
        PathMatch::Exactly(_) => "",
        PathMatch::Regex(_) => return None,
    };
    let with = with.as_str();
    Some(match rest {
        "" => with.to_owned(),
        rest => [with.strip_suffix('/').unwrap_or(with), rest].concat(),
    })
}

/// What follows the prefix: empty or beginning with one slash, since two begin an authority for some (RFC 3986 section 4.2). None:
/// the path does not begin with the prefix.
pub(crate) fn strip<'a>(path: &'a str, prefix: &PathPrefix) -> Option<&'a str> {
    let prefix = prefix.as_str();
    let rest = path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix))?;
    let further = rest.trim_start_matches('/').len();
    let rest = &rest[rest.len().saturating_sub(further + 1)..];
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a path on a route with this match and rewrite.
    fn check(matches: &str, rewrite: &str, path: &str, expected: Result<&str, Rejection>) {
        let file = format!(
            "routes: [{{name: a, upstream: http://h, match: {{{matches}}}, rewrite: {{{rewrite}}}}}]"
        );
        let config = apigw_config::read("test.yaml", file.as_bytes()).unwrap();
        let route = config.route(0).unwrap();
        let apigw_config::model::PathChange::Rewrite(rewrite) = &route.path_change else { panic!("{file}") };
        let path = NormalPath::new(path, PathRules::default()).unwrap();
        let found = rewritten(rewrite, &route.matches, &path, PathRules::default());
        assert_eq!(found, expected.map(Cow::Borrowed), "{file} {path}");
    }

    #[test]
    fn prefixes_are_replaced_on_segment_borders() {
        // The table of the Gateway API (https://gateway-api.sigs.k8s.io/reference/spec/#httppathmodifier).
        for (path, prefix, with, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "/", "/bar"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ] {
            check(&format!("path_prefix: {prefix}"), &format!("prefix: {with}"), path, Ok(expected));
        }
        check("path: /foo", "prefix: /xyz", "/foo", Ok("/xyz"));
    }

    #[test]
    fn whole_paths_are_replaced() {
        check("path_prefix: /", "path: /one", "/a/b", Ok("/one"));
    }

    #[test]
    fn expressions_replace_what_they_match_as_a_whole() {
        let rewrite = "regex: '/users/([0-9]+)/(?P<rest>.*)', with: '/u/${1}/x/${rest}'";
        check("path_prefix: /", rewrite, "/users/7/a/b", Ok("/u/7/x/a/b"));
        check("path_prefix: /", rewrite, "/v1/users/7/a", Ok("/v1/users/7/a"));
        check("path_prefix: /", rewrite, "/users/7/", Ok("/u/7/x/"));
        check(
            "path_prefix: /",
            "regex: '/(a)?(b)?.*', with: '/${0}/$${1}/${2}'",
            "/bc",
            Ok("/bc/$%7B1%7D/b"),
        );
    }

    #[test]
    fn no_request_leaves_the_place_that_a_rewrite_names() {
        let refused = || Err(Rejection::RewrittenPath);
        for (rewrite, path, expected) in [
            ("regex: '/(..)x', with: '/base/${1}/y'", "/..x", refused()),
            ("regex: '/a(.*)', with: '/base/%2e${1}'", "/a.", refused()),
            ("regex: '/a(.*)', with: '/base/%2${1}'", "/aE%2e", refused()),
            ("regex: '/a(.*)', with: '/base/%2${1}'", "/af", refused()),
            ("regex: '/a(.*)', with: '/base/..${1}'", "/a;x", refused()),
            ("regex: '/a(.*)', with: '/base/%${1}'", "/ax", refused()),
            ("path: /%2e%2E", "/a", refused()),
            ("regex: '/(.*)', with: '/base/${1}'", "/%252e%252e/x", Ok("/base/%252e%252e/x")),
            ("regex: '/(.*)', with: '/base//${1}'", "/x", Ok("/base/x")),
        ] {
            check("path_prefix: /", rewrite, path, expected);
        }
    }

    #[test]
    fn what_becomes_longer_than_a_target_is_refused() {
        let long = format!("/{}", "x".repeat(8_000));
        let with = format!("/{}", "${1}".repeat(9));
        let rewrite = format!("regex: '/(.*)', with: '{with}'");
        check("path_prefix: /", &rewrite, &long, Err(Rejection::TargetTooLong));
        let longest = format!("/{}", "x".repeat(MAX_BYTES - 1));
        check("path_prefix: /", "regex: '/(.*)', with: '/${1}'", &longest, Ok(&longest));
    }
}
