//! Reads blocks into fields that are checked already: what the table has is checked once, however often it is referred to.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};

use super::{
    huffman, integer,
    table::{ENTRY_OVERHEAD, STATIC_FIELDS, Table, static_field},
};
use crate::pieces;

/// The longest method. The standard ones have up to 17 bytes; copies of others are not shared, and a block may want many.
const MAX_METHOD_BYTES: usize = 64;

/// The longest path: what can be told of in 16 bits, as [`PathAndQuery`] does.
const MAX_PATH_BYTES: usize = u16::MAX as usize - 1;

/// As much memory for text is kept from block to block.
const KEPT_TEXT_BYTES: usize = 1 << 10;

/// Reads the blocks of one connection, in their order.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table<Field>,
    /// What the peer was told that the table may be.
    max_table_bytes: usize,
    /// Memory for text.
    text: Vec<u8>,
}

/// A field of a request, or what is none. Copies of it are cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Method(Method),
    Scheme(HeaderValue),
    Authority(HeaderValue),
    /// `*`, or what begins with a slash; visible ASCII.
    Path(PathAndQuery),
    /// RFC 8441.
    Protocol(HeaderValue),
    Regular(HeaderName, HeaderValue),
    /// The value is none of this name, or the name is none. Its stream is malformed (RFC 9113 section 8.1.1), and no other.
    Malformed(Name),
}

/// What a field is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Regular(HeaderName),
    /// None that a request's field can have, of so many bytes.
    Unknown {
        bytes: usize,
    },
}

/// Why a block cannot be read. What the table has is unknown then, and with it what any other block says: the connection ends
/// (RFC 9113 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompressionError {
    #[error("a block ends within a field")]
    Truncated,
    #[error("a number of too many bytes")]
    Integer,
    #[error("a number that stands for no field")]
    Number,
    #[error("a table larger than allowed, or changed behind a field")]
    TableSize,
    #[error("a text that is not in the Huffman code")]
    Huffman,
}

impl Decoder {
    /// A table may have up to so many bytes, and the peer knows of it.
    pub(crate) fn new(max_table_bytes: usize) -> Self {
        Self { table: Table::new(max_table_bytes), max_table_bytes, text: Vec::new() }
    }

    /// Reads a whole block, and gives each field in its order. Values may be parts of the block's memory; those that the table
    /// keeps are not.
    ///
    /// # Errors
    /// When it is none; no other block can be read then.
    pub(crate) fn decode(
        &mut self,
        block: &Bytes,
        mut take: impl FnMut(Field),
    ) -> Result<(), CompressionError> {
        let mut rest = &block[..];
        // Only before all fields (RFC 7541 section 4.2).
        while let [first @ 0x20..0x40, behind @ ..] = rest {
            rest = behind;
            let max_bytes = integer::decode(*first, 5, &mut rest)?;
            if max_bytes > self.max_table_bytes {
                return Err(CompressionError::TableSize);
            }
            self.table.set_max_bytes(max_bytes);
        }
        while let [first, behind @ ..] = rest {
            rest = behind;
            match *first {
                0x80.. => {
                    let number = integer::decode(*first, 7, &mut rest)?;
                    take(self.known(number)?.clone());
                }
                0x40..0x80 => {
                    let name = self.name(integer::decode(*first, 6, &mut rest)?, &mut rest)?;
                    let value = self.text(&mut rest)?;
                    let size = name.len() + value.len() + ENTRY_OVERHEAD;
                    // Memory of its own: it stays for as long as the connection may.
                    let field = field(name, value.as_slice(&self.text), Bytes::copy_from_slice);
                    self.table.insert(field.clone(), size);
                    take(field);
                }
                0x20..0x40 => return Err(CompressionError::TableSize),
                ..0x20 => {
                    let name = self.name(integer::decode(*first, 4, &mut rest)?, &mut rest)?;
                    let mut field = match self.text(&mut rest)? {
                        Text::Plain(value) => field(name, value, |value| block.slice_ref(value)),
                        coded @ Text::Coded(_) => field(name, coded.as_slice(&self.text), pieces::copy),
                    };
                    // Nor may it get into a table elsewhere (RFC 7541 section 6.2.3).
                    if *first >= 0x10 {
                        field.set_sensitive();
                    }
                    take(field);
                }
            }
        }
        if self.text.len() > KEPT_TEXT_BYTES {
            self.text = Vec::new();
        }
        Ok(())
    }

    #[inline]
    fn known(&self, number: usize) -> Result<&Field, CompressionError> {
        let field = if number <= STATIC_FIELDS {
            static_field(number)
        } else {
            self.table.get(number - STATIC_FIELDS - 1)
        };
        field.ok_or(CompressionError::Number)
    }

    /// The name of a known field, or one that is spelt out.
    fn name(&mut self, number: usize, rest: &mut &[u8]) -> Result<Name, CompressionError> {
        if number > 0 {
            return Ok(self.known(number)?.name());
        }
        let name = self.text(rest)?;
        Ok(Name::parse(name.as_slice(&self.text)))
    }

