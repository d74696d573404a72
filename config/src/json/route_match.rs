//! Which requests a route serves, where that is more than its prefix says.

use std::fmt;

use apigw_proto::v1::{self, field_match};
use serde::Serialize;

/// `match`, without its `path_prefix`, which stands where the Go model has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RouteMatchJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_regex: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FieldMatchJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<FieldMatchJson>,
}

/// What a header field, or a parameter of the query, must be like: one of these, beside its name.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct FieldMatchJson {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

impl From<v1::RouteMatch> for RouteMatchJson {
    fn from(route_match: v1::RouteMatch) -> Self {
        let v1::RouteMatch { hosts, path, path_regex, methods, headers, query } = route_match;
        let fields = |fields: Vec<v1::FieldMatch>| fields.into_iter().map(FieldMatchJson::from).collect();
        Self { hosts, path, path_regex, methods, headers: fields(headers), query: fields(query) }
    }
}

impl From<v1::FieldMatch> for FieldMatchJson {
    fn from(v1::FieldMatch { name, value }: v1::FieldMatch) -> Self {
        let of_name = Self { name, ..Self::default() };
        match value {
            None => of_name,
            Some(field_match::Value::Exact(text)) => Self { exact: Some(text), ..of_name },
            Some(field_match::Value::Prefix(text)) => Self { prefix: Some(text), ..of_name },
            Some(field_match::Value::Regex(text)) => Self { regex: Some(text), ..of_name },
            Some(field_match::Value::Presence(true)) => Self { present: Some(true), ..of_name },
            Some(field_match::Value::Presence(false)) => Self { absent: Some(true), ..of_name },
        }
    }
}

impl fmt::Display for FieldMatchJson {
    /// `name=exact`, `name^=prefix`, `name~regex`, `name`, `!name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, exact, prefix, regex, present: _, absent } = self;
        match (exact, prefix, regex, absent) {
            (Some(text), ..) => write!(f, "{name}={text}"),
            (_, Some(text), ..) => write!(f, "{name}^={text}"),
            (_, _, Some(text), _) => write!(f, "{name}~{text}"),
            (.., Some(_)) => write!(f, "!{name}"),
            _ => f.write_str(name),
        }
    }
}
