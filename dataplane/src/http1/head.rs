//! Heads of messages (RFC 9112 sections 2 to 5): found, bounded and read. Every line ends with CR LF; a line that goes on
//! in the next one, a lone CR or LF, a control character or a name that is none is an error.

use apigw_engine::{
    fields::{Fields, PlainText},
    head::RequestHead,
};
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, Uri, Version, header};

use super::length::LengthError;
use crate::heap;

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

/// What a response says before its body. The reason phrase is not kept (RFC 9112 section 4).
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: Fields,
}

/// Looks for the end of a head, line by line, over several reads.
#[derive(Debug, Default)]
pub(crate) struct HeadSearch {
    /// Where the present line begins.
    line: usize,
    empty_lines: usize,
}

impl HeadSearch {
    /// Whether no line of a head has come yet.
    pub(crate) fn is_at_start(&self) -> bool {
        self.line == 0
    }

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

/// Reads a request head at the beginning of these bytes, and tells how many of them it has. How many it may have, empty lines
/// in front of it included, is for [`HeadSearch`] to know.
///
/// # Errors
/// When there is none, or not all of it.
pub(crate) fn parse_request(head: &Bytes) -> Result<(Box<RequestHead>, usize), HeadError> {
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
    let version = parse_version(version)?;
    let method = Method::from_bytes(method).map_err(|_token| HeadError::Malformed)?;
    let uri = parse_target(head, target)?;
    let headers = parse_fields(head, &mut lines)?;
    let mut request = heap::put(|| RequestHead { method, uri, version, headers });
    // It may leave `Host` out, but who says it in the target means it (RFC 9112 section 3.2.2).
    if request.version == Version::HTTP_10 {
        request.name_host();
    }
    Ok((request, lines.next))
}

/// Reads a response head at the beginning of these bytes, and tells how many of them it has.
///
/// # Errors
/// When there is none, or not all of it.
pub(crate) fn parse_response(head: &Bytes) -> Result<(ResponseHead, usize), HeadError> {
    let mut lines = Lines { head, next: 0 };
    let line = lines.next_line()?;
    let (version, rest) = split(line, b' ').ok_or(HeadError::Malformed)?;
    // The space behind the status must be there even where the phrase is not; servers leave it out all the same.
    let (status, phrase) = split(rest, b' ').unwrap_or((rest, b""));
    if !phrase.iter().copied().all(is_text) || status.len() != 3 {
        return Err(HeadError::Malformed);
    }
    let response = ResponseHead {
        version: parse_version(version)?,
        status: match StatusCode::from_bytes(status) {
            Ok(status) if status.as_u16() < 600 => status,
            _ => return Err(HeadError::Malformed),
        },
        headers: parse_fields(head, &mut lines)?,
    };
    Ok((response, lines.next))
}

/// Reads trailers, from their first line to the empty one.
///
/// # Errors
/// When they are none.
pub(crate) fn parse_trailers(section: &Bytes) -> Result<Fields, HeadError> {
    parse_fields(section, &mut Lines { head: section, next: 0 })
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
fn parse_fields(head: &Bytes, lines: &mut Lines<'_>) -> Result<Fields, HeadError> {
    let mut fields = Fields::of_text(head.clone());
    loop {
        let line = lines.next_field_line()?;
        if line.as_bytes().is_empty() {
            return Ok(fields);
        }
        if fields.len() == MAX_FIELDS {
            return Err(HeadError::TooLarge);
        }
        let (name, value) = line.split_at_colon().ok_or(HeadError::Malformed)?;
        // Refuses white space before the colon, and with it a line that goes on (RFC 9112 sections 5.1 and 5.2).
        let name = parse_name(name.as_bytes())?;
        fields.append_part(name, value.trimmed()).map_err(|_elsewhere| HeadError::Malformed)?;
    }
}

/// Reads a name. Those that most heads have are known at once in the spelling that most programs use.
fn parse_name(name: &[u8]) -> Result<HeaderName, HeadError> {
    Ok(match name {
        b"Accept" => header::ACCEPT,
        b"Accept-Encoding" => header::ACCEPT_ENCODING,
        b"Accept-Language" => header::ACCEPT_LANGUAGE,
        b"Authorization" => header::AUTHORIZATION,
        b"Cache-Control" => header::CACHE_CONTROL,
        b"Connection" => header::CONNECTION,
        b"Content-Length" => header::CONTENT_LENGTH,
        b"Content-Type" => header::CONTENT_TYPE,
        b"Cookie" => header::COOKIE,
        b"Date" => header::DATE,
        b"Host" => header::HOST,
        b"Server" => header::SERVER,
        b"Transfer-Encoding" => header::TRANSFER_ENCODING,
        b"User-Agent" => header::USER_AGENT,
        name => HeaderName::from_bytes(name).map_err(|_token| HeadError::Malformed)?,
    })
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

    /// The next line without its end, of which a field is to be read.
    fn next_field_line(&mut self) -> Result<PlainText<'a>, HeadError> {
        let rest = &self.head[self.next..];
        let line = PlainText::before_control(rest);
        let length = line.as_bytes().len();
        if rest[length..].starts_with(b"\r\n") {
            self.next += length + 2;
            return Ok(line);
        }
        // There is a tabulator in it, or what may not be there.
        PlainText::new(self.next_line()?).ok_or(HeadError::Malformed)
    }
}

/// Byte by byte: what is in front of a separator is short.
fn split(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// What may stand in a reason phrase (RFC 9112 section 4).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests;
