//! Reads `match`: which requests a route serves.

use super::{Mapping, Place, Read, Reader};
use crate::{
    model::{FieldMatch, HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch},
    names::{ExactPath, HostPattern, MatchText, MethodName, PathPrefix, Pattern},
};

/// The keys of a path, of which there is one.
const PATH_KEYS: [&str; 3] = ["path_prefix", "path", "path_regex"];

/// The keys that say what a value must be, of which there is one.
const VALUE_KEYS: [&str; 5] = ["exact", "prefix", "regex", "present", "absent"];

impl Read for RouteMatch {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let hosts: Option<Vec<HostPattern>> = keys.or("hosts", Vec::new());
        let methods: Option<Vec<MethodName>> = keys.or("methods", Vec::new());
        let headers: Option<Vec<HeaderMatch>> = keys.or("headers", Vec::new());
        let query: Option<Vec<QueryMatch>> = keys.or("query", Vec::new());
        // What cannot be read was meant to say something.
        let others = [
            hosts.as_ref().is_none_or(|list| !list.is_empty()),
            methods.as_ref().is_none_or(|list| !list.is_empty()),
            headers.as_ref().is_none_or(|list| !list.is_empty()),
            query.as_ref().is_none_or(|list| !list.is_empty()),
        ];
        let without = if others.contains(&true) { WithoutPath::Every } else { WithoutPath::Missing };
        let path = path(&mut keys, without);
        let is_readable = path.is_some();
        // Where it is not, that is reported already, and nothing comes of what stands in for it.
        let of_this = Self::from(path.unwrap_or_else(every_path));
        let of_this = hosts.and_then(|hosts| keys.taken("hosts", of_this.with_hosts(hosts)));
        let of_this =
            of_this.zip(methods).and_then(|(it, list)| keys.taken("methods", it.with_methods(list)));
        let of_this =
            of_this.zip(headers).and_then(|(it, list)| keys.taken("headers", it.with_headers(list)));
        let of_this = of_this.zip(query).and_then(|(it, list)| keys.taken("query", it.with_query(list)));
        keys.finish();
        of_this.filter(|_| is_readable)
    }
}

/// Every path begins so.
fn every_path() -> PathMatch {
    PathMatch::Prefix(PathPrefix::new("/").expect("it is a prefix"))
}

/// What it means that nothing is said of the path.
#[derive(Clone, Copy)]
enum WithoutPath {
    /// Every path: something else is said.
    Every,
    /// A mistake: a route that serves everything says so.
    Missing,
}

/// The one key of a path.
fn path(keys: &mut Mapping<'_, '_>, without: WithoutPath) -> Option<PathMatch> {
    let prefix: Option<Option<PathPrefix>> = keys.or("path_prefix", None);
    let exact: Option<Option<ExactPath>> = keys.or("path", None);
    let regex: Option<Option<Pattern>> = keys.or("path_regex", None);
    let mut given = PATH_KEYS.into_iter().filter(|key| keys.has(key));
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        keys.report(second, format_args!("not beside \"{first}\": a route has one of them"));
        return None;
    }
    match (prefix?, exact?, regex?) {
        (Some(prefix), ..) => Some(PathMatch::Prefix(prefix)),
        (_, Some(exact), _) => Some(PathMatch::Exactly(exact)),
        (.., Some(regex)) => Some(PathMatch::Regex(regex)),
        (None, None, None) => match without {
            WithoutPath::Every => Some(every_path()),
            WithoutPath::Missing => {
                keys.report("path_prefix", "missing");
                None
            }
        },
    }
}

impl<N: Read> Read for FieldMatch<N> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let name = keys.required("name");
        let exact: Option<Option<MatchText>> = keys.or("exact", None);
        let prefix: Option<Option<MatchText>> = keys.or("prefix", None);
        let regex: Option<Option<Pattern>> = keys.or("regex", None);
        let present = keys.or("present", None);
        let absent = keys.or("absent", None);
        let mut given = VALUE_KEYS.into_iter().filter(|key| keys.has(key));
        let value = match (given.next(), given.next()) {
            (None, _) => {
                keys.report("exact", "missing: one of exact, prefix, regex, present and absent is needed");
                None
            }
            (Some(first), Some(second)) => {
                keys.report(second, format_args!("not beside \"{first}\": there is one of them"));
                None
            }
            (Some("exact"), None) => exact.flatten().map(ValueMatch::Exactly),
            (Some("prefix"), None) => prefix.flatten().map(ValueMatch::Prefix),
            (Some("regex"), None) => regex.flatten().map(ValueMatch::Regex),
            (Some("present"), None) => {
                truth(&mut keys, "present", present.flatten()).map(|()| ValueMatch::Present)
            }
            (Some(_), None) => truth(&mut keys, "absent", absent.flatten()).map(|()| ValueMatch::Absent),
        };
        keys.finish();
        Some(Self { name: name?, value: value? })
    }
}

/// That a key says yes: the other answer has a key of its own.
fn truth(keys: &mut Mapping<'_, '_>, key: &str, value: Option<bool>) -> Option<()> {
    if value? {
        return Some(());
    }
    let other = if key == "present" { "absent" } else { "present" };
    keys.report(key, format_args!("must be true; the other is \"{other}: true\""));
    None
}
