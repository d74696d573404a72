//! A request's head, put together of its fields (RFC 9113 section 8) as HTTP/1.1 would have it, since that is how it is judged and
//! sent on: what HTTP/2 forbids is malformed, what HTTP/1.1 could not say is refused, and what HTTP/2 says in its own way is
//! said in the other.

use apigw_engine::{fields::Fields, head::RequestHead};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri::PathAndQuery,
};

use super::{frame::Ends, hpack::decoder::Field};
use crate::{
    heap,
    http1::{
        head::{HeadError, MAX_FIELDS},
        length::{self, Length},
    },
};

/// How many times what is allowed a head may unpack to before nobody waits for its end any more.
const MOST_UNPACKED: usize = 4;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A head that is one.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) request: Box<RequestHead>,
    /// Of the body; none: it is not told.
    pub(crate) length: Option<u64>,
    /// What a CONNECT wants to speak in its stream (RFC 8441); none: it is no such thing.
    pub(crate) protocol: Option<HeaderValue>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NoHead {
    /// It is against HTTP/2 (RFC 9113 section 8.1.1).
    Malformed,
    /// It is answered that it is none.
    Refused(Box<Refused>),
    /// It has unpacked to so much that it can only be meant to.
    Flood,
}

/// What is known of a head that is refused, for whoever answers.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: HeadError,
    pub(crate) method: Method,
    pub(crate) content_type: Option<HeaderValue>,
}

/// Fields on their way to a head or to trailers.
#[derive(Debug)]
pub(crate) struct Gathering {
    max_bytes: usize,
    /// Of the fields so far, counted as section 6.5.2 does.
    bytes: usize,
    method: Option<Method>,
    scheme: Option<HeaderValue>,
    host: Host,
    path: Option<PathAndQuery>,
    protocol: Option<HeaderValue>,
    fields: Fields,
    /// Whether a field has come that is no pseudo-header.
    has_regular: bool,
    has_length: bool,
    crumbs: usize,
    verdict: Verdict,
}

/// How far the host has been named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    /// Not by the authority.
    Unnamed,
    ByAuthority,
    /// And by a field as well.
    Twice,
}

/// What the fields so far are, the worst of them last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Sound,
    TooLarge,
    Malformed,
}

