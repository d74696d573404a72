//! Which requests a route serves, as far as a file describes them. How one of several routes is chosen is the engine's
//! business.

use std::fmt;

use crate::names::{
    ExactPath, HeaderName, HostPattern, MatchText, MethodName, PathPrefix, Pattern, QueryName, ValueError,
    check_distinct,
};

/// `routes[].match`: all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// The paths.
    pub path: PathMatch,
    hosts: Vec<HostPattern>,
    methods: Vec<MethodName>,
    headers: Vec<HeaderMatch>,
    query: Vec<QueryMatch>,
}

/// What paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// This one.
    Exactly(ExactPath),
    /// All that begin so.
    Prefix(PathPrefix),
    /// All of this form.
    Regex(Pattern),
}

/// What a header field must be like.
pub type HeaderMatch = FieldMatch<HeaderName>;
/// What a parameter of the query must be like.
pub type QueryMatch = FieldMatch<QueryName>;

/// What something that is known by a name must be like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldMatch<N> {
    /// Its name.
    pub name: N,
    /// What it must be.
    pub value: ValueMatch,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// This one.
    Exactly(MatchText),
    /// One that begins so.
    Prefix(MatchText),
    /// One of this form.
    Regex(Pattern),
    /// Any.
    Present,
    /// There must be none.
    Absent,
}

impl RouteMatch {
    /// The most hosts of a route.
    pub const MAX_HOSTS: usize = 1_000;
    /// The most methods.
    pub const MAX_METHODS: usize = 64;
    /// The most header fields, and the most parameters of the query.
    pub const MAX_FIELDS: usize = 16;

    /// Only for these hosts; none: for all.
    ///
    /// # Errors
    /// When there are too many, or one is named twice.
    pub fn with_hosts(self, hosts: Vec<HostPattern>) -> Result<Self, ValueError> {
        check_number(&hosts, Self::MAX_HOSTS)?;
        check_distinct(&hosts)?;
        Ok(Self { hosts, ..self })
    }

    /// Only by these methods; none: by all.
    ///
    /// # Errors
    /// When there are too many, or one is named twice.
    pub fn with_methods(self, methods: Vec<MethodName>) -> Result<Self, ValueError> {
        check_number(&methods, Self::MAX_METHODS)?;
        check_distinct(&methods)?;
        Ok(Self { methods, ..self })
    }

    /// Only with header fields like these.
    ///
    /// # Errors
    /// When there are too many.
    pub fn with_headers(self, headers: Vec<HeaderMatch>) -> Result<Self, ValueError> {
        check_number(&headers, Self::MAX_FIELDS)?;
        Ok(Self { headers, ..self })
    }

    /// Only with parameters like these.
    ///
    /// # Errors
    /// When there are too many.
    pub fn with_query(self, query: Vec<QueryMatch>) -> Result<Self, ValueError> {
        check_number(&query, Self::MAX_FIELDS)?;
        Ok(Self { query, ..self })
    }

    /// The hosts; none: all.
    #[must_use]
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// The methods; none: all.
    #[must_use]
    pub fn methods(&self) -> &[MethodName] {
        &self.methods
    }

    /// What header fields must be like.
    #[must_use]
    pub fn headers(&self) -> &[HeaderMatch] {
        &self.headers
    }

    /// What parameters of the query must be like.
    #[must_use]
    pub fn query(&self) -> &[QueryMatch] {
        &self.query
    }

    /// Whether more than host and path is looked at.
    #[must_use]
    pub fn has_conditions(&self) -> bool {
        !(self.methods.is_empty() && self.headers.is_empty() && self.query.is_empty())
    }
}

impl From<PathMatch> for RouteMatch {
    fn from(path: PathMatch) -> Self {
        Self { path, hosts: Vec::new(), methods: Vec::new(), headers: Vec::new(), query: Vec::new() }
    }
}

impl From<PathPrefix> for RouteMatch {
    fn from(prefix: PathPrefix) -> Self {
        PathMatch::Prefix(prefix).into()
    }
}

fn check_number<T>(items: &[T], limit: usize) -> Result<(), ValueError> {
    if items.len() > limit { Err(ValueError::TooMany { count: items.len(), limit }) } else { Ok(()) }
}

impl fmt::Display for PathMatch {
    /// A prefix as it is, `= /exact`, `~ regex`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(path) => write!(f, "= {path}"),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Regex(pattern) => write!(f, "~ {pattern}"),
        }
    }
}

impl fmt::Display for ValueMatch {
    /// What follows the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(text) => write!(f, "= {text}"),
            Self::Prefix(text) => write!(f, "= {text}..."),
            Self::Regex(pattern) => write!(f, "~ {pattern}"),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
        }
    }
}
