//! Takes a body out of its framing (RFC 9112 sections 6 and 7), piece by piece as it comes.

use apigw_engine::fields::Fields;
use bytes::Bytes;

use super::{
    head::{HeadError, parse_trailers},
    length::Length,
    read_buffer::ReadBuffer,
};

/// The longest line with the size of a chunk, extensions included.
const MAX_SIZE_LINE_BYTES: usize = 4 << 10;

/// The most bytes of such lines for as many bytes of content, and once again: extensions are no second channel.
const MAX_SIZE_LINES_BYTES: u64 = 16 << 10;

/// The most bytes of trailers.
const MAX_TRAILERS_BYTES: usize = 16 << 10;

/// Why a body is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("a chunk without a size that can be read")]
    ChunkSize,
    #[error("a chunk that does not end where it says")]
    ChunkEnd,
    #[error("chunk extensions larger than allowed")]
    Extensions,
    #[error("trailers that are none: {0}")]
    Trailers(HeadError),
}

/// What comes out of a body next.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// Content; never empty.
    Content(Bytes),
    /// Fields behind the content; nothing follows.
    Trailers(Fields),
    /// Nothing follows.
    End,
    /// More must come first.
    Incomplete,
}

/// How far a body has been taken out.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    padding: Padding,
    /// Bytes of lines with sizes, less the content since.
    size_lines: u64,
    /// Where the search for the end of trailers goes on.
    trailers_searched: usize,
}

/// What is made of white space between a chunk's size and the end of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// It is an error: what a client sends may have been read by somebody before us, and otherwise.
    Refused,
    /// It is passed over, as every browser does: servers are known to pad sizes to a fixed width, and nobody stands between
    /// the upstream and us.
    PassedOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of content follow, and nothing else.
    Known(u64),
    /// Content follows until the connection ends.
    UntilClose,
    /// A line with a size follows.
    Size,
    /// So many bytes of a chunk follow, and its end.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Ended,
}

impl Decoder {
    /// Of a request's body of this length.
    pub(crate) fn of_request(length: Length) -> Self {
        Self::new(length, Padding::Refused)
    }

    /// Of a response's body of this length.
    pub(crate) fn of_response(length: Length) -> Self {
        Self::new(length, Padding::PassedOver)
    }

    fn new(length: Length, padding: Padding) -> Self {
        let state = match length {
            Length::Known(0) => State::Ended,
            Length::Known(bytes) => State::Known(bytes),
            Length::Chunked => State::Size,
            Length::UntilClose => State::UntilClose,
        };
        Self { state, padding, size_lines: 0, trailers_searched: 0 }
    }

    /// Whether everything has been taken out.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The connection has ended, with this left over. Tells whether the body has ended with it, as it should: also behind
    /// the last chunk (RFC 9112 section 8), where some servers forget the empty line.
    pub(crate) fn connection_ended(&mut self, rest: &ReadBuffer) -> bool {
        if self.state == State::UntilClose || self.state == State::Trailers && rest.is_empty() {
            self.state = State::Ended;
        }
        self.has_ended()
    }

