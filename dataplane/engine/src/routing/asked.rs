//! What of a request decides which route serves it.

use std::borrow::Cow;

use apigw_config::names::{HeaderName, QueryName};
use http::header::HOST;

use crate::{head::RequestHead, path::NormalPath};

/// A request, as far as routes look at it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    head: &'a RequestHead,
    path: &'a str,
}

impl<'a> Asked<'a> {
    /// Of a head and its path in the one form.
    #[must_use]
    pub fn new(head: &'a RequestHead, path: &'a NormalPath<'a>) -> Self {
        Self { head, path: path.as_str() }
    }

    /// The path in the one form.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a http::Method {
        &self.head.method
    }

    /// The host without its port and without a dot at its end, in the case it came in; none: the request names none.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        let host = str::from_utf8(self.head.headers.bytes_of(HOST)?).ok().filter(|host| host.is_ascii())?;
        // The colons of an IPv6 address stand in brackets (RFC 3986 section 3.2.2).
        let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
        let name = host[end..].find(':').map_or(host, |colon| &host[..end + colon]);
        Some(name.strip_suffix('.').unwrap_or(name))
    }

    /// The value of a header field; several are one, as RFC 9110 section 5.3 joins them.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        let mut values = self.head.headers.bytes_of_all(name.as_http());
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let all: Vec<_> = [first, second].into_iter().chain(values).collect();
        Some(Cow::Owned(all.join(&b", "[..])))
    }

    /// The value of the first parameter of this name, with its escapes undone; without `=`, it is empty.
    #[must_use]
    pub fn parameter(&self, name: &QueryName) -> Option<Cow<'a, [u8]>> {
        let pairs = self.head.uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(key, _)| *unescaped(key) == *name.as_str().as_bytes());
        values.next().map(|(_, value)| unescaped(value))
    }
}

/// A name or value of a query as forms write it (<https://url.spec.whatwg.org/#urlencoded-parsing>): `+` is a space, and
/// what is no escape stands for itself.
fn unescaped(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let digit =
        |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let escaped = || Some(digit(bytes.get(place + 1))? << 4 | digit(bytes.get(place + 2))?);
        let (unescaped, length) = match byte {
            b'+' => (b' ', 1),
            b'%' => escaped().map_or((b'%', 1), |byte| (byte, 3)),
            other => (other, 1),
        };
        out.push(unescaped);
        place += length;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use apigw_config::model::PathRules;
    use http::Request;

    use super::*;

    fn asked<T>(headers: &[(&str, &str)], target: &str, ask: impl FnOnce(Asked<'_>) -> T) -> T {
        let request = Request::builder().uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        let head = RequestHead::from(head);
        let path = NormalPath::new(head.uri.path(), PathRules::default()).unwrap();
        ask(Asked::new(&head, &path))
    }

    #[test]
    fn hosts_have_no_port_and_no_last_dot() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "A.Example"),
            ("a.example.", "a.example"),
            ("a.example.:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            (":80", ""),
        ] {
            let found = asked(&[("host", host)], "/", |asked| asked.host().map(str::to_owned));
            assert_eq!(found.as_deref(), Some(expected), "{host}");
        }
        assert!(asked(&[], "/", |asked| asked.host().is_none()));
    }

    #[test]
    fn fields_of_one_name_are_one_value() {
        let name = HeaderName::new("x-tier").unwrap();
        let value =
            |headers: &[(&str, &str)]| asked(headers, "/", |asked| asked.header(&name).map(Cow::into_owned));
        assert_eq!(value(&[]), None);
        assert_eq!(value(&[("x-tier", "gold")]).as_deref(), Some(&b"gold"[..]));
        assert_eq!(
            value(&[("x-tier", "a"), ("X-Tier", "b"), ("x-tier", "c")]).as_deref(),
            Some(&b"a, b, c"[..])
        );
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let value = |query: &str, name: &str| {
            let name = QueryName::new(name).unwrap();
            asked(&[], &format!("/?{query}"), |asked| {
                asked.parameter(&name).map(|value| String::from_utf8_lossy(&value).into_owned())
            })
        };
        for (query, name, expected) in [
            ("a=1&a=2", "a", Some("1")),
            ("b&a", "a", Some("")),
            ("A=1", "a", None),
            ("a%20b=c+d%2B", "a b", Some("c d+")),
            ("a=1=2", "a", Some("1=2")),
            ("a=%zz%2", "a", Some("%zz%2")),
            ("=x&a=1", "a", Some("1")),
            ("", "a", None),
        ] {
            assert_eq!(value(query, name).as_deref(), expected, "{query} {name}");
        }
    }
}
