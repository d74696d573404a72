//! The small types a configuration is made of: each can only hold a legal value.
//!
//! Every type has one fallible constructor, used for files and peers alike; the text of its error is what the author of
//! a file reads behind the position and the key.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

/// Why a value is not legal. Its text names the value and what would be legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A text that must say something is empty.
    #[error("must not be empty")]
    Empty,
    /// A text is longer than what any legal one needs.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The most bytes there may be.
        limit: usize,
    },
    /// A name that could not stand in a header, a label or a log line as it is.
    #[error("contains {character:?}; letters, digits and -_.:/@ are allowed")]
    NameCharacter {
        /// The first character that is not allowed.
        character: char,
    },
    /// A prefix that is not the beginning of a path.
    #[error("must start with \"/\": {text:?}")]
    NoLeadingSlash {
        /// As written.
        text: String,
    },
    /// A prefix that no normalised path can begin with.
    #[error("{text:?} can match no request: {reason}")]
    UnreachablePrefix {
        /// As written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a URL to send requests to.
    #[error("not an absolute http or https URL: {text:?}")]
    NotAnUpstream {
        /// As written.
        text: String,
    },
    /// A URL with a part that is never sent to an upstream.
    #[error("must not have {part}: {text:?}")]
    UpstreamPart {
        /// "a query", "a fragment", "a user name".
        part: &'static str,
        /// As written.
        text: String,
    },
    /// Not an address to listen on.
    #[error("not an address to listen on (\"HOST:PORT\", \"[IPV6]:PORT\" or \":PORT\"): {text:?}")]
    NotAnAddress {
        /// As written.
        text: String,
    },
    /// Not a range of addresses.
    #[error("not an address range such as \"10.0.0.0/8\": {text:?}")]
    NotARange {
        /// As written.
        text: String,
    },
    /// A number or duration outside its range.
    #[error("must be {range}")]
    OutOfRange {
        /// The legal range, in words.
        range: &'static str,
    },
    /// A word that is none of the known ones.
    #[error("must be one of {choices}: {text:?}")]
    UnknownChoice {
        /// The legal words, separated by commas.
        choices: &'static str,
        /// As written.
        text: String,
    },
}

/// Name of a route: unique in a configuration; stands in headers, logs and metric labels as it is.
///
/// 1 to 200 bytes of ASCII letters, digits and `-_.:/@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName(Arc<str>);

impl RouteName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        match text.chars().find(|&c| !allowed(c)) {
            Some(character) => Err(ValueError::NameCharacter { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of the paths a route serves, or of what is stripped from them.
///
/// Starts with `/`; at most 8,192 bytes of visible ASCII; without `?`, `#`, empty or dot segments (a normalised path has
/// none, so such a prefix could never match). Whether it ends in `/` matters: `/a` matches `/a` and `/a/b`, `/a/` only
/// what is beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The most bytes of a prefix.
    pub const MAX_BYTES: usize = 8_192;

    /// Takes a prefix.
    ///
    /// # Errors
    /// When it does not start with `/`, is too long, or no normalised path can begin with it.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if !text.starts_with('/') {
            return Err(ValueError::NoLeadingSlash { text: text.into() });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let unreachable = |reason| ValueError::UnreachablePrefix { text: text.into(), reason };
        if let Some(bad) = text.bytes().find(|b| !b.is_ascii_graphic() || b"?#\\\"<>^`{}|".contains(b)) {
            return Err(unreachable(match bad {
                b'?' | b'#' => "a path ends before \"?\" and \"#\"",
                b'\\' => "backslashes are refused",
                _ => "only characters that a path holds unescaped, and percent escapes, can match",
            }));
        }
        let segments = text[1..].strip_suffix('/').unwrap_or(&text[1..]);
        for segment in segments.split('/').filter(|_| !segments.is_empty()) {
            match segment {
                "" => return Err(unreachable("\"//\" is merged into \"/\" before matching")),
                "." | ".." => return Err(unreachable("dot segments are resolved before matching")),
                _ => {}
            }
        }
        if text == "//" {
            return Err(unreachable("\"//\" is merged into \"/\" before matching"));
        }
        Ok(Self(text.into()))
    }

    /// The prefix as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How bytes travel to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The port where a URL of this scheme names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The host of an upstream: an address, or a name that is resolved while the gateway runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamHost {
    /// A literal address.
    Address(IpAddr),
    /// A DNS name, in lower case.
    Name(Arc<str>),
}

/// Where a route's requests go: an absolute `http` or `https` URL without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    text: Arc<str>,
    scheme: Scheme,
    host: UpstreamHost,
    port: u16,
    /// Without the last `/`: empty for `http://h` and `http://h/`.
    base_path: Arc<str>,
}