    /// How many bytes of content follow, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Known(bytes) => Some(bytes),
            State::Ended => Some(0),
            _ => None,
        }
    }

    /// Takes the next piece out of what has come.
    ///
    /// # Errors
    /// When it is no body. What follows then is unknown.
    pub(crate) fn decode(&mut self, buffer: &mut ReadBuffer) -> Result<Decoded, DecodeError> {
        loop {
            match self.state {
                State::Ended => return Ok(Decoded::End),
                _ if buffer.is_empty() => return Ok(Decoded::Incomplete),
                State::UntilClose => return Ok(Decoded::Content(buffer.take(buffer.len()))),
                State::Known(bytes) => {
                    let content = take(buffer, bytes);
                    let rest = bytes - content.len() as u64;
                    self.state = if rest == 0 { State::Ended } else { State::Known(rest) };
                    return Ok(Decoded::Content(content));
                }
                State::Size => {
                    let Some(line) = size_line(buffer.as_slice())? else { return Ok(Decoded::Incomplete) };
                    let size = chunk_size(&buffer.as_slice()[..line], self.padding)?;
                    buffer.discard(line + 2);
                    self.size_lines += line as u64;
                    if self.size_lines > MAX_SIZE_LINES_BYTES {
                        return Err(DecodeError::Extensions);
                    }
                    self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                }
                State::Chunk(bytes) => {
                    let content = take(buffer, bytes);
                    let rest = bytes - content.len() as u64;
                    self.size_lines = self.size_lines.saturating_sub(content.len() as u64);
                    self.state = if rest == 0 { State::ChunkEnd } else { State::Chunk(rest) };
                    return Ok(Decoded::Content(content));
                }
                State::ChunkEnd => match buffer.as_slice() {
                    [b'\r'] => return Ok(Decoded::Incomplete),
                    [b'\r', b'\n', ..] => {
                        buffer.discard(2);
                        self.state = State::Size;
                    }
                    _ => return Err(DecodeError::ChunkEnd),
                },
                State::Trailers => return self.trailers(buffer),
            }
        }
    }

    fn trailers(&mut self, buffer: &mut ReadBuffer) -> Result<Decoded, DecodeError> {
        let Some(end) = self.end_of_trailers(buffer.as_slice())? else { return Ok(Decoded::Incomplete) };
        self.state = State::Ended;
        if end == 2 {
            buffer.discard(end);
            return Ok(Decoded::End);
        }
        parse_trailers(&buffer.take(end)).map(Decoded::Trailers).map_err(DecodeError::Trailers)
    }

    /// Behind the empty line, if it has come.
    fn end_of_trailers(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while let Some(length) = memchr::memchr(b'\n', &bytes[self.trailers_searched..]) {
            let line = &bytes[self.trailers_searched..self.trailers_searched + length];
            self.trailers_searched += length + 1;
            match line {
                b"\r" => return Ok(Some(self.trailers_searched)),
                [.., b'\r'] => {}
                _ => return Err(DecodeError::Trailers(HeadError::Malformed)),
            }
            if self.trailers_searched > MAX_TRAILERS_BYTES {
                break;
            }
        }
        if bytes.len() > MAX_TRAILERS_BYTES {
            return Err(DecodeError::Trailers(HeadError::TooLarge));
        }
        Ok(None)
    }
}

fn take(buffer: &mut ReadBuffer, at_most: u64) -> Bytes {
    let available = buffer.len();
    buffer.take(usize::try_from(at_most).map_or(available, |at_most| at_most.min(available)))
}

/// The length of the line with a chunk's size, without its end, if that has come.
fn size_line(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end > MAX_SIZE_LINE_BYTES => Err(DecodeError::Extensions),
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(end - 1)),
        Some(_) => Err(DecodeError::ChunkSize),
        None if bytes.len() > MAX_SIZE_LINE_BYTES => Err(DecodeError::Extensions),
        None => Ok(None),
    }
}

/// The size of a chunk: `1*HEXDIG`, and extensions, which mean nothing here (RFC 9112 section 7.1.1).
fn chunk_size(line: &[u8], padding: Padding) -> Result<u64, DecodeError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let mut extensions = &line[digits..];
    while let [b' ' | b'\t', rest @ ..] = extensions {
        extensions = rest;
    }
    let is_legal = match extensions {
        // White space is otherwise only passed over before a semicolon.
        [] => digits == line.len() || padding == Padding::PassedOver,
        [b';', rest @ ..] => rest.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f),
        _ => false,
    };
    // 15 digits always fit, and no chunk is as large.
    if !is_legal || !(1..=15).contains(&digits) {
        return Err(DecodeError::ChunkSize);
    }
    let value = |digit: &u8| u64::from(char::from(*digit).to_digit(16).unwrap_or(0));
    Ok(line[..digits].iter().fold(0, |size, digit| size << 4 | value(digit)))
}

#[cfg(test)]
mod tests;
