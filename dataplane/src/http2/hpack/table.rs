//! What numbers stand for (RFC 7541 section 2.3): some fields always, and others since they were written into the table.

use std::collections::VecDeque;

use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};

use super::decoder::{Field, Name};

/// What an entry takes beyond its name and its value (RFC 7541 section 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// As many fields have numbers always, from 1; the table's entries have those behind them, the latest first.
pub(super) const STATIC_FIELDS: usize = 61;

/// The first of them that is no pseudo-header.
const FIRST_REGULAR: usize = 15;

/// A table to which each block adds entries. The oldest go when there is no room.
#[derive(Debug)]
pub(super) struct Table<E> {
    /// With their sizes, the latest first.
    entries: VecDeque<(E, usize)>,
    /// All sizes.
    bytes: usize,
    max_bytes: usize,
}

impl<E> Table<E> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, max_bytes }
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The sizes of all entries.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The latest is 0.
    #[inline]
    pub(super) fn get(&self, age: usize) -> Option<&E> {
        self.entries.get(age).map(|(entry, _)| entry)
    }

    /// Adds one of a size; that of all is [`ENTRY_OVERHEAD`] at least. One that is larger than the table empties it (RFC 7541
    /// section 4.4).
    pub(super) fn insert(&mut self, entry: E, size: usize) {
        self.make_room(size);
        if size <= self.max_bytes {
            self.bytes += size;
            self.entries.push_front((entry, size));
        }
    }

    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.make_room(0);
    }

    fn make_room(&mut self, size: usize) {
        while self.bytes + size > self.max_bytes
            && let Some((_, size)) = self.entries.pop_back()
        {
            self.bytes -= size;
        }
    }
}

macro_rules! static_fields {
    ($($pseudo:expr),+; $($name:literal: $value:literal),+ $(,)?) => {
        /// RFC 7541 appendix A.
        static STATIC: [Field; STATIC_FIELDS] =
            [$($pseudo,)+ $(Field::Regular(HeaderName::from_static($name), HeaderValue::from_static($value))),+];

        /// Those behind the pseudo-headers.
        const NAMES: [&str; STATIC_FIELDS + 1 - FIRST_REGULAR] = [$($name),+];
    };
}

/// No field of a request.
const STATUS: Field = Field::Malformed(Name::Unknown { bytes: ":status".len() });

static_fields! {
    Field::Authority(HeaderValue::from_static("")),
    Field::Method(Method::GET),
    Field::Method(Method::POST),
    Field::Path(PathAndQuery::from_static("/")),
    Field::Path(PathAndQuery::from_static("/index.html")),
    Field::Scheme(HeaderValue::from_static("http")),
    Field::Scheme(HeaderValue::from_static("https")),
    STATUS, STATUS, STATUS, STATUS, STATUS, STATUS, STATUS;
    "accept-charset": "",
    "accept-encoding": "gzip, deflate",
    "accept-language": "",
    "accept-ranges": "",
    "accept": "",
    "access-control-allow-origin": "",
    "age": "",
    "allow": "",
    "authorization": "",
    "cache-control": "",
    "content-disposition": "",
    "content-encoding": "",
    "content-language": "",
    "content-length": "",
    "content-location": "",
    "content-range": "",
    "content-type": "",
    "cookie": "",
    "date": "",
    "etag": "",
    "expect": "",
    "expires": "",
    "from": "",
    "host": "",
    "if-match": "",
    "if-modified-since": "",
    "if-none-match": "",
    "if-range": "",
    "if-unmodified-since": "",
    "last-modified": "",
    "link": "",
    "location": "",
    "max-forwards": "",
    "proxy-authenticate": "",
    "proxy-authorization": "",
    "range": "",
    "referer": "",
    "refresh": "",
    "retry-after": "",
    "server": "",
    "set-cookie": "",
    "strict-transport-security": "",
    "transfer-encoding": "",
    "user-agent": "",
    "vary": "",
    "via": "",
    "www-authenticate": "",
}

/// The field that has this number always.
#[inline]
pub(super) fn static_field(number: usize) -> Option<&'static Field> {
    STATIC.get(number.wrapping_sub(1))
}

/// The number that stands for this name always, if one does.
#[inline]
pub(super) fn static_name(name: &HeaderName) -> Option<usize> {
    let number = usize::from(NUMBERS[place(name.as_str().as_bytes())]);
    match static_field(number) {
        Some(Field::Regular(other, _)) if other == name => Some(number),
        _ => None,
    }
}

/// Names that have numbers, as a set of bits.
pub(super) const fn static_names(names: &[&str]) -> u64 {
    let (mut set, mut index) = (0, 0);
    while index < names.len() {
        let mut field = 0;
        // Fails to compile where there is none.
        while !is_same(NAMES[field].as_bytes(), names[index].as_bytes()) {
            field += 1;
        }
        set |= 1 << (FIRST_REGULAR + field);
        index += 1;
    }
    set
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut length = 0;
    while length < one.len() && length < other.len() && one[length] == other[length] {
        length += 1;
    }
    length == one.len() && length == other.len()
}

/// Numbers of names by their places; 0 where none is.
#[expect(clippy::cast_possible_truncation, reason = "they are below 62")]
static NUMBERS: [u8; 128] = {
    let mut numbers = [0; 128];
    let mut index = 0;
    while index < NAMES.len() {
        let place = place(NAMES[index].as_bytes());
        assert!(numbers[place] == 0, "each has a place of its own");
        numbers[place] = (FIRST_REGULAR + index) as u8;
        index += 1;
    }
    numbers
};

/// Made of so little of a name that it costs little; the factors are such that no two of [`NAMES`] have the same.
#[inline]
const fn place(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize, name[length / 2] as usize, name[length - 1] as usize);
    (2 * length + 51 * first + 11 * middle + last) % 128
}
