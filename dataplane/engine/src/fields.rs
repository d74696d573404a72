//! The header fields of one message, in the order they came.
//!
//! A list, not a map: most messages have fewer than a dozen fields, and to compare a dozen names costs less than to hash
//! one. Whoever reads messages bounds how many there are, so what is looked for in all of them is bounded too. Most of what is
//! looked for is not there, which a set of the names' marks tells without a look at them.
//!
//! A value that was read stays a part of the text it came in until somebody wants it as a value of its own: most go on as
//! they came, and nobody does.

/// What a value may be.
mod plain_text;
/// Where a value stands, and what is made of it.
mod value;
/// Which names may be there.
mod names;

use std::{borrow::Borrow, fmt, mem};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::value::Value;
pub use self::{names::Names, plain_text::PlainText, value::NoPart};
use crate::stock::Stock;

/// By whom a request was sent, as proxies tell.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// For which host it was sent, as proxies tell.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What a request is called in every log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// As many lines have room in what is made for them at once: those of most messages, and those that the gateway adds. To the
/// allocator it is a small piece of memory.
const USUAL_LINES: usize = 12;

/// No larger pieces of memory than of so many lines are kept for later messages,
const MOST_KEPT_LINES: usize = 32;

/// and no more than so many.
const MOST_IN_STOCK: usize = 64;

thread_local! {
    /// Of [`USUAL_LINES`] to [`MOST_KEPT_LINES`].
    static STOCK: Stock<Vec<Line>> = const { Stock::with_room_for(MOST_IN_STOCK) };
}

/// Header fields. A name may be there several times.
#[derive(Clone, Default)]
pub struct Fields {
    lines: Vec<Line>,
    /// What values that were read are parts of.
    text: Bytes,
    /// Of every line; and perhaps of some that are gone.
    names: Names,
}

