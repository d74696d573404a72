//! The header fields of one message, in the order they came.
//!
//! A list, not a map: most messages have fewer than a dozen fields, and to compare a dozen names costs less than to hash
//! one. Whoever reads messages bounds how many there are, so what is looked for in all of them is bounded too.
//!
//! A value that was read stays a part of the text it came in until somebody wants it as a value of its own: most go on as
//! they came, and nobody does.

/// What a value may be.
mod plain_text;
/// What many messages have alike.
mod ready;
/// Where a value stands, and what is made of it.
mod value;

use std::{borrow::Borrow, fmt, mem, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::value::Value;
pub use self::{
    plain_text::PlainText,
    ready::ReadyFields,
    value::{NoPart, ValueRef},
};
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
    /// Behind the lines. Whoever asks for a change of what is among them makes lines of them first, so that they are as if they
    /// had been added one by one.
    ready: Option<Arc<ReadyFields>>,
}

#[derive(Clone)]
struct Line {
    name: HeaderName,
    value: Value,
}

/// There is more than one of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("several fields of one name")]
pub struct Several;

/// Where a value was found, which is not made before it is known to be wanted.
enum Found<'a> {
    Line(&'a Value),
    Ready(&'a HeaderValue),
}

#[expect(
    clippy::inline_always,
    reason = "a name that is known where it is looked for is compared as a number there"
)]
impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new(), text: Bytes::new(), ready: None }
    }

    /// No fields yet of those that are read from this text, and room for as many as most messages have.
    #[must_use]
    pub fn of_text(text: Bytes) -> Self {
        let kept = STOCK.try_with(Stock::take).ok().flatten();
        let lines = kept.unwrap_or_else(|| Vec::with_capacity(USUAL_LINES));
        Self { lines, text, ready: None }
    }

    /// How many there are, those of the same name counted each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len() + self.ready_lines().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first of this name.
    #[inline(always)]
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<&HeaderValue> {
        let name = name.borrow();
        match self.lines.iter().find(|line| line.name == *name) {
            Some(line) => Some(line.value.made(&self.text)),
            None => self.among_ready(name),
        }
    }

    /// All of this name.
    pub fn get_all<N: Borrow<HeaderName>>(
        &self,
        name: N,
    ) -> impl DoubleEndedIterator<Item = &HeaderValue> + use<'_, N> {
        let lines = self.lines.iter().map(|line| (&line.name, Found::Line(&line.value)));
        let ready = self.ready_lines().iter().map(|(name, value)| (name, Found::Ready(value)));
        let found = lines.chain(ready).filter(move |(other, _)| *other == name.borrow());
        found.map(|(_, found)| match found {
            Found::Line(value) => value.made(&self.text),
            Found::Ready(value) => value,
        })
    }

    /// The bytes of the first of this name.
    #[inline(always)]
    pub fn bytes_of(&self, name: impl Borrow<HeaderName>) -> Option<&[u8]> {
        let name = name.borrow();
        match self.lines.iter().find(|line| line.name == *name) {
            Some(line) => Some(line.value.bytes(&self.text)),
            None => self.among_ready(name).map(HeaderValue::as_bytes),
        }
    }

    /// The bytes of all of this name.
    pub fn bytes_of_all<N: Borrow<HeaderName>>(&self, name: N) -> impl Iterator<Item = &[u8]> + use<'_, N> {
        self.bytes().filter_map(move |(other, value)| (other == name.borrow()).then_some(value))
    }

    /// The bytes of the only one of this name; none: there is none.
    ///
    /// # Errors
    /// When there are several.
    #[inline(always)]
    pub fn bytes_of_single(&self, name: impl Borrow<HeaderName>) -> Result<Option<&[u8]>, Several> {
        let name = name.borrow();
        let mut found = None;
        for line in self.lines.iter().filter(|line| line.name == *name) {
            if found.replace(line.value.bytes(&self.text)).is_some() {
                return Err(Several);
            }
        }
        match self.among_ready(name) {
            None => Ok(found),
            Some(_) => self.single_with_ready(name),
        }
    }

    /// Whether there is one of this name.
    #[inline(always)]
    pub fn contains_key(&self, name: impl Borrow<HeaderName>) -> bool {
        let name = name.borrow();
        self.lines.iter().any(|line| line.name == *name) || self.among_ready(name).is_some()
    }

    /// Whether the name of one satisfies the condition.
    #[inline(always)]
    pub fn has_any(&self, mut is_one: impl FnMut(&HeaderName) -> bool) -> bool {
        self.lines.iter().any(|line| is_one(&line.name))
            || self.ready_lines().iter().any(|(name, _)| is_one(name))
    }

    /// Adds one behind all others.
    #[inline]
    pub fn append(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        self.push(name.into(), Value::from(value));
    }

    /// Adds one behind all others whose value is a part of the text.
    ///
    /// # Errors
    /// When it is not.
    pub fn append_part(&mut self, name: HeaderName, part: PlainText<'_>) -> Result<(), NoPart> {
        self.push(name, Value::part(&self.text, part)?);
        Ok(())
    }

    /// Adds one behind all others that says what the first of another name says, if there is one.
    pub fn append_same(&mut self, name: HeaderName, other: &HeaderName) {
        self.make_lines_with(other);
        let value = self.lines.iter().find(|line| line.name == *other).map(|line| line.value.clone());
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Adds some behind all others.
    pub fn append_ready(&mut self, ready: Arc<ReadyFields>) {
        // There is room for some, and for those that came last.
        self.make_lines();
        self.ready = Some(ready);
    }

    /// Puts one in the place of all of its name.
    #[inline]
    pub fn insert(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        let (name, value) = (name.into(), Value::from(value));
        self.make_lines_with(&name);
        match self.lines.iter().position(|line| line.name == name) {
            Some(first) => self.replace_from(first, value),
            None => self.lines.push(Line { name, value }),
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
        self.make_lines_with(name);
        self.lines.retain(|line| line.name != *name);
    }

    /// Keeps only those whose name satisfies the condition.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName) -> bool) {
        self.make_lines();
        self.lines.retain(|line| is_kept(&line.name));
    }

    /// The names, each as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.bytes().map(|(name, _)| name)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let lines = self.lines.iter().map(|line| (&line.name, line.value.made(&self.text)));
        lines.chain(self.ready_lines().iter().map(|(name, value)| (name, value)))
    }

    /// Names, and the values as they are passed on.
    pub fn values(&self) -> impl Iterator<Item = (&HeaderName, ValueRef<'_>)> {
        let lines = self.lines.iter().map(|line| (&line.name, line.value.as_ref(&self.text)));
        lines.chain(self.ready_lines().iter().map(|(name, value)| (name, value.into())))
    }

    /// Names, and the bytes of the values.
    pub fn bytes(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        let ready = self.ready_lines().iter().map(|(name, value)| (name, value.as_bytes()));
        self.own_bytes().chain(ready)
    }

    /// The same without those behind all others that many messages have alike.
    pub fn own_bytes(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.lines.iter().map(|line| (&line.name, line.value.bytes(&self.text)))
    }

    /// Those, if there are some.
    #[must_use]
    pub fn ready(&self) -> Option<&ReadyFields> {
        self.ready.as_deref()
    }

    fn ready_lines(&self) -> &[(HeaderName, HeaderValue)] {
        self.ready().map_or(&[], ReadyFields::lines)
    }

    /// Puts a value in the place of one, and of all of its name behind it.
    fn replace_from(&mut self, first: usize, value: Value) {
        let (line, behind) = (&self.lines[first], &self.lines[first + 1..]);
        // Most names are there once, and none is copied for them.
        let several = behind.iter().any(|other| other.name == line.name).then(|| line.name.clone());
        self.lines[first].value = value;
        if let Some(name) = several {
            let mut index = 0;
            self.lines.retain(|line| {
                index += 1;
                index <= first + 1 || line.name != name
            });
        }
    }

    fn single_with_ready(&self, name: &HeaderName) -> Result<Option<&[u8]>, Several> {
        let mut all = self.bytes_of_all(name);
        let first = all.next();
        if all.next().is_some() { Err(Several) } else { Ok(first) }
    }

    /// Most messages have none while they are looked at, so no more than that is inlined.
    #[inline]
    fn among_ready(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let ready = self.ready.as_ref()?;
        ready.get(name)
    }

    #[inline]
    fn push(&mut self, name: HeaderName, value: Value) {
        // Those of one name stay in order.
        self.make_lines_with(&name);
        self.lines.push(Line { name, value });
    }

    #[inline]
    fn make_lines_with(&mut self, name: &HeaderName) {
        if self.among_ready(name).is_some() {
            self.make_lines();
        }
    }

    #[inline(never)]
    fn make_lines(&mut self) {
        let Some(ready) = self.ready.take() else { return };
        let lines = ready.lines().iter().cloned();
        self.lines.extend(lines.map(|(name, value)| Line { name, value: Value::from(value) }));
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
        self.make_lines();
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
mod tests;
