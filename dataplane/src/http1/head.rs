//! Heads of messages (RFC 9112 sections 2 to 5): found, bounded and read. Every line ends with CR LF; a line that goes on
//! in the next one, a lone CR or LF, a control character or a name that is none is an error.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response};

use super::length::LengthError;

/// The most fields of a head, or of trailers.
pub(crate) const MAX_FIELDS: usize = 100;

/// The longest target: what can be told of in 16 bits, as [`Uri`] does.
const MAX_TARGET_BYTES: usize = u16::MAX as usize - 1;

/// The longest method. The standard ones have up to 17 bytes.
const MAX_METHOD_BYTES: usize = 64;

/// Empty lines before a request line are passed over (RFC 9112 section 2.2), as many as these.
const MAX_EMPTY_LINES: usize = 4;

/// Why a head is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("not HTTP/1.1")]
    Malformed,
    #[error("another version than HTTP/1.0 and HTTP/1.1")]
    Version,
    #[error("more bytes or fields than allowed")]
    TooLarge,
    #[error("a target that is too long")]
    TargetTooLong,
    #[error(transparent)]
    Length(#[from] LengthError),
}

/// Looks for the end of a head, line by line, over several reads.
#[derive(Debug, Default)]
pub(crate) struct HeadSearch {
    /// Where the present line begins.
    line: usize,
    empty_lines: usize,
}

impl HeadSearch {
    /// How many bytes the head has, its empty line included, if all of it is there.
    ///
    /// # Errors
    /// When it is no head, or already longer than `max_bytes`.
    pub(crate) fn find(&mut self, bytes: &[u8], max_bytes: usize) -> Result<Option<usize>, HeadError> {
        while let Some(length) = memchr::memchr(b'\n', &bytes[self.line..]) {
            let line = &bytes[self.line..self.line + length];
            let is_first = self.line == 2 * self.empty_lines;
            self.line += length + 1;
            match line {
                b"\r" if is_first => {
                    self.empty_lines += 1;
                    if self.empty_lines > MAX_EMPTY_LINES {
                        return Err(HeadError::Malformed);
                    }
                }
                _ if self.line > max_bytes => return Err(too_large(is_first)),
                b"\r" => {
                    let head = self.line;
                    *self = Self::default();
                    return Ok(Some(head));
                }
                [.., b'\r'] => {}
                _ => return Err(HeadError::Malformed),
            }
        }
        if bytes.len() > max_bytes {
            return Err(too_large(self.line == 2 * self.empty_lines));
        }
        Ok(None)
    }
}

/// A request line that is too long has a status of its own (RFC 9112 section 3).
fn too_large(is_request_line: bool) -> HeadError {
    if is_request_line { HeadError::TargetTooLong } else { HeadError::TooLarge }
}

/// Whether a request can begin like this; told before all of its head has come, since what is no HTTP may never say more.
pub(crate) fn can_begin_request(bytes: &[u8]) -> bool {
    // The first letter of a method, or the empty lines before it.
    bytes.first().is_none_or(|&first| first.is_ascii_graphic() || first == b'\r')
}

/// Whether a response can begin like this.
pub(crate) fn can_begin_response(bytes: &[u8]) -> bool {
    let begins = &b"HTTP/1."[..bytes.len().min(7)];
    bytes.starts_with(begins)
}

/// Reads a whole request head, as [`HeadSearch`] found it.
///
/// # Errors
/// When it is none.
pub(crate) fn parse_request(head: &Bytes) -> Result<request::Parts, HeadError> {
    let mut lines = Lines { head, next: 0 };
    let line = loop {
        match lines.next_line()? {
            b"" => {}
            line => break line,
        }
    };
    let (method, rest) = split(line, b' ').ok_or(HeadError::Malformed)?;
    if method.len() > MAX_METHOD_BYTES {
        return Err(HeadError::Malformed);
    }
    let (target, version) = split(rest, b' ').ok_or(HeadError::Malformed)?;
    let mut request = http::Request::new(());
    *request.version_mut() = parse_version(version)?;
    *request.method_mut() = Method::from_bytes(method).map_err(|_token| HeadError::Malformed)?;
    *request.uri_mut() = parse_target(head, target)?;
    let (mut parts, ()) = request.into_parts();
    parts.headers = parse_fields(head, lines)?;
    Ok(parts)
}

