//! `backends[].session_cookie`: what keeps a client with the endpoint that has answered it. Nothing here gives one away.

use crate::names::{CookieLifetime, CookieName, CookieSecret};

/// A cookie whose value names an endpoint, to nobody but who has the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    /// Under which clients keep it.
    pub name: CookieName,
    /// What the values are made with.
    pub secret: CookieSecret,
    /// How long clients keep it; none: until they are closed.
    pub lifetime: Option<CookieLifetime>,
}
