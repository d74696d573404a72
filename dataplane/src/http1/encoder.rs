//! Puts heads and bodies on the wire, each in one framing.

use std::io::Write as _;

use apigw_engine::fields::Fields;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::{length::Length, write_buffer::WriteBuffer};

/// A body on its way out: what is left of its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoder {
    length: Length,
}

/// A body that is not as long as its head has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not as long as was announced")]
pub(crate) struct LengthMismatch;

impl Encoder {
    /// Of a body that was announced with this length.
    pub(crate) fn new(length: Length) -> Self {
        Self { length }
    }

    /// Whether the end of the body is told by the end of the connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.length == Length::UntilClose
    }

    /// Adds content. Only while there is room in the buffer.
    ///
    /// # Errors
    /// When there is more than was announced; nothing is added then.
    pub(crate) fn content(&mut self, content: Bytes, buffer: &mut WriteBuffer) -> Result<(), LengthMismatch> {
        match &mut self.length {
            _ if content.is_empty() => {}
            Length::Known(remaining) => {
                *remaining = remaining.checked_sub(content.len() as u64).ok_or(LengthMismatch)?;
                buffer.push(content);
            }
            Length::Chunked => {
                // Writing to a vector cannot fail.
                let _ = write!(buffer.text(), "{:x}\r\n", content.len());
                buffer.push(content);
                buffer.push(Bytes::from_static(b"\r\n"));
            }
            Length::UntilClose => buffer.push(content),
        }
        Ok(())
    }

    /// Adds the end, with the fields that follow the content.
    ///
    /// # Errors
    /// When there was less content than was announced.
    pub(crate) fn end(
        &mut self,
        trailers: Option<&HeaderMap>,
        buffer: &mut WriteBuffer,
    ) -> Result<(), LengthMismatch> {
        match self.length {
            Length::Known(0) | Length::UntilClose => Ok(()),
            Length::Known(_) => Err(LengthMismatch),
            Length::Chunked => {
                self.length = Length::Known(0);
                let text = buffer.text();
                text.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    field(text, name, value.as_bytes());
                }
                text.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

/// Adds `METHOD SP target SP HTTP/1.1 CRLF`.
pub(crate) fn request_line(text: &mut Vec<u8>, method: &Method, target: &str) {
    text.extend_from_slice(method.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(target.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Adds `HTTP/1.1 SP status SP reason CRLF`.
pub(crate) fn status_line(text: &mut Vec<u8>, status: StatusCode) {
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    text.extend_from_slice(b"\r\n");
}

/// Adds `name: value CRLF`.
pub(crate) fn field(text: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    text.extend_from_slice(name.as_str().as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Adds fields, but for some.
pub(crate) fn fields(text: &mut Vec<u8>, fields: &Fields, is_left_out: impl Fn(&HeaderName) -> bool) {
    let mut add = |(name, value): (&HeaderName, &[u8])| {
        if !is_left_out(name) {
            field(text, name, value);
        }
    };
    match fields.ready() {
        Some(ready) if !ready.lines().iter().any(|(name, _)| is_left_out(name)) => {
            fields.own_bytes().for_each(add);
            text.extend_from_slice(ready.text());
        }
        _ => fields.bytes().for_each(&mut add),
    }
}

/// Adds the field that tells the length, if one is needed for that, and the empty line.
pub(crate) fn end_of_head(text: &mut Vec<u8>, length: Option<Length>) {
    match length {
        Some(Length::Known(bytes)) => {
            text.extend_from_slice(b"content-length: ");
            text.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        Some(Length::Chunked) => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Some(Length::UntilClose) | None => {}
    }
    text.extend_from_slice(b"\r\n");
}
