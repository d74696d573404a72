//! What a route makes of a request's path and host before it is sent, or of what it sends the client to.

use crate::names::{ExactPath, HostName, PathPart, PathPrefix, PathTemplate, Pattern, ValueError};

/// What becomes of the path before a request is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathChange {
    /// Nothing.
    #[default]
    None,
    /// `strip_prefix`: this is removed.
    Strip(PathPrefix),
    /// `rewrite`.
    Rewrite(Box<PathRewrite>),
}

/// `path`, `prefix`, or `regex` and `with`: another path in the place of a request's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// This, whatever it was.
    Full(ExactPath),
    /// What the route's `match` names, be it a prefix or the whole, becomes this.
    Prefix(PathPrefix),
    /// Where all of it matches the expression.
    Regex(RegexRewrite),
}

/// `regex` and `with`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexRewrite {
    pattern: Pattern,
    with: PathTemplate,
}

impl RegexRewrite {
    /// Takes an expression and what takes the place of what it matches.
    ///
    /// # Errors
    /// When the latter has a group that the expression has not.
    pub fn new(pattern: Pattern, with: PathTemplate) -> Result<Self, ValueError> {
        for part in with.parts() {
            if let PathPart::Group(group) = part
                && !pattern.has_group(group)
            {
                return Err(ValueError::UnknownGroup { group: group.to_string() });
            }
        }
        Ok(Self { pattern, with })
    }

    /// What a whole path must match.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What it becomes.
    #[must_use]
    pub fn with(&self) -> &PathTemplate {
        &self.with
    }
}

/// `rewrite.host`: what host an upstream is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostRewrite {
    /// That of its URL.
    #[default]
    Upstream,
    /// `${host}`: that which the client asked for.
    AsReceived,
    /// This.
    Name(HostName),
}

impl HostRewrite {
    /// How a file says that the client's host is kept.
    pub const AS_RECEIVED: &str = "${host}";

    /// As a file says it; empty: it says nothing.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Upstream => "",
            Self::AsReceived => Self::AS_RECEIVED,
            Self::Name(host) => host.as_str(),
        }
    }
}

impl std::str::FromStr for HostRewrite {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            Self::AS_RECEIVED => Ok(Self::AsReceived),
            _ => text.parse().map(Self::Name),
        }
    }
}
