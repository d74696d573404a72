//! Names of header fields, and which of them a file may have the gateway write. Nothing here sees a request.

use std::{fmt, str::FromStr};

use super::{ValueError, check_length};

/// Name of a header field, in lower case (RFC 9110 section 5.1).
///
/// At most 200 bytes. `*` alone is refused: it means "all" wherever it is written, and no field has that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderName(http::HeaderName);

impl HeaderName {
    /// The most bytes of a name.
    pub const MAX_BYTES: usize = 200;

    /// Takes a name in any case.
    ///
    /// # Errors
    /// When it is empty, too long or has a character that no field name has.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        check_length(text, Self::MAX_BYTES)?;
        let name = http::HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| text != "*");
        name.map(Self).ok_or_else(|| ValueError::NotAHeader { text: text.into() })
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as messages have it.
    #[must_use]
    pub fn as_http(&self) -> &http::HeaderName {
        &self.0
    }
}

impl Ord for HeaderName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for HeaderName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HeaderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

/// Name of a header field in which a claim may be forwarded: none that frames or routes a message, that carries
/// credentials, or that the gateway writes itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardedHeader(HeaderName);

impl ForwardedHeader {
    /// What carries credentials.
    const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

    /// Takes a name in any case. One that is spelled like a reserved name to servers that take `_` for `-` is reserved.
    ///
    /// # Errors
    /// When it is no name of a field, or a reserved one.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let WritableHeader(name) = WritableHeader::new(text)?;
        let header = Self(name);
        if Self::CREDENTIALS.contains(&header.spelling().as_str()) {
            return Err(ValueError::ReservedHeader { name: header.0.as_str().into() });
        }
        Ok(header)
    }

    /// The name of the field.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.0
    }

    /// What CGI-like servers make of the name (RFC 3875 section 4.1.18): names with one spelling are one name to them.
    pub(crate) fn spelling(&self) -> String {
        spelling(&self.0)
    }
}

impl FromStr for ForwardedHeader {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

fn spelling(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

/// Name of a header field that a file may have the gateway write or remove: none that frames or routes a message, or that
/// the gateway writes itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WritableHeader(HeaderName);

impl WritableHeader {
    /// For this connection only (RFC 9110 section 7.6.1), for whom and how long a message is, and what the gateway sets.
    const RESERVED: [&str; 15] = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-admin-key",
        "x-request-id",
    ];
    const RESERVED_PREFIX: &str = "x-forwarded-";

    /// Takes a name in any case. One that is spelled like a reserved name to servers that take `_` for `-` is reserved.
    ///
    /// # Errors
    /// When it is no name of a field, or a reserved one.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        let name = HeaderName::new(text)?;
        let spelling = spelling(&name);
        if Self::RESERVED.contains(&spelling.as_str()) || spelling.starts_with(Self::RESERVED_PREFIX) {
            return Err(ValueError::ReservedHeader { name: name.as_str().into() });
        }
        Ok(Self(name))
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as messages have it.
    #[must_use]
    pub fn as_http(&self) -> &http::HeaderName {
        self.0.as_http()
    }
}

impl FromStr for WritableHeader {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text)
    }
}

impl fmt::Display for WritableHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