    /// A text (RFC 7541 section 5.2).
    fn text<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Text<'a>, CompressionError> {
        let (&first, behind) = rest.split_first().ok_or(CompressionError::Truncated)?;
        *rest = behind;
        let length = integer::decode(first, 7, rest)?;
        let (text, behind) = rest.split_at_checked(length).ok_or(CompressionError::Truncated)?;
        *rest = behind;
        if first < 0x80 {
            return Ok(Text::Plain(text));
        }
        huffman::decode(text, &mut self.text).map(Text::Coded)
    }
}

/// What a name or value was written as.
#[derive(Clone, Copy)]
enum Text<'a> {
    Plain(&'a [u8]),
    /// It is the beginning of the memory for text, so long.
    Coded(usize),
}

impl<'a> Text<'a> {
    fn as_slice(self, text: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain(plain) => plain,
            Self::Coded(length) => &text[..length],
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Plain(plain) => plain.len(),
            Self::Coded(length) => length,
        }
    }
}

impl Name {
    fn parse(name: &[u8]) -> Self {
        match name {
            [b':', ..] => match name {
                b":method" => Self::Method,
                b":scheme" => Self::Scheme,
                b":authority" => Self::Authority,
                b":path" => Self::Path,
                b":protocol" => Self::Protocol,
                _ => Self::Unknown { bytes: name.len() },
            },
            // In lower case (RFC 9113 section 8.2.1).
            _ if name.iter().any(u8::is_ascii_uppercase) => Self::Unknown { bytes: name.len() },
            _ => HeaderName::from_bytes(name)
                .map_or_else(|_no_token| Self::Unknown { bytes: name.len() }, Self::Regular),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Method => ":method".len(),
            Self::Scheme => ":scheme".len(),
            Self::Authority => ":authority".len(),
            Self::Path => ":path".len(),
            Self::Protocol => ":protocol".len(),
            Self::Regular(name) => name.as_str().len(),
            Self::Unknown { bytes } => *bytes,
        }
    }
}

impl Field {
    /// Its size as fields are counted (RFC 9113 section 6.5.2), of what is malformed without its value.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        ENTRY_OVERHEAD
            + match self {
                Self::Method(method) => ":method".len() + method.as_str().len(),
                Self::Scheme(value) => ":scheme".len() + value.len(),
                Self::Authority(value) => ":authority".len() + value.len(),
                Self::Path(path) => ":path".len() + path.as_str().len(),
                Self::Protocol(value) => ":protocol".len() + value.len(),
                Self::Regular(name, value) => name.as_str().len() + value.len(),
                Self::Malformed(name) => name.len(),
            }
    }

    fn name(&self) -> Name {
        match self {
            Self::Method(_) => Name::Method,
            Self::Scheme(_) => Name::Scheme,
            Self::Authority(_) => Name::Authority,
            Self::Path(_) => Name::Path,
            Self::Protocol(_) => Name::Protocol,
            Self::Regular(name, _) => Name::Regular(name.clone()),
            Self::Malformed(name) => name.clone(),
        }
    }

    fn set_sensitive(&mut self) {
        match self {
            Self::Scheme(value)
            | Self::Authority(value)
            | Self::Protocol(value)
            | Self::Regular(_, value) => value.set_sensitive(true),
            Self::Method(_) | Self::Path(_) | Self::Malformed(_) => {}
        }
    }
}

/// The field of this name and value, whose bytes are held as `hold` does.
#[inline]
fn field(name: Name, value: &[u8], hold: impl FnOnce(&[u8]) -> Bytes) -> Field {
    match name {
        Name::Regular(name) => match parse_value(value, hold) {
            Some(value) => Field::Regular(name, value),
            None => Field::Malformed(Name::Regular(name)),
        },
        Name::Path => parse_path(value, hold).map_or(Field::Malformed(name), Field::Path),
        Name::Authority => parse_value(value, hold).map_or(Field::Malformed(name), Field::Authority),
        Name::Method => parse_method(value).map_or(Field::Malformed(name), Field::Method),
        Name::Scheme => parse_value(value, hold).map_or(Field::Malformed(name), Field::Scheme),
        Name::Protocol => parse_value(value, hold).map_or(Field::Malformed(name), Field::Protocol),
        Name::Unknown { .. } => Field::Malformed(name),
    }
}

/// Without white space around it (RFC 9113 section 8.2.1).
fn parse_value(value: &[u8], hold: impl FnOnce(&[u8]) -> Bytes) -> Option<HeaderValue> {
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value {
        return None;
    }
    HeaderValue::from_maybe_shared(hold(value)).ok()
}

fn parse_method(value: &[u8]) -> Option<Method> {
    if value.len() > MAX_METHOD_BYTES {
        return None;
    }
    Method::from_bytes(value).ok()
}

/// As HTTP/1.1 would have it in a request line (RFC 9113 section 8.3.1): what is behind a `#` is no part of a request.
fn parse_path(value: &[u8], hold: impl FnOnce(&[u8]) -> Bytes) -> Option<PathAndQuery> {
    let is_outside = |byte: &u8| matches!(byte, 0..=b' ' | b'#' | 0x7f..);
    // Of all bytes, whatever the first ones are: so many are looked at at once.
    let is_bad = value.iter().fold(false, |is_bad, byte| is_bad | is_outside(byte));
    if is_bad || !matches!(value, [b'/', ..] | b"*") || value.len() > MAX_PATH_BYTES {
        return None;
    }
    PathAndQuery::from_maybe_shared(hold(value)).ok()
}

#[cfg(test)]
mod tests;
