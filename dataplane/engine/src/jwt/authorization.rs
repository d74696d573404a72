//! The bearer token of a request (RFC 6750 section 2.1). Nothing here looks into it.

use super::error::JwtError;

/// The most bytes of an `Authorization` header that are looked at.
pub const MAX_BYTES: usize = 8_192;

/// The token in a request's only `Authorization` header.
///
/// # Errors
/// When there is no header, several, one of another scheme, or one without a token. What is no token otherwise is for
/// [`Token::parse`](super::token::Token::parse) to see: one that was believed before needs no look at each of its bytes.
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
    let token = std::str::from_utf8(rest.trim_ascii()).map_err(|_| JwtError::Malformed)?;
    if token.is_empty() { Err(JwtError::Malformed) } else { Ok(token) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::token::Token;

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
        for header in ["Bearer", "Bearer ", "Bearer  "] {
            check(&[header], Err(JwtError::Malformed));
        }
        assert_eq!(bearer_token([&b"Bearer a.b.\xe7"[..]]), Err(JwtError::Malformed));
    }

    #[test]
    fn what_is_no_token_is_seen_when_it_is_looked_into() {
        for text in
            ["a.b.c a.b.c", "a.b.c,Bearer a.b.c", "a.b.c==", "a+b.c.d", "\"a.b.c\"", "a.b.ç", "token=a.b.c"]
        {
            let header = format!("Bearer {text}");
            let token = bearer_token([header.as_bytes()]).unwrap();
            assert_eq!(Token::parse(token).map(|_| ()), Err(JwtError::Malformed), "{text}");
        }
    }

    #[test]
    fn headers_over_the_bound_are_not_looked_at() {
        let header = |length: usize| "Bearer ".to_owned() + &"a".repeat(length - "Bearer ".len());
        assert!(bearer_token([header(MAX_BYTES).as_bytes()]).is_ok());
        check(&[&header(MAX_BYTES + 1)], Err(JwtError::TooLarge));
    }
}
