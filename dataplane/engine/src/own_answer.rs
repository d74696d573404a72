//! Answers that a route gives without asking anybody: where clients are sent, and what they are told.

use apigw_config::{
    model::{FixedAnswer, PathRules, Redirect, Route},
    names::Scheme,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::{head::RequestHead, path::NormalPath, redirect, rejection::Rejection};

/// What a route answers, made ready.
#[derive(Debug)]
pub enum OwnAnswer {
    /// That it is elsewhere.
    Redirect(Redirect),
    /// The same to everybody.
    Fixed(Reply),
}

/// An answer, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Of a redirect.
    pub location: Option<HeaderValue>,
    /// What the body is; none: there is none.
    pub content_type: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
}

impl From<&Redirect> for OwnAnswer {
    fn from(redirect: &Redirect) -> Self {
        Self::Redirect(redirect.clone())
    }
}

impl From<&FixedAnswer> for OwnAnswer {
    fn from(answer: &FixedAnswer) -> Self {
        let body = Bytes::from(answer.body().as_str().to_owned());
        let content_type = (!body.is_empty()).then(|| answer.content_type().as_http().clone());
        Self::Fixed(Reply { status: answer.status().as_http(), location: None, content_type, body })
    }
}

impl OwnAnswer {
    /// The key that says it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Redirect(_) => "redirect",
            Self::Fixed(_) => "respond",
        }
    }

    /// The answer to a request of this route, by whose client it was sent in this scheme.
    ///
    /// # Errors
    /// When there is no place that the client could be sent to.
    pub fn reply(
        &self,
        route: &Route,
        head: &RequestHead,
        path: &NormalPath<'_>,
        scheme: Scheme,
        rules: PathRules,
    ) -> Result<Reply, Rejection> {
        match self {
            Self::Fixed(reply) => Ok(reply.clone()),
            Self::Redirect(redirect) => {
                let location = redirect::location(redirect, &route.matches, head, path, scheme, rules)?;
                let (status, body) = (redirect.status.as_http(), Bytes::new());
                Ok(Reply { status, location: Some(location), content_type: None, body })
            }
        }
    }
}