impl Gathering {
    /// Of a head that may have so many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            method: None,
            scheme: None,
            host: Host::Unnamed,
            path: None,
            protocol: None,
            fields: Fields::of_text(Bytes::new()),
            has_regular: false,
            has_length: false,
            crumbs: 0,
            verdict: Verdict::Sound,
        }
    }

    /// Takes the next field.
    pub(crate) fn take(&mut self, field: Field) {
        self.bytes = self.bytes.saturating_add(field.size());
        if self.bytes > self.max_bytes {
            return self.find(Verdict::TooLarge);
        }
        match field {
            Field::Regular(name, value) => self.take_regular(name, value),
            Field::Method(value) => {
                let before = self.method.replace(value);
                self.take_pseudo(before.is_some());
            }
            Field::Scheme(value) => {
                let before = self.scheme.replace(value);
                self.take_pseudo(before.is_some());
            }
            Field::Path(value) => {
                let before = self.path.replace(value);
                self.take_pseudo(before.is_some());
            }
            Field::Protocol(value) => {
                let before = self.protocol.replace(value);
                self.take_pseudo(before.is_some());
            }
            Field::Authority(value) => {
                let before = std::mem::replace(&mut self.host, Host::ByAuthority);
                self.take_pseudo(before != Host::Unnamed);
                self.fields.append(HOST, value);
            }
            Field::Malformed(_) => self.find(Verdict::Malformed),
        }
    }

    fn find(&mut self, verdict: Verdict) {
        self.verdict = self.verdict.max(verdict);
    }

    /// What comes once, before all that is no pseudo-header (RFC 9113 section 8.3).
    fn take_pseudo(&mut self, is_repeated: bool) {
        if is_repeated || self.has_regular {
            self.find(Verdict::Malformed);
        }
    }

    fn take_regular(&mut self, name: HeaderName, value: HeaderValue) {
        self.has_regular = true;
        if self.fields.len() == MAX_FIELDS {
            return self.find(Verdict::TooLarge);
        }
        if name == COOKIE {
            self.crumbs += 1;
        } else if name == CONTENT_LENGTH {
            self.has_length = true;
        } else if is_of_a_connection(&name) || name == TE && value != "trailers" {
            // RFC 9113 section 8.2.2.
            self.find(Verdict::Malformed);
        } else if name == HOST && self.host == Host::ByAuthority {
            self.host = Host::Twice;
            // It says the same again (section 8.3.1). What says anything else, or says it once more, is judged as several are.
            let authority = self.fields.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
            if authority.eq_ignore_ascii_case(value.as_bytes()) {
                return;
            }
        }
        self.fields.append(name, value);
    }

    /// Makes a head of what has come.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn into_head(mut self, ends: Ends) -> Result<Head, NoHead> {
        if self.bytes / MOST_UNPACKED > self.max_bytes {
            return Err(NoHead::Flood);
        }
        match self.verdict {
            Verdict::Sound => {}
            Verdict::TooLarge => return Err(self.refused(HeadError::TooLarge)),
            Verdict::Malformed => return Err(NoHead::Malformed),
        }
        if self.crumbs > 1 {
            join_cookies(&mut self.fields);
        }
        let length = self.length(ends)?;
        // What a tunnel carries is no body (RFC 8441 section 5).
        let length = length.filter(|_| self.protocol.is_none());
        let Some(method) = self.method.take() else { return Err(NoHead::Malformed) };
        let is_tunnel = method == Method::CONNECT && self.protocol.is_none();
        if self.protocol.is_some() && method != Method::CONNECT {
            return Err(NoHead::Malformed);
        }
        let uri = if is_tunnel { self.tunnel() } else { self.target() };
        let uri = match uri {
            Ok(uri) => uri,
            Err(NoTarget::Malformed) => return Err(NoHead::Malformed),
            Err(NoTarget::Scheme) => {
                self.method = Some(method);
                return Err(self.refused(HeadError::Malformed));
            }
        };
        let version = Version::HTTP_2;
        let request = heap::put(|| RequestHead { method, uri, version, headers: self.fields });
        Ok(Head { request, length, protocol: self.protocol })
    }

    /// Makes trailers of what has come.
    ///
    /// # Errors
    /// When they are none (RFC 9113 section 8.1).
    pub(crate) fn into_trailers(self) -> Result<Fields, NoHead> {
        let is_of_a_head = self.method.is_some()
            || self.scheme.is_some()
            || self.host != Host::Unnamed
            || self.path.is_some()
            || self.protocol.is_some();
        if self.verdict != Verdict::Sound || is_of_a_head {
            return Err(if self.bytes / MOST_UNPACKED > self.max_bytes {
                NoHead::Flood
            } else {
                NoHead::Malformed
            });
        }
        Ok(self.fields)
    }

    /// How long the body is, where that is told.
    fn length(&mut self, ends: Ends) -> Result<Option<u64>, NoHead> {
        if !self.has_length {
            return Ok(None);
        }
        match length::of_request(Version::HTTP_11, &self.fields) {
            // It must be that of the body (RFC 9113 section 8.1.1).
            Ok(Length::Known(1..)) if ends == Ends::Here => Err(NoHead::Malformed),
            Ok(Length::Known(bytes)) => Ok(Some(bytes)),
            Ok(_) => Err(NoHead::Malformed),
            Err(error) => Err(self.refused(error.into())),
        }
    }

    /// What is asked for (RFC 9113 section 8.3.1).
    fn target(&mut self) -> Result<Uri, NoTarget> {
        let (Some(scheme), Some(path)) = (&self.scheme, self.path.take()) else {
            return Err(NoTarget::Malformed);
        };
        // Of an absolute target, HTTP/1.1 is as strict.
        let is_web = scheme == "http" || scheme == "https";
        if is_web { Ok(path.into()) } else { Err(NoTarget::Scheme) }
    }

    /// Where a tunnel is to lead (RFC 9113 section 8.5).
    fn tunnel(&mut self) -> Result<Uri, NoTarget> {
        let authority = self.fields.get(HOST).filter(|_| self.host != Host::Unnamed);
        let uri = authority.and_then(|authority| Uri::try_from(authority.as_bytes()).ok());
        match uri {
            Some(uri) if self.scheme.is_none() && self.path.is_none() => Ok(uri),
            _ => Err(NoTarget::Malformed),
        }
    }

    fn refused(&mut self, error: HeadError) -> NoHead {
        let method = self.method.take().unwrap_or_default();
        let content_type = self.fields.get(CONTENT_TYPE).cloned();
        NoHead::Refused(Box::new(Refused { error, method, content_type }))
    }
}

/// Why a head has no target.
enum NoTarget {
    Malformed,
    Scheme,
}

/// Whether a field says something of a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
fn is_of_a_connection(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION].contains(name)
}

/// A client may send crumbs of a cookie apart; elsewhere they are one field (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut Fields) {
    let crumbs = fields.get_all(COOKIE).map(HeaderValue::as_bytes);
    // Nothing is no crumb: a value would end in the space that stands in front of it.
    let crumbs: Vec<_> = crumbs.filter(|crumb| !crumb.is_empty()).collect();
    let joined =
        HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("header values make a header value");
    fields.insert(COOKIE, joined);
}

#[cfg(test)]
mod tests;
