//! Routes that one might have expected to serve a path, and why they do not.

use crate::Snapshot;

/// The most that are told.
const MOST: usize = 10;

/// A route that did not win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// Its name.
    pub route: String,
    /// In words.
    pub reason: String,
}

/// The routes that match and lose, and those that nearly match, in the order of the file.
pub(super) fn find(snapshot: &Snapshot, path: &str) -> Vec<NearMiss> {
    let winner = snapshot.config().routes().filter(|route| matches(route.path_prefix.as_str(), path));
    // `max_by_key` gives the last of equals; reversed, the first.
    let winner = winner.rev().max_by_key(|route| route.path_prefix.as_str().len());
    let others =
        snapshot.config().routes().filter(|route| Some(&route.name) != winner.map(|winner| &winner.name));
    let misses = others.filter_map(|route| {
        let prefix = route.path_prefix.as_str();
        let winner = winner.map(|winner| (winner.name.as_str(), winner.path_prefix.as_str()));
        let reason = reason(prefix, path, winner)?;
        Some(NearMiss { route: route.name.as_str().into(), reason })
    });
    misses.take(MOST).collect()
}

fn reason(prefix: &str, path: &str, winner: Option<(&str, &str)>) -> Option<String> {
    if matches(prefix, path) {
        let (name, longest) = winner?;
        return Some(if longest == prefix {
            format!("{name} has the same prefix and stands before it in the file")
        } else {
            format!("its prefix {prefix} matches; that of {name} is longer")
        });
    }
    if prefix.strip_suffix('/') == Some(path) {
        return Some(format!(
            "its prefix {prefix} matches only what is beneath it; {path} ends before the slash"
        ));
    }
    if path.starts_with(prefix) {
        return Some(format!("its prefix {prefix} ends within a segment of the path"));
    }
    let same_case = |text: &str| text.to_ascii_lowercase();
    if matches(&same_case(prefix), &same_case(path)) {
        return Some(format!("its prefix {prefix} differs in upper and lower case"));
    }
    None
}

/// As [`routing`](crate::routing) says.
fn matches(prefix: &str, path: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}
