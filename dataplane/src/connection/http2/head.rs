//! A request's head as HTTP/1.1 would have it, since that is how it is judged and sent on: what h2 has let pass and HTTP/1.1
//! would not is refused, and what HTTP/2 says in its own way is said in the other (RFC 9113 section 8).

use apigw_engine::{fields::Fields, head::RequestHead};
use http::{
    HeaderValue, Version,
    header::{CONTENT_LENGTH, COOKIE},
    uri::Scheme,
};

use crate::http1::{
    head::{HeadError, MAX_FIELDS},
    length::{self, Length},
};

/// Whether anything follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Nothing,
    Body,
}

/// Turns a head into one of HTTP/1.1, and gives the length of the body, where it is told.
///
/// # Errors
/// When HTTP/1.1 has no such head.
pub(super) fn translate(head: &mut RequestHead, follows: Follows) -> Result<Option<u64>, HeadError> {
    if head.headers.len() > MAX_FIELDS {
        return Err(HeadError::TooLarge);
    }
    // Of an absolute target, HTTP/1.1 is as strict.
    let is_web = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    if !head.uri.scheme().is_none_or(is_web) {
        return Err(HeadError::Malformed);
    }
    let target = head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    // A plain CONNECT has none.
    let is_target = target.starts_with('/') || matches!(target, "" | "*");
    if !is_target
        || !target.bytes().all(|byte| byte.is_ascii_graphic())
        || !head.headers.iter().all(|(_, value)| is_trimmed(value))
    {
        return Err(HeadError::Malformed);
    }
    let told = match length::of_request(Version::HTTP_11, &head.headers)? {
        Length::Known(bytes) if head.headers.contains_key(CONTENT_LENGTH) => Some(bytes),
        _ => None,
    };
    if follows == Follows::Nothing && told.is_some_and(|bytes| bytes > 0) {
        return Err(HeadError::Malformed);
    }
    head.name_host();
    join_cookies(&mut head.headers);
    Ok(told)
}

/// Whether a value has no white space around it (RFC 9113 section 8.2.1).
fn is_trimmed(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.as_bytes().first()) && !is_space(value.as_bytes().last())
}

/// A client may send crumbs of a cookie apart; elsewhere they are one field (RFC 9113 section 8.2.3).
fn join_cookies(fields: &mut Fields) {
    let crumbs: Vec<_> = fields.get_all(COOKIE).map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let joined =
            HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("header values make a header value");
        fields.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request, header::HOST};

    use super::*;

    fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut request = Request::builder().uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0.into()
    }

    #[test]
    fn a_head_says_its_host_and_its_cookie_once() {
        let mut head = head("http://a.example/x", &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(translate(&mut head, Follows::Nothing), Ok(None));
        assert_eq!(head.headers.get(HOST).unwrap(), "a.example");
        let cookies: Vec<_> = head.headers.get_all(COOKIE).collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn what_http11_could_not_say_is_refused() {
        let check = |fields: &[(&str, &str)], follows| translate(&mut head("http://a/", fields), follows);
        assert_eq!(check(&[("content-length", "5")], Follows::Body), Ok(Some(5)));
        for fields in [&[("content-length", "5, 5")][..], &[("content-length", "5"), ("content-length", "5")]]
        {
            assert!(check(fields, Follows::Body).is_err(), "{fields:?}");
        }
        assert_eq!(check(&[("content-length", "5")], Follows::Nothing), Err(HeadError::Malformed));
        let mut padded = head("http://a/", &[]);
        padded.headers.insert(HeaderName::from_static("x"), HeaderValue::from_static(" padded"));
        assert_eq!(translate(&mut padded, Follows::Nothing), Err(HeadError::Malformed));
        let many: Vec<_> = (0..=MAX_FIELDS).map(|number| format!("x-{number}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(check(&many, Follows::Nothing), Err(HeadError::TooLarge));
    }
}
