//! What the gateway's own answers are made of, where a file words them.

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderValue, StatusCode};

use super::ValueError;

/// The status of a redirect: 301, 302, 303, 307 or 308 (RFC 9110 section 15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectStatus(StatusCode);

impl RedirectStatus {
    /// Takes a status.
    ///
    /// # Errors
    /// When it is not one that sends clients elsewhere.
    pub fn new(status: u32) -> Result<Self, ValueError> {
        let status = u16::try_from(status).ok().filter(|status| matches!(status, 301..=303 | 307 | 308));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.map(Self).ok_or(ValueError::OutOfRange { range: "301, 302, 303, 307 or 308" })
    }

    /// As HTTP has it.
    #[must_use]
    pub fn as_http(self) -> StatusCode {
        self.0
    }
}

impl Default for RedirectStatus {
    fn default() -> Self {
        Self(StatusCode::FOUND)
    }
}

/// The status of a whole answer: from 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerStatus(StatusCode);

impl AnswerStatus {
    /// Takes a status.
    ///
    /// # Errors
    /// When it is none, or one that another answer follows.
    pub fn new(status: u32) -> Result<Self, ValueError> {
        let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.map(Self).ok_or(ValueError::OutOfRange { range: "from 200 to 599" })
    }

    /// As HTTP has it.
    #[must_use]
    pub fn as_http(self) -> StatusCode {
        self.0
    }

    /// Whether such an answer has a body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
    #[must_use]
    pub fn has_body(self) -> bool {
        !matches!(self.0, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

impl Default for AnswerStatus {
    fn default() -> Self {
        Self(StatusCode::OK)
    }
}

/// What a body is: a media type with its parameters (RFC 9110 section 8.3.1), at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(HeaderValue);

impl MediaType {
    /// The most bytes of one.
    pub const MAX_BYTES: usize = 255;
    /// What a body is where nothing is said of it.
    pub const PLAIN_TEXT: Self = Self(HeaderValue::from_static("text/plain; charset=utf-8"));

    /// As header fields have it.
    #[must_use]
    pub fn as_http(&self) -> &HeaderValue {
        &self.0
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl FromStr for MediaType {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let is_token = |part: &str| {
            let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !part.is_empty() && part.bytes().all(is_legal)
        };
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let is_type = essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        match HeaderValue::from_str(text) {
            Ok(value) if is_type && is_visible => Ok(Self(value)),
            _ => Err(ValueError::NotAMediaType { text: text.into() }),
        }
    }
}

/// The text of an answer, at most 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerText(Arc<str>);

impl AnswerText {
    /// The most bytes of one.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Takes a text.
    ///
    /// # Errors
    /// When it is too long.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AnswerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
