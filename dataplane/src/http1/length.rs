//! How long a message's body is (RFC 9112 section 6.3), told in one way or not at all.

use apigw_engine::fields::Fields;
use http::{
    Method, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// This many bytes; 0: there is none.
    Known(u64),
    /// Until the last chunk.
    Chunked,
    /// Until the connection ends.
    UntilClose,
}

/// A message whose end cannot be told in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LengthError {
    /// In a coding that the gateway neither undoes nor may forget.
    #[error("a transfer coding other than chunked")]
    TransferCoding,
    /// Of several lengths, or one that is none.
    #[error("no single content length")]
    ContentLength,
    /// With a length and a coding, or a coding where there can be none.
    #[error("a transfer coding beside a length, or before HTTP/1.1")]
    Ambiguous,
}

/// The length of a request's body.
///
/// # Errors
/// When there is not exactly one.
pub(crate) fn of_request(version: Version, fields: &Fields) -> Result<Length, LengthError> {
    match (is_chunked(fields)?, content_length(fields)?) {
        (false, length) => Ok(Length::Known(length.unwrap_or(0))),
        (true, None) if version == Version::HTTP_11 => Ok(Length::Chunked),
        // Whoever came before us may have read it the other way (RFC 9112 section 6.1).
        (true, _) => Err(LengthError::Ambiguous),
    }
}

/// The length of the body of a response to a request with this method.
///
/// # Errors
/// When there is not exactly one.
pub(crate) fn of_response(
    method: &Method,
    status: StatusCode,
    version: Version,
    fields: &Fields,
) -> Result<Length, LengthError> {
    let is_chunked = is_chunked(fields)?;
    // What follows is no HTTP any more, and ends with the connection (RFC 9110 section 15.2.2).
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Length::UntilClose);
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return Ok(Length::Known(0));
    }
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // It goes on to the client, as that of the body there would be (RFC 9110 section 8.6).
        if !is_chunked {
            content_length(fields)?;
        }
        return Ok(Length::Known(0));
    }
    match (is_chunked, version) {
        // Servers do send a length beside it; the coding counts (RFC 9112 section 6.3), and the length goes no further.
        (true, Version::HTTP_11) => Ok(Length::Chunked),
        (true, _) => Err(LengthError::Ambiguous),
        (false, _) => Ok(content_length(fields)?.map_or(Length::UntilClose, Length::Known)),
    }
}

/// Whether the body is in chunks: in that coding alone, said once.
fn is_chunked(fields: &Fields) -> Result<bool, LengthError> {
    match fields.bytes_of_single(TRANSFER_ENCODING) {
        Ok(None) => Ok(false),
        Ok(Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(LengthError::TransferCoding),
    }
}

/// A length: digits and nothing else, said once.
fn content_length(fields: &Fields) -> Result<Option<u64>, LengthError> {
    let single = fields.bytes_of_single(CONTENT_LENGTH).map_err(|_several| LengthError::ContentLength)?;
    let Some(digits) = single else { return Ok(None) };
    // 19 digits always fit.
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(LengthError::ContentLength);
    }
    Ok(Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn requests_have_one_length_or_are_refused() {
        let of = |lines: &[(&'static str, &'static str)]| of_request(Version::HTTP_11, &fields(lines));
        assert_eq!(of(&[]), Ok(Length::Known(0)));
        assert_eq!(of(&[(LENGTH, "17")]), Ok(Length::Known(17)));
        assert_eq!(of(&[(CODING, "Chunked")]), Ok(Length::Chunked));
        for value in ["", "-1", "+1", "1 ", "0x1", "1,1", "1, 1", "99999999999999999999", "１"] {
            if let Ok(value) = http::HeaderValue::from_str(value) {
                let mut fields = Fields::new();
                fields.insert(CONTENT_LENGTH, value.clone());
                let length = of_request(Version::HTTP_11, &fields);
                assert_eq!(length, Err(LengthError::ContentLength), "{value:?}");
            }
        }
        for pair in [[(LENGTH, "1"), (LENGTH, "1")], [(LENGTH, "1"), (LENGTH, "2")]] {
            assert_eq!(of(&pair), Err(LengthError::ContentLength), "{pair:?}");
        }
        for coding in ["gzip", "gzip, chunked", "chunked, gzip", "chunked,", "chunked;q=1", "xchunked", ""] {
            assert_eq!(of(&[(CODING, coding)]), Err(LengthError::TransferCoding), "{coding:?}");
        }
        assert_eq!(of(&[(CODING, "chunked"), (CODING, "chunked")]), Err(LengthError::TransferCoding));
        assert_eq!(of(&[(CODING, "chunked"), (LENGTH, "1")]), Err(LengthError::Ambiguous));
        let old = of_request(Version::HTTP_10, &fields(&[(CODING, "chunked")]));
        assert_eq!(old, Err(LengthError::Ambiguous));
    }

    #[test]
    fn answers_without_a_body_have_none_whatever_they_say() {
        let fields = fields(&[(LENGTH, "5")]);
        let of = |method: Method, status: u16| {
            of_response(&method, StatusCode::from_u16(status).unwrap(), Version::HTTP_11, &fields)
        };
        for (method, status, length) in [
            (Method::HEAD, 200, 0),
            (Method::GET, 204, 0),
            (Method::GET, 304, 0),
            (Method::GET, 103, 0),
            (Method::GET, 200, 5),
        ] {
            assert_eq!(of(method, status), Ok(Length::Known(length)), "{status}");
        }
    }

    #[test]
    fn the_length_of_a_body_that_does_not_follow_is_one_all_the_same() {
        let of = |method: Method, status: u16, lines: &[(&'static str, &'static str)]| {
            of_response(&method, StatusCode::from_u16(status).unwrap(), Version::HTTP_11, &fields(lines))
        };
        for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
            for lines in [&[(LENGTH, "5"), (LENGTH, "6")][..], &[(LENGTH, "-1")], &[(LENGTH, "5, 5")]] {
                assert_eq!(
                    of(method.clone(), status, lines),
                    Err(LengthError::ContentLength),
                    "{status} {lines:?}"
                );
            }
            assert_eq!(of(method, status, &[(LENGTH, "5"), (CODING, "chunked")]), Ok(Length::Known(0)));
        }
    }

    #[test]
    fn an_answer_that_says_nothing_ends_with_its_connection() {
        let of = |lines: &[(&'static str, &'static str)]| {
            of_response(&Method::GET, StatusCode::OK, Version::HTTP_11, &fields(lines))
        };
        assert_eq!(of(&[]), Ok(Length::UntilClose));
        assert_eq!(of(&[(CODING, "chunked")]), Ok(Length::Chunked));
        assert_eq!(of(&[(CODING, "chunked"), (LENGTH, "5")]), Ok(Length::Chunked));
        assert_eq!(of(&[(LENGTH, "5"), (LENGTH, "5")]), Err(LengthError::ContentLength));
        assert_eq!(of(&[(LENGTH, "5"), (LENGTH, "6")]), Err(LengthError::ContentLength));
    }
}