#[derive(Clone)]
struct Line {
    name: HeaderName,
    value: Value,
}

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new(), text: Bytes::new(), names: Names::NONE }
    }

    /// No fields yet of those that are read from this text, and room for as many as most messages have.
    #[must_use]
    pub fn of_text(text: Bytes) -> Self {
        let kept = STOCK.try_with(Stock::take).ok().flatten();
        Self { lines: kept.unwrap_or_else(|| Vec::with_capacity(USUAL_LINES)), text, names: Names::NONE }
    }

    /// How many there are, those of the same name counted each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether one of these names may be there; if not, it certainly is not.
    #[must_use]
    pub fn may_have(&self, names: Names) -> bool {
        self.names.meet(names)
    }

    /// The first of this name.
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<&HeaderValue> {
        self.first_of(name.borrow()).map(|line| line.value.made(&self.text))
    }

    /// All of this name.
    pub fn get_all<N: Borrow<HeaderName>>(
        &self,
        name: N,
    ) -> impl DoubleEndedIterator<Item = &HeaderValue> + use<'_, N> {
        let lines = self.lines_that_may_be(name.borrow());
        lines.iter().filter(move |line| line.name == *name.borrow()).map(|line| line.value.made(&self.text))
    }

    /// The bytes of the first of this name.
    pub fn bytes_of(&self, name: impl Borrow<HeaderName>) -> Option<&[u8]> {
        self.first_of(name.borrow()).map(|line| line.value.bytes(&self.text))
    }

    /// The bytes of all of this name.
    pub fn bytes_of_all<N: Borrow<HeaderName>>(&self, name: N) -> impl Iterator<Item = &[u8]> + use<'_, N> {
        let lines = self.lines_that_may_be(name.borrow());
        lines.iter().filter(move |line| line.name == *name.borrow()).map(|line| line.value.bytes(&self.text))
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: impl Borrow<HeaderName>) -> bool {
        self.first_of(name.borrow()).is_some()
    }

    /// Adds one behind all others.
    pub fn append(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        let name = name.into();
        self.names.add(Names::of(&name));
        self.lines.push(Line { name, value: Value::from(value) });
    }

    /// Adds one behind all others whose value is a part of the text.
    ///
    /// # Errors
    /// When it is not.
    pub fn append_part(&mut self, name: HeaderName, part: PlainText<'_>) -> Result<(), NoPart> {
        let value = Value::part(&self.text, part)?;
        self.names.add(Names::of(&name));
        self.lines.push(Line { name, value });
        Ok(())
    }

    /// Adds one behind all others that says what the first of another name says, if there is one.
    pub fn append_same(&mut self, name: HeaderName, other: &HeaderName) {
        let value = self.first_of(other).map(|line| line.value.clone());
        if let Some(value) = value {
            self.names.add(Names::of(&name));
            self.lines.push(Line { name, value });
        }
    }

    /// Puts one in the place of all of its name.
    pub fn insert(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        let name = name.into();
        let Some(first) = self.lines_that_may_be(&name).iter().position(|line| line.name == name) else {
            return self.append(name, value);
        };
        self.lines[first].value = Value::from(value);
        if self.lines[first + 1..].iter().any(|line| line.name == name) {
            let mut index = 0;
            self.lines.retain(|line| {
                index += 1;
                index <= first + 1 || line.name != name
            });
        }
    }

    /// Puts one there if there is none of its name.
    pub fn insert_if_absent(&mut self, name: HeaderName, value: impl FnOnce() -> HeaderValue) {
        if !self.contains_key(&name) {
            self.append(name, value());
        }
    }

    /// Removes all of this name.
    pub fn remove(&mut self, name: impl Borrow<HeaderName>) {
        let name = name.borrow();
        if self.may_have(Names::of(name)) {
            self.lines.retain(|line| line.name != *name);
        }
    }

    /// Keeps only those whose name satisfies the condition.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName) -> bool) {
        self.lines.retain(|line| is_kept(&line.name));
    }

    /// The names, each as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.lines.iter().map(|line| &line.name)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.lines.iter().map(|line| (&line.name, line.value.made(&self.text)))
    }

    /// Names, and the bytes of the values.
    pub fn bytes(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.lines.iter().map(|line| (&line.name, line.value.bytes(&self.text)))
    }

    fn first_of(&self, name: &HeaderName) -> Option<&Line> {
        self.lines_that_may_be(name).iter().find(|line| line.name == *name)
    }

    /// None of them, where none is of this name for certain.
    fn lines_that_may_be(&self, name: &HeaderName) -> &[Line] {
        if self.may_have(Names::of(name)) { &self.lines } else { &[] }
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if (USUAL_LINES..=MOST_KEPT_LINES).contains(&self.lines.capacity()) {
            let mut lines = mem::take(&mut self.lines);
            lines.clear();
            // What is dropped when its thread ends is not for later.
            let _ = STOCK.try_with(|stock| stock.keep(lines));
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for Fields {}

impl Extend<(HeaderName, HeaderValue)> for Fields {
    /// Adds them behind the others, also those whose names are there already.
    fn extend<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, fields: I) {
        fields.into_iter().for_each(|(name, value)| self.append(name, value));
    }
}

impl IntoIterator for Fields {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = IntoFields;

    fn into_iter(mut self) -> Self::IntoIter {
        IntoFields { lines: mem::take(&mut self.lines).into_iter(), text: mem::take(&mut self.text) }
    }
}

/// The fields of a message, each a value of its own.
pub struct IntoFields {
    lines: std::vec::IntoIter<Line>,
    text: Bytes,
}

impl Iterator for IntoFields {
    type Item = (HeaderName, HeaderValue);

    fn next(&mut self) -> Option<Self::Item> {
        let Line { name, value } = self.lines.next()?;
        Some((name, value.into_made(&self.text)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lines.size_hint()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut all = Self::new();
        all.extend(fields);
        all
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::new();
        for (name, value) in map {
            // Of several of one name, only the first is given with it.
            let name = name.or_else(|| fields.keys().last().cloned());
            fields.extend(name.map(|name| (name, value)));
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> Self {
        let mut map = Self::with_capacity(fields.len());
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HOST, VIA};

    use super::*;

    fn fields(lines: &[(HeaderName, &'static str)]) -> Fields {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_is_inserted_takes_the_place_of_all_of_its_name() {
        let mut inserted = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2"), (COOKIE, "c"), (VIA, "3")]);
        inserted.insert(VIA, HeaderValue::from_static("4"));
        assert_eq!(inserted, fields(&[(VIA, "4"), (HOST, "a"), (COOKIE, "c")]));
        inserted.insert_if_absent(VIA, || HeaderValue::from_static("5"));
        inserted.remove(HOST);
        inserted.insert(HOST, HeaderValue::from_static("b"));
        assert_eq!(inserted, fields(&[(VIA, "4"), (COOKIE, "c"), (HOST, "b")]));
    }

    #[test]
    fn the_first_of_a_name_is_found_and_all_are_in_order() {
        let several = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2")]);
        assert_eq!(several.get(VIA).unwrap(), "1");
        assert_eq!(several.get_all(VIA).collect::<Vec<_>>(), ["1", "2"]);
        assert!(!several.contains_key(COOKIE));
    }

    #[test]
    fn nothing_is_lost_between_a_list_and_a_map() {
        let several = fields(&[(HOST, "a"), (VIA, "1"), (VIA, "2")]);
        assert_eq!(Fields::from(HeaderMap::from(several.clone())), several);
    }

    #[test]
    fn what_was_read_is_the_same_as_what_was_made() {
        let text = Bytes::from_static(b"via: 1\r\nhost: a\r\nvia: 2\r\n");
        let mut read = Fields::of_text(text.clone());
        for (name, part) in [(VIA, 5..6), (HOST, 14..15), (VIA, 22..23)] {
            read.append_part(name, PlainText::new(&text[part]).unwrap()).unwrap();
        }
        let made = fields(&[(VIA, "1"), (HOST, "a"), (VIA, "2")]);
        assert_eq!(read, made);
        assert_eq!(read.get_all(VIA).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(
            read.clone().into_iter().collect::<Vec<_>>(),
            made.clone().into_iter().collect::<Vec<_>>()
        );
        read.append_same(X_FORWARDED_HOST, &HOST);
        read.append_same(COOKIE, &X_FORWARDED_FOR);
        assert_eq!(read.bytes_of(X_FORWARDED_HOST), Some(&b"a"[..]));
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn memory_is_used_again_and_is_empty_then() {
        let mut first = Fields::of_text(Bytes::new());
        first.append(VIA, HeaderValue::from_static("1"));
        let memory = first.lines.as_ptr();
        drop(first);
        let mut again = Fields::of_text(Bytes::new());
        assert_eq!((again.lines.as_ptr(), again.len()), (memory, 0));
        for _ in 0..=MOST_KEPT_LINES {
            again.append(VIA, HeaderValue::from_static("1"));
        }
        drop(again);
        assert_eq!(STOCK.with(Stock::kept), 0);
    }

    #[test]
    fn what_stands_elsewhere_is_no_part() {
        let text = Bytes::from_static(b"some text");
        let mut read = Fields::of_text(text.slice(2..6));
        for elsewhere in [&b"some"[..], &text[..3], &text[4..], &text[7..]] {
            assert_eq!(
                read.append_part(VIA, PlainText::new(elsewhere).unwrap()),
                Err(NoPart),
                "{elsewhere:?}"
            );
        }
        for part in [&text[2..6], &text[3..4], &text[6..6]] {
            read.append_part(VIA, PlainText::new(part).unwrap()).unwrap();
        }
        assert_eq!(read.get_all(VIA).collect::<Vec<_>>(), ["me t", "e", ""]);
    }
}
