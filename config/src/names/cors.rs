//! What a page of another origin may be allowed to send: origins. Nothing here answers a browser.

use std::{net::IpAddr, str::FromStr};

use super::{ValueError, upstream::is_dns_name};

/// An origin, written as browsers send it (RFC 6454 section 6.2): scheme and host in lower case, no path, no port where
/// it is the scheme's own. Any other spelling would equal no request's `Origin`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The most bytes of an origin.
    pub const MAX_BYTES: usize = 300;

    /// Takes an origin.
    ///
    /// # Errors
    /// When no browser would send it.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        match text {
            "" => Err(ValueError::Empty),
            _ if text.len() > Self::MAX_BYTES => Err(ValueError::TooLong { limit: Self::MAX_BYTES }),
            _ if is_serialised(text) => Ok(Self(text.into())),
            _ => Err(ValueError::NotAnOrigin { text: text.into() }),
        }
    }

    /// The origin as `Origin` has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_serialised(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let scheme_is_legal = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_is_legal = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => matches!(inner.parse(), Ok(IpAddr::V6(address)) if address.to_string() == inner),
        None => host.parse().is_ok_and(|address: IpAddr| address.is_ipv4()) || is_dns_name(host),
    };
    let own_port = match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => 0,
    };
    // As a number is written: `+80` and `080` parse, and no browser sends them.
    let is_written = |port: &str| {
        port.parse().is_ok_and(|number: u16| number != 0 && number != own_port && number.to_string() == port)
    };
    scheme_is_legal
        && host_is_legal
        && !host.bytes().any(|b| b.is_ascii_uppercase())
        && port.is_none_or(is_written)
}

/// An origin, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginPattern {
    /// `*`.
    Any,
    /// This one and no other.
    Exactly(Origin),
}

impl OriginPattern {
    /// The word in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Exactly(origin) => origin.as_str(),
        }
    }
}

impl FromStr for OriginPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "*" { Ok(Self::Any) } else { Origin::new(text).map(Self::Exactly) }
    }
}

/// The origins whose pages may read answers: at least one; where it is `*`, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<OriginPattern>);

impl AllowedOrigins {
    /// Takes patterns; their order decides nothing.
    ///
    /// # Errors
    /// When there is none, or `*` beside others.
    pub fn new(patterns: Vec<OriginPattern>) -> Result<Self, ValueError> {
        match patterns.as_slice() {
            [] => Err(ValueError::Empty),
            [_, _, ..] if patterns.contains(&OriginPattern::Any) => Err(ValueError::AnyAmongOthers),
            _ => Ok(Self(patterns)),
        }
    }

    /// The patterns, at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[OriginPattern] {
        &self.0
    }
}