/// Reads a whole response head, as [`HeadSearch`] found it. The reason phrase is not kept (RFC 9112 section 4).
///
/// # Errors
/// When it is none.
pub(crate) fn parse_response(head: &Bytes) -> Result<response::Parts, HeadError> {
    let mut lines = Lines { head, next: 0 };
    let line = lines.next_line()?;
    let (version, rest) = split(line, b' ').ok_or(HeadError::Malformed)?;
    // The space behind the status must be there even where the phrase is not; servers leave it out all the same.
    let (status, phrase) = split(rest, b' ').unwrap_or((rest, b""));
    if !phrase.iter().copied().all(is_text) || status.len() != 3 {
        return Err(HeadError::Malformed);
    }
    let mut response = http::Response::new(());
    *response.version_mut() = parse_version(version)?;
    *response.status_mut() = match StatusCode::from_bytes(status) {
        Ok(status) if status.as_u16() < 600 => status,
        _ => return Err(HeadError::Malformed),
    };
    let (mut parts, ()) = response.into_parts();
    parts.headers = parse_fields(head, lines)?;
    Ok(parts)
}

/// Reads trailers, from their first line to the empty one.
///
/// # Errors
/// When they are none.
pub(crate) fn parse_trailers(section: &Bytes) -> Result<HeaderMap, HeadError> {
    parse_fields(section, Lines { head: section, next: 0 })
}

fn parse_version(version: &[u8]) -> Result<Version, HeadError> {
    match version {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadError::Version)
        }
        _ => Err(HeadError::Malformed),
    }
}

/// Reads a target (RFC 9112 section 3.2). A fragment is no part of one.
fn parse_target(head: &Bytes, target: &[u8]) -> Result<Uri, HeadError> {
    if target.len() > MAX_TARGET_BYTES {
        return Err(HeadError::TargetTooLong);
    }
    if target.is_empty() || !target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Malformed);
    }
    let uri = Uri::from_maybe_shared(head.slice_ref(target)).map_err(|_invalid| HeadError::Malformed)?;
    match uri.scheme_str() {
        None | Some("http" | "https") => Ok(uri),
        Some(_) => Err(HeadError::Malformed),
    }
}

/// Reads the lines up to the empty one.
fn parse_fields(head: &Bytes, mut lines: Lines<'_>) -> Result<HeaderMap, HeadError> {
    let mut fields = HeaderMap::new();
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            return Ok(fields);
        }
        if fields.len() == MAX_FIELDS {
            return Err(HeadError::TooLarge);
        }
        let (name, value) = split(line, b':').ok_or(HeadError::Malformed)?;
        // Refuses white space before the colon, and with it a line that goes on (RFC 9112 sections 5.1 and 5.2).
        let name = HeaderName::from_bytes(name).map_err(|_token| HeadError::Malformed)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(trim(value)));
        fields.append(name, value.map_err(|_text| HeadError::Malformed)?);
    }
}

/// Lines of a head.
struct Lines<'a> {
    head: &'a [u8],
    next: usize,
}

impl<'a> Lines<'a> {
    /// The next line without its end.
    fn next_line(&mut self) -> Result<&'a [u8], HeadError> {
        let rest = &self.head[self.next..];
        let end = memchr::memchr(b'\n', rest).ok_or(HeadError::Malformed)?;
        self.next += end + 1;
        rest[..end].strip_suffix(b"\r").ok_or(HeadError::Malformed)
    }
}

fn split(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Without optional white space around it (RFC 9110 section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What may stand in a reason phrase (RFC 9112 section 4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests;
