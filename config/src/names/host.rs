//! For whom a request is: hosts as routes name them. Nothing here sees a request.

use std::{fmt, net::Ipv6Addr, str::FromStr, sync::Arc};

use http::HeaderValue;

use super::{ValueError, upstream::is_dns_name};

/// A host, or all that lie beneath one: `api.example.com`, `*.example.com`.
///
/// In lower case, without a port and without a dot at the end. An address is a host like any other; IPv6 stands in
/// brackets and as RFC 5952 has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host and no other.
    Exactly(Arc<str>),
    /// `*.` before this: one label or more.
    Beneath(Arc<str>),
}

impl HostPattern {
    /// The host without what stands for labels.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Exactly(host) | Self::Beneath(host) => host,
        }
    }
}

impl FromStr for HostPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let not_a_host = || ValueError::NotAHostPattern { text: text.into() };
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let address: Ipv6Addr = address.parse().map_err(|_| not_a_host())?;
            return Ok(Self::Exactly(format!("[{address}]").into()));
        }
        let (pattern, host): (fn(Arc<str>) -> Self, _) = match text.strip_prefix("*.") {
            Some(host) => (Self::Beneath, host),
            None => (Self::Exactly, text),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_address = text == host && host.parse::<std::net::Ipv4Addr>().is_ok();
        let is_name = is_dns_name(host) && !host.ends_with('.');
        if is_address || is_name { Ok(pattern(host.to_ascii_lowercase().into())) } else { Err(not_a_host()) }
    }
}

/// One host, under the rules of a pattern that names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(HeaderValue);

impl HostName {
    /// The host, without a port.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As header fields have it.
    #[must_use]
    pub fn as_http(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse()? {
            HostPattern::Exactly(host) => {
                HeaderValue::from_str(&host).map(Self).map_err(|_| ValueError::NotAHost { text: text.into() })
            }
            HostPattern::Beneath(_) => Err(ValueError::NotAHost { text: text.into() }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(host) => f.write_str(host),
            Self::Beneath(host) => write!(f, "*.{host}"),
        }
    }
}