impl UpstreamUrl {
    /// The most bytes of a URL.
    pub const MAX_BYTES: usize = 8_192;

    /// Reads a URL.
    ///
    /// # Errors
    /// When it is not absolute, of another scheme, too long, or has a user name, a query or a fragment.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let not_a_url = || ValueError::NotAnUpstream { text: text.into() };
        let has = |part| ValueError::UpstreamPart { part, text: text.into() };
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
        Ok(Self { text: text.into(), scheme, host, port, base_path })
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

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands before every path sent: empty, or a path that starts with `/` and does not end in it.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The `Host` that the upstream sees (RFC 9110 section 7.2): without the port when it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match &self.host {
            UpstreamHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            UpstreamHost::Address(address) => address.to_string(),
            UpstreamHost::Name(name) => name.to_string(),
        };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// Letters, digits, `-` and `_` in labels of 1 to 63 bytes, 253 bytes together (RFC 1035 section 2.3.4; the underscore
/// is common in service names). A last label of digits only is a mistyped address (RFC 1123 section 2.1).
fn is_dns_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    let legal = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let last = labels.rsplit('.').next().unwrap_or_default();
    labels.len() <= 253 && labels.split('.').all(legal) && !last.bytes().all(|b| b.is_ascii_digit())
}

/// Where a program listens: `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for every interface. The host is an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// None: every interface, both families.
    address: Option<IpAddr>,
    port: u16,
}

impl ListenAddress {
    /// The address to bind; none for every interface.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The port to bind; 0 lets the system choose.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }
}

impl FromStr for ListenAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let not_an_address = || ValueError::NotAnAddress { text: text.into() };
        let (host, port) = text.rsplit_once(':').ok_or_else(not_an_address)?;
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_an_address());
        }
        let port = port.parse().map_err(|_| not_an_address())?;
        let address = match host {
            "" => None,
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            _ => Some(match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
                Some(address) => IpAddr::V6(address.parse().map_err(|_| not_an_address())?),
                None => IpAddr::V4(host.parse().map_err(|_| not_an_address())?),
            }),
        };
        Ok(Self { address, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, ":{}", self.port),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// A range of addresses in CIDR notation; a single address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange(ipnet::IpNet);

impl AddressRange {
    /// Whether an address lies in the range. An IPv4-mapped IPv6 address counts as the IPv4 address it stands for.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let single = || text.parse::<IpAddr>().map(ipnet::IpNet::from);
        let range = text.parse().or_else(|_| single());
        range.map(Self).map_err(|_| ValueError::NotARange { text: text.into() })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A timeout or period: above zero, at most a day, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    const RANGE: ValueError = ValueError::OutOfRange { range: "above 0 and at most 86400 seconds" };
    const MAX: Duration = Duration::from_secs(86_400);

    /// Takes seconds; fractions are allowed.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_seconds(seconds: f64) -> Result<Self, ValueError> {
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| Self::RANGE)?;
        Self::from_micros(u64::try_from(duration.as_micros()).map_err(|_| Self::RANGE)?)
    }

    /// Takes microseconds.
    ///
    /// # Errors
    /// When they are not within the range.
    pub fn from_micros(micros: u64) -> Result<Self, ValueError> {
        let duration = Duration::from_micros(micros);
        if duration.is_zero() || duration > Self::MAX { Err(Self::RANGE) } else { Ok(Self(duration)) }
    }

    /// Whole seconds, for defaults written in the code.
    ///
    /// # Panics
    /// At compile time, when used in a constant out of range.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        assert!(seconds > 0 && seconds <= 86_400, "a period is above 0 and at most a day");
        Self(Duration::from_secs(seconds as u64))
    }

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// In microseconds.
    #[must_use]
    pub fn micros(self) -> u64 {
        // A day in microseconds fits easily.
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

/// A JWS signature algorithm a provider may allow (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the registered ones")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Ps256, "PS256"),
        (Self::Ps384, "PS384"),
        (Self::Ps512, "PS512"),
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::EdDsa, "EdDSA"),
    ];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Algorithm {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(algorithm, _)| *algorithm);
        found.ok_or_else(|| ValueError::UnknownChoice {
            choices: "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
            text: text.into(),
        })
    }
}
