//! What path an upstream is asked for.

use apigw_config::names::PathPrefix;

/// The path of a request after the route's own changes.
///
/// `path` is normalised. The prefix is removed on a segment border only, what is left never becomes empty, and the
/// upstream's base path (without a final slash) is put in front.
///
/// None: the path is sent as it is.
#[must_use]
pub fn rewritten_path(path: &str, strip_prefix: Option<&PathPrefix>, base_path: &str) -> Option<String> {
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

/// What follows the prefix: empty or beginning with a slash. None: the path does not begin with the prefix.
fn strip<'a>(path: &'a str, prefix: &PathPrefix) -> Option<&'a str> {
    let prefix = prefix.as_str();
    let rest = path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix))?;
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
