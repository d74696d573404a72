//! Writes blocks. A field that comes again costs a byte or two; one that is another each time does not get into the table, where
//! it would take the place of those that come again.
//!
//! What is written out is written plainly: it is little, and to find its Huffman code would cost more than to send it.

use std::hash::Hasher;

use apigw_engine::fields::ValueRef;
use http::{HeaderName, StatusCode};
use rustc_hash::FxHasher;

use super::{
    integer,
    places::{Places, Sight},
    table::{ENTRY_OVERHEAD, STATIC_FIELDS, Table, static_name, static_names},
};

/// The largest table, whatever the peer would keep; also what it keeps where it does not say (RFC 9113 section 6.5.2).
const MAX_TABLE_BYTES: usize = 4096;

/// Of so many fields at the beginning of a block it is known what comes.
const EXPECTED_FIELDS: usize = 16;

/// Fields that say something else each time, or nothing for others to know: never in the table.
const PASSING: u64 = static_names(&[
    "age",
    "content-disposition",
    "content-length",
    "content-location",
    "content-range",
    "etag",
    "last-modified",
    "location",
    "proxy-authenticate",
    "refresh",
    "set-cookie",
    "www-authenticate",
]);

/// Fields that say the same for a while: in the table when they do. So are those that have no numbers of their own.
const CHANGING: u64 = static_names(&["date", "expires", "link", "retry-after"]);

/// Writes the blocks of one connection, in their order.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table<Entry>,
    /// How many were ever written into it, which is the latest one's number.
    inserted: u32,
    places: Places,
    /// The entries that were written at the same places of a block before: mostly the same ones are wanted again, and to look there
    /// costs less than to hash them.
    expected: [u32; EXPECTED_FIELDS],
    /// How many fields the present block has.
    fields: usize,
    /// What the peer would keep now.
    max_table_bytes: usize,
    /// The least that it would since the last block.
    least_table_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    name: HeaderName,
    /// A copy, since values may be parts of larger memory.
    value: Box<[u8]>,
}

/// How a field is written that is more than a number (RFC 7541 section 6.2): the bits in front of its name's number, and how many
/// that has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Literal(u8, u32);

impl Literal {
    const ADDED: Self = Self(0x40, 6);
    const PASSING: Self = Self(0x00, 4);
    /// Nobody on the way may put it into a table.
    const SECRET: Self = Self(0x10, 4);
}

