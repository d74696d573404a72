//! What a route makes of requests' paths and hosts, and the answers that it gives itself.

use apigw_proto::v1::{self, path_rewrite};
use serde::Serialize;

/// `redirect`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RedirectJson {
    pub status: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    #[serde(flatten)]
    pub path_rewrite: PathRewriteJson,
}

/// `respond`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct FixedAnswerJson {
    pub status: u32,
    pub body: String,
    pub content_type: String,
}

/// `rewrite`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct RewriteJson {
    #[serde(flatten)]
    pub path_rewrite: PathRewriteJson,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// What takes the place of a path: one of `path`, `prefix`, and `regex` with `with`; none: nothing does.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[expect(missing_docs, reason = "the members are the file's keys")]
pub struct PathRewriteJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

impl From<v1::Redirect> for RedirectJson {
    fn from(redirect: v1::Redirect) -> Self {
        let v1::Redirect { status, scheme, host, port, path_rewrite } = redirect;
        let port = Some(port).filter(|&port| port > 0);
        Self { status, scheme, host, port, path_rewrite: path_rewrite.into() }
    }
}

impl From<v1::FixedAnswer> for FixedAnswerJson {
    fn from(v1::FixedAnswer { status, body, content_type }: v1::FixedAnswer) -> Self {
        Self { status, body, content_type }
    }
}

impl From<v1::Rewrite> for RewriteJson {
    fn from(v1::Rewrite { path_rewrite, host }: v1::Rewrite) -> Self {
        Self { path_rewrite: path_rewrite.into(), host }
    }
}

impl From<Option<v1::PathRewrite>> for PathRewriteJson {
    fn from(message: Option<v1::PathRewrite>) -> Self {
        match message.and_then(|message| message.rewrite) {
            None => Self::default(),
            Some(path_rewrite::Rewrite::Path(text)) => Self { path: Some(text), ..Self::default() },
            Some(path_rewrite::Rewrite::Prefix(text)) => Self { prefix: Some(text), ..Self::default() },
            Some(path_rewrite::Rewrite::Regex(v1::RegexRewrite { pattern, with })) => {
                Self { regex: Some(pattern), with: Some(with), ..Self::default() }
            }
        }
    }
}
