//! The header fields of one message, in the order they came.
//!
//! A list, not a map: most messages have fewer than a dozen fields, and to compare a dozen names costs less than to hash
//! one. Whoever reads messages bounds how many there are, so what is looked for in all of them is bounded too.

use std::borrow::Borrow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// By whom a request was sent, as proxies tell.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// For which host it was sent, as proxies tell.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What a request is called in every log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Header fields. A name may be there several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields, and room for so many.
    #[must_use]
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// How many there are, those of the same name counted each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of this name.
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<&HeaderValue> {
        let name = name.borrow();
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// All of this name.
    pub fn get_all<N: Borrow<HeaderName>>(
        &self,
        name: N,
    ) -> impl DoubleEndedIterator<Item = &HeaderValue> + use<'_, N> {
        self.0.iter().filter(move |(other, _)| other == name.borrow()).map(|(_, value)| value)
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: impl Borrow<HeaderName>) -> bool {
        self.get(name).is_some()
    }

    /// Adds one behind all others.
    pub fn append(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        self.0.push((name.into(), value));
    }

    /// Puts one in the place of all of its name.
    pub fn insert(&mut self, name: impl Into<HeaderName>, value: HeaderValue) {
        let name = name.into();
        let Some(first) = self.0.iter().position(|(other, _)| *other == name) else {
            return self.0.push((name, value));
        };
        self.0[first].1 = value;
        if self.0[first + 1..].iter().any(|(other, _)| *other == name) {
            let mut index = 0;
            self.0.retain(|(other, _)| {
                index += 1;
                index <= first + 1 || *other != name
            });
        }
    }

    /// Puts one there if there is none of its name.
    pub fn insert_if_absent(&mut self, name: HeaderName, value: impl FnOnce() -> HeaderValue) {
        if !self.contains_key(&name) {
            self.0.push((name, value()));
        }
    }

    /// Removes all of this name.
    pub fn remove(&mut self, name: impl Borrow<HeaderName>) {
        let name = name.borrow();
        self.0.retain(|(other, _)| other != name);
    }

    /// Keeps only those whose name satisfies the condition.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName) -> bool) {
        self.0.retain(|(name, _)| is_kept(name));
    }

    /// The names, each as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl Extend<(HeaderName, HeaderValue)> for Fields {
    /// Adds them behind the others, also those whose names are there already.
    fn extend<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, fields: I) {
        self.0.extend(fields);
    }
}

impl IntoIterator for Fields {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::with_capacity(map.len());
        for (name, value) in map {
            // Of several of one name, only the first is given with it.
            let name = name.or_else(|| fields.0.last().map(|(name, _)| name.clone()));
            fields.0.extend(name.map(|name| (name, value)));
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> Self {
        let mut map = Self::with_capacity(fields.len());
        for (name, value) in fields.0 {
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
}
