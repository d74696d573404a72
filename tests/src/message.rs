//! HTTP/1.1 messages as bytes (RFC 9112), read strictly: what is not well formed is an error.
//!
//! Serves the tests' client and their upstream. Both keep the bytes as they came, because that is what a proxy is
//! judged by.

use std::io::{self, BufRead, Read, Write};

/// Names and values, in order.
pub type Fields = Vec<(String, String)>;

/// A start line and its fields, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The request or status line.
    pub start: String,
    /// Its fields.
    pub fields: Fields,
}

impl Head {
    /// The value of a field that must not come twice.
    ///
    /// # Panics
    /// When it came twice.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        assert!(self.values(name).count() <= 1, "{name} came more than once: {self:?}");
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.fields.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// All values of a field, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str())
    }

    /// Whether a list field names a token, in any case.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// The status of a response.
    ///
    /// # Panics
    /// When the start line is no status line.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self.start.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        status.unwrap_or_else(|| panic!("not a status line: {:?}", self.start))
    }

    /// How the body of this message ends, for a message that has one (RFC 9112 section 6.3).
    fn framing(&self, otherwise: Framing) -> io::Result<Framing> {
        if self.lists("transfer-encoding", "chunked") {
            if self.field("content-length").is_some() {
                return Err(malformed("both Content-Length and Transfer-Encoding"));
            }
            return Ok(Framing::Chunked);
        }
        match self.field("content-length") {
            Some(length) => length.parse().map(Framing::Length).map_err(|_| malformed("Content-Length")),
            None => Ok(otherwise),
        }
    }

    /// How a request's body ends.
    ///
    /// # Errors
    /// When the head does not say it, or says it twice.
    pub fn request_framing(&self) -> io::Result<Framing> {
        self.framing(Framing::Length(0))
    }

    /// How the body of a response to this method ends.
    ///
    /// # Errors
    /// When the head does not say it, or says it twice.
    pub fn response_framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        self.framing(Framing::UntilClose)
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Reads a head.
///
/// # Errors
/// `UnexpectedEof` where the connection ends before it; `InvalidData` where it is not well formed.
pub fn read_head(source: &mut impl BufRead) -> io::Result<Head> {
    let start = read_line(source)?;
    Ok(Head { start, fields: read_fields(source)? })
}

/// Reads a body into a sink and gives its trailers.
///
/// # Errors
/// `UnexpectedEof` where the connection ends before the body; `InvalidData` where it is not well formed.
pub fn read_body(source: &mut impl BufRead, framing: Framing, sink: &mut impl Write) -> io::Result<Fields> {
    match framing {
        Framing::Length(length) => copy_exactly(source, length, sink).map(|()| Vec::new()),
        Framing::UntilClose => io::copy(source, sink).map(|_| Vec::new()),
        Framing::Chunked => loop {
            let line = read_line(source)?;
            let digits = line.split(';').next().unwrap_or_default().trim_end();
            let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("chunk size"))?;
            if size == 0 {
                return read_fields(source);
            }
            copy_exactly(source, size, sink)?;
            if !read_line(source)?.is_empty() {
                return Err(malformed("end of chunk"));
            }
        },
    }
}

fn copy_exactly(source: &mut impl BufRead, length: u64, sink: &mut impl Write) -> io::Result<()> {
    let copied = io::copy(&mut source.take(length), sink)?;
    if copied < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn read_fields(source: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(source)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("field line"))?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// A line without its end, which must be CRLF.
fn read_line(source: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if source.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = match line.strip_suffix(b"\r\n") {
        Some(line) => line,
        None if line.ends_with(b"\n") => return Err(malformed("a line that ends without CR")),
        None => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err(malformed("CR or NUL within a line"));
    }
    Ok(line.iter().copied().map(char::from).collect())
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not well formed: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> io::Result<(Head, String, Fields)> {
        let mut source = bytes.as_bytes();
        let head = read_head(&mut source)?;
        let mut body = Vec::new();
        let trailers = read_body(&mut source, head.request_framing()?, &mut body)?;
        Ok((head, String::from_utf8_lossy(&body).into_owned(), trailers))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let check = |bytes, body: &str| assert_eq!(read(bytes).expect("well formed").1, body);
        check("POST / HTTP/1.1\r\n\r\nsurplus", "");
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabsurplus", "ab");
        check("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc");
    }

    #[test]
    fn trailers_are_kept() {
        let (_, _, trailers) =
            read("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nsum: 1\r\n\r\n").unwrap();
        assert_eq!(trailers, [("sum".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn what_is_not_well_formed_is_an_error() {
        let check = |bytes, kind| assert_eq!(read(bytes).expect_err("not well formed").kind(), kind);
        check("GET / HTTP/1.1\n\r\n", io::ErrorKind::InvalidData);
        check("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", io::ErrorKind::InvalidData);
        check("GET / HTTP/1.1\r\nno colon\r\n\r\n", io::ErrorKind::InvalidData);
        check(
            "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            io::ErrorKind::InvalidData,
        );
        check("GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", io::ErrorKind::UnexpectedEof);
        check("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", io::ErrorKind::UnexpectedEof);
        check("GET / HTTP", io::ErrorKind::UnexpectedEof);
    }
}
