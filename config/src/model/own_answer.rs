//! Answers that a route gives without asking anybody, as far as a file describes them.

use std::num::NonZeroU16;

use super::PathRewrite;
use crate::names::{AnswerStatus, AnswerText, HostName, MediaType, RedirectStatus, Scheme, ValueError};

/// `routes[].redirect`: where clients are sent. What it does not name is as in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 302 unless said.
    pub status: RedirectStatus,
    /// None: that of the request.
    pub scheme: Option<Scheme>,
    /// None: that of the request.
    pub host: Option<HostName>,
    /// None: that of the scheme, where that is named; else that of the request.
    pub port: Option<NonZeroU16>,
    /// None: that of the request.
    pub path: Option<PathRewrite>,
}

/// `routes[].respond`: what clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedAnswer {
    status: AnswerStatus,
    body: AnswerText,
    content_type: MediaType,
}

impl FixedAnswer {
    /// Takes an answer.
    ///
    /// # Errors
    /// When it has a body that answers of its status have not.
    pub fn new(status: AnswerStatus, body: AnswerText, content_type: MediaType) -> Result<Self, ValueError> {
        if !status.has_body() && !body.as_str().is_empty() {
            return Err(ValueError::BodyForbidden);
        }
        Ok(Self { status, body, content_type })
    }

    /// 200 unless said.
    #[must_use]
    pub fn status(&self) -> AnswerStatus {
        self.status
    }

    /// Empty unless said.
    #[must_use]
    pub fn body(&self) -> &AnswerText {
        &self.body
    }

    /// What the body is.
    #[must_use]
    pub fn content_type(&self) -> &MediaType {
        &self.content_type
    }
}
