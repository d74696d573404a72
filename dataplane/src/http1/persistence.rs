//! Whether a connection goes on after a message (RFC 9112 section 9.3).

use apigw_engine::fields::{Fields, Several};
use http::{HeaderName, Version, header::CONNECTION};

/// Whether the sender of this head wants to go on with the connection.
pub(crate) fn wants_more(version: Version, fields: &Fields) -> bool {
    let says = |option: &[u8]| lists(fields, &CONNECTION, option);
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

/// Whether one of a field's comma-separated elements is this word, in any case (RFC 9110 section 5.6.1).
pub(crate) fn lists(fields: &Fields, name: &HeaderName, word: &[u8]) -> bool {
    let has = |value: &[u8]| {
        value.split(|&byte| byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(word))
    };
    // Most messages have no such field, and most others one.
    match fields.bytes_of_single(name) {
        Ok(value) => value.is_some_and(has),
        Err(Several) => fields.bytes_of_all(name).any(has),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, connection: &[&'static str], expected: bool) {
        let mut fields = Fields::new();
        for value in connection {
            fields.append(CONNECTION, http::HeaderValue::from_static(value));
        }
        assert_eq!(wants_more(version, &fields), expected, "{version:?} {connection:?}");
    }

    #[test]
    fn connections_go_on_by_default_since_http_1_1() {
        check(Version::HTTP_11, &[], true);
        check(Version::HTTP_11, &["x-named, Close"], false);
        check(Version::HTTP_11, &["keep-alive", "close"], false);
        check(Version::HTTP_11, &["closed"], true);
        check(Version::HTTP_10, &[], false);
        check(Version::HTTP_10, &["Keep-Alive"], true);
        check(Version::HTTP_10, &["keep-alive, close"], false);
    }
}
