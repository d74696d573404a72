//! The bearer token of a request (RFC 6750 section 2.1). Nothing here looks into it.

use super::error::JwtError;

/// The most bytes of an `Authorization` header that are looked at.
pub const MAX_BYTES: usize = 8_192;

/// The token in a request's only `Authorization` header.
///
/// # Errors
/// When there is no header, several, one of another scheme, or one that can hold no token.
pub fn bearer_token<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Result<&'a str, JwtError> {
    let mut headers = headers.into_iter();
    let header = headers.next().ok_or(JwtError::Missing)?;
    if headers.next().is_some() {
        return Err(JwtError::Several);
    }
    if header.len() > MAX_BYTES {
        return Err(JwtError::TooLarge);
    }
    let (scheme, rest) = header.split_at(header.iter().position(|&b| b == b' ').unwrap_or(header.len()));
    // RFC 9110 section 11.1: the scheme's name is case-insensitive.
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(JwtError::Scheme);
    }
    let token = rest.trim_ascii();
    // Each character of base64url, and the dots between the parts.
    let is_compact = |&b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if token.is_empty() || !token.iter().all(is_compact) {
        return Err(JwtError::Malformed);
    }
    std::str::from_utf8(token).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[&str], expected: Result<&str, JwtError>) {
        assert_eq!(bearer_token(headers.iter().map(|header| header.as_bytes())), expected, "{headers:?}");
    }

    #[test]
    fn one_bearer_token_in_any_case_is_found() {
        for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "bEaReR   a.b.c", "Bearer a.b.c "] {
            check(&[header], Ok("a.b.c"));
        }
    }

    #[test]
    fn anything_but_one_bearer_token_is_refused() {
        check(&[], Err(JwtError::Missing));
        check(&["Bearer a.b.c", "Bearer a.b.c"], Err(JwtError::Several));
        check(&["", "Bearer a.b.c"], Err(JwtError::Several));
        for header in ["", "Basic YWxhZGRpbg==", "a.b.c", "Bearera.b.c", "Bearer\ta.b.c", "Bearer, a.b.c"] {
            check(&[header], Err(JwtError::Scheme));
        }
        for header in [
            "Bearer",
            "Bearer ",
            "Bearer a.b.c a.b.c",
            "Bearer a.b.c,Bearer a.b.c",
            "Bearer a.b.c==",
            "Bearer a+b.c.d",
            "Bearer \"a.b.c\"",
            "Bearer a.b.ç",
            "Bearer token=a.b.c",
        ] {
            check(&[header], Err(JwtError::Malformed));
        }
    }

    #[test]
    fn headers_over_the_bound_are_not_looked_at() {
        let header = |length: usize| "Bearer ".to_owned() + &"a".repeat(length - "Bearer ".len());
        assert!(bearer_token([header(MAX_BYTES).as_bytes()]).is_ok());
        check(&[&header(MAX_BYTES + 1)], Err(JwtError::TooLarge));
    }
}
