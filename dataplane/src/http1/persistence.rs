//! Whether a connection goes on after a message (RFC 9112 section 9.3).

use apigw_engine::fields::Fields;
use http::{HeaderName, Version, header::CONNECTION};

/// Whether the sender of this head wants to go on with the connection.
pub(crate) fn wants_more(version: Version, fields: &Fields) -> bool {
    let is_modern = version == Version::HTTP_11;
    if !fields.contains_key(CONNECTION) {
        return is_modern;
    }
    let says = |option: &[u8]| lists(fields, &CONNECTION, option);
    !says(b"close") && (is_modern || says(b"keep-alive"))
}

/// Whether one of a field's comma-separated elements is this word, in any case (RFC 9110 section 5.6.1).
pub(crate) fn lists(fields: &Fields, name: &HeaderName, word: &[u8]) -> bool {
    // Most messages have no such field.
    if !fields.contains_key(name) {
        return false;
    }
    let mut elements = fields.bytes_of_all(name).flat_map(|value| value.split(|&byte| byte == b','));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(word))
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
