//! Where requests are sent to. Names are resolved elsewhere, while the gateway runs.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use super::{PathPrefix, SocketPath, UNIX_SCHEME, ValueError, check_length};

/// How bytes travel to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As URLs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where a URL of this scheme names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Scheme {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(ValueError::UnknownChoice { choices: "http, https", text: text.into() }),
        }
    }
}

/// The host of an upstream: an address, a name that is resolved while the gateway runs, or a program on the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamHost {
    /// A literal address.
    Address(IpAddr),
    /// A DNS name, in lower case.
    Name(Arc<str>),
    /// A socket file, where somebody listens.
    Unix(SocketPath),
}

/// Where a route's requests go: an absolute `http` or `https` URL without user, query and fragment, or `unix:` and the absolute
/// path of a socket file, on which HTTP is spoken in clear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    text: Arc<str>,
    scheme: Scheme,
    host: UpstreamHost,
    port: u16,
    /// Without the last `/`: empty for `http://h` and `http://h/`.
    base_path: Arc<str>,
    /// The name whose address the host is; none: it is what was written.
    name: Option<Arc<str>>,
}

impl UpstreamHost {
    /// An address or a name, as the text between `//` and the port: without brackets.
    ///
    /// # Errors
    /// When it is neither.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) if is_dns_name(text) => Ok(Self::Name(text.to_ascii_lowercase().into())),
            Err(_) => Err(ValueError::NotAHost { text: text.into() }),
        }
    }
}

impl fmt::Display for UpstreamHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "{UNIX_SCHEME}{path}"),
        }
    }
}

impl UpstreamUrl {
    /// The most bytes of a URL.
    pub const MAX_BYTES: usize = 8_192;

    /// Reads a URL.
    ///
    /// # Errors
    /// When it is not absolute, of another scheme, a path that no socket can have, too long, or has a user name, a query or a fragment.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        if let Some(path) = text.strip_prefix(UNIX_SCHEME) {
            return Self::unix(text, path);
        }
        let not_a_url = || ValueError::NotAnUpstream { text: without_user(text) };
        let has = |part| ValueError::UpstreamPart { part, text: without_user(text) };
        let (scheme, rest) = text.split_once("://").ok_or_else(not_a_url)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(not_a_url()),
        };
        if rest.contains('?') {
            return Err(has("a query"));
        }
        if rest.contains('#') {
            return Err(has("a fragment"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(has("a user name"));
        }
        if !path.is_empty() {
            PathPrefix::new(path).map_err(|_| not_a_url())?;
        }
        let authority: http::uri::Authority = authority.parse().map_err(|_| not_a_url())?;
        let port_is_written =
            authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, port)| port);
        let port = match (authority.port_u16(), port_is_written.contains(':')) {
            (Some(0), _) | (None, true) => return Err(not_a_url()),
            (Some(port), _) => port,
            (None, false) => scheme.default_port(),
        };
        let host = authority.host();
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(address) => UpstreamHost::Address(IpAddr::V6(address.parse().map_err(|_| not_a_url())?)),
            None => match host.parse() {
                Ok(address) => UpstreamHost::Address(IpAddr::V4(address)),
                Err(_) if is_dns_name(host) => UpstreamHost::Name(host.to_ascii_lowercase().into()),
                Err(_) => return Err(not_a_url()),
            },
        };
        let base_path = path.strip_suffix('/').unwrap_or(path).into();
        Ok(Self { text: text.into(), scheme, host, port, base_path, name: None })
    }

    fn unix(text: &str, path: &str) -> Result<Self, ValueError> {
        if !path.starts_with('/') {
            return Err(ValueError::RelativeSocket { text: text.into() });
        }
        let host = UpstreamHost::Unix(SocketPath::new(path)?);
        Ok(Self { text: text.into(), scheme: Scheme::Http, host, port: 0, base_path: "".into(), name: None })
    }

    /// The same at one address of its name; none: it has no name.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<Self> {
        let UpstreamHost::Name(name) = &self.host else { return None };
        let host = UpstreamHost::Address(address);
        let authority = authority(&host, self.scheme, self.port);
        let path = if self.path() == "/" { "" } else { self.path() };
        let text = format!("{}://{authority}{path}", self.scheme.as_str()).into();
        Some(Self { text, host, name: Some(Arc::clone(name)), ..self.clone() })
    }

    /// The name whose address the host is; none: the host is what was written.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The URL as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How bytes travel.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host to connect to.
    #[must_use]
    pub fn host(&self) -> &UpstreamHost {
        &self.host
    }

    /// The port to connect to; 0 of a socket file, which has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands before every path sent: empty, or a path that starts with `/` and does not end in it.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Its path, as written; `/` where it has none.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = match self.host {
            UpstreamHost::Unix(_) => None,
            UpstreamHost::Address(_) | UpstreamHost::Name(_) => {
                self.text.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]))
            }
        };
        path.unwrap_or("/")
    }

    /// The `Host` that the upstream sees (RFC 9110 section 7.2): without the port when it is the scheme's own. Whoever listens on
    /// a socket file sees `localhost`.
    #[must_use]
    pub fn authority(&self) -> String {
        let named = self.name.as_ref().map(|name| UpstreamHost::Name(Arc::clone(name)));
        authority(named.as_ref().unwrap_or(&self.host), self.scheme, self.port)
    }
}

fn authority(host: &UpstreamHost, scheme: Scheme, port: u16) -> String {
    let host = match host {
        UpstreamHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
        UpstreamHost::Address(address) => address.to_string(),
        UpstreamHost::Name(name) => name.to_string(),
        UpstreamHost::Unix(_) => return "localhost".into(),
    };
    if port == scheme.default_port() { host } else { format!("{host}:{port}") }
}

/// A text for people to read: what may be a password before an `@` does not belong in logs and answers.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        None => text.to_owned(),
        Some((user, host)) => {
            let scheme = user.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://...@{host}")
        }
    }
}

/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes, 253 bytes together (RFC 1035 section 2.3.4; the underscore
/// is common in service names). A last label of digits only is a mistyped address (RFC 1123 section 2.1).
pub(super) fn is_dns_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    let legal = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let last = labels.rsplit('.').next().unwrap_or_default();
    labels.len() <= 253 && labels.split('.').all(legal) && !last.bytes().all(|b| b.is_ascii_digit())
}
