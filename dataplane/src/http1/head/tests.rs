//! Heads as peers really send them, split anywhere.

use super::*;

/// Gives a head in two reads, split anywhere, and whole.
#[expect(clippy::panic_in_result_fn, reason = "a test's assertions panic")]
fn find(text: &[u8], max_bytes: usize) -> Result<Option<usize>, HeadError> {
    let whole = HeadSearch::default().find(text, max_bytes);
    for split in 0..text.len() {
        let mut search = HeadSearch::default();
        let found = match search.find(&text[..split], max_bytes) {
            Ok(None) => search.find(text, max_bytes),
            other => other,
        };
        assert_eq!(found, whole, "split at {split} of {:?}", String::from_utf8_lossy(text));
    }
    whole
}

#[expect(clippy::panic_in_result_fn, reason = "a test's assertions panic")]
fn request(text: &str) -> Result<Box<RequestHead>, HeadError> {
    let end = find(text.as_bytes(), 1 << 20)?.ok_or(HeadError::Malformed)?;
    let (head, length) = parse_request(&Bytes::copy_from_slice(text.as_bytes()))?;
    assert_eq!(length, end, "{text:?}");
    Ok(head)
}

#[expect(clippy::panic_in_result_fn, reason = "a test's assertions panic")]
fn response(text: &str) -> Result<ResponseHead, HeadError> {
    let end = find(text.as_bytes(), 1 << 20)?.ok_or(HeadError::Malformed)?;
    let (head, length) = parse_response(&Bytes::copy_from_slice(text.as_bytes()))?;
    assert_eq!(length, end, "{text:?}");
    Ok(head)
}

#[test]
fn a_request_is_read_as_it_is_written() {
    let parts =
        request("\r\nPATCH /a?b=c HTTP/1.1\r\nHost: h\r\nX-A:  one \t\r\nX-a:two\r\nX-Empty:\r\n\r\nrest")
            .unwrap();
    assert_eq!((parts.method.as_str(), parts.version), ("PATCH", Version::HTTP_11));
    assert_eq!(parts.uri, "/a?b=c");
    assert_eq!(parts.headers.get_all(HeaderName::from_static("x-a")).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(parts.headers.get(HeaderName::from_static("x-empty")).unwrap(), "");
    assert_eq!(parts.headers.len(), 4);
    let absolute = request("GET http://h:8/a HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((absolute.version, absolute.uri.host()), (Version::HTTP_10, Some("h")));
}

#[test]
fn what_two_readers_could_read_differently_is_no_request() {
    for (text, error) in [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\n: h\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nNoColon\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nX: a\x7fb\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1\r\nX\u{e9}: a\r\n\r\n", HeadError::Malformed),
        ("GET  / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /  HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.1 \r\n\r\n", HeadError::Malformed),
        ("GET\t/ HTTP/1.1\r\n\r\n", HeadError::Malformed),
        (" GET / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /a b HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /a#b HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /\0 HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET ftp://h/ HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET /\r\n\r\n", HeadError::Malformed),
        ("G(T / HTTP/1.1\r\n\r\n", HeadError::Malformed),
        ("GET / http/1.1\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/01.1\r\n\r\n", HeadError::Malformed),
        ("GET / HTTP/1.2\r\n\r\n", HeadError::Version),
        ("PRI * HTTP/2.0\r\n\r\n", HeadError::Version),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", HeadError::Malformed),
    ] {
        assert_eq!(request(text).err(), Some(error), "{text:?}");
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let line = "GET / HTTP/1.1\r\n";
    let text = format!("{line}\r\n");
    assert_eq!(find(text.as_bytes(), text.len()), Ok(Some(text.len())));
    assert_eq!(find(text.as_bytes(), text.len() - 1), Err(HeadError::TooLarge));
    assert_eq!(find(b"GET /aaaaaaaa", 10), Err(HeadError::TargetTooLong));
    assert_eq!(find(b"GET /aaaaaaaa HTTP/1.1\r\n\r\n", 10), Err(HeadError::TargetTooLong));
    assert_eq!(find(format!("{line}X: aaaa").as_bytes(), 20), Err(HeadError::TooLarge));
    let fields = |count: usize| request(&format!("{line}{}\r\n", "X: y\r\n".repeat(count)));
    assert_eq!(fields(MAX_FIELDS).unwrap().headers.len(), MAX_FIELDS);
    assert_eq!(fields(MAX_FIELDS + 1).err(), Some(HeadError::TooLarge));
    let method = |bytes: usize| request(&format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(bytes)));
    assert!(method(MAX_METHOD_BYTES).is_ok());
    assert_eq!(method(MAX_METHOD_BYTES + 1).err(), Some(HeadError::Malformed));
    let target = |bytes: usize| request(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(bytes - 1)));
    assert!(target(MAX_TARGET_BYTES).is_ok());
    assert_eq!(target(MAX_TARGET_BYTES + 1).err(), Some(HeadError::TargetTooLong));
}

#[test]
fn a_response_is_read_with_any_reason_or_none() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.0 404 ", 404),
        ("HTTP/1.1 301", 301),
        ("HTTP/1.1 599 Ori\u{eb}ntatie\tx", 599),
    ] {
        let parts = response(&format!("{line}\r\nX: y\r\n\r\n")).unwrap();
        assert_eq!((parts.status.as_u16(), parts.headers.len()), (status, 1), "{line}");
    }
}

#[test]
fn what_is_not_http_is_no_response() {
    for (text, error) in [
        ("ICE/1.1 200 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/0.9 200 OK\r\n\r\n", HeadError::Version),
        ("HTTP/11.1 200 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1  200 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 20 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 2000 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 099 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 600 OK\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 200 OK\rX: y\r\n\r\n", HeadError::Malformed),
        ("HTTP/1.1 200 OK\nX: y\n\n", HeadError::Malformed),
        ("HTTP/1.1 200 OK\r\nen-US X: y\r\n\r\n", HeadError::Malformed),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", HeadError::Malformed),
    ] {
        assert_eq!(response(text).err(), Some(error), "{text:?}");
    }
}

#[test]
fn what_is_no_http_is_known_by_its_first_bytes() {
    for bytes in [&b""[..], b"H", b"HTTP/1.", b"HTTP/1.1 200 OK"] {
        assert!(can_begin_response(bytes), "{bytes:?}");
    }
    for bytes in [&b"S"[..], b"HTTP/2", b"\r\n", b"HTTPS"] {
        assert!(!can_begin_response(bytes), "{bytes:?}");
    }
    assert!(can_begin_request(b"") && can_begin_request(b"G") && can_begin_request(b"\r\nG"));
    assert!(!can_begin_request(b"\x16\x03\x01") && !can_begin_request(b" GET"));
}
