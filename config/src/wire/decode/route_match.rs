//! Reads which requests a peer's route serves.

use std::str::FromStr;

use apigw_proto::v1::{self, field_match};

use super::Fields;
use crate::{
    model::{FieldMatch, PathMatch, RouteMatch, ValueMatch},
    names::{ExactPath, HeaderName, MatchText, PathPrefix, Pattern, QueryName, ValueError},
    problem::{KeyPath, Problems},
};

/// Of a route's message: what it says of the path stands beside the rest where that is a prefix.
pub(super) fn route_match(
    path_prefix: &str,
    message: Option<&v1::RouteMatch>,
    at: &KeyPath<'_>,
    problems: &mut Problems,
) -> Option<RouteMatch> {
    let mut fields = Fields { at: *at, problems };
    let Some(message) = message else {
        return fields.take("path_prefix", PathPrefix::new(path_prefix)).map(RouteMatch::from);
    };
    let v1::RouteMatch { hosts, path, path_regex, methods, headers, query } = message;
    let path = match (path_prefix, path.as_str(), path_regex.as_str()) {
        ("", "", regex) if !regex.is_empty() => {
            fields.take("path_regex", Pattern::from_str(regex)).map(PathMatch::Regex)
        }
        ("", exact, "") if !exact.is_empty() => {
            fields.take("path", ExactPath::new(exact)).map(PathMatch::Exactly)
        }
        (prefix, "", "") => fields.take("path_prefix", PathPrefix::new(prefix)).map(PathMatch::Prefix),
        _ => fields.take("path", Err(ValueError::SeveralPaths)),
    };
    let hosts = fields.parse_all("hosts", hosts);
    let methods = fields.parse_all("methods", methods);
    let headers = field_matches(&mut fields, "headers", headers, HeaderName::new);
    let query = field_matches(&mut fields, "query", query, QueryName::new);
    let of_this = RouteMatch::from(path?);
    let of_this = fields.take("hosts", of_this.with_hosts(hosts?))?;
    let of_this = fields.take("methods", of_this.with_methods(methods?))?;
    let of_this = fields.take("headers", of_this.with_headers(headers?))?;
    fields.take("query", of_this.with_query(query?))
}

fn field_matches<N>(
    fields: &mut Fields<'_, '_>,
    key: &str,
    messages: &[v1::FieldMatch],
    name: impl Fn(&str) -> Result<N, ValueError>,
) -> Option<Vec<FieldMatch<N>>> {
    let at = fields.at;
    let at = at.key(key);
    let mut read = Vec::with_capacity(messages.len().min(RouteMatch::MAX_FIELDS));
    for (index, message) in messages.iter().enumerate() {
        let mut fields = Fields { at: at.index(index), problems: fields.problems };
        let name = fields.take("name", name(&message.name));
        let value = value_match(&mut fields, message.value.as_ref());
        read.extend(name.zip(value).map(|(name, value)| FieldMatch { name, value }));
    }
    (read.len() == messages.len()).then_some(read)
}

fn value_match(fields: &mut Fields<'_, '_>, value: Option<&field_match::Value>) -> Option<ValueMatch> {
    match fields.needed("exact", value)? {
        field_match::Value::Exact(text) => {
            fields.take("exact", MatchText::new(text)).map(ValueMatch::Exactly)
        }
        field_match::Value::Prefix(text) => {
            fields.take("prefix", MatchText::new(text)).map(ValueMatch::Prefix)
        }
        field_match::Value::Regex(text) => fields.take("regex", text.parse()).map(ValueMatch::Regex),
        field_match::Value::Presence(true) => Some(ValueMatch::Present),
        field_match::Value::Presence(false) => Some(ValueMatch::Absent),
    }
}
