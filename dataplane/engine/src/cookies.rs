//! The cookies of a request ([RFC 6265 section 4.2.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1)): pairs in any number
//! of fields. Nothing here knows what they mean.

use http::{HeaderValue, header::COOKIE};

use crate::fields::Fields;

/// The values of the cookies of that name, in the order they came.
pub(crate) fn values<'h>(headers: &'h Fields, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(COOKIE).flat_map(pairs).filter_map(|pair| value_of(pair, name))
}

/// Takes the cookies of that name out of a request's fields.
pub(crate) fn remove(headers: &mut Fields, name: &str) {
    let others: Vec<_> = headers.get_all(COOKIE).filter_map(|field| without(field, name)).collect();
    headers.remove(COOKIE);
    headers.extend(others.into_iter().map(|field| (COOKIE, field)));
}

/// What is left of a field; none: nothing.
fn without(field: &HeaderValue, name: &str) -> Option<HeaderValue> {
    if !pairs(field).any(|pair| value_of(pair, name).is_some()) {
        return Some(field.clone());
    }
    let others: Vec<_> = pairs(field).filter(|pair| value_of(pair, name).is_none()).collect();
    // Pieces of a field's value can always stand in one.
    HeaderValue::from_bytes(&others.join(&b"; "[..])).ok().filter(|_| !others.is_empty())
}

fn pairs(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn value_of<'h>(pair: &'h [u8], name: &str) -> Option<&'h [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&str]) -> Fields {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_str(field).unwrap())).collect()
    }

    #[test]
    fn cookies_are_found_among_others() {
        let headers = headers(&["sessions=1; xsession=2", "a=b;  session=3=4 ; session=5"]);
        assert_eq!(values(&headers, "session").collect::<Vec<_>>(), [&b"3=4"[..], b"5"]);
        assert_eq!(values(&headers, "b").next(), None);
    }

    #[track_caller]
    fn check(fields: &[&str], left: &[&str]) {
        let mut fields = headers(fields);
        remove(&mut fields, "session");
        assert_eq!(fields, headers(left));
    }

    #[test]
    fn one_cookie_is_taken_out_and_the_others_stay() {
        check(&["session=1"], &[]);
        check(&["a=1; session=2;b=3 ;session=4", "session=5", "c=6;d=7"], &["a=1; b=3", "c=6;d=7"]);
        check(&["sessions=1; session; =session"], &["sessions=1; session; =session"]);
        check(&[], &[]);
    }
}