impl Encoder {
    /// Of a connection whose peer has said nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            table: Table::new(MAX_TABLE_BYTES),
            inserted: 0,
            places: Places::default(),
            expected: [0; EXPECTED_FIELDS],
            fields: 0,
            max_table_bytes: MAX_TABLE_BYTES,
            least_table_bytes: MAX_TABLE_BYTES,
        }
    }

    /// The peer says how large a table it keeps: heeded from the next block on.
    pub(crate) fn set_max_table_bytes(&mut self, bytes: u32) {
        self.max_table_bytes = MAX_TABLE_BYTES.min(bytes as usize);
        self.least_table_bytes = self.least_table_bytes.min(self.max_table_bytes);
    }

    /// Begins a block: with the sizes that the table has had since the last one, the least and the present (RFC 7541 section 4.2).
    #[inline]
    pub(crate) fn begin(&mut self, block: &mut Vec<u8>) {
        for bytes in [self.least_table_bytes, self.max_table_bytes] {
            if bytes != self.table.max_bytes() {
                self.table.set_max_bytes(bytes);
                integer::encode(0x20, 5, bytes, block);
            }
        }
        self.least_table_bytes = self.max_table_bytes;
        self.fields = 0;
    }

    /// Writes `:status`, before all fields.
    #[expect(clippy::unused_self, reason = "of a block that this one writes")]
    #[inline]
    pub(crate) fn status(&mut self, status: StatusCode, block: &mut Vec<u8>) {
        let number = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                integer::encode(0, 4, 8, block);
                return text(status.as_str().as_bytes(), block);
            }
        };
        block.push(0x80 | number);
    }

    /// Writes a field.
    pub(crate) fn field<'a>(
        &mut self,
        name: &HeaderName,
        value: impl Into<ValueRef<'a>>,
        block: &mut Vec<u8>,
    ) {
        let value = value.into();
        let place = self.fields;
        self.fields += 1;
        if let Some(&expected) = self.expected.get(place)
            && let Some(number) = self.number_of(Sight::Entry(expected), name, value)
        {
            return integer::encode(0x80, 7, number, block);
        }
        let written = self.unexpected_field(name, value, block);
        if let Some(expected) = self.expected.get_mut(place)
            && let Some(Sight::Entry(number)) = written
        {
            *expected = number;
        }
    }

    /// Writes a field, and tells which entry it is now, if it is one.
    fn unexpected_field(
        &mut self,
        name: &HeaderName,
        value: ValueRef<'_>,
        block: &mut Vec<u8>,
    ) -> Option<Sight> {
        let static_name = static_name(name);
        let is_one_of = |names: u64| static_name.is_some_and(|number| names >> number & 1 == 1);
        if is_one_of(PASSING) && !value.is_sensitive() {
            literal(Literal::PASSING, static_name, name, value, block);
            return None;
        }
        let mut hasher = FxHasher::default();
        match static_name {
            Some(number) => hasher.write_usize(number),
            None => hasher.write(name.as_str().as_bytes()),
        }
        let name_hash = hasher.finish();
        let number = || static_name.or_else(|| self.number_of_name(name_hash, name));
        if value.is_sensitive() {
            literal(Literal::SECRET, number(), name, value, block);
            return None;
        }
        hasher.write(value.as_bytes());
        let hash = hasher.finish();

        let sight = self.places.find(hash);
        if let Some(number) = sight.and_then(|sight| self.number_of(sight, name, value)) {
            integer::encode(0x80, 7, number, block);
            return sight;
        }
        let number = number();
        // With the first of a name, others need not spell it out.
        let comes_again = match static_name {
            Some(_) => sight.is_some() || !is_one_of(CHANGING),
            None => sight.is_some() || number.is_none(),
        };
        let size = name.as_str().len() + value.as_bytes().len() + ENTRY_OVERHEAD;
        // One that is larger would take the place of all others.
        let sight = if comes_again && size <= self.table.max_bytes() / 4 * 3 {
            literal(Literal::ADDED, number, name, value, block);
            self.table.insert(Entry { name: name.clone(), value: value.as_bytes().into() }, size);
            self.inserted = self.inserted.wrapping_add(1);
            let sight = Sight::Entry(self.inserted);
            if static_name.is_none() {
                self.remember(name_hash, sight);
            }
            sight
        } else {
            literal(Literal::PASSING, number, name, value, block);
            Sight::Lately
        };
        self.remember(hash, sight);
        Some(sight)
    }

    /// The number of a field of which this may be the entry, if it is; none of a secret.
    #[inline]
    fn number_of(&self, sight: Sight, name: &HeaderName, value: ValueRef<'_>) -> Option<usize> {
        let (number, entry) = self.entry(sight)?;
        let is_same = *entry.value == *value.as_bytes() && entry.name == *name && !value.is_sensitive();
        is_same.then_some(number)
    }

    /// The number of an entry of this name.
    fn number_of_name(&self, hash: u64, name: &HeaderName) -> Option<usize> {
        let (number, entry) = self.entry(self.places.find(hash)?)?;
        (entry.name == *name).then_some(number)
    }

    /// An entry that has been seen, and its number among all fields, if it is still there.
    #[inline]
    fn entry(&self, sight: Sight) -> Option<(usize, &Entry)> {
        let Sight::Entry(number) = sight else { return None };
        let age = self.inserted.wrapping_sub(number) as usize;
        self.table.get(age).map(|entry| (STATIC_FIELDS + 1 + age, entry))
    }

    fn remember(&mut self, hash: u64, sight: Sight) {
        let (table, inserted) = (&self.table, self.inserted);
        let is_needed = |sight| match sight {
            Sight::Lately => false,
            Sight::Entry(number) => (inserted.wrapping_sub(number) as usize) < table.len(),
        };
        self.places.put(hash, sight, is_needed);
    }
}

/// A field whose name has a number, or is spelt out.
fn literal(
    Literal(bits, prefix): Literal,
    number: Option<usize>,
    name: &HeaderName,
    value: ValueRef<'_>,
    block: &mut Vec<u8>,
) {
    integer::encode(bits, prefix, number.unwrap_or(0), block);
    if number.is_none() {
        text(name.as_str().as_bytes(), block);
    }
    text(value.as_bytes(), block);
}

#[inline]
fn text(text: &[u8], block: &mut Vec<u8>) {
    integer::encode(0, 7, text.len(), block);
    block.extend_from_slice(text);
}

#[cfg(test)]
mod tests;
